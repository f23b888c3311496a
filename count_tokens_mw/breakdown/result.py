"""Result of a breakdown: every number is a difference of two exact counts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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
"""Called after each count of a breakdown with the number of counts done and their total."""


def ignore_progress(done: int, total: int) -> None:
    """Ignore the progress; the default."""


@dataclass(frozen=True, slots=True)
class ToolTokens:
    """Tool, and the tokens that the request has less without it."""

    name: str
    input_tokens: int | None


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """Image or document, and the tokens that the request has less without it.

    `path` is its position in its message, as `content.1`, and `type` the type of the block.
    """

    path: str
    type: str
    input_tokens: int | None


@dataclass(frozen=True, slots=True)
class MessageTokens:
    """Message, and the tokens that it adds to those before it; its `images` are included."""

    role: str
    input_tokens: int | None
    images: Sequence[ImageTokens] = ()


@dataclass(frozen=True, slots=True)
class PartError:
    """Part that cannot be counted, and the provider's error for the request without it."""

    part: str
    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Tokens of a request by its parts.

    `input_tokens` is the count of the whole request, `source` its source, and `omitted` its
    omissions. `system` and each of the `tools` are the difference to a request without them (and
    without a `tool_choice` that needs them). A message is the difference between the conversation
    up to it, inclusive and exclusive. Both are closed by the same short user message, because not
    every model counts a conversation that ends with an assistant message. `overhead` is the rest,
    so that all parts sum up to `input_tokens`: the fixed tokens of any request, `tool_choice`, the
    provider's prompt for tools.

    A part is None if the provider refuses to count the request without it. `errors` then has the
    reason, and `overhead` is None too. Parts may depend on each other, so a number may be negative.
    `omitted` are the places that were left out of the count of the whole request.
    """

    input_tokens: int
    source: Source
    system: int | None
    tools: Sequence[ToolTokens]
    messages: Sequence[MessageTokens]
    errors: Sequence[PartError] = ()
    omitted: tuple[str, ...] = ()

    @property
    def overhead(self) -> int | None:
        parts = [self.system]
        parts += [tool.input_tokens for tool in self.tools]
        parts += [message.input_tokens for message in self.messages]
        known = [part for part in parts if part is not None]
        return self.input_tokens - sum(known) if len(known) == len(parts) else None

    def as_dict(self) -> dict[str, Any]:
        """Return the breakdown as JSON data; empty `images` and `errors` are omitted."""
        data = {**asdict(self, dict_factory=_omit_empty), "overhead": self.overhead}
        del data["source"], data["omitted"]  # headers of the answer
        return data

    def as_count(self) -> TokenCount:
        """Return the count of the whole request, with the breakdown as its body."""
        body = json.dumps(self.as_dict()).encode()
        return TokenCount(self.input_tokens, self.source, body, omitted=self.omitted)


def _omit_empty(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if value or name not in {"images", "errors"}}
