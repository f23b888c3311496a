"""A JSON object that remembers its own text.

What a client sent must reach Anthropic as it was sent. A parse and a serialisation would change
it: `1.0e2`, `1e400`, escapes, duplicate names in nested objects. So the members of the top level
are parsed, and each keeps its place in the text; an edited object is put together from the text.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, Self, TypeAlias

__all__ = ["JsonObject", "JsonValue", "Member"]

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


@dataclass(slots=True)
class Member:
    """One member of the top level: its parsed value, and where its text begins and ends in the
    bytes."""

    name: str
    value: JsonValue = field(repr=False)
    start: int
    end: int


class JsonObject:
    """An object and the bytes that it was read from.

    `JsonObject(raw)` trusts that these bytes have been parsed before, and parses them only where
    their members are asked for.
    """

    __slots__ = ("_members", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._members: Sequence[Member] | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read UTF-8 JSON (RFC 8259, so without NaN and Infinity).

        Raises:
            ValueError: it is not JSON, not an object, nested too deeply, has too many members at
                the top level, or has one twice (which of the two counts would be a guess). The
                message says which, and quotes no value.
        """
        parsed = cls(raw)
        parsed._members = _parsed(raw)
        return parsed

    @property
    def members(self) -> Sequence[Member]:
        """Those of the top level, in their order."""
        if self._members is None:
            self._members = _parsed(self.raw)
        return self._members

    @property
    def value(self) -> dict[str, JsonValue]:
        """The whole object, parsed."""
        return {member.name: member.value for member in self.members}

    def get(self, name: str) -> JsonValue:
        """The value of a member, None if there is none of that name."""
        for member in self.members:
            if member.name == name:
                return member.value
        return None

    def edited(self, replace: Mapping[str, JsonValue], drop: Collection[str] = ()) -> bytes:
        """The object in its own order and words, with some members replaced and some left out.

        A member of `replace` that the object does not have is put at its end.
        """
        # Views, and one join: a body may be megabytes, and each slice would copy it.
        text = memoryview(self.raw)
        pieces: list[bytes | memoryview] = []
        added = dict(replace)
        for member in self.members:
            if member.name in drop:
                continue
            pieces += (b",", _json(member.name), b":")
            if member.name in replace:
                pieces.append(_json(added.pop(member.name)))
            else:
                pieces.append(text[member.start : member.end])
        for name, value in added.items():
            pieces += (b",", _json(name), b":", _json(value))
        return b"".join([b"{", *pieces[1:], b"}"])


def _json(value: JsonValue) -> bytes:
    return json.dumps(value).encode()


def _parsed(raw: bytes) -> Sequence[Member]:
    try:
        text = raw.decode()
        members = tuple(_members(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except _Unusable:
        raise
    except ValueError:
        # Python's own limit on the digits of an integer, sys.set_int_max_str_digits.
        raise ValueError("a number in it has too many digits") from None
    if not text.isascii():
        _place_in_bytes(members, text)
    return members


def _place_in_bytes(members: Iterable[Member], text: str) -> None:
    """From where members are in the text to where they are in its UTF-8."""
    at = in_bytes = 0
    for member in members:
        in_bytes += len(text[at : member.start].encode())
        at = member.end
        length = len(text[member.start : member.end].encode())
        member.start, member.end = in_bytes, in_bytes + length
        in_bytes += length


def _members(text: str) -> Iterator[Member]:
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        _decode(text, at)  # so that text which is no JSON at all is called that
        raise _Unusable("it is not an object")
    at = _skip(text, at + 1)
    names: set[str] = set()
    more = text[at : at + 1] != "}"
    while more:
        member = _member(text, at)
        if member.name in names:
            raise _Unusable(f"it has {json.dumps(member.name)[:64]} twice")
        names.add(member.name)
        if len(names) > _MOST_MEMBERS:
            raise _Unusable("it has too many members")
        yield member
        at = _skip(text, member.end)
        more = text[at : at + 1] == ","
        if more:
            at = _skip(text, at + 1)
    if text[at : at + 1] != "}":
        raise json.JSONDecodeError("Expecting ',' or '}'", text, at)
    at = _skip(text, at + 1)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)


def _member(text: str, at: int) -> Member:
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    name, at = _decode(text, at)
    at = _skip(text, at)
    if text[at : at + 1] != ":":
        raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
    start = _skip(text, at + 1)
    value, end = _decode(text, start)
    return Member(name, value, start, end)


def _skip(text: str, at: int) -> int:
    match = _whitespace.match(text, at)
    return match.end() if match else at
