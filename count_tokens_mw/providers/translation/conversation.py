"""Anthropic's messages as a model sees them, and a translator of their blocks, pure.

https://docs.claude.com/en/api/messages
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from count_tokens_mw.aio.fairness import stop_if_unneeded
from count_tokens_mw.errors import CountError, InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.translation.anthropic_types import (
    AssistantMessage,
    Block,
    Compaction,
    Document,
    Fallback,
    Image,
    Message,
    NestedContent,
    RedactedThinking,
    SearchResult,
    ServerToolUse,
    SystemMessage,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    UserMessage,
    WebFetchToolResult,
    WebSearchToolResult,
)
from count_tokens_mw.providers.translation.content import ContentForm, Part
from count_tokens_mw.providers.translation.counterparts import add_place, no_counterpart
from count_tokens_mw.providers.translation.reader import has_items

__all__ = [
    "BlockTranslator",
    "Conversation",
    "Shown",
    "has_hidden_text",
    "read_conversation",
    "refuse_many_blocks",
]

_ONLY_FROM: Final = {
    RedactedThinking: AssistantMessage,
    Thinking: AssistantMessage,
    ToolResult: UserMessage,
    ToolUse: AssistantMessage,
}
_SILENT: Final = (Compaction, Fallback, ToolResult)
_SEARCHES: Final = frozenset({"web_fetch", "web_search"})


class Shown(NamedTuple):
    """Message that the model sees, its index, and that of the first block that it sees."""

    at: int
    message: Message
    begin: int = 0


class Conversation(NamedTuple):
    """Messages that the model sees, after the summary that stands for all before them.

    `loop` is the number of the first message in the tool loop under way. Thinking from before is no
    input.
    """

    summary: str | None
    shown: Sequence[Shown]
    loop: int


def read_conversation(messages: Sequence[Message]) -> Conversation:
    """Return the conversation, as far as the model sees it.

    A system message that has ended is not seen, and nothing before the last compaction is.

    Raises:
        CannotCount: a compaction or a system message has no counterpart; the message has its place.
        InvalidRequest: a message is malformed; the message names the place.
    """
    summary, rest = _from_last_summary(messages)
    shown = list(_shown_messages(rest))
    return Conversation(summary, shown, _start_of_tool_loop(shown))


def refuse_many_blocks(messages: Sequence[Message], size: int) -> None:
    """Refuse blocks that take many times the memory of their text, which has `size` bytes.

    Raises:
        InvalidRequest: there are more than one in 50 bytes, or 100,000; 10,000 are always taken.
    """
    most = max(10_000, min(100_000, size // 50))
    number = len(messages) + sum(len(_blocks_of(message)) for message in messages)
    if number <= most:
        blocks = chain.from_iterable(map(_blocks_of, messages))
        number += sum(map(_number_within, blocks))
    if number > most:
        raise InvalidRequest(f"messages: there are more than {most} blocks.")


def _number_within(block: Block | Text) -> int:
    if isinstance(block, ToolResult | SearchResult) and isinstance(block.content, list):
        return len(block.content)
    if isinstance(block, Document) and isinstance(block.source, NestedContent):
        return len(block.source.content)
    return 0


def _shown_messages(messages: Sequence[Shown]) -> Iterator[Shown]:
    """Yield all messages but the system's that have ended or say nothing.

    https://docs.claude.com/en/docs/build-with-claude/system-messages
    """
    users = (index for index, message, _ in messages if isinstance(message, UserMessage))
    last_user = max(users, default=-1)
    for entry in messages:
        index, message, _ = entry
        if isinstance(message, SystemMessage):
            place = f"messages.{index}"
            if message.clear_at not in {None, "never", "next_user_message"}:
                raise no_counterpart(f"{place}.clear_at", "this value")
            if message.content is None and message.output_config is None:
                raise InvalidRequest(f"{place}.content: a string or a list is required.")
            has_ended = message.clear_at == "next_user_message" and index < last_user
            if has_ended or message.content is None:
                continue
        yield entry


def _from_last_summary(messages: Sequence[Message]) -> tuple[str | None, list[Shown]]:
    """Return the text of the last summary, if there is one, and the messages after it."""
    for index in range(len(messages) - 1, -1, -1):
        blocks = _blocks_of(messages[index])
        for at in range(len(blocks) - 1, -1, -1):
            block = blocks[at]
            if isinstance(block, Compaction) and block.content is not None:
                if has_items(block.tool_changes):
                    place = f"messages.{index}.content.{at}"
                    raise no_counterpart(place, "a compaction with tool_changes")
                rest = [Shown(later, messages[later]) for later in range(index + 1, len(messages))]
                return block.content, [Shown(index, messages[index], at + 1), *rest]
    return None, [Shown(index, message) for index, message in enumerate(messages)]


def _start_of_tool_loop(shown: Sequence[Shown]) -> int:
    """Return the number of the last user message that holds more than tool results.

    Thinking from before is no input, as at Anthropic:
    https://docs.claude.com/en/docs/build-with-claude/token-counting#count-tokens-in-messages-with-extended-thinking
    """
    for number in range(len(shown) - 1, -1, -1):
        message = shown[number].message
        if isinstance(message, UserMessage):
            content = message.content
            if isinstance(content, str):
                asks = bool(content)
            else:
                asks = any(not isinstance(block, _SILENT) for block in content)
            if asks:
                return number
    return 0


def _blocks_of(message: Message) -> Sequence[Block]:
    return message.content if isinstance(message.content, list) else ()


class _Turn(Protocol):
    """Holder of the parts of a message."""

    parts: list[Part]


T = TypeVar("T", bound=_Turn)


class BlockTranslator(ABC, Generic[T]):
    """Translator of messages in their order; each adds to a turn of the other format.

    A method that leaves out input returns its place within the block, which is empty for the block
    itself, and else None.
    """

    def __init__(self, form: ContentForm, omissions: Omissions) -> None:
        self._form = form
        self._omissions = omissions

    def translate(self, entry: Shown, turn: T, *, in_loop: bool) -> None:
        """Add a message to a turn; thinking counts only in the tool loop under way."""
        stop_if_unneeded()
        index, message, begin = entry
        if isinstance(message.content, str) and message.content:
            turn.parts.append(self._form.text(message.content))
        role, blocks = type(message), _blocks_of(message)
        for at in range(begin, len(blocks)):
            try:
                left_out = self._add(turn, blocks[at], role, in_loop=in_loop)
            except CountError as error:
                raise add_place(error, f"messages.{index}.content.{at}") from None
            if left_out is not None:
                place = "messages.{}.content.{}{}".format
                self._omissions.add(partial(place, index, at, left_out))

    def _add(self, turn: T, block: Block, role: type[Message], *, in_loop: bool) -> str | None:
        if isinstance(block, Text):
            turn.parts += self._form.raw_text(block.text, ".text")
            return None
        if _ONLY_FROM.get(type(block), role) is not role:
            tag, name = block.__struct_config__.tag, role.__struct_config__.tag
            raise InvalidRequest(f": a {tag} block in a message of the {name}.")
        match block:
            case ToolUse():
                self._add_call(turn, block)
            case ToolResult():
                return self._add_result(turn, block)
            case Thinking():
                return self._add_thinking(turn, block) if in_loop else None
            case RedactedThinking():
                return "" if in_loop else None
            case Image() | Document() | SearchResult():
                turn.parts += self._form.block_parts(block)
            case _:
                return _left_out(block)
        return None

    @abstractmethod
    def _add_call(self, turn: T, block: ToolUse) -> None:
        """Add the call of a tool."""

    @abstractmethod
    def _add_result(self, turn: T, block: ToolResult) -> str | None:
        """Add the result of a tool."""

    @abstractmethod
    def _add_thinking(self, turn: T, block: Thinking) -> str | None:
        """Add thinking of the tool loop under way."""


def has_hidden_text(block: Thinking) -> bool:
    """Return whether the text of a thinking block may be hidden in its signature."""
    return bytes(block.signature) not in {b"", b'""', b"null"}


def _left_out(
    block: Compaction | Fallback | ServerToolUse | WebFetchToolResult | WebSearchToolResult,
) -> str | None:
    """Return the place of a block that is left out if it is input of Claude."""
    if isinstance(block, ServerToolUse) and block.name not in _SEARCHES:
        raise no_counterpart("", "a block", "server_tool_use")
    # A compaction here is one before the last, or one that failed.
    return None if isinstance(block, Compaction | Fallback) else ""
