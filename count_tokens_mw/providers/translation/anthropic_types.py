"""Types of Anthropic's messages that are translated; they decide about each field.

A field is input, which is translated, or `no input`, for the reason in its type. A field of neither
kind is left out and named, because whatever translates the host's own `/v1/messages` leaves it out
too. A type that is not here is unknown content, which is refused.

Text, arguments and schemas stay the caller's own JSON text (`Raw`), which is not decoded: its
notation reaches the upstream unchanged, and megabytes are not read twice.

https://docs.claude.com/en/api/messages and https://jcristharif.com/msgspec/api.html#raw
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Raw, Struct

from count_tokens_mw.providers.translation.no_input import (
    ABSENT,
    Answer,
    CacheMark,
    Citations,
    Constant,
    Loading,
    Origin,
    Refused,
    Scaling,
    State,
)

__all__ = [
    "AssistantMessage",
    "Block",
    "Compaction",
    "Document",
    "Fallback",
    "Image",
    "InlineFile",
    "InlineText",
    "Message",
    "NestedContent",
    "RedactedThinking",
    "RemoteFile",
    "ResultBlock",
    "SearchResult",
    "ServerToolUse",
    "SystemMessage",
    "Text",
    "Thinking",
    "ToolReference",
    "ToolResult",
    "ToolUse",
    "UserMessage",
    "WebFetchToolResult",
    "WebSearchToolResult",
]

_Name: TypeAlias = Annotated[str, Meta(min_length=1)]


class _Typed(Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    """Base of the types that are told apart by `type`."""


class InlineFile(_Typed, tag="base64"):
    """Image or PDF in the request."""

    media_type: _Name
    data: Raw


class RemoteFile(_Typed, tag="url"):
    """Image or PDF at a URL."""

    url: _Name


class InlineText(_Typed, tag="text"):
    """Text of a document."""

    data: Raw
    media_type: Constant = ABSENT


class Text(_Typed, tag="text"):
    """Text."""

    text: Raw
    citations: Citations = ABSENT
    cache_control: CacheMark = ABSENT


class Image(_Typed, tag="image"):
    """Image."""

    source: Annotated[
        InlineFile | RemoteFile, Meta(extra={"content": "an image block with a source"})
    ]
    transformations: Scaling = ABSENT
    cache_control: CacheMark = ABSENT


class NestedContent(_Typed, tag="content"):
    """Texts and images of a document."""

    content: str | list[Text | Image]


class Document(_Typed, tag="document"):
    """Document; its title and its context are input too."""

    source: Annotated[
        InlineFile | InlineText | NestedContent | RemoteFile,
        Meta(extra={"content": "a document block with a source"}),
    ]
    title: str | None = None
    context: str | None = None
    citations: Citations = ABSENT
    cache_control: CacheMark = ABSENT


class SearchResult(_Typed, tag="search_result"):
    """Search result of the caller's own."""

    title: str
    source: str
    content: str | list[Text]
    citations: Citations = ABSENT
    cache_control: CacheMark = ABSENT


class Thinking(_Typed, tag="thinking"):
    """Thinking that is shown."""

    thinking: Raw
    signature: State = ABSENT
    cache_control: CacheMark = ABSENT


class ToolUse(_Typed, tag="tool_use"):
    """Call of a tool by the model."""

    id: _Name
    name: _Name
    input: Raw
    caller: Origin = ABSENT
    toolset_name: Origin = ABSENT
    cache_control: CacheMark = ABSENT


class ToolReference(_Typed, tag="tool_reference"):
    """Reference to a tool that a search of the caller's own found."""

    tool_name: Loading = ABSENT
    cache_control: CacheMark = ABSENT


ResultBlock: TypeAlias = Text | Image | Document | SearchResult | ToolReference
"""A block in the result of a tool."""


class ToolResult(_Typed, tag="tool_result"):
    """Result of a tool, for the call of this id."""

    tool_use_id: _Name
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None
    toolset_name: Origin = ABSENT
    cache_control: CacheMark = ABSENT


class Compaction(_Typed, tag="compaction"):
    """Summary that stands for all before it; without `content`, the compaction failed."""

    content: _Name | None = None
    tool_changes: Refused = ABSENT
    encrypted_content: State = ABSENT
    signature: State = ABSENT
    cache_control: CacheMark = ABSENT


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
    effort: Answer = ABSENT


class _Message(Struct, tag_field="role", forbid_unknown_fields=True, gc=False):
    """Base of the messages, which are told apart by `role`."""


class UserMessage(_Message, tag="user"):
    """Message of the user."""

    content: str | list[Block]


class AssistantMessage(_Message, tag="assistant"):
    """Message of the model."""

    content: str | list[Block]


class SystemMessage(_Message, tag="system"):
    """Instruction amid the conversation, or, without `content`, a rule of the answer."""

    content: str | list[Text] | None = None
    clear_at: str | None = None
    output_config: _MessageOutputConfig | None = None


Message: TypeAlias = UserMessage | AssistantMessage | SystemMessage
