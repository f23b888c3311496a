"""A JSON object that remembers its own text.

What a client sent must reach Anthropic as it was sent. A parse and a serialisation would change
it: `1.0e2`, `1e400`, escapes, duplicate names in nested objects. So only the members of the top
level are found, and each keeps its place in the text; an edited object is put together from it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Self

from count_tokens_mw.rawjson.members import JsonValue, Member, read_members

__all__ = ["JsonObject", "JsonValue"]


class JsonObject:
    """An object and the bytes that it was read from.

    `JsonObject(raw)` trusts that these bytes have been read before, and reads them again only where
    their members are asked for.
    """

    __slots__ = ("_members", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._members: Mapping[str, Member] | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read UTF-8 JSON.

        Raises:
            ValueError: it cannot be used; the message says why, and quotes no value.
        """
        parsed = cls(raw)
        parsed._members = read_members(raw)
        return parsed

    @property
    def members(self) -> Mapping[str, Member]:
        """Those of the top level by their names, in their order."""
        if self._members is None:
            self._members = read_members(self.raw)
        return self._members

    @property
    def value(self) -> dict[str, JsonValue]:
        """The whole object, parsed.

        Raises:
            ValueError: there is something in it that Python cannot read; the message says what.
        """
        return {name: member.value for name, member in self.members.items()}

    def member(self, name: str) -> Member | None:
        """The member of this name, if there is one."""
        return self.members.get(name)

    def get(self, name: str) -> JsonValue:
        """The value of a member, None if there is none of that name.

        Raises:
            ValueError: as above.
        """
        member = self.member(name)
        return None if member is None else member.value

    def items(self, name: str) -> Sequence[tuple[JsonValue, bytes]]:
        """The items of a member that is a list, each with its own text; else none.

        Raises:
            ValueError: as above.
        """
        member = self.member(name)
        return () if member is None else member.items

    def edit(self, replace: Mapping[str, JsonValue | bytes], drop: Collection[str] = ()) -> bytes:
        """The object in its own order and words, with some members replaced and some left out.

        A member of `replace` that the object does not have is put at its end. A new value is the
        text of one if it is in bytes.
        """
        # Views, and one join: a body may be megabytes, and each slice would copy it.
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
