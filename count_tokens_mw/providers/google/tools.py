"""Translation of Anthropic's tools and tool choice to Gemini's, pure.

https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview and
https://ai.google.dev/api/caching#Tool
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Raw, Struct

from count_tokens_mw.aio.fairness import stop_if_unneeded
from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.no_input import (
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
from count_tokens_mw.providers.google.parts import Part, json_object
from count_tokens_mw.providers.google.reader import Reader, cannot_count, has_items

__all__ = [
    "BuiltInTool",
    "CustomTool",
    "ToolChoice",
    "ToolKind",
    "Tools",
    "tool_config",
    "translate_tools",
]

_MODES: Final[Mapping[str, str]] = {"any": "ANY", "auto": "AUTO", "none": "NONE", "tool": "ANY"}


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


_CUSTOM: Final[Reader[CustomTool]] = Reader(CustomTool)
_BUILT_IN: Final[Reader[BuiltInTool]] = Reader(BuiltInTool)


class Tools(NamedTuple):
    """Declarations of the caller's functions, and the entries of built-in tools."""

    functions: list[Part]
    built_in: list[Part]

    def entries(self) -> list[Part]:
        """Return the list `tools` of a request."""
        declared: list[Part] = [{"functionDeclarations": self.functions}] if self.functions else []
        return declared + self.built_in


def translate_tools(
    kinds: Sequence[ToolKind], tools: Sequence[Raw], dialect: Dialect, omissions: Omissions
) -> Tools:
    """Return the tools of a request, which come with their kinds.

    Raises:
        CannotCount: a tool has no counterpart in Gemini; the message names its place.
        InvalidRequest: a tool is malformed; the message names the place.
    """
    functions = []
    built_in: dict[str, Part] = {}
    for index, (kind, tool) in enumerate(zip(kinds, tools, strict=True)):
        stop_if_unneeded()
        place = f"tools.{index}"
        if kind.type in {None, "custom"}:
            functions.append(_declare(_CUSTOM.read(tool, place, omissions), place))
        else:
            name = _built_in_name(str(kind.type), place, dialect)
            _BUILT_IN.read(tool, place, omissions)
            built_in[name] = {name: {}}
    return Tools(functions, list(built_in.values()))


def _built_in_name(kind: str, place: str, dialect: Dialect) -> str:
    # By prefix, because each type ends with a date.
    if kind.startswith("web_search_"):
        return dialect.web_search
    if kind.startswith("web_fetch_"):
        return "urlContext"
    if kind.startswith("code_execution_"):
        return "codeExecution"
    raise cannot_count(place, "a tool", kind)


def _declare(tool: CustomTool, place: str) -> Part:
    if has_items(tool.input_examples):
        raise cannot_count(place, "a tool with input_examples")
    declaration: Part = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    # Not `parameters`, which takes only a subset of OpenAPI's schemas, without $ref.
    declaration["parametersJsonSchema"] = json_object(tool.input_schema, f"{place}.input_schema")
    return declaration


def tool_config(choice: ToolChoice | None, tools: Tools, dialect: Dialect) -> Part:
    """Return the `toolConfig` of the Gemini API; it is empty if there is nothing to configure.

    https://ai.google.dev/api/caching#ToolConfig

    Raises:
        CannotCount: the choice has no counterpart in Gemini.
        InvalidRequest: the choice is malformed.
    """
    config: Part = {}
    calling = None if choice is None else _function_calling_config(choice, tools)
    # "Function calling config is set without function_declarations" is a 400 of the Gemini API.
    if tools.functions and calling:
        config["functionCallingConfig"] = calling
    if tools.functions and tools.built_in and dialect.combines_tools:
        config["includeServerSideToolInvocations"] = True
    return config


def _function_calling_config(choice: ToolChoice, tools: Tools) -> Part:
    """Return the function calling config of `tool_choice`.

    https://ai.google.dev/api/caching#FunctionCallingConfig
    """
    mode = _MODES.get(choice.type)
    if mode is None:
        raise cannot_count("tool_choice", "a tool_choice", choice.type)
    config: Part = {"mode": mode}
    if choice.type == "tool":
        if not choice.name:
            raise InvalidRequest("tool_choice.name: a non-empty string is required.")
        if tools.functions and all(at["name"] != choice.name for at in tools.functions):
            raise cannot_count("tool_choice", "the choice of a tool that is no function")
        config["allowedFunctionNames"] = [choice.name]
    return config
