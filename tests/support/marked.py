"""Instances of the Anthropic SDK's types in which every string holds a unique marker.

A marker is text, base64 and part of a URL alike.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import count
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

from tests.support.refused_types import REFUSED_FIELDS, REFUSED_TYPES

__all__ = ["Mark", "find_markers", "instances_of", "mark_all", "members_of"]

_MARKER: Final = re.compile(r"mk\d{6}")
_MARK: Final = "mk000000"
# Fields whose value needs a form, or of which a literal decides about the translation.
_FORMS: Final[Mapping[tuple[str, str], list[Any]]] = {
    ("BetaServerToolUseBlockParam", "name"): ["web_search", "web_fetch"],
    ("BetaURLImageSourceParam", "url"): [f"https://example.com/{_MARK}.png"],
    ("BetaURLPDFSourceParam", "url"): [f"https://example.com/{_MARK}.pdf"],
}
_PLAIN: Final[Mapping[Any, list[Any]]] = {
    str: [_MARK],
    object: [_MARK],
    bool: [True],
    int: [3],
    float: [1.5],
}
_OPAQUE: Final = {"input", "input_schema", "properties", "schema"}


class Mark(NamedTuple):
    """Place of a marker; the label names roles, types of blocks and types of sources."""

    marker: str
    place: str
    label: str


def instances_of(hint: Any) -> list[Any]:
    """Return values of a type hint: one of each translated type and form that it may have.

    A literal has its first value. Answer models and open files, which are no JSON, have none.
    """
    if hint in _PLAIN:
        return _PLAIN[hint]
    if is_typeddict(hint):
        return _objects_of(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return [arguments[0]]
    if origin is Annotated:
        return instances_of(arguments[0])
    if origin in {Union, UnionType}:
        is_open = str in arguments
        return [
            instance
            for one in arguments
            if one is not NoneType and not (is_open and get_origin(one) is Literal)
            for instance in instances_of(one)
        ]
    if origin is dict:
        return [{_MARK: _MARK, f"{_MARK}_list": [_MARK, {_MARK: _MARK}]}]
    items = instances_of(arguments[0]) if arguments and origin is not type else []
    return [items] if items else []


def members_of(hint: Any) -> dict[str, Any]:
    """Return the translated objects' types within a hint, by name."""
    if is_typeddict(hint):
        return {} if hint.__name__ in REFUSED_TYPES else {hint.__name__: hint}
    return {name: kind for one in get_args(hint) for name, kind in members_of(one).items()}


def _objects_of(kind: Any) -> list[dict[str, Any]]:
    """Return full objects, as many as the field with the most values needs."""
    name = kind.__name__
    if name in REFUSED_TYPES:
        return []
    values = {
        field: _FORMS.get((name, field)) or instances_of(hint)
        for field, hint in get_type_hints(kind).items()
        if (name, field) not in REFUSED_FIELDS
    }
    most = max(map(len, values.values()))
    return [
        {field: every[number % len(every)] for field, every in values.items() if every}
        for number in range(most)
    ]


def mark_all(value: Any, numbers: Iterator[int] | None = None) -> Any:
    """Return JSON in which no two markers are the same."""
    numbers = numbers or count(1)
    match value:
        case str():
            return _MARKER.sub(lambda _: f"mk{next(numbers):06}", value)
        case dict():
            return {mark_all(key, numbers): mark_all(one, numbers) for key, one in value.items()}
        case list():
            return [mark_all(one, numbers) for one in value]
    return value


def find_markers(value: Any, place: str = "", label: str = "", *, typed: bool) -> Iterator[Mark]:
    """Yield the markers of JSON with their places; the label of untyped JSON has no types."""
    match value:
        case str():
            for marker in _MARKER.findall(value):
                yield Mark(marker, place[1:], label[1:])
        case dict():
            for key, one in value.items():
                name = _MARKER.sub("#", key)
                at = f"{place}.{key}", f"{label}.{name}{_type_of(key, one) if typed else ''}"
                for marker in _MARKER.findall(key):
                    yield Mark(marker, at[0][1:], at[1][1:])
                yield from find_markers(one, *at, typed=typed and key not in _OPAQUE)
        case list():
            for index, one in enumerate(value):
                kind = _kind_of(one, index) if typed else "*"
                yield from find_markers(one, f"{place}.{index}", f"{label}.{kind}", typed=typed)


def _type_of(key: str, value: Any) -> str:
    return f":{value['type']}" if key == "source" and isinstance(value, dict) else ""


def _kind_of(item: Any, index: int) -> str:
    """Return the label of a list's item.

    A system message that is the first is a `leading` one, and a failed result is a `tool_error`.
    """
    match item:
        case {"role": "system"} if index == 0:
            return "leading"
        case {"type": "tool_result", "is_error": True}:
            return "tool_error"
        case {"role": str(label)} | {"type": str(label)}:
            return label
    return "*"
