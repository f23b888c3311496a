"""Hostile requests of any size, and plain text of the same size beside them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

__all__ = ["BETA", "PLAIN", "SHAPES", "Header", "Request", "Shape"]

_HELLO: Final = b'"messages":[{"role":"user","content":"Hello"}]'
_TEXT: Final = b"The quick brown fox jumps over the lazy dog. "
_BLOCK: Final = b'{"type":"text","text":"a"}'
Header: TypeAlias = tuple[bytes, bytes]
BETA: Final[Header] = (b"anthropic-beta", b"name-1")
"""The line that a shape `by_lines` repeats."""


@dataclass(frozen=True, slots=True)
class Request:
    """A body, and the lines of a header."""

    body: bytes
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of request: its model, the status of its answer, and its body by size.

    `members` returns all members but `model`, or all that stands in a `whole` body. A shape
    `by_lines` has a small body, and the size is that of its header's lines. The status is `also`
    right if it depends on the size.
    """

    model: str
    status: int
    members: Callable[[int], bytes]
    whole: bytes | None = None
    by_lines: bool = False
    also: int | None = None

    def request(self, size: int) -> Request:
        """Return a request of some `size` bytes."""
        if self.by_lines:
            small = replace(self, by_lines=False).request(0)
            return Request(small.body, (BETA,) * (size // sum(map(len, BETA))))
        whole = self.whole or b'{"model":"%b",%%b}' % self.model.encode()
        return Request(whole % self.members(size))


def _fill(text: bytes, size: int) -> bytes:
    return (text * (size // len(text) + 1))[:size]


def _list(item: bytes, size: int) -> bytes:
    return b"[" + (item + b",") * (size // (len(item) + 1)) + item + b"]"


def _plain(size: int) -> bytes:
    return b'"messages":[{"role":"user","content":"%b"}]' % _fill(_TEXT, size)


def _pairs(size: int) -> bytes:
    """Return members with distinct names of eight digits."""
    return b",".join(b'"%08d":0' % number for number in range(size // len(b'"00000000":0,') + 1))


def _beside(member: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return the members of a small request with a large member at its end."""
    return lambda size: _HELLO + b"," + member(size)


def _values(name: bytes, item: bytes = b"[]") -> Callable[[int], bytes]:
    return _beside(lambda size: b'"%b":{"a":%b}' % (name, _list(item, size)))


def _items(name: bytes, item: bytes = b"[]") -> Callable[[int], bytes]:
    return _beside(lambda size: b'"%b":%b' % (name, _list(item, size)))


def _message(members: bytes, item: bytes = b"[]") -> Callable[[int], bytes]:
    """Return one message, whose last member is a long list."""
    return lambda size: b'"messages":[{"role":"user",%b:%b}]' % (members, _list(item, size))


def _tool(members: bytes) -> Callable[[int], bytes]:
    """Return a tool, where the last of its members has a long list as its value."""
    return _beside(lambda size: b'"tools":[{"name":"t",%b}]' % (members % _list(b"[]", size)))


def _compaction(size: int) -> bytes:
    changes = _list(b"[]", size)
    block = b'{"type":"compaction","content":"s","tool_changes":%b}' % changes
    hello = b'{"role":"user","content":"Hello"}'
    return b'"messages":[{"role":"assistant","content":[%b]},%b]' % (block, hello)


def _ending_in_surrogate(size: int) -> bytes:
    return b'"messages":[{"role":"user","content":"%b"}]' % (_fill(_TEXT, size) + rb"\ud800")


PLAIN: Final[Mapping[str, Shape]] = {
    model: Shape(model, 200, _plain) for model in ("anthropic", "gemini")
}
"""Plain text, by model."""

SHAPES: Final[Mapping[str, Shape]] = {
    "`metadata` of many values": Shape("anthropic", 200, _values(b"metadata")),
    "`user` of many values": Shape("anthropic", 200, _items(b"user")),
    "`model` of many values": Shape("anthropic", 400, _values(b"model"), b"{%b}"),
    "`model` of one long string": Shape(
        "anthropic", 400, _beside(lambda size: b'"model":"%b"' % _fill(_TEXT, size)), b"{%b}"
    ),
    "one long name": Shape("anthropic", 400, _beside(lambda size: b'"%b":0' % _fill(b"a", size))),
    "one long name of escapes": Shape(
        "anthropic", 400, _beside(lambda size: b'"%b":0' % _fill(rb"\n", size // 2 * 2))
    ),
    "a name twice": Shape("anthropic", 400, lambda size: _plain(size) + b',"a":0,"a":0'),
    "a long name twice": Shape(
        "anthropic", 400, _beside(lambda size: b",".join([b'"%b":0' % _fill(b"a", size // 2)] * 2))
    ),
    "a list": Shape("anthropic", 400, lambda size: (b"[]," * (size // 3))[:-1], b"[%b]"),
    "a trailing comma": Shape("anthropic", 400, lambda size: _plain(size) + b","),
    "a trailing comma after many values": Shape(
        "anthropic", 400, lambda size: _items(b"system")(size) + b","
    ),
    "many members": Shape("anthropic", 400, _beside(_pairs)),
    "a lone surrogate at the end": Shape("anthropic", 200, _ending_in_surrogate),
    "a lone surrogate at the end, to Gemini": Shape("gemini", 200, _ending_in_surrogate),
    "messages of empty lists": Shape("gemini", 400, lambda s: b'"messages":' + _list(b"[]", s)),
    "a message of empty lists": Shape(
        "gemini", 400, lambda size: b'"messages":[%b]' % _list(b"[]", size)
    ),
    "content of empty lists": Shape("gemini", 400, _message(b'"content"')),
    "an unknown field of empty lists": Shape("gemini", 200, _message(b'"content":"Hello","new"')),
    "blocks of one letter": Shape("gemini", 400, _message(b'"content"', _BLOCK)),
    "a schema of empty lists": Shape("gemini", 200, _tool(b'"input_schema":{"a":%b}')),
    "tools of empty lists": Shape("gemini", 400, _items(b"tools")),
    "`mcp_servers` of empty lists": Shape("gemini", 501, _items(b"mcp_servers")),
    "`input_examples` of empty lists": Shape(
        "gemini", 501, _tool(b'"input_schema":{},"input_examples":%b')
    ),
    "`tool_changes` of empty lists": Shape("gemini", 501, _compaction),
    "lines of `anthropic-beta`": Shape("anthropic", 431, _plain, by_lines=True),
}
"""Hostile shapes, by name."""
