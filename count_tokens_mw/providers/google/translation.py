"""An Anthropic request as Gemini's `GenerateContentRequest`, pure.

From https://docs.claude.com/en/api/messages-count-tokens to
https://ai.google.dev/api/generate-content, which
https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/projects.locations.publishers.models/countTokens
takes alike but for `toolConfig`.
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
# By the beginning of the type, since each has a date at its end.
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
"""Any other field may be input, and Gemini would not be told of it."""

_MODES: Final[Mapping[str, str]] = {"any": "ANY", "auto": "AUTO", "none": "NONE", "tool": "ANY"}


@dataclass(frozen=True, slots=True)
class _Message:
    """A message read. It `asks` if it is the user's and holds more than results of tools."""

    role: str
    parts: list[Part]
    asks: bool


def generate_content_request(body: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """`contents`, `systemInstruction`, `tools` and `toolConfig`, each if there is something in it.

    An output schema becomes `generationConfig`, so that Gemini itself says what it counts for it.
    What is no input is ignored: `cache_control`, `citations`, the parameters of the generation, and
    `context_management`, which Gemini does not do, so that all of the context is its input.

    Raises:
        CannotCount: something of the input has no counterpart in Gemini; the message names it and
            its place.
        InvalidRequest: malformed, or nothing to count; the message names the place.
    """
    request = Node("", body)
    for name in body.keys() - _KNOWN:
        raise cannot_count(Node(name[:64], {}), "this field")
    if body.get("mcp_servers"):
        raise cannot_count(Node("mcp_servers", {}), "the tools of MCP servers")
    messages = _messages(request.nodes("messages"))
    leading = list(takewhile(lambda message: message.role == "system", messages))
    contents = _contents(_without_earlier_thinking(messages[len(leading) :]))
    if not contents:
        raise InvalidRequest("messages: there is no content in them.")
    system = request.blocks("system") if request.has("system") else []
    instruction = [part for block in system for part in text_parts(block)]
    instruction += [part for message in leading for part in message.parts]
    functions, built_in = _tools(request.nodes("tools") if request.has("tools") else [])
    declared: list[Part] = [{"functionDeclarations": functions}] if functions else []
    choice = _function_calling_config(request, [each["name"] for each in functions])
    found: dict[str, JsonValue] = {"contents": contents}
    if instruction:
        found["systemInstruction"] = {"parts": instruction}
    if declared or built_in:
        found["tools"] = declared + built_in
    # "Function calling config is set without function_declarations" is a 400 of the Gemini API.
    if functions and choice:
        found["toolConfig"] = {"functionCallingConfig": choice}
    return found | _generation_config(request)


def _generation_config(request: Node) -> dict[str, JsonValue]:
    """https://ai.google.dev/api/generate-content#generationconfig for a schema of the output."""
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


def _messages(messages: Iterable[Node]) -> list[_Message]:
    names: dict[str, str] = {}
    return [_message(message, names) for message in messages]


def _message(message: Node, names: dict[str, str]) -> _Message:
    """One message; the tools that it uses are added to `names`, by tool_use id."""
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


def _without_earlier_thinking(messages: Sequence[_Message]) -> list[_Message]:
    """Only the thinking of the tool loop that is under way is input; Anthropic drops the rest.

    https://docs.claude.com/en/docs/build-with-claude/token-counting#count-tokens-in-messages-with-extended-thinking
    """
    last = max((index for index, message in enumerate(messages) if message.asks), default=-1)
    return [
        _Message(message.role, [part for part in message.parts if "thought" not in part], False)
        if index < last
        else message
        for index, message in enumerate(messages)
    ]


def _contents(messages: Iterable[_Message]) -> list[Part]:
    """Turns of `user` and `model`, by turns and none empty.

    A model's turn with N functionCalls must be followed by one turn with N functionResponses, so
    what Anthropic takes as several messages of one role has to be one here. An instruction of the
    system amid the conversation has no role of its own in Gemini and becomes the user's.
    """
    spoken = [message for message in messages if message.parts]
    fairness = groupby(spoken, lambda message: "model" if message.role == "assistant" else "user")
    return [
        {"role": role, "parts": [part for message in turn for part in message.parts]}
        for role, turn in fairness
    ]


def _tools(tools: Iterable[Node]) -> tuple[list[Part], list[Part]]:
    """The declarations of the caller's own functions, and the entries of Gemini's built-in tools.

    https://ai.google.dev/api/caching#Tool
    """
    functions: list[Part] = []
    built_in: dict[str, Part] = {}
    for tool in tools:
        kind = tool.text("type", default="custom")
        if kind == "custom":
            functions.append(_declaration(tool))
            continue
        name = next((name for start, name in _BUILT_IN.items() if kind.startswith(start)), None)
        if name is None:
            raise cannot_count(tool, "a tool", kind)
        built_in[name] = {name: {}}
    return functions, list(built_in.values())


def _declaration(tool: Node) -> Part:
    if tool.fields.get("input_examples"):
        raise cannot_count(tool, "a tool with input_examples")
    declaration: Part = {"name": tool.name("name")}
    if description := tool.text("description", default=""):
        declaration["description"] = description
    # Not `parameters`, whose type is a subset of OpenAPI's without $ref and much else.
    declaration["parametersJsonSchema"] = tool.opaque("input_schema")
    return declaration


def _function_calling_config(request: Node, declared: list[JsonValue]) -> Part | None:
    """https://ai.google.dev/api/caching#FunctionCallingConfig for `tool_choice`."""
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
