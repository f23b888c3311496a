"""Translation of Anthropic's tools and tool choice to OpenAI's, pure.

https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview and
https://developers.openai.com/api/docs/guides/tools
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Raw

from count_tokens_mw.providers.translation.content import Part
from count_tokens_mw.providers.translation.counterparts import no_counterpart
from count_tokens_mw.providers.translation.no_input import ABSENT
from count_tokens_mw.providers.translation.reader import Reader, has_items
from count_tokens_mw.providers.translation.request import RequestFields
from count_tokens_mw.providers.translation.tools import (
    BuiltInTool,
    CustomTool,
    ToolChoice,
    chosen_name,
)

__all__ = ["Choice", "WebSearchTool", "choice_members", "translate_tools"]


class WebSearchTool(BuiltInTool):
    """Web search, whose domains and location OpenAI takes too."""

    allowed_domains: Raw = ABSENT
    user_location: Raw = ABSENT


class Choice(ToolChoice):
    """Choice of a tool, and of whether several may be called at once."""

    disable_parallel_tool_use: Raw = ABSENT


_WEB_SEARCH: Final = "web_search_"
_CODE_EXECUTION: Final = "code_execution_"
_BUILT_IN: Final[Mapping[str, Reader[BuiltInTool]]] = {
    _WEB_SEARCH: Reader(WebSearchTool),
    _CODE_EXECUTION: Reader(BuiltInTool),
}
_NAMES: Final = {"code_execution": "code_interpreter", "web_search": "web_search"}
_MODES: Final[Mapping[str, str]] = {"any": "required", "auto": "auto", "none": "none"}


def translate_tools(fields: RequestFields) -> list[Part]:
    """Return the list `tools` of a request.

    Raises:
        CannotCount: a tool has no counterpart in OpenAI's format; the message names its place.
        InvalidRequest: a tool is malformed; the message names the place.
    """
    return [
        _function(tool) if isinstance(tool, CustomTool) else _built_in(tool[1])
        for tool in fields.tools(_BUILT_IN)
    ]


def _function(tool: CustomTool) -> Part:
    function: Part = {"type": "function", "name": tool.name}
    if tool.description:
        function["description"] = tool.description
    # Strict is OpenAI's default, and would change the schema.
    return {**function, "parameters": tool.input_schema, "strict": False}


def _built_in(tool: BuiltInTool) -> Part:
    if not isinstance(tool, WebSearchTool):
        return {"type": "code_interpreter", "container": {"type": "auto"}}
    search: Part = {"type": "web_search"}
    if has_items(tool.allowed_domains):
        search["filters"] = {"allowed_domains": tool.allowed_domains}
    if has_items(tool.user_location):
        search["user_location"] = tool.user_location
    return search


def choice_members(choice: Choice, tools: Sequence[Part]) -> Part:
    """Return `tool_choice`, and `parallel_tool_calls` if it is not the default.

    Raises:
        CannotCount: the choice has no counterpart in OpenAI's format.
        InvalidRequest: the choice is malformed.
    """
    members: Part = {}
    if choice.type != "tool":
        if choice.type not in _MODES:
            raise no_counterpart("tool_choice", "a tool_choice", choice.type)
        members["tool_choice"] = _MODES[choice.type]
    else:
        members["tool_choice"] = _chosen_tool(chosen_name(choice), tools)
    if tools and bytes(choice.disable_parallel_tool_use) == b"true":
        members["parallel_tool_calls"] = False
    return members


def _chosen_tool(name: str, tools: Sequence[Part]) -> Part:
    """Return the choice of a tool; OpenAI refuses a name that is not among the tools.

    A built-in tool is chosen as the only one that is allowed, because not all have a choice of
    their own: https://developers.openai.com/api/docs/guides/function-calling#tool-choice
    """
    kind = _NAMES.get(name, name)
    is_built_in = name in _NAMES and any(tool["type"] == kind for tool in tools)
    if is_built_in and all(tool.get("name") != name for tool in tools):
        return {"type": "allowed_tools", "mode": "required", "tools": [{"type": kind}]}
    return {"type": "function", "name": name}
