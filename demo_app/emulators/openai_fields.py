"""The fields of OpenAI's request of a count, and a check as strict as the `openai` SDK's types.

https://developers.openai.com/api/reference/resources/responses/subresources/input_tokens
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from demo_app.emulators.answers import Refused

__all__ = ["OBJECTS", "check_request", "refuse"]

# An object's fields and their kinds: a scalar, "object" (of any fields), "any", "null or" one, the
# name of another object or of a union, or a [list] of one. A required field ends with "!".
Fields: TypeAlias = Mapping[str, str]

_BREAKPOINT: Final = {"prompt_cache_breakpoint": "object"}
OBJECTS: Final[Mapping[str, Fields]] = {
    "request": {
        **dict.fromkeys(("conversation", "reasoning"), "any"),
        **dict.fromkeys(("instructions", "model", "previous_response_id"), "null or string"),
        **dict.fromkeys(("personality", "truncation"), "string"),
        "input": "null or input",
        "parallel_tool_calls": "null or boolean",
        "text": "null or text",
        "tool_choice": "null or tool_choice",
        "tools": "null or [tool]",
    },
    "text": {"format": "format", "verbosity": "null or string"},
    # Items of the input
    "message": {
        "content": "content!",
        "role": "string!",
        "phase": "null or string",
        "type": "string",
    },
    "function_call": {
        **dict.fromkeys(("arguments", "call_id", "name", "type"), "string!"),
        **dict.fromkeys(("id", "namespace", "status"), "string"),
        "async": "boolean",
        "caller": "null or object",
    },
    "function_call_output": {
        "output": "content!",
        "type": "string!",
        **dict.fromkeys(("call_id", "id", "name", "namespace", "status"), "null or string"),
        "caller": "null or object",
    },
    # Parts of content
    "input_text": {"text": "string!", "type": "string!", **_BREAKPOINT},
    "input_image": {
        **dict.fromkeys(("detail", "type"), "string!"),
        **dict.fromkeys(("file_id", "image_url"), "null or string"),
        **_BREAKPOINT,
    },
    "input_file": {
        "type": "string!",
        **dict.fromkeys(("detail", "file_data", "file_url", "filename"), "string"),
        "file_id": "null or string",
        **_BREAKPOINT,
    },
    # Tools
    "function": {
        **dict.fromkeys(("name", "type"), "string!"),
        "parameters": "null or object!",
        "strict": "null or boolean!",
        "allowed_callers": "any",
        "async": "boolean",
        "defer_loading": "boolean",
        "description": "null or string",
        "output_schema": "null or object",
    },
    "web_search": {
        "type": "string!",
        "external_web_access": "boolean",
        "filters": "null or filters",
        "search_context_size": "string",
        "user_location": "null or location",
    },
    "filters": {"allowed_domains": "null or [string]"},
    "location": {
        **dict.fromkeys(("city", "country", "region", "timezone"), "null or string"),
        "type": "string",
    },
    "code_interpreter": {"container": "any!", "type": "string!", "allowed_callers": "any"},
    # Choices of a tool
    "function_choice": dict.fromkeys(("name", "type"), "string!"),
    "allowed_tools": {"mode": "string!", "tools": "[object]!", "type": "string!"},
    # Formats of a text
    "json_schema": {
        **dict.fromkeys(("name", "type"), "string!"),
        "schema": "object!",
        "description": "string",
        "strict": "null or boolean",
    },
}
# Objects by their type; the first is that of an object without one.
_UNIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "item": {
        "message": "message",
        **{kind: kind for kind in ("function_call", "function_call_output")},
    },
    "part": {kind: kind for kind in ("input_text", "input_image", "input_file")},
    "tool": {kind: kind for kind in ("function", "web_search", "code_interpreter")},
    "choice": {"function": "function_choice", "allowed_tools": "allowed_tools"},
    "format": {"json_schema": "json_schema"},
}
_STRINGS: Final = {"content", "input", "tool_choice"}
"""Kinds whose value may be a string too."""

_OTHERWISE: Final = {"content": "[part]", "input": "[item]", "tool_choice": "choice"}
_SCALARS: Final[Mapping[str, tuple[type, str]]] = {
    "boolean": (bool, "a boolean"),
    "list": (list, "an array"),
    "object": (dict, "an object"),
    "string": (str, "a string"),
}


def refuse(message: str, param: str | None, code: str, status: int = 400) -> Refused:
    """Return OpenAI's refusal, whose code and parameter are in its details."""
    return Refused(status, message, "invalid_request_error", [{"param": param, "code": code}])


def check_request(body: Mapping[str, Any]) -> None:
    """Check the names and types of all fields.

    Raises:
        Refused: with a 400 that names the place.
    """
    _check(body, "request", "")


def _check(value: Any, kind: str, place: str) -> None:
    kind = kind.removesuffix("!")
    if kind == "any" or (value is None and kind.startswith("null or ")):
        return
    kind = kind.removeprefix("null or ")
    if kind in _STRINGS and isinstance(value, str):
        return
    kind = _OTHERWISE.get(kind, kind)
    if kind.startswith("["):
        _check_type(value, "list", place)
        for index, item in enumerate(value):
            _check(item, kind[1:-1], f"{place}[{index}]")
    elif kind in _SCALARS:
        _check_type(value, kind, place)
    else:
        _check_type(value, "object", place)
        _check_fields(value, OBJECTS[_object_of(value, kind, place)], place)


def _check_type(value: Any, kind: str, place: str) -> None:
    expected, name = _SCALARS[kind]
    if not isinstance(value, expected):
        message = f"Invalid type for '{place}': expected {name}, but got another type instead."
        raise refuse(message, place, "invalid_type")


def _object_of(value: Mapping[str, Any], kind: str, place: str) -> str:
    if kind not in _UNIONS:
        return kind
    by_type = _UNIONS[kind]
    named = value.get("type", next(iter(by_type)))
    if named not in by_type:
        text = f"Invalid value: '{named}'. Supported values are: {_list(by_type)}."
        raise refuse(text, f"{place}.type", "invalid_value")
    return by_type[named]


def _check_fields(value: Mapping[str, Any], fields: Fields, place: str) -> None:
    for name in value:
        at = f"{place}.{name}" if place else name
        if name not in fields:
            raise refuse(f"Unknown parameter: '{at}'.", at, "unknown_parameter")
        _check(value[name], fields[name], at)
    for name, kind in fields.items():
        if kind.endswith("!") and name not in value:
            at = f"{place}.{name}"
            message = f"Missing required parameter: '{at}'."
            raise refuse(message, at, "missing_required_parameter")


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
