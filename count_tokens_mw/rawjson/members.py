"""Members of a JSON object's top level, with their positions in the bytes.

Only msgspec reads a whole text, in one pass and without an object per value. Python's own parser,
which takes up to thirty times the memory of a text, reads single values.
https://jcristharif.com/msgspec/api.html#raw
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NoReturn, TypeAlias, TypeVar

import msgspec

from count_tokens_mw.rawjson.structure import refuse_many_values

__all__ = ["JsonValue", "Member", "read_members", "split_list"]

JsonValue: TypeAlias = (
    "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
)

T = TypeVar("T")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
_decode_raw_values: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_raw_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
# Members are read one by one in Python, which is slow; a count request has a few dozen.
_MAX_MEMBERS: Final = 1000
_LONGEST_NAME: Final = 1000
# A member takes some 230 bytes of memory, however short its text is. So many are taken in any text,
# or one in so many bytes of it.
_FEW_MEMBERS: Final = 50_000
_LEAST_BYTES: Final = 32
_MALFORMED: Final = "JSON is malformed: "
# Possessive, because a pattern that backtracks remembers every character of a name.
_before_value: Final = re.compile(
    rb'[ \t\n\r]*+[{,][ \t\n\r]*+("(?:[^"\\]++|\\.)*+"[ \t\n\r]*+:[ \t\n\r]*+)'
)
_after_all: Final = re.compile(rb"[ \t\n\r]*+(?:\{[ \t\n\r]*+)?\}[ \t\n\r]*+")
_between_items: Final = re.compile(rb"[ \t\n\r]*+[\[,][ \t\n\r]*+")


class Member:
    """Member and its positions: `begin` of its text, `start` of its value, and `end` of both."""

    __slots__ = ("_raw", "_value", "begin", "end", "name", "start")

    def __init__(self, raw: bytes, name: str, begin: int, start: int, end: int) -> None:
        self._raw = raw
        self._value: JsonValue = None
        self.name = name
        self.begin = begin
        self.start = start
        self.end = end

    def __len__(self) -> int:
        """Return the length of the value's text in bytes."""
        return self.end - self.start

    @property
    def is_list(self) -> bool:
        return self._raw.startswith(b"[", self.start)

    @property
    def is_string(self) -> bool:
        return self._raw.startswith(b'"', self.start)

    @property
    def value(self) -> JsonValue:
        """The parsed value; it is parsed at the first access.

        Raises:
            ValueError: the value is nested too deeply for Python, has too many values in it, or a
                number with too many digits.
        """
        if self._value is None:
            if self.is_list:
                self._value = [value for value, _ in self.items]
            else:
                self._value = _parse(self._raw[self.start : self.end])
        return self._value

    @property
    def items(self) -> Sequence[tuple[JsonValue, bytes]]:
        """The items of a list, each with its text; empty for any other value.

        They are parsed one by one, because `json` holds the GIL during a whole parse.

        Raises:
            ValueError: as for `value`.
        """
        if not self.is_list:
            return ()
        return [(_parse(item), item) for item in split_list(self._raw[self.start : self.end])]


def split_list(text: bytes) -> Sequence[bytes]:
    """Return the texts of a list's items.

    Raises:
        ValueError: the text is no list, or has too many items.
    """
    refuse_many_values(text)
    read, items = _decode_by(_decode_raw_items, text)
    if read is text:
        return list(map(bytes, items))
    return list(_items_at(text, items))


def _items_at(text: bytes, items: Sequence[msgspec.Raw]) -> Iterator[bytes]:
    at = 0
    for item in items:
        between = _between_items.match(text, at)
        start = between.end() if between else at
        at = start + len(memoryview(item))
        yield text[start:at]


def _parse(text: bytes) -> JsonValue:
    refuse_many_values(text)
    try:
        value: JsonValue = _decode(text.decode())[0]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    except ValueError:  # sys.set_int_max_str_digits
        raise ValueError("a number in it has too many digits") from None
    return value


