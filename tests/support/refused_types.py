"""Types of Anthropic's beta SDK that the translation to Gemini refuses, each with the reason."""

from typing import Final

__all__ = ["REFUSED_FIELDS", "REFUSED_TYPES"]

_CODE: Final = "what ran in Anthropic's sandbox; a codeExecutionResult fits no other language"
_FILES: Final = "a file that only Anthropic can read"
_CLIENT: Final = "a tool whose schema only Anthropic knows"
_MCP: Final = "tools of an MCP server that only Anthropic asks"
_CHANGES: Final = "a change of tools amid the conversation, which Gemini cannot express"
_SEARCH: Final = "a search for tools; Gemini gets every tool at once"
_ADVISOR: Final = "advice of a second model of Anthropic's"

REFUSED_TYPES: Final = {
    "BetaAdvisorTool20260301Param": _ADVISOR,
    "BetaAdvisorToolResultBlockParam": _ADVISOR,
    "BetaBashCodeExecutionToolResultBlockParam": _CODE,
    "BetaBrowserStateBlockParam": "the state of Anthropic's browser tool, without a text",
    "BetaBrowserToolset20260801Param": _CLIENT,
    "BetaCodeExecutionToolResultBlockParam": _CODE,
    "BetaComputerToolset20260801Param": _CLIENT,
    "BetaContainerUploadBlockParam": _FILES,
    "BetaFileDocumentSourceParam": _FILES,
    "BetaFileImageSourceParam": _FILES,
    "BetaMCPToolListingBlockParam": _MCP,
    "BetaMCPToolUseBlockParam": _MCP,
    "BetaMCPToolsetParam": _MCP,
    "BetaMemoryTool20250818Param": _CLIENT,
    "BetaRequestMCPToolResultBlockParam": _MCP,
    "BetaRequestToolAdditionBlockParam": _CHANGES,
    "BetaRequestToolRemovalBlockParam": _CHANGES,
    "BetaTextEditorCodeExecutionToolResultBlockParam": _CODE,
    "BetaToolBash20241022Param": _CLIENT,
    "BetaToolBash20250124Param": _CLIENT,
    "BetaToolComputerUse20241022Param": _CLIENT,
    "BetaToolComputerUse20250124Param": _CLIENT,
    "BetaToolComputerUse20251124Param": _CLIENT,
    "BetaToolSearchToolBm25_20251119Param": _SEARCH,
    "BetaToolSearchToolRegex20251119Param": _SEARCH,
    "BetaToolSearchToolResultBlockParam": _SEARCH,
    "BetaToolTextEditor20241022Param": _CLIENT,
    "BetaToolTextEditor20250124Param": _CLIENT,
    "BetaToolTextEditor20250429Param": _CLIENT,
    "BetaToolTextEditor20250728Param": _CLIENT,
}

REFUSED_FIELDS: Final = {
    ("BetaCompactionBlockParam", "tool_changes"): _CHANGES,
    ("BetaToolParam", "input_examples"): "Anthropic's own form of few-shot examples",
    ("MessageCountTokensParams", "mcp_servers"): _MCP,
    ("MessageCreateParams", "container"): "skills, whose texts only Anthropic has",
    ("MessageCreateParams", "thread"): "messages that only Anthropic's server keeps",
}
"""Fields that are input and refused if they hold anything, by their type."""
