"""Where the tokens of a request go: every number is a difference of two exact counts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from count_tokens_mw.types import Source, TokenCount

__all__ = [
    "Breakdown",
    "ImageTokens",
    "MessageTokens",
    "PartError",
    "Progress",
    "ToolTokens",
    "ignore_progress",
]

Progress: TypeAlias = Callable[[int, int], None]
"""Called after each count that a breakdown takes: how many are done, and of how many."""


def ignore_progress(done: int, total: int) -> None:
    """The progress that nobody looks at."""


@dataclass(frozen=True, slots=True)
class ToolTokens:
    """A tool, and how many tokens less the request has without it."""

    name: str
    input_tokens: int | None


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """An image or a document, and how many tokens less the request has without it.

    `path` says where in its message it is, as `content.1`, and `type` is that of the block.
    """

    path: str
    type: str
    input_tokens: int | None


@dataclass(frozen=True, slots=True)
class MessageTokens:
    """A message, and what it adds to those before it; `images` are parts of that."""

    role: str
    input_tokens: int | None
    images: Sequence[ImageTokens] = ()


@dataclass(frozen=True, slots=True)
class PartError:
    """A part that cannot be told from the rest, and what the provider said without it."""

    part: str
    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What a request consists of, in tokens.

    `input_tokens` is the count of the whole, and `source` where that came from. `system` and each
    of the `tools` are the whole less a request without them (and without a `tool_choice` that would
    be left alone). A message is the conversation up to and with it less the one before it, each of
    the two closed by the same short message of the user's, since not every model counts a
    conversation that ends with its own words. `overhead` is the rest, so that all of them sum up to
    `input_tokens`: what any request takes, `tool_choice`, what the provider adds for tools.

    A part is None where the provider refuses to count without it, with the reason in `errors`, and
    so is `overhead` then. What one part takes may depend on another, so that a number can even be
    negative.
    """

    input_tokens: int
    source: Source
    system: int | None
    tools: Sequence[ToolTokens]
    messages: Sequence[MessageTokens]
    errors: Sequence[PartError] = ()

    @property
    def overhead(self) -> int | None:
        parts = [self.system]
        parts += [tool.input_tokens for tool in self.tools]
        parts += [message.input_tokens for message in self.messages]
        known = [part for part in parts if part is not None]
        return self.input_tokens - sum(known) if len(known) == len(parts) else None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; `images` of a message and `errors` are there only if there are any."""
        return {
            "input_tokens": self.input_tokens,
            "system": self.system,
            "tools": [
                {"name": tool.name, "input_tokens": tool.input_tokens} for tool in self.tools
            ],
            "messages": [_message(message) for message in self.messages],
            "overhead": self.overhead,
            **({"errors": [_error(error) for error in self.errors]} if self.errors else {}),
        }

    def as_count(self) -> TokenCount:
        """The count of the whole, which answers with all of this."""
        return TokenCount(self.input_tokens, self.source, json.dumps(self.as_dict()).encode())


def _message(message: MessageTokens) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "input_tokens": message.input_tokens}
    if message.images:
        said["images"] = [
            {"path": image.path, "type": image.type, "input_tokens": image.input_tokens}
            for image in message.images
        ]
    return said


def _error(error: PartError) -> dict[str, str]:
    return {"part": error.part, "type": error.type, "message": error.message}
