"""Translation of Anthropic's tools and tool choice to Gemini's, pure.

https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview and
https://ai.google.dev/api/caching#Tool
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Raw

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.google.anthropic_types import (
    BuiltInTool,
    CustomTool,
    ToolChoice,
    ToolKind,
)
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.parts import Part, json_object
from count_tokens_mw.providers.google.reader import Reader, cannot_count

__all__ = ["Tools", "tool_config", "translate_tools"]

_MODES: Final[Mapping[str, str]] = {"any": "ANY", "auto": "AUTO", "none": "NONE", "tool": "ANY"}
_KIND: Final[Reader[ToolKind]] = Reader(ToolKind)
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


def translate_tools(tools: Sequence[Raw], dialect: Dialect, omissions: Omissions) -> Tools:
    """Return the tools of a request.

    Raises:
        CannotCount: a tool has no counterpart in Gemini; the message names its place.
        InvalidRequest: a tool is malformed; the message names the place.
    """
    functions = []
    built_in: dict[str, Part] = {}
    for index, tool in enumerate(tools):
        place = f"tools.{index}"
        kind = _KIND.read(tool, place, omissions).type
        if kind in {None, "custom"}:
            functions.append(_declare(_CUSTOM.read(tool, place, omissions), place))
        else:
            name = _built_in_name(str(kind), place, dialect)
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
    if tool.input_examples:
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
