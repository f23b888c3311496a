"""Types of Anthropic's format, as far as Gemini has a counterpart; they decide about each field.

A field is input, which is translated, or `no input`, for the reason in its type. A field of neither
kind is left out and named, because whatever translates the host's own `/v1/messages` leaves it out
too. A type that is not here is unknown content, which is refused.

Text, arguments and schemas stay the caller's own JSON text (`Raw`), which is not decoded: its
notation reaches Gemini unchanged, and megabytes are not read twice.

https://docs.claude.com/en/api/messages and https://jcristharif.com/msgspec/api.html#raw
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Raw, Struct

from count_tokens_mw.providers.claude.fields import NOT_INPUT

__all__ = [
    "NO_INPUT_OF_REQUEST",
    "AssistantMessage",
    "Block",
    "BuiltInTool",
    "Compaction",
    "CustomTool",
    "Document",
    "Fallback",
    "Image",
    "InlineFile",
    "InlineText",
    "Message",
    "NestedContent",
    "OutputConfig",
    "OutputFormat",
    "RedactedThinking",
    "RemoteFile",
    "ResultBlock",
    "SearchResult",
    "ServerToolUse",
    "SystemMessage",
    "Text",
    "Thinking",
    "ToolChoice",
    "ToolKind",
    "ToolReference",
    "ToolResult",
    "ToolUse",
    "UserMessage",
    "WebFetchToolResult",
    "WebSearchToolResult",
]

NO_INPUT_OF_REQUEST: Final = NOT_INPUT | {
    *("betas", "billing_policy", "cache_control", "compaction", "context_management"),
    *("model", "speed", "thinking"),
}
"""Top-level fields that are no input. Gemini gets the whole context, whatever manages Claude's, and
Anthropic's counter ignores `compaction` too."""

_Name: TypeAlias = Annotated[str, Meta(min_length=1)]

_CacheMark: TypeAlias = Annotated[Raw, Meta(description="no input: a mark of what to cache")]
_Citations: TypeAlias = Annotated[
    Raw, Meta(description="no input: a switch, or cited text, which Anthropic does not count")
]
_State: TypeAlias = Annotated[
    Raw, Meta(description="no input: state of Anthropic's, which Gemini would refuse")
]
_Origin: TypeAlias = Annotated[Raw, Meta(description="no input: Gemini knows a tool by its name")]
_Loading: TypeAlias = Annotated[Raw, Meta(description="no input: Gemini gets every tool at once")]
_Answer: TypeAlias = Annotated[Raw, Meta(description="no input: a rule of the answer")]
_Limit: TypeAlias = Annotated[Raw, Meta(description="no input: a limit of the provider's tool")]
_Scaling: TypeAlias = Annotated[Raw, Meta(description="no input: Gemini scales images itself")]
_Constant: TypeAlias = Annotated[Raw, Meta(description="no input: the type implies it")]
_ABSENT: Final = Raw()


