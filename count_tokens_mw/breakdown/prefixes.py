"""Prefixes of a conversation, closed so that every model counts them; no I/O.

https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from count_tokens_mw.breakdown.attachments import MediaBlock, read_media
from count_tokens_mw.rawjson.object import JsonValue

__all__ = ["Message", "prefix_of", "read_message", "string_member"]

_CLOSING_TEXT: Final = "."


@dataclass(frozen=True, slots=True)
class Message:
    """Message with its text, its images and documents, and the ids of its tool uses and results."""

    role: str
    text: bytes
    media: Sequence[MediaBlock]
    uses: frozenset[str]
    results: frozenset[str]


def read_message(value: JsonValue, text: bytes) -> Message:
    """Read a message of a request.

    Raises:
        ValueError: the message has a member twice, or too many members.
    """
    content = value.get("content") if isinstance(value, Mapping) else None
    blocks = content if isinstance(content, list) else []
    return Message(
        string_member(value, "role") or "",
        text,
        read_media(value, text),
        _ids(blocks, "tool_use", "id"),
        _ids(blocks, "tool_result", "tool_use_id"),
    )


def prefix_of(messages: Sequence[Message], number: int) -> list[bytes]:
    """Return the texts of the first `number` messages, and of a user message that closes them.

    Not every model counts a conversation that ends with an assistant message. Every tool use needs
    a result, in a message without other blocks. A conversation that ends with tool results is not
    closed, because another text would start a new turn, and thinking in past turns is not counted.
    A system message in the middle has to follow a user message.
    """
    end = number
    while end and messages[end - 1].role == "system":
        end -= 1
    texts = [message.text for message in messages[:number]]
    closing = _closing(messages[:end])
    return texts if closing is None else [*texts[:end], closing, *texts[end:]]


def _closing(messages: Sequence[Message]) -> bytes | None:
    unanswered: dict[str, None] = {}  # an ordered set
    for message in messages:
        unanswered |= dict.fromkeys(sorted(message.uses))
        for tool_use_id in message.results:
            unanswered.pop(tool_use_id, None)
    if not unanswered and messages and messages[-1].results:
        return None
    content: object = _CLOSING_TEXT
    if unanswered:
        result = {"type": "tool_result", "content": _CLOSING_TEXT}
        content = [{**result, "tool_use_id": tool_use_id} for tool_use_id in unanswered]
    return json.dumps({"role": "user", "content": content}).encode()


def _ids(blocks: Sequence[JsonValue], kind: str, name: str) -> frozenset[str]:
    ids = (string_member(block, name) for block in blocks if string_member(block, "type") == kind)
    return frozenset(tool_use_id for tool_use_id in ids if tool_use_id is not None)


def string_member(value: JsonValue, name: str) -> str | None:
    """Return a member of an object if it is a string, or None."""
    member = value.get(name) if isinstance(value, Mapping) else None
    return member if isinstance(member, str) else None
