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

from count_tokens_mw.errors import CannotCount, InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.rawjson.members import refuse_many_values

__all__ = ["Reader", "Text", "Value", "cannot_count", "has_items"]

Value: TypeAlias = "bool | int | str | Raw | Sequence[Value] | Mapping[str, Value]"
"""A value to write as JSON, whose leaves may be JSON text."""

Text: TypeAlias = memoryview | Raw | bytes
T = TypeVar("T")

_decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_str: Final = msgspec.json.Decoder(str).decode

_NO_ITEMS: Final = re.compile(rb"\[[ \t\n\r]*\]|null|").fullmatch
_LONGEST_NAME: Final = 256
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch
_EMPTY: Final = len(b'""')
_NULL: Final = Raw(b"null")
_KINDS: Final = {
    ord('"'): inspect.StrType,
    ord("["): inspect.ListType,
    ord("{"): inspect.StructType,
    ord("t"): inspect.BoolType,
    ord("f"): inspect.BoolType,
    ord("n"): inspect.NoneType,
}
_NAMES: Final[Mapping[type, str]] = {
    inspect.StrType: "a string",
    inspect.ListType: "a list",
    inspect.StructType: "an object",
    inspect.BoolType: "a boolean",
}


def cannot_count(place: str, what: str, kind: str | None = None) -> CannotCount:
    """Return the error for an input without a counterpart in Gemini: `what`, and its type."""
    named = "" if kind is None else f" of type {kind if _PRINTABLE(kind) else 'unknown'}"
    return CannotCount(f"{place}: Gemini has no counterpart of {what}{named}.")


class Reader(Generic[T]):
    """Reader of one type.

    `Meta(extra={"content": ...})` names what is unknown if no type of a union has the tag. A `Raw`
    value may be of any kind. `simplify` removes irrelevant parts of JSON that does not fit. A type
    is open if any item fits, so that millions would.
    """

    def __init__(
        self,
        kind: Any,
        simplify: Callable[[Text], Text] = lambda text: text,
        *,
        is_open: bool = False,
    ) -> None:
        self._decode: Callable[[Text], T] = msgspec.json.Decoder(kind).decode
        self._kind = kind
        self._simplify = simplify
        self._is_open = is_open

    @cached_property
    def _info(self) -> inspect.Type:
        return inspect.type_info(self._kind)

    def read(self, text: Text, place: str, omissions: Omissions) -> T:
        """Return the value of a text; its unknown fields are added to the omissions.

        Raises:
            CannotCount: the text has content of an unknown type; the message names its place.
            InvalidRequest: the text does not fit otherwise; the message names the place.
        """
        if self._is_open:
            _refuse_many(text, place)
        try:
            return self._decode(text)
        except (msgspec.DecodeError, RecursionError):
            _refuse_many(text, place)
        try:
            fitting = _fit(Raw(self._simplify(text)), self._info, place, omissions)
            return self._decode(msgspec.json.encode(fitting))
        except (msgspec.DecodeError, RecursionError):
            reason = "it has a lone surrogate, or is nested too deeply"
            raise InvalidRequest(f"{place}: {reason}.") from None


def has_items(value: Raw) -> bool:
    """Return whether a value is neither absent, null nor an empty list."""
    return not _NO_ITEMS(value)


def _refuse_many(text: Text, place: str) -> None:
    try:
        refuse_many_values(bytes(text))
    except ValueError as error:
        raise InvalidRequest(f"{place}: {error}.") from None


def _fit(value: Raw, kind: Any, place: str, omissions: Omissions) -> Value:
    content = "a block"
    if isinstance(kind, inspect.Metadata):
        content, kind = (kind.extra or {}).get("content", content), kind.type
    if isinstance(kind, inspect.RawType):
        return value
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    found: object = _KINDS.get(memoryview(value)[0])
    matching = [one for one in kinds if type(one) is found]
    if not matching:
        names = dict.fromkeys(_NAMES.get(type(one), "null") for one in kinds)
        names.pop("null", None)
        raise InvalidRequest(f"{place}: {' or '.join(names)} is required.")
    match matching[0]:
        case inspect.ListType(item_type=item):
            items = enumerate(_decode_items(value))
            return [_fit(inner, item, f"{place}.{index}", omissions) for index, inner in items]
        case inspect.StructType():
            members = _decode_members(value)
            struct = _select(members, matching, place, content)
            return _fit_members(members, struct, place, omissions)
        case inspect.StrType(min_length=1) if memoryview(value).nbytes == _EMPTY:
            raise InvalidRequest(f"{place}: a non-empty string is required.")
    return value


def _select(members: Mapping[str, Raw], structs: Any, place: str, content: str) -> Any:
    """Return the type that the tag of an object names, or the only one."""
    tag_field = structs[0].tag_field
    if tag_field is None:
        return structs[0]
    value = members.get(tag_field)
    if value is None or _KINDS.get(memoryview(value)[0]) is not inspect.StrType:
        raise InvalidRequest(f"{place}.{tag_field}: a string is required.")
    by_tag = {struct.tag: struct for struct in structs}
    tag = _decode_str(value)
    if tag not in by_tag and tag_field == "type":
        raise cannot_count(place.removesuffix(".source"), content, tag)
    if tag not in by_tag:
        raise InvalidRequest(f"{place}.{tag_field}: {' or '.join(by_tag)} is required.")
    return by_tag[tag]


def _fit_members(
    members: Mapping[str, Raw], kind: inspect.StructType, place: str, omissions: Omissions
) -> Value:
    fields = {field.encode_name: field for field in kind.fields}
    missing = {name: _NULL for name, field in fields.items() if field.required}
    fitting: dict[str, Value] = {}
    for name, member in {**missing, **members}.items():
        if name in fields:
            fitting[name] = _fit(member, fields[name].type, f"{place}.{name}", omissions)
        elif name == kind.tag_field:
            fitting[name] = member
        elif kind.forbid_unknown_fields and bytes(member) != b"null":
            omissions.add(partial("{}.{}".format, place, name[:_LONGEST_NAME]))
    return fitting