class _Typed(Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    """Base of the types that are told apart by `type`."""


class InlineFile(_Typed, tag="base64"):
    media_type: _Name
    data: Raw


class RemoteFile(_Typed, tag="url"):
    url: _Name


class InlineText(_Typed, tag="text"):
    data: Raw
    media_type: _Constant = _ABSENT


class Text(_Typed, tag="text"):
    text: Raw
    citations: _Citations = _ABSENT
    cache_control: _CacheMark = _ABSENT


class Image(_Typed, tag="image"):
    source: Annotated[
        InlineFile | RemoteFile, Meta(extra={"content": "an image block with a source"})
    ]
    transformations: _Scaling = _ABSENT
    cache_control: _CacheMark = _ABSENT


class NestedContent(_Typed, tag="content"):
    content: str | list[Text | Image]


class Document(_Typed, tag="document"):
    source: Annotated[
        InlineFile | InlineText | NestedContent | RemoteFile,
        Meta(extra={"content": "a document block with a source"}),
    ]
    title: str | None = None
    context: str | None = None
    citations: _Citations = _ABSENT
    cache_control: _CacheMark = _ABSENT


class SearchResult(_Typed, tag="search_result"):
    title: str
    source: str
    content: str | list[Text]
    citations: _Citations = _ABSENT
    cache_control: _CacheMark = _ABSENT


class Thinking(_Typed, tag="thinking"):
    thinking: Raw
    signature: _State = _ABSENT
    cache_control: _CacheMark = _ABSENT


class ToolUse(_Typed, tag="tool_use"):
    id: _Name
    name: _Name
    input: Raw
    caller: _Origin = _ABSENT
    toolset_name: _Origin = _ABSENT
    cache_control: _CacheMark = _ABSENT


class ToolReference(_Typed, tag="tool_reference"):
    tool_name: _Loading = _ABSENT
    cache_control: _CacheMark = _ABSENT


ResultBlock: TypeAlias = Text | Image | Document | SearchResult | ToolReference
"""A block in the result of a tool."""


class ToolResult(_Typed, tag="tool_result"):
    tool_use_id: _Name
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None
    toolset_name: _Origin = _ABSENT
    cache_control: _CacheMark = _ABSENT


class Compaction(_Typed, tag="compaction"):
    """Summary that stands for all before it; without `content`, the compaction failed."""

    content: _Name | None = None
    tool_changes: list[Raw] | None = None
    encrypted_content: _State = _ABSENT
    signature: _State = _ABSENT
    cache_control: _CacheMark = _ABSENT


class _LeftOut(Struct, tag_field="type", gc=False):
    """Base of the blocks that are left out whole, with whatever fields they have."""


class Fallback(_LeftOut, tag="fallback"):
    """Mark of a change of models, which is not rendered into the prompt."""


class RedactedThinking(_LeftOut, tag="redacted_thinking"):
    """Thinking that only Claude can read."""


class ServerToolUse(_LeftOut, tag="server_tool_use"):
    """Query of a search or a fetch by Anthropic's own tool."""

    name: str


class WebFetchToolResult(_LeftOut, tag="web_fetch_tool_result"):
    """Page that a fetch found."""


class WebSearchToolResult(_LeftOut, tag="web_search_tool_result"):
    """Pages that a search found, whose content is encrypted."""


Block: TypeAlias = (
    Text
    | ToolUse
    | ToolResult
    | Image
    | Document
    | SearchResult
    | Thinking
    | Compaction
    | Fallback
    | RedactedThinking
    | ServerToolUse
    | WebFetchToolResult
    | WebSearchToolResult
)
"""A block of a message."""


class _MessageOutputConfig(Struct, forbid_unknown_fields=True):
    effort: _Answer = _ABSENT


class _Message(Struct, tag_field="role", forbid_unknown_fields=True, gc=False):
    """Base of the messages, which are told apart by `role`."""


class UserMessage(_Message, tag="user"):
    content: str | list[Block]


class AssistantMessage(_Message, tag="assistant"):
    content: str | list[Block]


class SystemMessage(_Message, tag="system"):
    """Instruction amid the conversation, or, without `content`, a rule of the answer."""

    content: str | list[Text] | None = None
    clear_at: str | None = None
    output_config: _MessageOutputConfig | None = None


Message: TypeAlias = UserMessage | AssistantMessage | SystemMessage


class ToolKind(Struct):
    """The type of a tool, which is a custom one without a type."""

    type: str | None = None


class _Tool(ToolKind, forbid_unknown_fields=True):
    allowed_callers: _Origin = _ABSENT
    cache_control: _CacheMark = _ABSENT
    defer_loading: _Loading = _ABSENT
    strict: _Answer = _ABSENT


class CustomTool(_Tool, kw_only=True):
    name: _Name
    input_schema: Raw
    description: str | None = None
    input_examples: list[Raw] | None = None
    eager_input_streaming: _Answer = _ABSENT


class BuiltInTool(_Tool):
    name: _Constant = _ABSENT
    allowed_domains: _Limit = _ABSENT
    blocked_domains: _Limit = _ABSENT
    citations: _Citations = _ABSENT
    max_content_tokens: _Limit = _ABSENT
    max_uses: _Limit = _ABSENT
    response_inclusion: _Answer = _ABSENT
    url_sources: _Limit = _ABSENT
    use_cache: _Limit = _ABSENT
    user_location: _Limit = _ABSENT


class ToolChoice(Struct, forbid_unknown_fields=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: _Answer = _ABSENT


class OutputFormat(Struct, forbid_unknown_fields=True):
    type: str
    schema: Raw


class OutputConfig(Struct, forbid_unknown_fields=True):
    format: OutputFormat | None = None
    effort: _Answer = _ABSENT
    task_budget: _Answer = _ABSENT
