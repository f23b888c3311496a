"""Translation of Anthropic's messages to Gemini's contents, pure.

https://docs.claude.com/en/api/messages and https://ai.google.dev/api/caching#Content
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.parts import GeminiForm, function_call, sign_first_call
from count_tokens_mw.providers.translation.anthropic_types import (
    AssistantMessage,
    Message,
    SystemMessage,
    Thinking,
    ToolResult,
    ToolUse,
)
from count_tokens_mw.providers.translation.content import Part
from count_tokens_mw.providers.translation.conversation import (
    BlockTranslator,
    Shown,
    has_hidden_text,
    read_conversation,
)

__all__ = ["Contents", "translate_messages"]


class Contents(NamedTuple):
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


def translate_messages(
    messages: Sequence[Message], form: GeminiForm, omissions: Omissions
) -> Contents:
    """Return the contents of a conversation, as far as the model sees it.

    A summary becomes the user's.

    Raises:
        CannotCount: a block has no counterpart in Gemini; the message names its place.
        InvalidRequest: a message is malformed; the message names the place.
    """
    summary, shown, loop = read_conversation(messages)
    leading = list(takewhile(_is_system, shown)) if summary is None else []
    instruction = _Turn()
    translator = _Translator(form, omissions)
    for entry in leading:
        translator.translate(entry, instruction, in_loop=False)
    turns = [_Turn()]
    if summary is not None:
        turns[0].parts.append({"text": summary})
    for number in range(len(leading), len(shown)):
        entry = shown[number]
        turn = _turn_of(turns, is_model=isinstance(entry.message, AssistantMessage))
        translator.translate(entry, turn, in_loop=number >= loop)
    return Contents(instruction.parts, list(_contents(turns, form.dialect)))


def _is_system(entry: Shown) -> bool:
    return isinstance(entry.message, SystemMessage)


def _turn_of(turns: list[_Turn], *, is_model: bool) -> _Turn:
    """Return the last turn if it is of this role, or else a new one in place of an empty one."""
    while turns and not turns[-1].parts and not turns[-1].responses:
        turns.pop()
    if not turns or turns[-1].is_model is not is_model:
        turns.append(_Turn(is_model=is_model))
    return turns[-1]


class _Translator(BlockTranslator[_Turn]):
    """Translator that knows the tools that earlier messages use, by id."""

    def __init__(self, form: GeminiForm, omissions: Omissions) -> None:
        super().__init__(form, omissions)
        self._gemini = form
        self._names: dict[str, str] = {}

    def _add_call(self, turn: _Turn, block: ToolUse) -> None:
        self._names[block.id] = block.name
        turn.parts.append(function_call(block))

    def _add_result(self, turn: _Turn, block: ToolResult) -> None:
        tool = self._names.get(block.tool_use_id)
        if tool is None:
            raise InvalidRequest(".tool_use_id: no earlier tool_use block has this id.")
        response, media = self._gemini.function_response(block, tool)
        turn.responses.append(response)
        turn.parts += media

    def _add_thinking(self, turn: _Turn, block: Thinking) -> str | None:
        parts = self._gemini.thought(block)
        turn.parts += parts
        return "" if not parts and has_hidden_text(block) else None


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
