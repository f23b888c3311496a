"""A conversation cut off after a message, and closed so that every model counts it; pure.

https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from count_tokens_mw.breakdown.attachments import MediaBlock, media_of
from count_tokens_mw.rawjson.object import JsonValue

__all__ = ["Message", "message_of", "prefix_of", "text_of"]

_WORDS: Final = "."


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its text, its images and documents, and the ids of the tools that it uses and
    of those that it has the results of."""

    role: str
    text: bytes
    media: Sequence[MediaBlock]
    uses: frozenset[str]
    results: frozenset[str]


def message_of(value: JsonValue, text: bytes) -> Message:
    """Read one of a request's messages.

    Raises:
        ValueError: it has a name twice, or too many of them.
    """
    content = value.get("content") if isinstance(value, Mapping) else None
    blocks = content if isinstance(content, list) else []
    return Message(
        text_of(value, "role") or "",
        text,
        media_of(value, text),
        _ids(blocks, "tool_use", "id"),
        _ids(blocks, "tool_result", "tool_use_id"),
    )


def prefix_of(messages: Sequence[Message], number: int) -> list[bytes]:
    """The texts of so many messages, and of one of the user's that closes them.

    Not every model counts a conversation that ends with its own words, and each use of a tool has
    to be followed by a result, in a turn of nothing else. Results of tools end a conversation by
    themselves: further words would begin another turn, and thinking before it is not counted. A
    system message in the middle has to come after the user's.
    """
    end = number
    while end and messages[end - 1].role == "system":
        end -= 1
    texts = [message.text for message in messages[:number]]
    closing = _closing(messages[:end])
    return texts if closing is None else [*texts[:end], closing, *texts[end:]]


def _closing(messages: Sequence[Message]) -> bytes | None:
    unanswered: dict[str, None] = {}  # in their order
    for message in messages:
        unanswered |= dict.fromkeys(sorted(message.uses))
        for use in message.results:
            unanswered.pop(use, None)
    if not unanswered and messages and messages[-1].results:
        return None
    content: object = _WORDS
    if unanswered:
        result = {"type": "tool_result", "content": _WORDS}
        content = [{**result, "tool_use_id": use} for use in unanswered]
    return json.dumps({"role": "user", "content": content}).encode()


def _ids(blocks: Sequence[JsonValue], kind: str, name: str) -> frozenset[str]:
    ids = (text_of(block, name) for block in blocks if text_of(block, "type") == kind)
    return frozenset(found for found in ids if found is not None)


def text_of(value: JsonValue, name: str) -> str | None:
    """A member of an object, if that is a string."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None
