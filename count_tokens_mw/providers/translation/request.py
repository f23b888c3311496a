"""The top-level fields of Anthropic's request as they are read for a translation, pure.

https://docs.claude.com/en/api/messages-count-tokens
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import Raw, Struct

from count_tokens_mw.protocol.omissions import Omissions
from count_tokens_mw.providers.translation.anthropic_types import Message, Text
from count_tokens_mw.providers.translation.content import Part, json_object
from count_tokens_mw.providers.translation.counterparts import no_counterpart
from count_tokens_mw.providers.translation.no_input import (
    ABSENT,
    NO_INPUT_OF_REQUEST,
    Answer,
    Refused,
)
from count_tokens_mw.providers.translation.reader import Reader, has_items, items_of
from count_tokens_mw.providers.translation.tools import (
    BuiltInTool,
    CustomTool,
    ToolChoice,
    ToolKind,
    read_tools,
)
from count_tokens_mw.providers.translation.unseen import blank_unseen
from count_tokens_mw.rawjson.object import JsonObject

__all__ = ["READERS", "OutputConfig", "OutputFormat", "RequestFields", "Translation"]


class OutputFormat(Struct, forbid_unknown_fields=True):
    """Schema of the answer."""

    type: str
    schema: Raw


class OutputConfig(Struct, forbid_unknown_fields=True):
    """Options of the answer, of which only the schema is input."""

    format: OutputFormat | None = None
    effort: Answer = ABSENT
    task_budget: Answer = ABSENT


READERS: Final[Mapping[str, Reader[Any]]] = {
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
B = TypeVar("B", bound=BuiltInTool)


class Translation(NamedTuple):
    """Members of the other format's request, and the bounded places that it leaves out."""

    content: Part
    omitted: tuple[str, ...]


class RequestFields:
    """Top-level fields of a request, each read at its access; null says nothing.

    Raises:
        CannotCount: a field is unknown, or has no counterpart.
    """

    def __init__(self, body: JsonObject, readers: Mapping[str, Reader[Any]] = READERS) -> None:
        text = memoryview(body.raw)
        texts = {name: text[at.start : at.end] for name, at in body.members.items()}
        self._texts = {name: text for name, text in texts.items() if bytes(text[:4]) != b"null"}
        self._readers = readers
        self.omissions = Omissions()
        for name in self._texts:
            if name not in NO_INPUT_OF_REQUEST and name not in readers:
                place = name[:_LONGEST_NAME].encode("unicode_escape").decode()
                raise no_counterpart(place, "this field")
        if has_items(self.read("mcp_servers") or Raw()):
            raise no_counterpart("mcp_servers", "the tools of MCP servers")

    def read(self, name: str) -> Any:
        """Return the value of a field, or None.

        Raises:
            CannotCount: the field has content of an unknown type.
            InvalidRequest: the field is malformed; the message names the place.
        """
        text = self._texts.get(name)
        return None if text is None else self._readers[name].read(text, name, self.omissions)

    def tools(self, built_in: Mapping[str, Reader[B]]) -> Iterator[CustomTool | tuple[str, B]]:
        """Yield the tools as `read_tools` does."""
        text = self._texts.get("tools")
        kinds: list[ToolKind] = self.read("tools") or []
        items = [] if text is None else items_of(text)
        return read_tools(kinds, items, self.omissions, built_in)

    def schema(self) -> Raw | None:
        """Return the output schema, by either of its names.

        The older `output_format` is named as left out if `output_config.format` is there too.
        """
        config: OutputConfig | None = self.read("output_config")
        older: OutputFormat | None = self.read("output_format")
        newer = None if config is None else config.format
        if newer is not None and older is not None:
            self.omissions.add(lambda: "output_format")
        output, place = (newer, "output_config.format") if newer else (older, "output_format")
        if output is None:
            return None
        if output.type != "json_schema":
            raise no_counterpart(place, "an output format", output.type)
        return json_object(output.schema, f"{place}.schema")
