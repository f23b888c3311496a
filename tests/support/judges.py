"""Validators of request bodies for Google's APIs, by Google's own published schemas.

Vertex AI's schema is the discovery document of `google-api-python-client`, and the Gemini API's is
the types of `google-genai`. Both validators refuse unknown fields, and check documented rules that
the schemas cannot express.
"""

import base64
import binascii
import functools
import importlib.resources
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.genai import types
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

__all__ = ["Refused", "gemini_judge", "vertex_judge"]

COUNT_TOKENS_REQUEST: Final = "GoogleCloudAiplatformV1CountTokensRequest"
SCALARS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
}
KINDS_OF_PART: Final = {"text", "inlineData", "fileData", "functionCall", "functionResponse"}


class Refused(AssertionError):
    """An error for a body that Google would answer with 400; the message has place and reason."""


def vertex_judge(body: Mapping[str, Any]) -> None:
    """Validate a flat body of Vertex AI's `countTokens`.

    Raises:
        Refused: a field is unknown, or a value is of another type than the schema's.
    """
    walk({"$ref": COUNT_TOKENS_REQUEST}, json.loads(json.dumps(body, allow_nan=False)), "body")
    judge_turns(body)


def gemini_judge(generate_content_request: Mapping[str, Any]) -> None:
    """Validate the `generateContentRequest` of the Gemini API's `countTokens`, with its `model`.

    Raises:
        Refused: a field is unknown, or a value is of another type than the schema's.
    """
    raw = json.dumps(generate_content_request, allow_nan=False)
    try:
        with warnings.catch_warnings(action="error"):  # for an unknown enum it only warns
            read = _gemini_type().validate_json(raw)
    except (UserWarning, ValidationError) as error:
        raise Refused(str(error)) from None
    # The types coerce "true" to true, and strict mode skips types with an __init__ of their own.
    understood = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if any_base64(understood) != any_base64(json.loads(raw)):
        raise Refused("a value of another type")
    judge_turns(generate_content_request)
    judge_files_in_responses(generate_content_request)
    declared = any(
        "functionDeclarations" in tool for tool in _list(generate_content_request, "tools")
    )
    if "toolConfig" in generate_content_request and not declared:
        raise Refused("Function calling config is set without function_declarations.")


# ---- Vertex AI


@functools.cache
def vertex_schemas() -> Mapping[str, Any]:
    documents = importlib.resources.files("googleapiclient") / "discovery_cache" / "documents"
    schemas: Mapping[str, Any] = json.loads((documents / "aiplatform.v1.json").read_text())[
        "schemas"
    ]
    return schemas


def walk(schema: Mapping[str, Any], value: object, place: str) -> None:
    """Validate a value against a schema of the discovery document.

    https://developers.google.com/discovery/v1/type-format
    """
    schema = vertex_schemas()[schema["$ref"]] if "$ref" in schema else schema
    match schema["type"]:
        case "any":
            return
        case "object":
            walk_object(schema, value, place)
        case "array":
            if not isinstance(value, list):
                raise Refused(f"{place}: not an array")
            for index, item in enumerate(value):
                walk(schema["items"], item, f"{place}.{index}")
        case kind:
            walk_scalar(schema, value, place, SCALARS[kind])


def walk_object(schema: Mapping[str, Any], value: object, place: str) -> None:
    if not isinstance(value, dict):
        raise Refused(f"{place}: not an object")
    for name, item in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if known is None:
            raise Refused(f'{place}: Unknown name "{name}"')
        walk(known, item, f"{place}.{name}")


def walk_scalar(
    schema: Mapping[str, Any], value: object, place: str, wanted: type | tuple[type, ...]
) -> None:
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise Refused(f"{place}: not a {schema['type']}")
    if "enum" in schema and value not in schema["enum"]:
        raise Refused(f"{place}: not of the enum")
    if schema.get("format") == "byte":
        try:
            base64.b64decode(str(value), validate=True)
        except binascii.Error:
            raise Refused(f"{place}: not base64") from None


# ---- the Gemini API


class GenerateContentRequest(BaseModel):
    """A request as nested in `countTokens`: https://ai.google.dev/api/generate-content."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    model: str = Field(pattern="^models/[a-z0-9.-]+$")
    contents: list[types.Content] = Field(min_length=1)
    system_instruction: types.Content | None = None
    tools: list[types.Tool] | None = None
    tool_config: types.ToolConfig | None = None
    generation_config: types.GenerationConfig | None = None


@functools.cache
def _gemini_type() -> TypeAdapter[GenerateContentRequest]:
    return TypeAdapter(GenerateContentRequest)


def any_base64(value: object) -> object:
    """Return JSON with one base64 alphabet, because `google-genai` rewrites one to the other."""
    match value:
        case str():
            return value.translate(str.maketrans("-_", "+/"))
        case list():
            return [any_base64(item) for item in value]
        case dict():
            return {name: any_base64(item) for name, item in value.items()}
        case _:
            # The type, because True == 1 and 1.0 == 1.
            return type(value), value


def judge_files_in_responses(request: Mapping[str, Any]) -> None:
    """Refuse files in function responses; `google-genai` types allow them for Vertex AI's sake.

    https://ai.google.dev/api/caching#FunctionResponsePart
    """
    for part in (part for turn in request["contents"] for part in turn["parts"]):
        for media in _list(part.get("functionResponse", {}), "parts"):
            if media.keys() != {"inlineData"}:
                raise Refused('functionResponse.parts: Unknown name "fileData"')


# ---- both


def judge_turns(request: Mapping[str, Any]) -> None:
    """Validate the rules of https://ai.google.dev/api/caching#Content that no schema expresses."""
    contents = _list(request, "contents")
    instruction = request.get("systemInstruction")
    if not contents:
        raise Refused("contents is not specified")
    for turn in contents:
        if turn.get("role") not in {"user", "model"}:
            raise Refused("Please use a valid role: user, model.")
    for content in contents if instruction is None else [*contents, instruction]:
        judge_parts(content)
    if instruction is not None and any(part.keys() != {"text"} for part in instruction["parts"]):
        raise Refused("systemInstruction: text only")
    for index, turn in enumerate(contents):
        answers = parts_with("functionResponse", turn)
        asked = parts_with("functionCall", contents[index - 1]) if index else 0
        if answers and answers != asked:
            raise Refused(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )


def judge_parts(content: Mapping[str, Any]) -> None:
    parts = _list(content, "parts")
    if not parts:
        raise Refused("must include at least one parts field")
    for part in parts:
        if len(part.keys() & KINDS_OF_PART) != 1:
            raise Refused("a part must have exactly one kind of data")
        if part.get("text") == "":
            raise Refused("a part must not be empty")


def parts_with(name: str, content: Mapping[str, Any]) -> int:
    return sum(name in part for part in content["parts"])


def _list(value: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    items: Sequence[Mapping[str, Any]] = value.get(name, [])
    return items
