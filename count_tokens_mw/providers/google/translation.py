"""Translation of an Anthropic request to Gemini's `GenerateContentRequest`, pure.

From https://docs.claude.com/en/api/messages-count-tokens to
https://ai.google.dev/api/generate-content, which
https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/projects.locations.publishers.models/countTokens
shares but for `toolConfig`.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec import Raw, Struct

from count_tokens_mw.errors import CannotCount, InvalidRequest
from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.google.anthropic_types import Message, SystemMessage, Text
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.messages import refuse_many_blocks, translate_messages
from count_tokens_mw.providers.google.no_input import (
    ABSENT,
    NO_INPUT_OF_REQUEST,
    Answer,
    Refused,
)
from count_tokens_mw.providers.google.parts import Part, content_parts, json_object, placed
from count_tokens_mw.providers.google.reader import Reader, cannot_count, has_items, items_of
from count_tokens_mw.providers.google.tools import (
    ToolChoice,
    ToolKind,
    tool_config,
    translate_tools,
)
from count_tokens_mw.providers.google.unseen import blank_unseen
from count_tokens_mw.rawjson.object import JsonObject

__all__ = [
    "READERS",
    "OutputConfig",
    "OutputFormat",
    "Translation",
    "generate_content_request",
]


class OutputFormat(Struct, forbid_unknown_fields=True):
    """Schema of the answer."""

    type: str
    schema: Raw


class OutputConfig(Struct, forbid_unknown_fields=True):
    """Options of the answer, of which only the schema is input."""

    format: OutputFormat | None = None
    effort: Answer = ABSENT
    task_budget: Answer = ABSENT


READERS: Final[dict[str, Reader[Any]]] = {
    "messages": Reader(list[Message], blank_unseen),
    "output_config": Reader(OutputConfig),
    "output_format": Reader(OutputFormat),
    "system": Reader(str | list[Text]),
    "tool_choice": Reader(ToolChoice),
    "tools": Reader(list[ToolKind]),
    "mcp_servers": Reader(Refused),
}
"""Readers of the top-level fields that are input."""

_LONGEST_NAME: Final = 64


class Translation(NamedTuple):
    """Members of Gemini's request, and the bounded places of the caller's that it leaves out."""

    content: Part
    omitted: tuple[str, ...]


def generate_content_request(body: JsonObject, dialect: Dialect) -> Translation:
    """Return `contents`, `systemInstruction`, `tools`, `toolConfig` and `generationConfig`.

    Empty members are left out. Vertex AI's counter takes no `toolConfig`, so any choice of a tool
    but the default is named as left out. An output schema becomes `generationConfig`.

    Raises:
        CannotCount: a part of the input has no counterpart in Gemini; the message names its place.
        InvalidRequest: the body is malformed or has no content; the message names the place.
    """
    fields = _Fields(body)
    if has_items(fields.read("mcp_servers") or Raw()):
        raise CannotCount("mcp_servers: Gemini has no counterpart of the tools of MCP servers.")
    messages, system = fields.read("messages") or [], fields.read("system") or ""
    refuse_many_blocks([*messages, SystemMessage(system)], len(body.raw))
    conversation = translate_messages(messages, dialect, fields.omissions)
    if not conversation.contents:
        raise InvalidRequest("messages: non-empty content is required.")
    instruction = _system_parts(system, dialect) + conversation.instruction
    kinds: list[ToolKind] = fields.read("tools") or []
    tools = translate_tools(kinds, fields.items("tools"), dialect, fields.omissions)
    choice: ToolChoice | None = fields.read("tool_choice")
    config = tool_config(choice, tools, dialect)
    schema = _output_schema(fields)
    content: Part = {"contents": conversation.contents}
    if instruction:
        content["systemInstruction"] = {"parts": instruction}
    if entries := tools.entries():
        content["tools"] = entries
    if config and dialect.backend == "gemini_api":
        content["toolConfig"] = config
    has_choice = "functionCallingConfig" in config and "toolConfig" in content
    if tools.entries() and choice is not None and choice.type != "auto" and not has_choice:
        fields.omissions.add(lambda: "tool_choice")
    if schema:
        content["generationConfig"] = schema
    return Translation(content, fields.omissions.places())


class _Fields:
    """Top-level fields of a request, each read at its access; null says nothing."""

    def __init__(self, body: JsonObject) -> None:
        text = memoryview(body.raw)
        texts = {name: text[at.start : at.end] for name, at in body.members.items()}
        self._texts = {name: text for name, text in texts.items() if bytes(text[:4]) != b"null"}
        self.omissions = Omissions()
        for name in self._texts:
            if name not in NO_INPUT_OF_REQUEST and name not in READERS:
                place = name[:_LONGEST_NAME].encode("unicode_escape").decode()
                raise CannotCount(f"{place}: Gemini has no counterpart of this field.")

    def items(self, name: str) -> list[Raw]:
        """Return the JSON texts of a list's items, once the list has been read."""
        text = self._texts.get(name)
        return [] if text is None else items_of(text)

    def read(self, name: str) -> Any:
        text = self._texts.get(name)
        return None if text is None else READERS[name].read(text, name, self.omissions)


def _system_parts(system: str | Sequence[Text], dialect: Dialect) -> list[Part]:
    try:
        return content_parts(system, dialect)
    except InvalidRequest as error:
        raise placed(error, "system") from None


def _output_schema(fields: _Fields) -> Part | None:
    """Return the `generationConfig` of an output schema, by either of its names.

    The older `output_format` is named as left out if `output_config.format` is there too.
    https://ai.google.dev/api/generate-content#generationconfig
    """
    config: OutputConfig | None = fields.read("output_config")
    older: OutputFormat | None = fields.read("output_format")
    newer = None if config is None else config.format
    if newer is not None and older is not None:
        fields.omissions.add(lambda: "output_format")
    output, place = (newer, "output_config.format") if newer else (older, "output_format")
    if output is None:
        return None
    if output.type != "json_schema":
        raise cannot_count(place, "an output format", output.type)
    return {
        "responseMimeType": "application/json",
        "responseJsonSchema": json_object(output.schema, f"{place}.schema"),
    }
