"""The fields of Google's requests, and a reader of JSON as strict as Google's own.

Vertex: https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/countTokens
Gemini API: https://ai.google.dev/api/tokens#method:-models.counttokens
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from demo_app.emulators.answers import Refused

__all__ = ["GEMINI_API", "VERTEX", "Schemas", "clean", "refuse_deep"]

# A message's fields and their kinds: a scalar, "any", "struct" (any object), the name of another
# message, a [list] or a {map} of one of these.
Schemas: TypeAlias = Mapping[str, Mapping[str, str]]

_MOST_LEVELS: Final = 100
_UPPER: Final = re.compile(r"(?<!^)([A-Z])")
_LOWER: Final = re.compile(r"_([a-z0-9])")
_SCALARS: Final = {"string": str, "bytes": str, "bool": bool, "struct": dict}


def _fields(kind: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, kind)


_GENERATION: Final = (
    *("audioTimestamp", "candidateCount", "enableAffectiveDialog", "frequencyPenalty"),
    *("imageConfig", "logprobs", "maxOutputTokens", "mediaResolution", "presencePenalty"),
    *("responseFormat", "responseJsonSchema", "responseLogprobs", "responseMimeType"),
    *("responseModalities", "responseSchema", "seed", "speechConfig", "stopSequences"),
    *("temperature", "thinkingConfig", "topK", "topP"),
)
_TOOLS: Final = ("codeExecution", "computerUse", "googleMaps", "googleSearch", "urlContext")
_BLOB: Final = {"mimeType": "string", "data": "bytes"}
_FILE: Final = {"mimeType": "string", "fileUri": "string"}
_COMMON: Final[dict[str, dict[str, str]]] = {
    "Content": {"role": "string", "parts": "[Part]"},
    "Part": {
        "text": "string",
        "thought": "bool",
        "thoughtSignature": "bytes",
        "inlineData": "Blob",
        "fileData": "FileData",
        "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse",
        **_fields("struct", "codeExecutionResult", "executableCode"),
        **_fields("struct", "mediaResolution", "videoMetadata"),
    },
    "Blob": _BLOB,
    "FileData": _FILE,
    "FunctionCall": {"id": "string", "name": "string", "args": "struct"},
    "FunctionResponse": {
        "id": "string",
        "name": "string",
        "response": "struct",
        "scheduling": "string",
        "parts": "[FunctionResponsePart]",
    },
    "FunctionResponsePart": {"inlineData": "Blob", "fileData": "FileData"},
    "Tool": {
        "functionDeclarations": "[FunctionDeclaration]",
        **_fields("struct", *_TOOLS, "googleSearchRetrieval"),
    },
    "FunctionDeclaration": {
        **_fields("string", "behavior", "description", "name"),
        **_fields("Schema", "parameters", "response"),
        **_fields("any", "parametersJsonSchema", "responseJsonSchema"),
    },
    "Schema": {
        **_fields("string", "description", "format", "pattern", "ref", "title", "type"),
        **_fields("any", "default", "example", "maxItems", "maxLength", "maxProperties", "maximum"),
        **_fields("any", "minItems", "minLength", "minProperties", "minimum"),
        **_fields("any", "additionalProperties"),
        **_fields("[string]", "enum", "propertyOrdering", "required"),
        **_fields("{Schema}", "defs", "properties"),
        "anyOf": "[Schema]",
        "items": "Schema",
        "nullable": "bool",
    },
    "GenerationConfig": _fields("any", *_GENERATION),
}
VERTEX: Final[Schemas] = {
    **_COMMON,
    "": {
        "contents": "[Content]",
        "generationConfig": "GenerationConfig",
        "instances": "[any]",
        "model": "string",
        "systemInstruction": "Content",
        "tools": "[Tool]",
    },
    "Blob": {**_BLOB, "displayName": "string"},
    "FileData": {**_FILE, "displayName": "string"},
    "Tool": {**_COMMON["Tool"], **_fields("struct", "enterpriseWebSearch", "retrieval")},
}
GEMINI_API: Final[Schemas] = {
    **_COMMON,
    "": {"contents": "[Content]", "generateContentRequest": "GenerateContentRequest"},
    "GenerateContentRequest": {
        **_fields("string", "cachedContent", "model"),
        "contents": "[Content]",
        "generationConfig": "GenerationConfig",
        "safetySettings": "[struct]",
        "systemInstruction": "Content",
        "toolConfig": "ToolConfig",
        "tools": "[Tool]",
    },
    "FunctionResponsePart": {"inlineData": "Blob"},
    "Tool": {**_COMMON["Tool"], "fileSearch": "struct"},
    "ToolConfig": {
        "functionCallingConfig": "FunctionCallingConfig",
        "includeServerSideToolInvocations": "bool",
        "retrievalConfig": "struct",
    },
    "FunctionCallingConfig": {"mode": "string", "allowedFunctionNames": "[string]"},
}


def refuse_deep(value: object) -> None:
    """Refuse JSON that is nested deeper than Google reads, so that no recursion goes too far."""
    level = [value]
    for _ in range(_MOST_LEVELS):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
    if level:
        raise Refused(400, "Invalid JSON payload received. Message too deep.")


def clean(value: object, kind: str, at: str, schemas: Schemas) -> Any:
    """Return a value of a kind, with its known fields in camelCase and without null.

    Google reads snake_case as well, and takes null for an absent field.

    Raises:
        Refused: with a 400 and the place of an unknown field or of a value of another type.
    """
    if kind == "any":
        return value
    if kind.startswith("["):
        return _clean_list(value, kind[1:-1], at, schemas)
    if kind.startswith("{"):
        if not isinstance(value, dict):
            raise _invalid_value(at, "Map", value)
        return {
            name: clean(item, kind[1:-1], f"{at}.{_shorten(name)}", schemas)
            for name, item in value.items()
        }
    if kind in schemas:
        return _clean_message(value, kind, at, schemas)
    if not isinstance(value, _SCALARS[kind]):
        raise _invalid_value(at, f"TYPE_{kind.upper()}", value)
    if kind == "bytes":
        _check_base64(str(value), at)
    return value


def _clean_list(value: object, kind: str, at: str, schemas: Schemas) -> list[Any]:
    # A single value may stand for a list of one, as everywhere in Google's JSON.
    items = value if isinstance(value, list) else [value]
    return [clean(item, kind, f"{at}[{index}]", schemas) for index, item in enumerate(items)]


def _clean_message(value: object, kind: str, at: str, schemas: Schemas) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid_value(at, kind, value)
    known: dict[str, Any] = {}
    for name, item in value.items():
        camel = _LOWER.sub(lambda match: match[1].upper(), name)
        if camel not in schemas[kind]:
            place = f" at '{at}'" if at else ""
            reason = f'Unknown name "{_shorten(name)}"{place}: Cannot find field.'
            raise _bad_request(at, f"Invalid JSON payload received. {reason}")
        snake = _UPPER.sub(lambda match: f"_{match[1].lower()}", camel)
        if item is not None:
            inner = f"{at}.{snake}" if at else snake
            known[camel] = clean(item, schemas[kind][camel], inner, schemas)
    return known


def _check_base64(text: str, at: str) -> None:
    standard = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:
        reason = f"Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed"
        raise _bad_request(at, reason) from None


def _shorten(name: str) -> str:
    return name[:100]


def _invalid_value(at: str, kind: str, value: object) -> Refused:
    shown = f'"{_shorten(value)}"' if isinstance(value, str) else f"a JSON {type(value).__name__}"
    return _bad_request(at, f"Invalid value at '{at}' ({kind}), {shown}")


def _bad_request(at: str, message: str) -> Refused:
    violation = {"field": at, "description": message} if at else {"description": message}
    kind = "type.googleapis.com/google.rpc.BadRequest"
    return Refused(400, message, details=({"@type": kind, "fieldViolations": [violation]},))
