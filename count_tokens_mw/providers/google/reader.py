"""Reader of JSON by types, which names the place of whatever does not fit them.

JSON that fits is decoded in one pass. Other JSON is walked by its types: an unknown field is left
out and named, and anything else is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, inspect

from count_tokens_mw.errors import CannotCount, CountError, InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions

__all__ = ["Reader", "Value", "cannot_count"]

Value: TypeAlias = "bool | int | str | Raw | Sequence[Value] | Mapping[str, Value]"
"""A value to write as JSON, whose leaves may be JSON text."""

T = TypeVar("T")

_decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_str: Final = msgspec.json.Decoder(str).decode

_LONGEST_NAME: Final = 256
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch
_KINDS: Final = {'"': "a string", "[": "a list", "{": "an object", "t": "a boolean", "n": "null"}
_KINDS["f"] = _KINDS["t"]


def cannot_count(place: str, what: str, kind: str | None = None) -> CannotCount:
    """Return the error for an input without a counterpart in Gemini: `what`, and its type."""
    named = "" if kind is None else f" of type {kind if _PRINTABLE(kind) else 'unknown'}"
    return CannotCount(f"{place}: Gemini has no counterpart of {what}{named}.")


class Reader(Generic[T]):
    """Reader of one type.

    `Meta(extra={"content": ...})` names what is unknown if no type of a union has the tag. A `Raw`
    value may be of any kind.
    """

    def __init__(self, kind: Any) -> None:
        self._decode: Callable[[memoryview | Raw | bytes], T] = msgspec.json.Decoder(kind).decode
        self._kind = kind

    @cached_property
    def _info(self) -> inspect.Type:
        return inspect.type_info(self._kind)

    def read(self, text: memoryview | Raw, place: str, omissions: Omissions) -> T:
        """Return the value of a text; its unknown fields are added to the omissions.

        Raises:
            CannotCount: the text has content of an unknown type; the message names its place.
            InvalidRequest: the text does not fit otherwise; the message names the place.
        """
        try:
            return self._decode(text)
        except (msgspec.DecodeError, RecursionError):
            pass
        try:
            fitting = _fit(Raw(text), self._info, place, omissions)
            return self._decode(msgspec.json.encode(fitting))
        except (msgspec.DecodeError, RecursionError):
            reason = "it has a lone surrogate, or is nested too deeply"
            raise InvalidRequest(f"{place}: {reason}.") from None


def _fit(value: Raw, kind: inspect.Type, place: str, omissions: Omissions) -> Value:
    extra: dict[str, str] = {}
    if isinstance(kind, inspect.Metadata):
        extra, kind = kind.extra or {}, kind.type
    if isinstance(kind, inspect.RawType):
        return value
    fitting = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    found = _kind_of(value)
    demanded = [_name_of(one) for one in fitting]
    matching = [
        one
        for one, name in zip(fitting, demanded, strict=True)
        if name.replace("non-empty ", "") == found
    ]
    is_empty = found == "a string" and memoryview(value).nbytes == len('""')
    if not matching or (is_empty and "a non-empty string" in demanded):
        required = " or ".join(name for name in demanded if name != "null")
        raise InvalidRequest(f"{place}: {required} is required.")
    match matching[0]:
        case inspect.ListType(item_type=item):
            return [
                _fit(inner, item, f"{place}.{index}", omissions)
                for index, inner in enumerate(_decode_items(value))
            ]
        case inspect.StructType():
            structs = [one for one in matching if isinstance(one, inspect.StructType)]
            return _fit_object(value, structs, place, omissions, extra.get("content", "a block"))
    return value


def _kind_of(value: Raw) -> str:
    return _KINDS.get(chr(memoryview(value)[0]), "a number")


def _name_of(kind: inspect.Type) -> str:
    match kind:
        case inspect.StrType(min_length=length):
            return "a non-empty string" if length else "a string"
        case inspect.ListType():
            return "a list"
        case inspect.BoolType():
            return "a boolean"
        case inspect.NoneType():
            return "null"
    return "an object"


def _fit_object(
    value: Raw,
    structs: Sequence[inspect.StructType],
    place: str,
    omissions: Omissions,
    content: str,
) -> Value:
    members = _decode_members(value)
    kind = _select(members, structs, place, content)
    fields = {field.encode_name: field for field in kind.fields}
    for name, field in fields.items():
        if field.required and name not in members:
            members[name] = Raw(b"null")  # so that it raises the error below
    fitting: dict[str, Value] = {}
    for name, member in members.items():
        if name in fields:
            fitting[name] = _fit(member, fields[name].type, f"{place}.{name}", omissions)
        elif name == kind.tag_field:
            fitting[name] = member
        elif kind.forbid_unknown_fields and _kind_of(member) != "null":
            omissions.add(partial("{}.{}".format, place, name[:_LONGEST_NAME]))
    return fitting


def _select(
    members: Mapping[str, Raw], structs: Sequence[inspect.StructType], place: str, content: str
) -> inspect.StructType:
    """Return the type that the tag of an object names, or the only one."""
    tag_field = structs[0].tag_field
    if tag_field is None:
        return structs[0]
    raw = members.get(tag_field)
    if raw is None or _kind_of(raw) != "a string":
        raise InvalidRequest(f"{place}.{tag_field}: a string is required.")
    tag = _decode_str(raw)
    named = next((struct for struct in structs if struct.tag == tag), None)
    if named is None:
        raise _unknown_tag(place, tag_field, tag, structs, content)
    return named


def _unknown_tag(
    place: str, tag_field: str, tag: str, structs: Sequence[inspect.StructType], content: str
) -> CountError:
    if tag_field == "type":
        return cannot_count(place.removesuffix(".source"), content, tag)
    known = " or ".join(str(struct.tag) for struct in structs)
    return InvalidRequest(f"{place}.{tag_field}: {known} is required.")
