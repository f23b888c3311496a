"""Messages and blocks that no model sees, though they are sent on.

https://docs.claude.com/en/docs/build-with-claude/compaction and
https://docs.claude.com/en/docs/build-with-claude/system-messages
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from count_tokens_mw.providers.translation.reader import Text

__all__ = ["blank_unseen"]

_Object: TypeAlias = dict[str, Raw]

_decode_objects: Final = msgspec.json.Decoder(list[_Object]).decode
_NULL: Final = Raw(b"null")
_BLANK_MESSAGE: Final[_Object] = {"role": Raw(b'"user"'), "content": Raw(b'""')}
_BLANK_BLOCK: Final[_Object] = {"type": Raw(b'"text"'), "text": Raw(b'""')}


def blank_unseen(messages: Text) -> Text:
    """Return the JSON text of messages in which whatever no model sees is blank.

    Places stay as they are. Text that is not understood is returned unchanged.
    """
    try:
        objects = _blank_ended(_decode_objects(messages))
        for index in range(len(objects) - 1, -1, -1):
            content = bytes(objects[index].get("content", _NULL))
            blocks = _decode_objects(content) if content.startswith(b"[") else []
            for at in range(len(blocks) - 1, -1, -1):
                if _is_summary(blocks[at]):
                    seen = [*[_BLANK_BLOCK] * at, *blocks[at:]]
                    message = {**objects[index], "content": seen}
                    rest = objects[index + 1 :]
                    return msgspec.json.encode([*[_BLANK_MESSAGE] * index, message, *rest])
        return msgspec.json.encode(objects)
    except (msgspec.DecodeError, RecursionError):
        return messages


def _blank_ended(messages: Sequence[_Object]) -> list[_Object]:
    """Return the messages with those blank that end at a later one of the user."""
    roles = [_decode(message, "role") for message in messages]
    last_user = max((at for at, role in enumerate(roles) if role == "user"), default=-1)
    return [
        _BLANK_MESSAGE
        if at < last_user
        and roles[at] == "system"
        and _decode(message, "clear_at") == "next_user_message"
        else message
        for at, message in enumerate(messages)
    ]


def _is_summary(block: _Object) -> bool:
    has_content = bytes(block.get("content", _NULL)) != b"null"
    return has_content and _decode(block, "type") == "compaction"


def _decode(value: _Object, name: str) -> object:
    """Return a member that is a string, or None."""
    text = bytes(value.get(name, _NULL))
    return msgspec.json.decode(text) if text.startswith(b'"') else None
