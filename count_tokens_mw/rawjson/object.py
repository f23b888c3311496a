"""JSON object that keeps its own text.

A client's text must reach Anthropic unchanged. Parsing and serialising would change `1.0e2`,
`1e400`, escapes, and duplicate names in nested objects. So only the positions of the top level's
members are read, and an edited object is assembled from slices of the text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Self

from count_tokens_mw.rawjson.members import JsonValue, Member, read_members

__all__ = ["JsonObject", "JsonValue"]


class JsonObject:
    """JSON object and the bytes that it was read from.

    `JsonObject(raw)` does not validate the bytes; it reads them at the first access to a member.
    """

    __slots__ = ("_members", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._members: Mapping[str, Member] | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read UTF-8 JSON.

        Raises:
            ValueError: the text cannot be used; the message gives the reason, and quotes no value.
        """
        parsed = cls(raw)
        parsed._members = read_members(raw)
        return parsed

    @property
    def members(self) -> Mapping[str, Member]:
        """The top level's members by name, in their order."""
        if self._members is None:
            self._members = read_members(self.raw)
        return self._members

    @property
    def value(self) -> dict[str, JsonValue]:
        """The whole object, parsed.

        Raises:
            ValueError: Python cannot read a value; the message gives the reason.
        """
        return {name: member.value for name, member in self.members.items()}

    def member(self, name: str) -> Member | None:
        """Return the member of this name, or None."""
        return self.members.get(name)

    def get(self, name: str) -> JsonValue:
        """Return the value of a member, or None if there is no member of this name.

        Raises:
            ValueError: Python cannot read the value.
        """
        member = self.member(name)
        return None if member is None else member.value

    def items(self, name: str) -> Sequence[tuple[JsonValue, bytes]]:
        """Return the items of a list, each with its text; empty if the member is not a list.

        Raises:
            ValueError: Python cannot read an item.
        """
        member = self.member(name)
        return () if member is None else member.items

    def edit(self, replace: Mapping[str, JsonValue | bytes], drop: Collection[str] = ()) -> bytes:
        """Return the object's own text, with the members of `replace` replaced and `drop` dropped.

        A member of `replace` that the object does not have is appended. A new value in bytes is
        inserted as JSON text.
        """
        # Views and one join, because slices of bytes would copy megabytes.
        text = memoryview(self.raw)
        pieces: list[bytes | memoryview] = []
        added = dict(replace)
        for name, member in self.members.items():
            if name in drop:
                continue
            if name in replace:
                value = _json(added.pop(name))
                pieces += (b",", text[member.begin : member.start], value)
            else:
                pieces += (b",", text[member.begin : member.end])
        for name, new in added.items():
            pieces += (b",", _json(name), b":", _json(new))
        return b"".join([b"{", *pieces[1:], b"}"])


def _json(value: JsonValue | bytes) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()
