"""Translation of Anthropic's messages to Gemini's contents, pure.

https://docs.claude.com/en/api/messages and https://ai.google.dev/api/caching#Content
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, takewhile
from typing import Final, NamedTuple

from count_tokens_mw.aio.fairness import stop_if_unneeded
from count_tokens_mw.errors import CountError, InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.google.anthropic_types import (
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
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.parts import (
    Part,
    block_parts,
    function_call,
    function_response,
    placed,
    sign_first_call,
    thought,
)
from count_tokens_mw.providers.google.reader import cannot_count, has_items

__all__ = ["Conversation", "refuse_many_blocks", "translate_messages"]

_ONLY_FROM: Final = {
    RedactedThinking: AssistantMessage,
    Thinking: AssistantMessage,
    ToolResult: UserMessage,
    ToolUse: AssistantMessage,
}
_SILENT: Final = (Compaction, Fallback, ToolResult)
_SEARCHES: Final = frozenset({"web_fetch", "web_search"})


class Conversation(NamedTuple):
    """Translated messages: the parts of leading system messages, and the contents."""

    instruction: list[Part]
    contents: list[Part]


class _Turn:
    """Parts of adjacent messages of one role; Gemini calls the assistant the model."""

    __slots__ = ("is_model", "parts", "responses")

    def __init__(self, *, is_model: bool = False) -> None:
        self.is_model = is_model
        self.parts: list[Part] = []
        self.responses: list[Part] = []


class _Shown(NamedTuple):
    """Message that the model sees, its index, and that of the first block that it sees."""

    at: int
    message: Message
    begin: int = 0


def translate_messages(
    messages: Sequence[Message], dialect: Dialect, omissions: Omissions
) -> Conversation:
    """Return the conversation, as far as the model sees it.

    A system message that has ended is not seen, and nothing before the last compaction is.

    Raises:
        CannotCount: a block has no counterpart in Gemini; the message names its place.
        InvalidRequest: a message is malformed; the message names the place.
    """
    summary, rest = _from_last_summary(messages)
    shown = list(_shown_messages(rest))
    leading = [] if summary else list(takewhile(_is_system, shown))
    loop = _start_of_tool_loop(shown)
    instruction = _Turn()
    translator = _Translator(dialect, omissions)
    for entry in leading:
        translator.translate(entry, instruction, in_loop=False)
    turns = [_Turn()]
    turns[0].parts += summary
    for number in range(len(leading), len(shown)):
        entry = shown[number]
        turn = _turn_of(turns, is_model=isinstance(entry.message, AssistantMessage))
        translator.translate(entry, turn, in_loop=number >= loop)
    return Conversation(instruction.parts, list(_contents(turns, dialect)))


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


def _is_system(entry: _Shown) -> bool:
    return isinstance(entry.message, SystemMessage)


def _shown_messages(messages: Sequence[_Shown]) -> Iterator[_Shown]:
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
                raise cannot_count(f"{place}.clear_at", "this value")
            if message.content is None and message.output_config is None:
                raise InvalidRequest(f"{place}.content: a string or a list is required.")
            has_ended = message.clear_at == "next_user_message" and index < last_user
            if has_ended or message.content is None:
                continue
        yield entry


def _from_last_summary(messages: Sequence[Message]) -> tuple[list[Part], list[_Shown]]:
    """Return the parts of the last summary, which become the user's, and the messages after it."""
    for index in range(len(messages) - 1, -1, -1):
        blocks = _blocks_of(messages[index])
        for at in range(len(blocks) - 1, -1, -1):
            block = blocks[at]
            if isinstance(block, Compaction) and block.content is not None:
                if has_items(block.tool_changes):
                    place = f"messages.{index}.content.{at}"
                    raise cannot_count(place, "a compaction with tool_changes")
                rest = [_Shown(later, messages[later]) for later in range(index + 1, len(messages))]
                return [{"text": block.content}], [_Shown(index, messages[index], at + 1), *rest]
    return [], [_Shown(index, message) for index, message in enumerate(messages)]


def _start_of_tool_loop(shown: Sequence[_Shown]) -> int:
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


