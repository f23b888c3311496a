"""The members of a JSON object's top level, and where each stands in the bytes.

https://jcristharif.com/msgspec/api.html#raw
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

if TYPE_CHECKING:
    import msgspec

__all__ = ["JsonValue", "Member", "read_members"]

JsonValue: TypeAlias = (
    "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
)


class _Unusable(ValueError):
    """JSON that parses, or nearly, and cannot be used; the message is ours."""


def _refuse_constant(name: str) -> NoReturn:
    raise _Unusable(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
# Members are read one by one in Python, and a count request has a few dozen.
_MOST_MEMBERS: Final = 1000
_whitespace: Final = re.compile(r"[ \t\n\r]*")
_before_value: Final = re.compile(
    rb'[ \t\n\r]*[{,][ \t\n\r]*("(?:[^"\\]|\\.)*"[ \t\n\r]*:[ \t\n\r]*)'
)
_after_all: Final = re.compile(rb"[ \t\n\r]*(?:\{[ \t\n\r]*)?\}[ \t\n\r]*")


class Member:
    """One member: its name, and where in the bytes its text begins, its value starts, both end."""

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
        """Parsed when it is first asked for.

        Raises:
            ValueError: it is nested more deeply than Python reads, or a number in it is longer.
        """
        if self._value is None:
            with _reasons():
                self._value = _value_of(self._raw[self.start : self.end].decode())
        return self._value

    @property
    def items(self) -> Sequence[tuple[JsonValue, bytes]]:
        """Those of a list, each with its own text; none if it is no list.

        Raises:
            ValueError: as above.
        """
        with _reasons():
            text = self._raw[self.start : self.end].decode()
            items = _items_of(text) if self.is_list else ()
            return [(value, text[start:end].encode()) for value, start, end in items]


def _value_of(text: str) -> JsonValue:
    """A list item by item: parsed as a whole, a long one would let no other thread run."""
    if text.startswith("["):
        return [value for value, _, _ in _items_of(text)]
    value: JsonValue = _decode(text)[0]
    return value


def _items_of(text: str) -> Iterator[tuple[JsonValue, int, int]]:
    """Of each item of a list its value, and where its text starts and ends."""
    at = _skip(text, 1)
    while text[at] != "]":
        value, end = _decode(text, at)
        yield value, at, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def read_members(raw: bytes) -> Mapping[str, Member]:
    """By their names those of UTF-8 JSON (RFC 8259, so without NaN and Infinity), in their order.

    Raises:
        ValueError: it is not JSON, not an object, nested too deeply, has too many members, or has
            one twice (which of the two counts would be a guess). The message says which, and
            quotes no value.
    """
    members = _skimmed(raw)
    if members is None:
        with _reasons():
            members = {member.name: member for member in _parsed(raw)}
    return members


def _skimmed(raw: bytes) -> Mapping[str, Member] | None:
    """In one pass that makes no objects of the values: a third of the time of a parse.

    None where there is anything wrong or unusual, for `json` to say what.
    """
    import msgspec

    try:
        if not raw.isascii():
            raw.decode()  # which msgspec leaves to the one who reads a value
        found = _decoder_of_raw_values().decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    members = {}
    at = 0
    for name, value in found.items():
        before = _before_value.match(raw, at)
        # Of a name that is there twice only the last value was found, and it is not here.
        if before is None or not raw.startswith(value, before.end()):
            return None
        start = before.end()
        at = start + len(memoryview(value))
        members[name] = Member(raw, name, before.start(1), start, at)
    is_all = _after_all.fullmatch(raw, at) and len(members) <= _MOST_MEMBERS
    return members if is_all else None


@cache
def _decoder_of_raw_values() -> "msgspec.json.Decoder[dict[str, msgspec.Raw]]":
    # Not at the top, as everything that only a count needs.
    import msgspec

    return msgspec.json.Decoder(dict[str, msgspec.Raw])


class _reasons:  # noqa: N801 - used as a function
    """Turn what `json` raises into words that may be shown."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, stack: object) -> None:
        match error:
            case None | _Unusable():
                return
            case RecursionError():
                words = "it is nested too deeply"
            case UnicodeDecodeError():
                words = "it is not UTF-8"
            case json.JSONDecodeError():
                words = f"{error.msg} at line {error.lineno}, column {error.colno}"
            case ValueError():
                # Python's own limit on the digits of an integer, sys.set_int_max_str_digits.
                words = "a number in it has too many digits"
            case _:
                return
        raise ValueError(words) from None


def _parsed(raw: bytes) -> Iterator[Member]:
    text = raw.decode()
    names: set[str] = set()
    at = in_bytes = 0
    for name, *places in _places(text):
        if name in names:
            raise _Unusable(f"it has {json.dumps(name)[:64]} twice")
        names.add(name)
        if len(names) > _MOST_MEMBERS:
            raise _Unusable("it has too many members")
        in_raw = []
        for place in places:
            in_bytes += len(text[at:place].encode())
            in_raw.append(in_bytes)
            at = place
        yield Member(raw, name, *in_raw)


def _places(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Of each member its name, where that begins, and where its value begins and ends."""
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        _decode(text, at)  # so that text which is no JSON at all is called that
        raise _Unusable("it is not an object")
    at = _skip(text, at + 1)
    more = text[at : at + 1] != "}"
    while more:
        if text[at : at + 1] != '"':
            words = "Expecting property name enclosed in double quotes"
            raise json.JSONDecodeError(words, text, at)
        begin = at
        name, at = _decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        start = _skip(text, at + 1)
        _, end = _decode(text, start)
        yield name, begin, start, end
        at = _skip(text, end)
        more = text[at : at + 1] == ","
        if more:
            at = _skip(text, at + 1)
    if text[at : at + 1] != "}":
        raise json.JSONDecodeError("Expecting ',' or '}'", text, at)
    at = _skip(text, at + 1)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)


def _skip(text: str, at: int) -> int:
    match = _whitespace.match(text, at)
    return match.end() if match else at
