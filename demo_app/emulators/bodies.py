"""Checks of an Anthropic body that Anthropic, Bedrock, mantle and Vertex have in common."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from demo_app.emulators.answers import Refused, object_of

__all__ = [
    "BETA_FIELDS",
    "CLOUD_BETAS",
    "FIELDS",
    "check_body",
    "read_betas",
    "refuse_remote_content",
    "refuse_tool_fields",
    "refuse_tool_search",
]

FIELDS: Final = frozenset(
    {
        "cache_control",
        "messages",
        "model",
        "output_config",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
BETA_FIELDS: Final = frozenset(
    {"billing_policy", "compaction", "context_management", "mcp_servers"}
)
# The betas that Bedrock's runtime accepts, as Envoy AI Gateway found by trying them.
CLOUD_BETAS: Final = frozenset(
    {
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "mcp-client-2025-04-04",
        "mcp-client-2025-11-20",
        "model-context-window-exceeded-2025-08-26",
        "output-128k-2025-02-19",
        "pdfs-2024-09-25",
        "search-results-2025-06-09",
        "token-counting-2024-11-01",
        "token-efficient-tools-2025-02-19",
        "tool-search-tool-2025-10-19",
        "web-search-2025-03-05",
    }
)
_ROLES: Final = ("user", "assistant", "system")
_REMOTE: Final = {"url", "file"}
_TOOL_SEARCH: Final = re.compile(r"tool_search_tool_\w+").fullmatch
_SERVER_TOOL: Final = re.compile(r"(?:web_fetch|code_execution)_\d+").fullmatch


def read_betas(header: str, taken: Collection[str]) -> list[str]:
    """Return the betas of a header.

    Raises:
        Refused: with Anthropic's message, for those that are not taken.
    """
    betas = [beta.strip() for beta in header.split(",") if beta.strip()]
    unexpected = ", ".join(f"`{beta}`" for beta in betas if beta not in taken)
    if unexpected:
        text = "Please consult our documentation at platform.claude.com/docs or try again without "
        text = f"for the `anthropic-beta` header. {text}the header."
        raise Refused(400, f"Unexpected value(s) {unexpected} {text}")
    return betas


def check_body(
    raw: bytes | str, fields: Collection[str], *, required: Collection[str], most: int
) -> dict[str, Any]:
    """Parse a body of at most `most` bytes, and check its fields and messages.

    Blocks and tools of unknown types pass, as they do at Anthropic. `model` has to be a string,
    whose value the caller checks.

    Raises:
        Refused: with Anthropic's message.
    """
    if len(raw) > most:
        raise Refused(413, "Request exceeds the maximum size")
    body = object_of(raw)
    for field in sorted(body.keys() - set(fields)):
        raise Refused(400, f"{field}: Extra inputs are not permitted")
    for field in required:
        if field not in body:
            raise Refused(400, f"{field}: Field required")
    if not isinstance(body.get("model", ""), str):
        raise Refused(400, "model: Input should be a valid string")
    _check_messages(body["messages"])
    return body


def refuse_remote_content(body: Mapping[str, Any]) -> None:
    """Refuse what the clouds cannot fetch or run: URL and file sources, and some server tools.

    Raises:
        Refused: with a 400 that names the place.
    """
    for place, block in _blocks(body["messages"]):
        source = block.get("source")
        kind = source.get("type") if isinstance(source, dict) else None
        if isinstance(kind, str) and kind in _REMOTE:
            raise Refused(400, f"{place}.{block['type']}.source: {_explain_tag(kind)}'base64'")
    _refuse_tools(body, _SERVER_TOOL)


def refuse_tool_search(body: Mapping[str, Any]) -> None:
    """Refuse the tools that search tools, which creating takes and counting may not.

    Raises:
        Refused: with a 400 that names the place.
    """
    _refuse_tools(body, _TOOL_SEARCH)


def _refuse_tools(body: Mapping[str, Any], is_refused: Callable[[str], object]) -> None:
    for index, tool in enumerate(_objects(body.get("tools"))):
        kind = tool.get("type")
        if isinstance(kind, str) and is_refused(kind):
            raise Refused(400, f"tools.{index}: {_explain_tag(kind)}'bash_20250124', 'custom'")


def refuse_tool_fields(body: Mapping[str, Any], unknown: Collection[str]) -> None:
    """Refuse fields of custom tools that the model's schema does not have yet.

    Raises:
        Refused: with a 400 that names the place.
    """
    for index, tool in enumerate(_objects(body.get("tools"))):
        for field in unknown if tool.get("type", "custom") in ("custom", None) else ():
            if field in tool:
                place = f"tools.{index}.custom.{field}"
                raise Refused(400, f"{place}: Extra inputs are not permitted")


def _explain_tag(kind: str) -> str:
    return f"Input tag '{kind}' found using 'type' does not match any of the expected tags: "


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _blocks(messages: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every content block and its place, blocks in tool results included."""
    for index, message in enumerate(messages):
        for number, block in enumerate(_objects(message["content"])):
            place = f"messages.{index}.content.{number}"
            yield place, block
            for inner, result in enumerate(_objects(block.get("content"))):
                if isinstance(result.get("type"), str):
                    yield f"{place}.{block['type']}.content.{inner}", result


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages: at least one message is required")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise Refused(400, f"messages.{index}.role: Input should be 'user' or 'assistant'")
        content = message.get("content")
        if not isinstance(content, str | list):
            raise Refused(400, f"messages.{index}.content: Input should be a valid list")
        for place, block in enumerate(content if isinstance(content, list) else []):
            if not isinstance(block, dict) or not isinstance(block.get("type"), str):
                raise Refused(400, f"messages.{index}.content.{place}.type: Field required")
    if messages[0]["role"] == "system":
        raise Refused(400, "messages.0: a system message may not come first; use system")
