"""Translation of an Anthropic request to Gemini's `GenerateContentRequest`, pure.

From https://docs.claude.com/en/api/messages-count-tokens to
https://ai.google.dev/api/generate-content, which
https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/projects.locations.publishers.models/countTokens
shares but for `toolConfig`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Final

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.providers.google.parts import (
    Node,
    Part,
    cannot_count,
    function_call,
    function_response,
    input_parts,
    text_parts,
    thought,
)
from count_tokens_mw.rawjson.object import JsonValue

__all__ = ["generate_content_request"]

_ROLES: Final = {"assistant", "system", "user"}
_ONLY_FROM: Final[Mapping[str, str]] = {
    "redacted_thinking": "assistant",
    "thinking": "assistant",
    "tool_result": "user",
    "tool_use": "assistant",
}
# Keyed by a prefix, because each type ends with a date.
_BUILT_IN: Final[Mapping[str, str]] = {
    "code_execution_": "codeExecution",
    "web_search_": "googleSearch",
}
_KNOWN: Final = {
    "betas",
    "billing_policy",
    "cache_control",
    "compaction",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user",
}
"""Fields of a request; any other is an error, because it may be input that Gemini lacks."""

_MODES: Final[Mapping[str, str]] = {"any": "ANY", "auto": "AUTO", "none": "NONE", "tool": "ANY"}


@dataclass(frozen=True, slots=True)
class _Message:
    """Translated message; it `asks` if it is the user's and holds more than tool results."""

    role: str
    parts: list[Part]
    asks: bool