def read_members(raw: bytes) -> Mapping[str, Member]:
    """Read the members of a UTF-8 JSON object by name (RFC 8259, so without NaN and Infinity).

    Raises:
        ValueError: the text is not JSON, not an object, nested too deeply, has too many members, or
            a member twice (the choice between the two would be a guess). The message gives the
            reason, and quotes no value.
    """
    _require_utf8(raw)
    _refuse_many_members(raw)
    text, values = _decode_by(_decode_raw_values, raw)
    if len(values) > _MAX_MEMBERS:
        raise ValueError("it has too many members")
    if max(map(len, values), default=0) > _LONGEST_NAME:
        raise ValueError("it has a member whose name is too long")
    members = {}
    at = 0
    for name, value in values.items():
        before = _before_value.match(text, at)
        # A duplicate name has only its last value in `values`, which does not stand here.
        if before is None or not text.startswith(value, before.end()):
            raise ValueError(_duplicate(text, values))
        start = before.end()
        at = start + len(memoryview(value))
        if text is not raw:
            name = _decode(raw[before.start(1) : start].decode())[0]  # noqa: PLW2901
        members[name] = Member(raw, name, before.start(1), start, at)
    if not _after_all.fullmatch(text, at):
        raise ValueError(_duplicate(text, values))
    return members


def _require_utf8(raw: bytes) -> None:
    try:
        if not raw.isascii():
            raw.decode()  # msgspec does not validate UTF-8 in raw values
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _decode_by(decode: Callable[[bytes], T], raw: bytes) -> tuple[bytes, T]:
    """Decode a text, and return the text that was decoded: the same, or one of equal positions.

    A lone surrogate, which msgspec refuses, is read as a character of equal length.
    """
    try:
        return raw, decode(raw)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.ValidationError:
        raise ValueError("it is not an object") from None
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix(_MALFORMED).lower()
    text = raw
    if rb"\u" in raw:
        text = raw.replace(rb"\ud", rb"\uf").replace(rb"\uD", rb"\uF")
    if text is raw or text == raw:
        raise ValueError(f"it is not JSON: {reason}")
    return _decode_by(decode, text)


_LongMembers: Final = msgspec.defstruct(
    "_LongMembers",
    [
        (name, msgspec.Raw, msgspec.Raw())
        for name in (
            *("context_management", "litellm_metadata", "mcp_servers", "messages", "metadata"),
            *("output_config", "output_format", "system", "tools"),
        )
    ],
)
"""Members that may have many values in them."""

_decode_long: Final = msgspec.json.Decoder(_LongMembers).decode


def _refuse_many_members(raw: bytes) -> None:
    """Refuse members that would take many times the memory of their text.

    Each has a colon, but most colons stand in the long members.
    """
    if raw.count(b":") <= max(_FEW_MEMBERS, len(raw) // _LEAST_BYTES):
        return
    try:
        _, long = _decode_by(_decode_long, raw)
    except ValueError:  # it is raised again where the members are read
        return
    texts = list(map(bytes, msgspec.structs.astuple(long)))
    colons = raw.count(b":") - sum(text.count(b":") for text in texts)
    if colons > max(_FEW_MEMBERS, (len(raw) - sum(map(len, texts))) // _LEAST_BYTES):
        raise ValueError("it has too many members")


def _duplicate(text: bytes, values: Mapping[str, msgspec.Raw]) -> str:
    """Return the reason for an object with a member twice; `values` has the names in their order.

    The first name that stands elsewhere in the text than among the names is there twice.
    """
    at = 0
    for expected, value in (*values.items(), ("", msgspec.Raw())):
        before = _before_value.match(text, at)
        if before is None:
            break
        name = _decode(before[1].decode())[0]
        if name != expected or not text.startswith(value, before.end()):
            return f"it has {json.dumps(name[:64])[:64]} twice"
        at = before.end() + len(memoryview(value))
    return "it has a member twice"
