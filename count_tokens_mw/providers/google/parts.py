"""Anthropic's content blocks as Gemini's parts, pure.

From https://docs.claude.com/en/api/messages to https://ai.google.dev/api/caching#Part, which Vertex
takes alike. What Gemini has no word for is refused under its place, never left out.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit

from count_tokens_mw.errors import CannotCount, InvalidRequest
from count_tokens_mw.rawjson.object import JsonValue

__all__ = [
    "Node",
    "Part",
    "cannot_count",
    "function_call",
    "function_response",
    "input_parts",
    "text_parts",
    "thought",
]

Part: TypeAlias = dict[str, JsonValue]
"""One of Gemini's parts, as it goes on the wire."""

# Far deeper than a tool's schema or arguments ever are, and well before `json.dumps` gives up.
_DEEPEST: Final = 200
_PRINTABLE_TYPE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch

# The four that Anthropic takes: https://docs.claude.com/en/docs/build-with-claude/vision
_IMAGE_TYPES: Final[Mapping[str, str]] = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON object of the request and its place there, such as `messages.3.content.1`.

    Whatever it is asked for and does not have is an `InvalidRequest`, which names the place and
    quotes no value.
    """

    place: str
    fields: Mapping[str, JsonValue] = field(repr=False)

    @classmethod
    def at(cls, place: str, value: JsonValue) -> Self:
        """The object at a place."""
        if not isinstance(value, Mapping):
            raise InvalidRequest(f"{place}: an object is required.")
        return cls(place, value)

    @property
    def type(self) -> str:
        """Its required `type`."""
        return self.text("type")

    def place_of(self, name: str) -> str:
        """The place of one of its fields."""
        return f"{self.place}.{name}" if self.place else name

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self.fields.get(name) is not None

    def text(self, name: str, *, default: str | None = None) -> str:
        """A string, which may be empty; required unless there is a default."""
        value = self.fields.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise InvalidRequest(f"{self.place_of(name)}: a string is required.")
        return value

    def name(self, name: str) -> str:
        """A required string that says something."""
        value = self.text(name)
        if not value:
            raise InvalidRequest(f"{self.place_of(name)}: a non-empty string is required.")
        return value

    def flag(self, name: str) -> bool:
        """An optional boolean."""
        value = self.fields.get(name)
        if not isinstance(value, bool | None):
            raise InvalidRequest(f"{self.place_of(name)}: a boolean is required.")
        return bool(value)

    def node(self, name: str) -> "Node":
        """A required object."""
        return Node.at(self.place_of(name), self.fields.get(name))

    def nodes(self, name: str) -> "list[Node]":
        """A required list of objects."""
        value = self.fields.get(name)
        if not isinstance(value, list):
            raise InvalidRequest(f"{self.place_of(name)}: a list is required.")
        place = self.place_of(name)
        return [Node.at(f"{place}.{index}", item) for index, item in enumerate(value)]

    def blocks(self, name: str) -> "list[Node]":
        """Required content: a list of blocks, or a string, which is one text block or none."""
        value = self.fields.get(name)
        if isinstance(value, str):
            return [Node(self.place_of(name), {"type": "text", "text": value})] if value else []
        if not isinstance(value, list):
            raise InvalidRequest(f"{self.place_of(name)}: a string or a list is required.")
        return self.nodes(name)

    def opaque(self, name: str) -> Mapping[str, JsonValue]:
        """A required object that goes on as it came."""
        found = self.node(name)
        level: list[JsonValue] = [found.fields]
        for _ in range(_DEEPEST):
            level = [child for value in level for child in _children(value)]
            # JSON has no word for infinity, and Python reads `1e400` as that.
            if any(isinstance(value, float) and not math.isfinite(value) for value in level):
                raise InvalidRequest(f"{found.place}: a number in it is too large.")
            if not level:
                return found.fields
        raise InvalidRequest(f"{found.place}: it is nested too deeply.")


def _children(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def cannot_count(node: Node, what: str, kind: str | None = None) -> CannotCount:
    """The error to raise for what Gemini has no word for: `what`, and its `type` if it has one."""
    named = "" if kind is None else f" of type {kind if _PRINTABLE_TYPE(kind) else 'unknown'}"
    return CannotCount(f"{node.place}: Gemini has no counterpart of {what}{named}.")


def text_parts(block: Node) -> list[Part]:
    """A text block, where nothing else may stand; no part if it is empty."""
    if block.type != "text":
        raise cannot_count(block, "a block", block.type)
    return _said(block.text("text"))


def input_parts(block: Node) -> list[Part]:
    """Whatever may stand in a message and in a tool's result alike.

    Raises:
        CannotCount: a block or a source that Gemini has no word for.
        InvalidRequest: a malformed one.
    """
    read = _READERS.get(block.type)
    if read is None:
        raise cannot_count(block, "a block", block.type)
    return read(block)


def thought(block: Node) -> list[Part]:
    """A thinking block, without its signature.

    The signature is Anthropic's own; Gemini checks `thoughtSignature` and would refuse it.
    """
    return [{**part, "thought": True} for part in _said(block.text("thinking"))]


def function_call(block: Node) -> Part:
    """A tool_use block, without its id.

    https://ai.google.dev/api/caching#FunctionCall has one, but not every version of the API takes
    it; calls and responses are matched by their order.
    """
    return {"functionCall": {"name": block.name("name"), "args": block.opaque("input")}}


def function_response(block: Node, names: Mapping[str, str]) -> list[Part]:
    """A tool_result block; `names` are those of the tools that were used, by tool_use id.

    Its texts are the output or the error, flight; https://ai.google.dev/api/caching#FunctionResponse
    """
    tool = names.get(block.name("tool_use_id"))
    if tool is None:
        place = block.place_of("tool_use_id")
        raise InvalidRequest(f"{place}: no earlier tool_use block has this id.")
    content = block.blocks("content") if block.has("content") else []
    given = [part for inner in content for part in input_parts(inner)]
    said = "\n".join(str(part["text"]) for part in given if "text" in part)
    response: Part = {
        "name": tool,
        "response": {"error" if block.flag("is_error") else "output": said},
    }
    if media := [part for part in given if "inlineData" in part]:
        response["parts"] = media
    # A FunctionResponsePart of the Gemini API has inlineData only, so a file stands beside it.
    return [{"functionResponse": response}, *(part for part in given if "fileData" in part)]


def _said(words: str) -> list[Part]:
    return [{"text": words}] if words else []


def _inline_data(source: Node) -> list[Part]:
    return [{"inlineData": {"mimeType": source.name("media_type"), "data": source.name("data")}}]


def _file_data(url: str, media_type: str) -> list[Part]:
    return [{"fileData": {"mimeType": media_type, "fileUri": url}}]


def _image(block: Node) -> list[Part]:
    source = block.node("source")
    match source.type:
        case "base64":
            return _inline_data(source)
        case "url":
            url = source.name("url")
            media_type = _IMAGE_TYPES.get(_extension(url))
            if media_type is None:
                known = ", ".join(_IMAGE_TYPES)
                raise CannotCount(
                    f"{block.place}: Gemini must be told the media type of an image by URL, and "
                    f"this URL does not end in one of {known}."
                )
            return _file_data(url, media_type)
        case other:
            raise cannot_count(block, "an image block with a source", other)


def _extension(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:  # such as a bracket without its pair
        return ""


def _document(block: Node) -> list[Part]:
    """The document, after its title and context, which Anthropic shows to the model too.

    https://docs.claude.com/en/docs/build-with-claude/citations
    """
    about = _said(block.text("title", default="")) + _said(block.text("context", default=""))
    source = block.node("source")
    match source.type:
        case "base64":
            return about + _inline_data(source)
        case "text":
            return about + _said(source.text("data"))
        case "content":
            inner = source.blocks("content")
            return about + [part for each in inner for part in _chunk_parts(each)]
        case "url":
            # The only kind that Anthropic takes by URL.
            return about + _file_data(source.name("url"), "application/pdf")
        case other:
            raise cannot_count(block, "a document block with a source", other)


def _chunk_parts(block: Node) -> list[Part]:
    return _image(block) if block.type == "image" else text_parts(block)


def _search_result(block: Node) -> list[Part]:
    about = _said(block.text("title")) + _said(block.text("source"))
    return about + [part for inner in block.blocks("content") for part in text_parts(inner)]


_READERS: Final[Mapping[str, Callable[[Node], list[Part]]]] = {
    "document": _document,
    "image": _image,
    "search_result": _search_result,
    "text": text_parts,
}