def generate_content_request(body: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return `contents`, `systemInstruction`, `tools` and `toolConfig`, without empty ones.

    An output schema becomes `generationConfig`, so that Gemini counts it. Fields that are no input
    are ignored: `cache_control`, `citations` and the generation parameters. `context_management`
    is ignored too, because Gemini always takes the whole context.

    Raises:
        CannotCount: a part of the input has no counterpart in Gemini; the message names its place.
        InvalidRequest: the body is malformed or has no content; the message names the place.
    """
    request = Node("", body)
    for name in body.keys() - _KNOWN:
        raise cannot_count(Node(name[:64], {}), "this field")
    if body.get("mcp_servers"):
        raise cannot_count(Node("mcp_servers", {}), "the tools of MCP servers")
    messages = _translate_messages(request.nodes("messages"))
    leading = list(takewhile(lambda message: message.role == "system", messages))
    contents = _merge_turns(_drop_earlier_thinking(messages[len(leading) :]))
    if not contents:
        raise InvalidRequest("messages: non-empty content is required.")
    system = request.blocks("system") if request.has("system") else []
    instruction = [part for block in system for part in text_parts(block)]
    instruction += [part for message in leading for part in message.parts]
    functions, built_in = _translate_tools(request.nodes("tools") if request.has("tools") else [])
    declared: list[Part] = [{"functionDeclarations": functions}] if functions else []
    choice = _function_calling_config(request, [function["name"] for function in functions])
    content: dict[str, JsonValue] = {"contents": contents}
    if instruction:
        content["systemInstruction"] = {"parts": instruction}
    if declared or built_in:
        content["tools"] = declared + built_in
    # "Function calling config is set without function_declarations" is a 400 of the Gemini API.
    if functions and choice:
        content["toolConfig"] = {"functionCallingConfig": choice}
    return content | _generation_config(request)


def _generation_config(request: Node) -> dict[str, JsonValue]:
    """Return the `generationConfig` of an output schema.

    https://ai.google.dev/api/generate-content#generationconfig
    """
    output = request.node("output_config") if request.has("output_config") else request
    name = "format" if request.has("output_config") else "output_format"
    if not output.has(name):
        return {}
    schema = output.node(name).opaque("schema")
    return {
        "generationConfig": {
            "responseMimeType": "application/json",
            "responseJsonSchema": schema,
        }
    }


def _translate_messages(messages: Iterable[Node]) -> list[_Message]:
    names: dict[str, str] = {}
    return [_translate_message(message, names) for message in messages]


def _translate_message(message: Node, names: dict[str, str]) -> _Message:
    """Translate a message, and add the tools that it uses to `names`, by tool_use id."""
    role = message.text("role")
    if role not in _ROLES:
        raise InvalidRequest(f"{message.place_of('role')}: user, assistant or system is required.")
    blocks = message.blocks("content")
    parts = [part for block in blocks for part in _parts(block, role, names)]
    asks = role == "user" and any(block.type != "tool_result" for block in blocks)
    return _Message(role, parts, asks)


def _parts(block: Node, role: str, names: dict[str, str]) -> list[Part]:
    if role == "system":
        return text_parts(block)
    if _ONLY_FROM.get(block.type, role) != role:
        raise InvalidRequest(f"{block.place}: a {block.type} block in a message of the {role}.")
    match block.type:
        case "redacted_thinking":
            return []
        case "thinking":
            return thought(block)
        case "tool_result":
            return function_response(block, names)
        case "tool_use":
            names[block.name("id")] = block.name("name")
            return [function_call(block)]
        case _:
            return input_parts(block)


def _drop_earlier_thinking(messages: Sequence[_Message]) -> list[_Message]:
    """Drop thinking from before the current tool loop, as Anthropic does.

    https://docs.claude.com/en/docs/build-with-claude/token-counting#count-tokens-in-messages-with-extended-thinking
    """
    last = max((index for index, message in enumerate(messages) if message.asks), default=-1)
    return [
        _Message(message.role, [part for part in message.parts if "thought" not in part], False)
        if index < last
        else message
        for index, message in enumerate(messages)
    ]


def _merge_turns(messages: Iterable[_Message]) -> list[Part]:
    """Return non-empty turns that alternate between `user` and `model`.

    A model's turn with N functionCalls must be followed by one turn with N functionResponses, so
    adjacent messages of one role are merged. A system message amid the conversation becomes the
    user's, because Gemini has no role for it.
    """
    non_empty = [message for message in messages if message.parts]
    turns = groupby(non_empty, lambda message: "model" if message.role == "assistant" else "user")
    return [
        {"role": role, "parts": [part for message in turn for part in message.parts]}
        for role, turn in turns
    ]


def _translate_tools(tools: Iterable[Node]) -> tuple[list[Part], list[Part]]:
    """Return the declarations of the caller's functions, and the entries of built-in tools.

    https://ai.google.dev/api/caching#Tool
    """
    functions: list[Part] = []
    built_in: dict[str, Part] = {}
    for tool in tools:
        kind = tool.text("type", default="custom")
        if kind == "custom":
            functions.append(_declare(tool))
            continue
        name = next((name for start, name in _BUILT_IN.items() if kind.startswith(start)), None)
        if name is None:
            raise cannot_count(tool, "a tool", kind)
        built_in[name] = {name: {}}
    return functions, list(built_in.values())


def _declare(tool: Node) -> Part:
    if tool.fields.get("input_examples"):
        raise cannot_count(tool, "a tool with input_examples")
    declaration: Part = {"name": tool.name("name")}
    if description := tool.text("description", default=""):
        declaration["description"] = description
    # Not `parameters`, which takes only a subset of OpenAPI's schemas, without $ref.
    declaration["parametersJsonSchema"] = tool.opaque("input_schema")
    return declaration


def _function_calling_config(request: Node, declared: list[JsonValue]) -> Part | None:
    """Return the function calling config of `tool_choice`.

    https://ai.google.dev/api/caching#FunctionCallingConfig
    """
    if not request.has("tool_choice"):
        return None
    choice = request.node("tool_choice")
    mode = _MODES.get(choice.type)
    if mode is None:
        raise cannot_count(choice, "a tool_choice", choice.type)
    config: Part = {"mode": mode}
    if choice.type == "tool":
        name = choice.name("name")
        if declared and name not in declared:
            raise cannot_count(choice, "the choice of a tool that is no function")
        config["allowedFunctionNames"] = [name]
    return config
