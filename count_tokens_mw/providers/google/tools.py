"""Translation of Anthropic's tools and tool choice to Gemini's, pure.

https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview and
https://ai.google.dev/api/caching#Tool
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.translation.content import Part
from count_tokens_mw.providers.translation.counterparts import no_counterpart
from count_tokens_mw.providers.translation.reader import Reader
from count_tokens_mw.providers.translation.request import RequestFields
from count_tokens_mw.providers.translation.tools import (
    BuiltInTool,
    CustomTool,
    ToolChoice,
    chosen_name,
)

__all__ = ["Tools", "tool_config", "translate_tools"]

_MODES: Final[Mapping[str, str]] = {"any": "ANY", "auto": "AUTO", "none": "NONE", "tool": "ANY"}
_BUILT_IN: Final = dict.fromkeys(
    ("web_search_", "web_fetch_", "code_execution_"), Reader[BuiltInTool](BuiltInTool)
)


class Tools(NamedTuple):
    """Declarations of the caller's functions, and the entries of built-in tools."""

    functions: list[Part]
    built_in: list[Part]

    def entries(self) -> list[Part]:
        """Return the list `tools` of a request."""
        declared: list[Part] = [{"functionDeclarations": self.functions}] if self.functions else []
        return declared + self.built_in


def translate_tools(fields: RequestFields, dialect: Dialect) -> Tools:
    """Return the tools of a request.

    Raises:
        CannotCount: a tool has no counterpart in Gemini; the message names its place.
        InvalidRequest: a tool is malformed; the message names the place.
    """
    names = {
        "web_search_": dialect.web_search,
        "web_fetch_": "urlContext",
        "code_execution_": "codeExecution",
    }
    functions: list[Part] = []
    built_in: dict[str, Part] = {}
    for tool in fields.tools(_BUILT_IN):
        if isinstance(tool, CustomTool):
            functions.append(_declare(tool))
        else:
            name = names[tool[0]]
            built_in[name] = {name: {}}
    return Tools(functions, list(built_in.values()))


def _declare(tool: CustomTool) -> Part:
    declaration: Part = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    # Not `parameters`, which takes only a subset of OpenAPI's schemas, without $ref.
    declaration["parametersJsonSchema"] = tool.input_schema
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
        raise no_counterpart("tool_choice", "a tool_choice", choice.type)
    config: Part = {"mode": mode}
    if choice.type == "tool":
        name = chosen_name(choice)
        if tools.functions and all(at["name"] != name for at in tools.functions):
            raise no_counterpart("tool_choice", "the choice of a tool that is no function")
        config["allowedFunctionNames"] = [name]
    return config
