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

from count_tokens_mw.aio.fairness import leave_loop, stop_if_unneeded
from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.translation.counterparts import no_counterpart
from count_tokens_mw.rawjson.structure import has_more

__all__ = ["Reader", "Text", "Value", "has_items", "items_of"]

Value: TypeAlias = "bool | int | str | Raw | Sequence[Value] | Mapping[str, Value]"
"""A value to write as JSON, whose leaves may be JSON text."""

Text: TypeAlias = memoryview | Raw | bytes
T = TypeVar("T")

_decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_objects: Final = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_items: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_str: Final = msgspec.json.Decoder(str).decode

_NO_ITEMS: Final = re.compile(rb"\[[ \t\n\r]*\]|null|").fullmatch
_INDEX: Final = re.compile(r".*\$\[(\d+)\]").match
_MOST_OBJECTS: Final = 300_000  # each takes four tokens and more
_LONGEST_NAME: Final = 256
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


class Reader(Generic[T]):
    """Reader of one type.

    `Meta(extra={"content": ...})` names what is unknown if no type of a union has the tag. A `Raw`
    value may be of any kind. `simplify` removes irrelevant parts of JSON that does not fit.
    """

    def __init__(
        self,
        kind: Any,
        simplify: Callable[[Text], Text] = lambda text: text,
    ) -> None:
        self._decode: Callable[[Text], T] = msgspec.json.Decoder(kind).decode
        self._kind = kind
        self._simplify = simplify

    @cached_property
    def _info(self) -> inspect.Type:
        return inspect.type_info(self._kind)

    @cached_property
    def _plan(self) -> _Plan:
        return _Plan(self._info)

    def read(self, text: Text, place: str, omissions: Omissions) -> T:
        """Return the value of a text; its unknown fields are added to the omissions.

        Raises:
            CannotCount: the text has content of an unknown type; the message names its place.
            InvalidRequest: the text does not fit otherwise; the message names the place.
        """
        _refuse_many(text, b"{", place)
        try:
            return self._decode(text)
        except msgspec.ValidationError:
            leave_loop(memoryview(text).nbytes)
        except (msgspec.DecodeError, RecursionError):
            raise _unreadable(place) from None
        try:
            fitting = self._plan.fit(Raw(self._simplify(text)), place, omissions)
            return self._decode(msgspec.json.encode(fitting))
        except (msgspec.DecodeError, RecursionError):
            raise _unreadable(place) from None


def _unreadable(place: str) -> InvalidRequest:
    return InvalidRequest(f"{place}: it has a lone surrogate, or is nested too deeply.")


def has_items(value: Raw) -> bool:
    """Return whether a value is neither absent, null nor an empty list."""
    return not _NO_ITEMS(value)


def items_of(text: Text) -> list[Raw]:
    """Return the items of a list that a reader has read."""
    return _decode_items(text)


def _refuse_many(text: Text, mark: bytes, place: str) -> None:
    """Refuse a text with so many of the mark that its values would take much memory."""
    if memoryview(text).nbytes > _MOST_OBJECTS and has_more(bytes(text), (mark,), _MOST_OBJECTS):
        raise InvalidRequest(f"{place}: it has too many values.")


class _Plan:
    """Walk of one type, built once from what msgspec tells of it."""

    def __init__(self, kind: inspect.Type) -> None:
        extra: dict[str, str] = {}
        if isinstance(kind, inspect.Metadata):
            extra, kind = kind.extra or {}, kind.type
        kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
        structs = [one for one in kinds if isinstance(one, inspect.StructType)]
        self._content = extra.get("content", "a block")
        self.is_open = isinstance(kind, inspect.RawType)
        self._kinds = {type(one) for one in kinds}
        self._empty = any(isinstance(one, inspect.StrType) and one.min_length for one in kinds)
        items = [_Plan(one.item_type) for one in kinds if isinstance(one, inspect.ListType)]
        self._item = items[0] if items else None
        self._tag = structs[0].tag_field if structs else None
        self._structs = {one.tag: _Fields(one) for one in structs}
        names = dict.fromkeys(_NAMES[one] for one in map(type, kinds) if one in _NAMES)
        self._required = f"{' or '.join(names)} is required."

    def fit(self, value: Raw, place: str, omissions: Omissions) -> Value:
        """Return a value without its unknown fields, which are added to the omissions."""
        if self.is_open:
            return value
        kind = _KINDS.get(memoryview(value)[0])
        if kind not in self._kinds:
            raise InvalidRequest(f"{place}: {self._required}")
        if kind is inspect.ListType and self._item is not None:
            return self._item.fit_items(value, place, omissions)
        if kind is inspect.StructType:
            _refuse_many(value, b":", place)
            return self._fit_members(_decode_members(value), place, omissions)
        if kind is inspect.StrType and self._empty and memoryview(value).nbytes == _EMPTY:
            raise InvalidRequest(f"{place}: a non-empty string is required.")
        return value

    def fit_items(self, value: Raw, place: str, omissions: Omissions) -> Value:
        """Return a list of objects as `fit` does each of them."""
        try:
            objects = _decode_objects(value)
        except msgspec.ValidationError as error:
            index = _INDEX(str(error))
            at = f"{place}.{index[1]}" if index else place
            raise InvalidRequest(f"{at}: {self._required}") from None
        fitting: list[Value] = []
        for number, members in enumerate(objects):
            stop_if_unneeded()
            fitting.append(self._fit_members(members, f"{place}.{number}", omissions))
        return fitting

    def _fit_members(self, members: Mapping[str, Raw], place: str, omissions: Omissions) -> Value:
        return self._select(members, place).fit(members, place, omissions)

    def _select(self, members: Mapping[str, Raw], place: str) -> _Fields:
        """Return the type that the tag of an object names, or the only one."""
        if self._tag is None:
            return self._structs[None]
        value = members.get(self._tag, _NULL)
        if _KINDS.get(memoryview(value)[0]) is not inspect.StrType:
            raise InvalidRequest(f"{place}.{self._tag}: a string is required.")
        tag = _decode_str(value)
        if tag in self._structs:
            return self._structs[tag]
        if self._tag == "type":
            raise no_counterpart(place.removesuffix(".source"), self._content, tag)
        tags = " or ".join(map(str, self._structs))
        raise InvalidRequest(f"{place}.{self._tag}: {tags} is required.")


class _Fields:
    """Fields of one type of object."""

    def __init__(self, struct: inspect.StructType) -> None:
        self._plans = {field.encode_name: _Plan(field.type) for field in struct.fields}
        self._missing = {field.encode_name: _NULL for field in struct.fields if field.required}
        self._tag = struct.tag_field
        self._is_closed = struct.forbid_unknown_fields

    def fit(self, members: Mapping[str, Raw], place: str, omissions: Omissions) -> Value:
        fitting: dict[str, Value] = {}
        # A missing field is null, so that it raises the error of its type.
        for name, member in {**self._missing, **members}.items():
            plan = self._plans.get(name)
            if name == self._tag or (plan is not None and plan.is_open):
                fitting[name] = member
            elif plan is not None:
                fitting[name] = plan.fit(member, f"{place}.{name}", omissions)
            elif self._is_closed and bytes(member) != b"null":
                omissions.add(partial("{}.{}".format, place, name[:_LONGEST_NAME]))
        return fitting
