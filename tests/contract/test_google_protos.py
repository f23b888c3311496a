"""The judge by the Gemini API's protocol buffers, and what these lack."""

import typing
from collections.abc import Iterator
from typing import Any, Final

import pytest
from google.genai import types
from pydantic import BaseModel

from tests.support.google_judges.protos import (
    LACKING,
    REQUEST,
    fields_of,
    judge_by_protos,
    message_in,
    name_of,
)
from tests.support.judges import Refused, gemini_judge

MODEL: Final = "models/gemini-3.6-flash"
BLOB: Final = {"mimeType": "image/png", "data": "aGVsbG8="}
CALL: Final = {"functionCall": {"name": "f", "args": {"deep": [{"a": None}]}}}
WHOLE: Final[dict[str, Any]] = {
    "model": MODEL,
    "systemInstruction": {"parts": [{"text": "s"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}, {"inlineData": BLOB}]},
        {
            "role": "model",
            "parts": [{"text": "t", "thought": True}, {**CALL, "thoughtSignature": "YQ=="}],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "name": "f",
                        "response": {"output": "done"},
                        "parts": [{"inlineData": BLOB}],
                    }
                }
            ],
        },
        {
            "role": "user",
            "parts": [
                {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/b.png"}}
            ],
        },
    ],
    "tools": [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]},
        {"urlContext": {}, "googleSearch": {}},
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
        "includeServerSideToolInvocations": True,
    },
    "generationConfig": {
        "responseJsonSchema": {"type": "object", "x": 1},
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"anyOf": [{"type": "STRING"}]}}},
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
    },
}


def places_of(value: object, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every object whose fields Google knows."""
    if isinstance(value, dict):
        yield path
        items: Any = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if name not in {"args", "parametersJsonSchema", "response", "responseJsonSchema"}:
            yield from places_of(item, *path, name)


def with_unknown(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a copy with an unknown field in the object at a path."""
    if not path:
        return {**value, "xFutureField": 1}
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_unknown(copy[path[0]], path[1:])
    return copy


def test_the_protocol_buffers_accept_the_newest_request() -> None:
    judge_by_protos({"generateContentRequest": WHOLE})
    gemini_judge(WHOLE)


# A map of schemas has any names.
@pytest.mark.parametrize(
    "path", [path for path in places_of(WHOLE) if path[-1:] != ("properties",)]
)
def test_the_protocol_buffers_refuse_an_unknown_field_at_every_depth(path: tuple[Any, ...]) -> None:
    with pytest.raises(Refused, match="xFutureField"):
        judge_by_protos({"generateContentRequest": with_unknown(WHOLE, path)})
    with pytest.raises(Refused):
        gemini_judge(with_unknown(WHOLE, path))


def user(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": [part]}


@pytest.mark.parametrize(
    "change",
    [
        {"contents": [user({"inlineData": {**BLOB, "displayName": "n"}})]},
        {"contents": [user({"functionCall": {"name": "f", "willContinue": True}})]},
        {"tools": [{"enterpriseWebSearch": {}}]},
        {"tools": [{"googleSearch": {"excludeDomains": ["a.example"]}}]},
        {"tools": [{"retrieval": {"disableAttribution": True}}]},
        {"generationConfig": {"audioTimestamp": True}},
    ],
)
def test_the_protocol_buffers_refuse_what_google_genai_has_for_vertex(
    change: dict[str, Any],
) -> None:
    with pytest.raises(Refused, match="no field named"):
        gemini_judge({"model": MODEL, "contents": [user({"text": "hi"})], **change})


@pytest.mark.parametrize(
    "inner",
    [
        {"contents": [user({"text": 1})]},
        {"contents": [user({"functionCall": {"name": "f", "args": []}})]},
        {"contents": [user({"functionResponse": {"name": "f", "response": "done"}})]},
        {"toolConfig": {"functionCallingConfig": {"mode": "MOST"}}},
        {"tools": {}},
    ],
)
def test_the_protocol_buffers_refuse_other_types_by_themselves(inner: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        judge_by_protos({"generateContentRequest": inner})


# Fields that google-genai has for Vertex AI alone, though its descriptions do not say so.
VERTEX_ONLY: Final = {
    ("Blob", "displayName"),
    ("FileData", "displayName"),
    ("FunctionResponseBlob", "displayName"),
    ("FunctionResponsePart", "fileData"),
    ("GenerationConfig", "modelSelectionConfig"),
}
TYPES: Final[dict[str, type[BaseModel]]] = {
    "contents": types.Content,
    "generationConfig": types.GenerationConfig,
    "systemInstruction": types.Content,
    "toolConfig": types.ToolConfig,
    "tools": types.Tool,
}


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as `list[Part] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (model_in(argument) for argument in typing.get_args(annotation))
    return next((model for model in inner if model), None)


def lacking_fields() -> set[tuple[str, str]]:
    """Return the messages and fields that `google-genai` has and the protocol buffers lack."""
    content = fields_of(fields_of(REQUEST)["generateContentRequest"].message_type)
    left = [(model, content[name].message_type) for name, model in TYPES.items()]
    seen, lacking = set(), set()
    while left:
        model, message = left.pop()
        known = fields_of(message)
        for name, field in model.model_fields.items():
            alias = field.alias or name
            if alias in known:
                pair = (model_in(field.annotation), message_in(known[alias]))
                if all(pair) and pair not in seen:
                    seen.add(pair)
                    left.append(pair)  # type: ignore[arg-type]
            elif "not supported in Gemini API" not in (field.description or ""):
                lacking.add((name_of(message), alias))
    return lacking


def test_the_list_of_what_the_protocol_buffers_lack_is_exact() -> None:
    """The list loses what the package learns, and gains what `google-genai` learns before it."""
    listed = {(message, name) for message, names in LACKING.items() for name in names}
    assert listed.isdisjoint(VERTEX_ONLY)
    assert listed | VERTEX_ONLY == lacking_fields()