def _turn_of(turns: list[_Turn], *, is_model: bool) -> _Turn:
    """Return the last turn if it is of this role, or else a new one in place of an empty one."""
    while turns and not turns[-1].parts and not turns[-1].responses:
        turns.pop()
    if not turns or turns[-1].is_model is not is_model:
        turns.append(_Turn(is_model=is_model))
    return turns[-1]


def _blocks_of(message: Message) -> Sequence[Block]:
    return message.content if isinstance(message.content, list) else ()


class _Translator:
    """Translator of messages in their order; it knows the tools that earlier ones use, by id."""

    def __init__(self, dialect: Dialect, omissions: Omissions) -> None:
        self._dialect = dialect
        self._omissions = omissions
        self._names: dict[str, str] = {}

    def translate(self, entry: _Shown, turn: _Turn, *, in_loop: bool) -> None:
        """Add a message to a turn; thinking counts only in the tool loop under way."""
        stop_if_unneeded()
        index, message, begin = entry
        if isinstance(message.content, str) and message.content:
            turn.parts.append({"text": message.content})
        role, blocks = type(message), _blocks_of(message)
        for at in range(begin, len(blocks)):
            try:
                is_left_out = self._add(turn, blocks[at], role, in_loop=in_loop)
            except CountError as error:
                raise placed(error, f"messages.{index}.content.{at}") from None
            if is_left_out:
                self._omissions.add(partial("messages.{}.content.{}".format, index, at))

    def _add(self, turn: _Turn, block: Block, role: type[Message], *, in_loop: bool) -> bool:
        """Add a block to a turn, and return whether it is left out although it is input."""
        if isinstance(block, Text):
            turn.parts += block_parts(block, self._dialect)
            return False
        if _ONLY_FROM.get(type(block), role) is not role:
            tag, name = block.__struct_config__.tag, role.__struct_config__.tag
            raise InvalidRequest(f": a {tag} block in a message of the {name}.")
        match block:
            case ToolUse():
                self._add_call(turn, block)
            case ToolResult():
                self._add_response(turn, block)
            case Thinking():
                return in_loop and _add_thought(turn, block)
            case RedactedThinking():
                return in_loop
            case Image() | Document() | SearchResult():
                turn.parts += block_parts(block, self._dialect)
            case _:
                return _is_input(block)
        return False

    def _add_call(self, turn: _Turn, block: ToolUse) -> None:
        self._names[block.id] = block.name
        turn.parts.append(function_call(block))

    def _add_response(self, turn: _Turn, block: ToolResult) -> None:
        tool = self._names.get(block.tool_use_id)
        if tool is None:
            raise InvalidRequest(".tool_use_id: no earlier tool_use block has this id.")
        response, media = function_response(block, tool, self._dialect)
        turn.responses.append(response)
        turn.parts += media


def _add_thought(turn: _Turn, block: Thinking) -> bool:
    """Add thinking to a turn, and return whether its text is hidden in its signature."""
    parts = thought(block)
    turn.parts += parts
    return not parts and bytes(block.signature) not in {b"", b'""', b"null"}


def _is_input(
    block: Compaction | Fallback | ServerToolUse | WebFetchToolResult | WebSearchToolResult,
) -> bool:
    """Return whether a block that is left out is input of Claude."""
    if isinstance(block, ServerToolUse) and block.name not in _SEARCHES:
        raise cannot_count("", "a block", "server_tool_use")
    # A compaction here is one before the last, or one that failed.
    return not isinstance(block, Compaction | Fallback)


def _contents(turns: Sequence[_Turn], dialect: Dialect) -> Iterator[Part]:
    """Yield the contents of turns.

    A model's content with N function calls must be followed by one with N responses, so these come
    first. A system message amid the conversation becomes the user's, because Gemini has no role for
    it.
    """
    for turn in turns:
        role = "model" if turn.is_model else "user"
        if turn.is_model and dialect.signs_calls:
            sign_first_call(turn.parts)
        if not dialect.separates(turn.responses):
            turn.parts[:0] = turn.responses
        else:
            yield {"role": role, "parts": turn.responses}
        if turn.parts:
            yield {"role": role, "parts": turn.parts}
