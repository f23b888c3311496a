"""Members of a JSON object's top level, with their positions in the bytes.

https://jcristharif.com/msgspec/api.html#raw
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NoReturn, TypeAlias

import msgspec

__all__ = ["JsonValue", "Member", "read_members"]

JsonValue: TypeAlias = (
    "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
)


class _Unusable(ValueError):
    """JSON that cannot be used; the message is this package's own and may be shown."""


def _refuse_constant(name: str) -> NoReturn:
    raise _Unusable(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
# Members are read one by one in Python, which is slow; a count request has a few dozen.
_MAX_MEMBERS: Final = 1000
_decode_raw_values: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_raw_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_whitespace: Final = re.compile(r"[ \t\n\r]*")
_before_value: Final = re.compile(
    rb'[ \t\n\r]*[{,][ \t\n\r]*("(?:[^"\\]|\\.)*"[ \t\n\r]*:[ \t\n\r]*)'
)
_after_all: Final = re.compile(rb"[ \t\n\r]*(?:\{[ \t\n\r]*)?\}[ \t\n\r]*")


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

    @property
    def is_list(self) -> bool:
        return self._raw.startswith(b"[", self.start)

    @property
    def value(self) -> JsonValue:
        """The parsed value; it is parsed at the first access.

        Raises:
            ValueError: the value is nested too deeply for Python, or a number has too many digits.
        """
        if self._value is None:
            text = self._raw[self.start : self.end]
            try:
                self._value = [value for value, _ in self.items] if self.is_list else _parse(text)
            except (ValueError, RecursionError) as error:
                raise _readable(error) from None
        return self._value

    @property
    def items(self) -> Sequence[tuple[JsonValue, bytes]]:
        """The items of a list, each with its text; empty for any other value.

        They are parsed one by one, because `json` holds the GIL during a whole parse.

        Raises:
            ValueError: an item is nested too deeply, or a number has too many digits.
        """
        if not self.is_list:
            return ()
        text = self._raw[self.start : self.end]
        try:
            items = list(map(bytes, _decode_raw_items(text)))
        except msgspec.DecodeError:  # a lone surrogate, which `json` accepts
            return [(value, json.dumps(value).encode()) for value in json.loads(text)]
        try:
            return [(_parse(item), item) for item in items]
        except (ValueError, RecursionError) as error:
            raise _readable(error) from None


def _parse(text: bytes) -> JsonValue:
    value: JsonValue = _decode(text.decode())[0]
    return value


def read_members(raw: bytes) -> Mapping[str, Member]:
    """Read the members of a UTF-8 JSON object by name (RFC 8259, so without NaN and Infinity).

    Raises:
        ValueError: the text is not JSON, not an object, nested too deeply, has too many members, or
            a member twice (the choice between the two would be a guess). The message gives the
            reason, and quotes no value.
    """
    members = _scan(raw)
    if members is None:
        try:
            members = {member.name: member for member in _parse_members(raw)}
        except (ValueError, RecursionError) as error:
            raise _readable(error) from None
    return members


def _scan(raw: bytes) -> Mapping[str, Member] | None:
    """Read the members without parsing their values, in a third of the time of a parse.

    Return None for anything invalid or unusual, which `_parse_members` reads, or raises the reason.
    """
    try:
        if not raw.isascii():
            raw.decode()  # msgspec does not validate UTF-8 in raw values
        values = _decode_raw_values(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    members = {}
    at = 0
    for name, value in values.items():
        before = _before_value.match(raw, at)
        # A duplicate name has only its last value in `values`, which does not stand here.
        if before is None or not raw.startswith(value, before.end()):
            return None
        start = before.end()
        at = start + len(memoryview(value))
        members[name] = Member(raw, name, before.start(1), start, at)
    is_complete = _after_all.fullmatch(raw, at) and len(members) <= _MAX_MEMBERS
    return members if is_complete else None


def _readable(error: Exception) -> ValueError:
    """Return an error whose message may be shown for one of `json`."""
    match error:
        case _Unusable():
            return error
        case RecursionError():
            return ValueError("it is nested too deeply")
        case UnicodeDecodeError():
            return ValueError("it is not UTF-8")
        case json.JSONDecodeError():
            return ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}")
    return ValueError("a number in it has too many digits")  # sys.set_int_max_str_digits


def _parse_members(raw: bytes) -> Iterator[Member]:
    text = raw.decode()
    names: set[str] = set()
    at = in_bytes = 0
    for name, *positions in _parse_positions(text):
        if name in names:
            raise _Unusable(f"it has {json.dumps(name)[:64]} twice")
        names.add(name)
        if len(names) > _MAX_MEMBERS:
            raise _Unusable("it has too many members")
        in_raw = []
        for position in positions:
            in_bytes += len(text[at:position].encode())
            in_raw.append(in_bytes)
            at = position
        yield Member(raw, name, *in_raw)


def _parse_positions(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield the name of each member, its start, and the start and the end of its value."""
    at = _skip_whitespace(text, 0)
    if text[at : at + 1] != "{":
        _decode(text, at)  # raises, if the text is not JSON at all
        raise _Unusable("it is not an object")
    at = _skip_whitespace(text, at + 1)
    more = text[at : at + 1] != "}"
    while more:
        if text[at : at + 1] != '"':
            reason = "Expecting property name enclosed in double quotes"
            raise json.JSONDecodeError(reason, text, at)
        begin = at
        name, at = _decode(text, at)
        at = _skip_whitespace(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        start = _skip_whitespace(text, at + 1)
        _, end = _decode(text, start)
        yield name, begin, start, end
        at = _skip_whitespace(text, end)
        more = text[at : at + 1] == ","
        if more:
            at = _skip_whitespace(text, at + 1)
    if text[at : at + 1] != "}":
        raise json.JSONDecodeError("Expecting ',' or '}'", text, at)
    at = _skip_whitespace(text, at + 1)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)


def _skip_whitespace(text: str, at: int) -> int:
    match = _whitespace.match(text, at)
    return match.end() if match else at
