"""Images and documents of a message, and the message without one of them; no I/O.

https://docs.claude.com/en/docs/build-with-claude/vision
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from count_tokens_mw.rawjson.object import JsonObject, JsonValue

__all__ = ["MediaBlock", "read_media"]

_TYPES: Final = ("document", "image")  # no set, because a caller's `type` may be unhashable


class _ContentEditor(NamedTuple):
    """Editor of a message or a tool result: its object, and the texts of its content blocks."""

    body: JsonObject
    blocks: Sequence[bytes]

    def replace_block(self, at: int, block: bytes | None) -> bytes:
        """Return the text with a block replaced, or removed if `block` is None.

        The member `content` is dropped with its last block.
        """
        replacement = () if block is None else (block,)
        blocks = [*self.blocks[:at], *replacement, *self.blocks[at + 1 :]]
        if not blocks:
            return self.body.edit({}, {"content"})
        return self.body.edit({"content": b"[%b]" % b",".join(blocks)})


class MediaBlock(NamedTuple):
    """Image or document block: its type, and its index `at` in its message's content.

    In a tool result, `at` is the index of the result, and `inner` the block's index in its content.
    A block that `is_alone` is the whole content of its message.
    """

    type: str
    at: int
    message: _ContentEditor
    inner: int | None = None
    result: _ContentEditor | None = None

    @property
    def is_alone(self) -> bool:
        return self.inner is None and len(self.message.blocks) == 1

    @property
    def path(self) -> str:
        """The path as in Anthropic's errors: `content.1`, or `content.0.content.2` in a result."""
        return f"content.{self.at}" + ("" if self.inner is None else f".content.{self.inner}")

    def remove(self) -> bytes:
        """Return the text of the message without the block."""
        if self.inner is None or self.result is None:
            return self.message.replace_block(self.at, None)
        result = self.result.replace_block(self.inner, None)
        return self.message.replace_block(self.at, result)


def read_media(message: JsonValue, text: bytes) -> Sequence[MediaBlock]:
    """Return the images and documents of a message, in their order.

    Raises:
        ValueError: the message has a member twice, or too many members.
    """
    blocks = _objects(message.get("content")) if isinstance(message, Mapping) else ()
    if not any(_has_media(block) for _, block in blocks):
        return ()
    editor = _read_content(text)
    return [medium for at, block in blocks for medium in _media_in(block, at, editor)]


def _media_in(
    block: Mapping[str, JsonValue], at: int, message: _ContentEditor
) -> Iterator[MediaBlock]:
    if block.get("type") in _TYPES:
        yield MediaBlock(str(block["type"]), at, message)
    elif _has_media(block):
        result = _read_content(message.blocks[at])
        for inner, nested in _objects(block.get("content")):
            if nested.get("type") in _TYPES:
                yield MediaBlock(str(nested["type"]), at, message, inner, result)


def _has_media(block: Mapping[str, JsonValue]) -> bool:
    if block.get("type") == "tool_result":
        return any(nested.get("type") in _TYPES for _, nested in _objects(block.get("content")))
    return block.get("type") in _TYPES


def _read_content(text: bytes) -> _ContentEditor:
    body = JsonObject.parse(text)
    return _ContentEditor(body, [block for _, block in body.items("content")])


def _objects(value: JsonValue) -> Sequence[tuple[int, Mapping[str, JsonValue]]]:
    if not isinstance(value, list):
        return ()
    return [(at, item) for at, item in enumerate(value) if isinstance(item, Mapping)]
