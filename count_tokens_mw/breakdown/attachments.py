"""The images and documents in a message, and the message without one of them; pure.

https://docs.claude.com/en/docs/build-with-claude/vision
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from count_tokens_mw.rawjson.object import JsonObject, JsonValue

__all__ = ["MediaBlock", "media_of"]

_TYPES: Final = ("document", "image")  # no set: a caller may send any JSON as a type


class _ContentEditor(NamedTuple):
    """A message or a tool result: its text, and those of the blocks in its content."""

    body: JsonObject
    blocks: Sequence[bytes]

    def with_block(self, at: int, block: bytes | None) -> bytes:
        """The text with another block in this place, or none; without content if it was the only
        one."""
        fallback = () if block is None else (block,)
        blocks = [*self.blocks[:at], *fallback, *self.blocks[at + 1 :]]
        if not blocks:
            return self.body.edit({}, {"content"})
        return self.body.edit({"content": b"[%b]" % b",".join(blocks)})


class MediaBlock(NamedTuple):
    """A block that is an image or a document: its type, and its place in its message.

    `inner` is its place in the content of a tool result that stands at `at`. One that is `alone` is
    all that its message says.
    """

    type: str
    at: int
    message: _ContentEditor
    inner: int | None = None
    result: _ContentEditor | None = None

    @property
    def alone(self) -> bool:
        return self.inner is None and len(self.message.blocks) == 1

    @property
    def path(self) -> str:
        """As error messages have it: `content.1`, or `content.0.content.2` in a tool result."""
        return f"content.{self.at}" + ("" if self.inner is None else f".content.{self.inner}")

    def left_out(self) -> bytes:
        """The text of the message without it."""
        if self.inner is None or self.result is None:
            return self.message.with_block(self.at, None)
        return self.message.with_block(self.at, self.result.with_block(self.inner, None))


def media_of(message: JsonValue, text: bytes) -> Sequence[MediaBlock]:
    """Those of a message, in their order.

    Raises:
        ValueError: the message has a name twice, or too many of them.
    """
    blocks = _objects(message.get("content")) if isinstance(message, Mapping) else ()
    if not any(_has_media(block) for _, block in blocks):
        return ()
    holder = _holder(text)
    return [medium for at, block in blocks for medium in _media_in(block, at, holder)]


def _media_in(
    block: Mapping[str, JsonValue], at: int, message: _ContentEditor
) -> Iterator[MediaBlock]:
    if block.get("type") in _TYPES:
        yield MediaBlock(str(block["type"]), at, message)
    elif _has_media(block):
        result = _holder(message.blocks[at])
        for inner, found in _objects(block.get("content")):
            if found.get("type") in _TYPES:
                yield MediaBlock(str(found["type"]), at, message, inner, result)


def _has_media(block: Mapping[str, JsonValue]) -> bool:
    if block.get("type") == "tool_result":
        return any(found.get("type") in _TYPES for _, found in _objects(block.get("content")))
    return block.get("type") in _TYPES


def _holder(text: bytes) -> _ContentEditor:
    body = JsonObject.parse(text)
    return _ContentEditor(body, [block for _, block in body.items("content")])


def _objects(value: JsonValue) -> Sequence[tuple[int, Mapping[str, JsonValue]]]:
    if not isinstance(value, list):
        return ()
    return [(at, item) for at, item in enumerate(value) if isinstance(item, Mapping)]
