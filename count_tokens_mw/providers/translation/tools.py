"""Anthropic's tools and tool choice as they are read for a translation, pure.

https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, TypeVar

from msgspec import Meta, Raw, Struct

from count_tokens_mw.aio.fairness import stop_if_unneeded
from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.translation.content import json_object
from count_tokens_mw.providers.translation.counterparts import no_counterpart
from count_tokens_mw.providers.translation.no_input import (
    ABSENT,
    Answer,
    CacheMark,
    Citations,
    Constant,
    Limit,
    Loading,
    Origin,
    Refused,
)
from count_tokens_mw.providers.translation.reader import Reader, has_items

__all__ = ["BuiltInTool", "CustomTool", "ToolChoice", "ToolKind", "chosen_name", "read_tools"]


class ToolKind(Struct):
    """The type of a tool, which is a custom one without a type."""

    type: str | None = None


class _Tool(ToolKind, forbid_unknown_fields=True):
    allowed_callers: Origin = ABSENT
    cache_control: CacheMark = ABSENT
    defer_loading: Loading = ABSENT
    strict: Answer = ABSENT


class CustomTool(_Tool, kw_only=True):
    """Tool of the caller's own."""

    name: Annotated[str, Meta(min_length=1)]
    input_schema: Raw
    description: str | None = None
    input_examples: Refused = ABSENT
    eager_input_streaming: Answer = ABSENT


class BuiltInTool(_Tool):
    """Tool that the provider runs."""

    name: Constant = ABSENT
    allowed_domains: Limit = ABSENT
    blocked_domains: Limit = ABSENT
    citations: Citations = ABSENT
    max_content_tokens: Limit = ABSENT
    max_uses: Limit = ABSENT
    response_inclusion: Answer = ABSENT
    url_sources: Limit = ABSENT
    use_cache: Limit = ABSENT
    user_location: Limit = ABSENT


class ToolChoice(Struct, forbid_unknown_fields=True):
    """Choice of a tool; `name` is required if the type is `tool`."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: Answer = ABSENT


B = TypeVar("B", bound=BuiltInTool)
_CUSTOM: Final[Reader[CustomTool]] = Reader(CustomTool)


def read_tools(
    kinds: Sequence[ToolKind],
    tools: Sequence[Raw],
    omissions: Omissions,
    built_in: Mapping[str, Reader[B]],
) -> Iterator[CustomTool | tuple[str, B]]:
    """Yield the tools of a request, which come with their kinds; a built-in one has its prefix.

    `built_in` has the beginnings of the types of the provider's own tools, each with its reader.

    Raises:
        CannotCount: a tool has no counterpart; the message names its place.
        InvalidRequest: a tool is malformed; the message names the place.
    """
    for index, (kind, tool) in enumerate(zip(kinds, tools, strict=True)):
        stop_if_unneeded()
        place = f"tools.{index}"
        if kind.type in {None, "custom"}:
            yield _check(_CUSTOM.read(tool, place, omissions), place)
            continue
        # By prefix, because each type ends with a date.
        prefix = next((one for one in built_in if str(kind.type).startswith(one)), None)
        if prefix is None:
            raise no_counterpart(place, "a tool", kind.type)
        yield prefix, built_in[prefix].read(tool, place, omissions)


def _check(tool: CustomTool, place: str) -> CustomTool:
    if has_items(tool.input_examples):
        raise no_counterpart(place, "a tool with input_examples")
    json_object(tool.input_schema, f"{place}.input_schema")
    return tool


def chosen_name(choice: ToolChoice) -> str:
    """Return the name of the chosen tool.

    Raises:
        InvalidRequest: there is none.
    """
    if not choice.name:
        raise InvalidRequest("tool_choice.name: a non-empty string is required.")
    return choice.name
