"""The images and documents in a message, and the message without one of them; pure.

https://docs.claude.com/en/docs/build-with-claude/vision
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from count_tokens_mw.json_object import JsonObject, JsonValue

__all__ = ["Medium", "media_of", "without_medium"]

_TYPES: Final = {"document", "image"}


class Medium(NamedTuple):
    """A block that is an image or a document: its type, and its place in its message.

    `inner` is its place in the content of a tool result that stands at `at`. One that is `alone` is
    all that its message says.
    """

    type: str
    at: int
    inner: int | None = None
    alone: bool = False

    @property
    def path(self) -> str:
        """As error messages have it: `content.1`, or `content.0.content.2` in a tool result."""
        return f"content.{self.at}" + ("" if self.inner is None else f".content.{self.inner}")


def media_of(content: JsonValue) -> Iterator[Medium]:
    """Those of a message's content, in their order."""
    for at, block in _objects(content):
        kind = block.get("type")
        if kind in _TYPES:
            yield Medium(str(kind), at, alone=isinstance(content, list) and len(content) == 1)
        elif kind == "tool_result":
            for inner, result in _objects(block.get("content")):
                if result.get("type") in _TYPES:
                    yield Medium(str(result["type"]), at, inner)


def without_medium(message: bytes, medium: Medium) -> bytes:
    """A message's text without one that is not alone in it.

    A tool result that has nothing else goes without its content.
    """
    return _without(message, medium.at) if medium.inner is None else _without_inner(message, medium)


def _without_inner(message: bytes, medium: Medium) -> bytes:
    body = JsonObject.parse(message)
    blocks = [text for _, text in body.items("content")]
    blocks[medium.at] = _without(blocks[medium.at], medium.inner or 0)
    return body.edited({"content": b"[%b]" % b",".join(blocks)})


def _without(holder: bytes, at: int) -> bytes:
    body = JsonObject.parse(holder)
    left = [text for number, (_, text) in enumerate(body.items("content")) if number != at]
    if not left:
        return body.edited({}, {"content"})
    return body.edited({"content": b"[%b]" % b",".join(left)})


def _objects(value: JsonValue) -> Iterator[tuple[int, Mapping[str, JsonValue]]]:
    if isinstance(value, list):
        for at, item in enumerate(value):
            if isinstance(item, Mapping):
                yield at, item
