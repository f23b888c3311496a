"""Translation of Anthropic's messages to the input items of OpenAI's Responses API, pure.

https://docs.claude.com/en/api/messages and
https://developers.openai.com/api/reference/resources/responses/subresources/input_tokens
"""

from collections.abc import Sequence

from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.openai.content import OpenAIForm, function_call, is_text
from count_tokens_mw.providers.translation.anthropic_types import (
    AssistantMessage,
    Block,
    Message,
    Thinking,
    ToolResult,
    ToolUse,
)
from count_tokens_mw.providers.translation.content import Part, join_texts
from count_tokens_mw.providers.translation.conversation import (
    BlockTranslator,
    has_hidden_text,
    read_conversation,
)
from count_tokens_mw.providers.translation.counterparts import no_counterpart

__all__ = ["translate_messages"]


class _Message:
    """Items of a message, and the parts that are not in an item yet."""

    __slots__ = ("items", "parts", "role")

    def __init__(self, role: str) -> None:
        self.role = role
        self.items: list[Part] = []
        self.parts: list[Part] = []

    def add(self, item: Part) -> None:
        """Add an item after those of the parts so far."""
        self.close()
        self.items.append(item)

    def close(self) -> None:
        """Put the parts into an item.

        Only a string is right for the assistant: its content list takes parts that have an id.
        """
        parts, self.parts = self.parts, []
        if self.role == "assistant" and parts:
            texts = [part["text"] for part in parts]
            content = texts[0] if len(texts) == 1 else join_texts(texts)
            self.items.append({"role": self.role, "content": content})
        elif parts:
            self.items.append({"role": self.role, "content": parts})


def translate_messages(messages: Sequence[Message], omissions: Omissions) -> list[Part]:
    """Return the input items of a conversation, as far as the model sees it.

    A summary becomes the user's.

    Raises:
        CannotCount: a block has no counterpart; the message names its place.
        InvalidRequest: a message is malformed; the message names the place.
    """
    summary, shown, loop = read_conversation(messages)
    form = OpenAIForm()
    translator = _Translator(form, omissions)
    items: list[Part] = []
    if summary is not None:
        items.append({"role": "user", "content": [form.text(summary)]})
    for number, entry in enumerate(shown):
        message = _Message(str(entry.message.__struct_config__.tag))
        translator.translate(entry, message, in_loop=number >= loop)
        message.close()
        items += message.items
    return items


class _Translator(BlockTranslator[_Message]):
    def _add(
        self, turn: _Message, block: Block, role: type[Message], *, in_loop: bool
    ) -> str | None:
        begin = len(turn.parts)
        left_out = super()._add(turn, block, role, in_loop=in_loop)
        if role is AssistantMessage and not all(map(is_text, turn.parts[begin:])):
            raise no_counterpart("", "a file in a message of the assistant")
        return left_out

    def _add_call(self, turn: _Message, block: ToolUse) -> None:
        turn.add(function_call(block))

    def _add_result(self, turn: _Message, block: ToolResult) -> str | None:
        """Add an item with the result's joined texts, or with its parts if it has files."""
        parts = self._form.nested_parts(block.content or "", ".content")
        texts = [part["text"] for part in parts if is_text(part)]
        output = texts[0] if len(texts) == 1 else join_texts(texts)
        turn.add(
            {
                "type": "function_call_output",
                "call_id": block.tool_use_id,
                "output": output if len(parts) == len(texts) else parts,
            }
        )
        return ".is_error" if block.is_error else None

    def _add_thinking(self, turn: _Message, block: Thinking) -> str | None:
        # OpenAI takes only reasoning of its own, by id or encrypted.
        has_text = bool(self._form.raw_text(block.thinking, ".thinking"))
        return "" if has_text or has_hidden_text(block) else None
