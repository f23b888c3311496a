"""Compaction: the last summary of a conversation stands for all before it.

https://docs.claude.com/en/docs/build-with-claude/compaction
"""

from typing import Final

import msgspec
from msgspec import Raw

from count_tokens_mw.providers.google.reader import Text

__all__ = ["blank_unseen"]

_decode_objects: Final = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_BLANK_MESSAGE: Final = Raw(b'{"role":"user","content":""}')
_BLANK_BLOCK: Final = Raw(b'{"type":"text","text":""}')


def blank_unseen(messages: Text) -> Text:
    """Return the JSON text of messages in which whatever no model sees is blank.

    Places stay as they are. Text that is not understood is returned unchanged.
    """
    try:
        objects = _decode_objects(messages)
        for index in range(len(objects) - 1, -1, -1):
            content = bytes(objects[index].get("content", b""))
            blocks = _decode_objects(content) if content.startswith(b"[") else []
            for at in range(len(blocks) - 1, -1, -1):
                if _is_summary(blocks[at]):
                    seen = [*[_BLANK_BLOCK] * at, *blocks[at:]]
                    message = {**objects[index], "content": seen}
                    return msgspec.json.encode(
                        [*[_BLANK_MESSAGE] * index, message, *objects[index + 1 :]]
                    )
    except (msgspec.DecodeError, RecursionError):
        pass
    return messages


def _is_summary(block: dict[str, Raw]) -> bool:
    kind = msgspec.json.decode(block.get("type", b"null"))
    return kind == "compaction" and bytes(block.get("content", b"null")) != b"null"
