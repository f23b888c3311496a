"""Validator of bodies of OpenAI's `responses/input_tokens`, by the `openai` SDK's own types.

The types are walked for unknown fields at every depth. Rules that they cannot express are those of
OpenAI's documentation and of its refusals in public reports.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Final, Literal, Required, Union, get_args, get_origin

from openai.types.responses import InputTokenCountParams
from typing_extensions import get_type_hints, is_typeddict

__all__ = ["Refused", "openai_judge"]

_SCALARS: Final[Mapping[Any, type | tuple[type, ...]]] = {
    bool: bool,
    dict: dict,
    float: (int, float),
    int: int,
    str: str,
    NoneType: NoneType,
}
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}").fullmatch
_DATA_URL: Final = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/_-]+={0,2}").fullmatch


class Refused(AssertionError):
    """OpenAI would refuse the body; the message names the place."""


def openai_judge(body: Mapping[str, Any]) -> None:
    """Validate a body.

    Raises:
        Refused: a field is unknown or missing, a value is of another type, or a rule is broken.
    """
    body = json.loads(json.dumps(body, allow_nan=False))
    problems = [*_problems(body, InputTokenCountParams, "body"), *_broken_rules(body)]
    if problems:
        raise Refused("; ".join(problems[:3]))


# ---- types


@functools.cache
def _fields_of(kind: Any) -> Mapping[str, tuple[Any, bool]]:
    """Return the type of each field of a TypedDict, and whether the field is required."""
    required: Any = Required
    return {
        name: (get_args(hint)[0], True) if get_origin(hint) is required else (hint, False)
        for name, hint in get_type_hints(kind, include_extras=True).items()
    }


def _problems(value: Any, hint: Any, place: str) -> Iterator[str]:
    """Yield the problems of a value; of a union, those with the type that fits best."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_typeddict(hint):
        return _problems_of_fields(value, hint, place)
    if origin in {Union, UnionType}:
        every = [[*_problems(value, one, place)] for one in arguments]
        every.sort(key=lambda problems: (len(problems), not _is_of_kind(problems)))
        return iter(every[0])
    if origin is Literal:
        is_one = any(value == one and type(value) is type(one) for one in arguments)
        return iter([] if is_one else [f"{place}: none of {arguments}"])
    if origin is None or origin is dict:
        return iter([] if _is_scalar(value, origin or hint) else [f"{place}: not of {hint}"])
    # A list, an Iterable, or the SDK's SequenceNotStr.
    return _problems_of_items(value, arguments[0], place)


def _is_scalar(value: Any, hint: Any) -> bool:
    """Return whether a value is of a scalar type, or an object of any fields."""
    if hint is object:
        return True
    return isinstance(value, _SCALARS[hint]) and (hint is bool or not isinstance(value, bool))


def _is_of_kind(problems: Sequence[str]) -> bool:
    return not any("none of" in problem or "not a" in problem for problem in problems)


def _problems_of_fields(value: Any, kind: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: not an object"
        return
    fields = _fields_of(kind)
    for name in value.keys() - fields.keys():
        yield f"{place}.{name}: unknown"
    for name, (hint, is_required) in fields.items():
        if name in value:
            yield from _problems(value[name], hint, f"{place}.{name}")
        elif is_required:
            yield f"{place}.{name}: required"


def _problems_of_items(value: Any, hint: Any, place: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{place}: not a list"
        return
    for number, item in enumerate(value):
        yield from _problems(item, hint, f"{place}.{number}")


# ---- rules


def _broken_rules(body: Mapping[str, Any]) -> Iterator[str]:
    items = body.get("input")
    if not body.get("model") or not items:
        yield "body: model and input are required"
    if body.get("instructions") == "":
        yield "instructions: empty"
    tools = body.get("tools") or []
    if "parallel_tool_calls" in body and not tools:
        yield "parallel_tool_calls: only with tools"
    for number, tool in enumerate(tools):
        if tool.get("type") == "function" and not _NAME(str(tool.get("name"))):
            yield f"tools.{number}.name: invalid"
    calls: set[object] = set()
    for number, item in enumerate(items if isinstance(items, list) else ()):
        yield from _broken_rules_of_item(item, f"input.{number}", calls)


def _broken_rules_of_item(item: Any, place: str, calls: set[object]) -> Iterator[str]:
    match item:
        case {"type": "function_call"}:
            calls.add(item.get("call_id"))
            if not _is_object(item.get("arguments")):
                yield f"{place}.arguments: no JSON object in a string"
        case {"type": "function_call_output"}:
            if item.get("call_id") not in calls:
                yield f"{place}.call_id: no earlier call"
            yield from _broken_rules_of_parts(item.get("output"), f"{place}.output")
        case {"role": "assistant", "content": list()}:
            yield f"{place}.content: only output text, which is a string here"
        case {"role": _, "content": "" | []}:
            yield f"{place}.content: empty"
        case {"role": _, "content": content}:
            yield from _broken_rules_of_parts(content, f"{place}.content")


def _broken_rules_of_parts(parts: Any, place: str) -> Iterator[str]:
    for number, part in enumerate(parts if isinstance(parts, list) else ()):
        at = f"{place}.{number}"
        match part:
            case {"type": "input_text", "text": ""}:
                yield f"{at}.text: empty"
            case {"type": "input_image", "image_url": url}:
                yield from _broken_rules_of_url(url, f"{at}.image_url")
            case {"type": "input_image"}:
                yield f"{at}: an image needs a URL"
            case {"type": "input_file", "file_data": data, "filename": str(name)} if name:
                yield from [] if _DATA_URL(data) else [f"{at}.file_data: no data URL"]
            case {"type": "input_file", "file_url": url}:
                yield from _broken_rules_of_url(url, f"{at}.file_url")
            case {"type": "input_file"}:
                yield f"{at}: a file needs data with a name, or a URL"


def _broken_rules_of_url(url: Any, place: str) -> Iterator[str]:
    is_good = str(url).startswith(("https://", "http://")) or _DATA_URL(str(url))
    yield from () if is_good else [f"{place}: no URL"]


def _is_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False
