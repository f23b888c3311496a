"""Translation of Anthropic's content blocks to Gemini's parts, pure.

From https://docs.claude.com/en/api/messages to https://ai.google.dev/api/caching#Part, for Vertex
alike. A block without a counterpart in Gemini is an error that names its place; it is never
dropped.
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
"""One of Gemini's parts in JSON."""

# Deeper than any real schema or arguments, and within the recursion limit of `json.dumps`.
_DEEPEST: Final = 200
_PRINTABLE_TYPE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch

# The four types that Anthropic accepts: https://docs.claude.com/en/docs/build-with-claude/vision
_IMAGE_TYPES: Final[Mapping[str, str]] = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}


@dataclass(frozen=True, slots=True)
class Node:
    """JSON object of the request and its place there, such as `messages.3.content.1`.

    A missing or mistyped field raises `InvalidRequest`, which names the place and quotes no value.
    """

    place: str
    fields: Mapping[str, JsonValue] = field(repr=False)

    @classmethod
    def at(cls, place: str, value: JsonValue) -> Self:
        """Return the node of an object at a place."""
        if not isinstance(value, Mapping):
            raise InvalidRequest(f"{place}: an object is required.")
        return cls(place, value)

    @property
    def type(self) -> str:
        """The required field `type`."""
        return self.text("type")

    def place_of(self, name: str) -> str:
        """Return the place of a field."""
        return f"{self.place}.{name}" if self.place else name

    def has(self, name: str) -> bool:
        """Return whether a field is present and not null."""
        return self.fields.get(name) is not None

    def text(self, name: str, *, default: str | None = None) -> str:
        """Return a string, which may be empty; it is required unless there is a default."""
        value = self.fields.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise InvalidRequest(f"{self.place_of(name)}: a string is required.")
        return value

    def name(self, name: str) -> str:
        """Return a required, non-empty string."""
        value = self.text(name)
        if not value:
            raise InvalidRequest(f"{self.place_of(name)}: a non-empty string is required.")
        return value

    def flag(self, name: str) -> bool:
        """Return an optional boolean."""
        value = self.fields.get(name)
        if not isinstance(value, bool | None):
            raise InvalidRequest(f"{self.place_of(name)}: a boolean is required.")
        return bool(value)

    def node(self, name: str) -> "Node":
        """Return a required object."""
        return Node.at(self.place_of(name), self.fields.get(name))

    def nodes(self, name: str) -> "list[Node]":
        """Return a required list of objects."""
        value = self.fields.get(name)
        if not isinstance(value, list):
            raise InvalidRequest(f"{self.place_of(name)}: a list is required.")
        place = self.place_of(name)
        return [Node.at(f"{place}.{index}", item) for index, item in enumerate(value)]

    def blocks(self, name: str) -> "list[Node]":
        """Return required content: a list of blocks, or a string, which is at most one block."""
        value = self.fields.get(name)
        if isinstance(value, str):
            return [Node(self.place_of(name), {"type": "text", "text": value})] if value else []
        if not isinstance(value, list):
            raise InvalidRequest(f"{self.place_of(name)}: a string or a list is required.")
        return self.nodes(name)

    def opaque(self, name: str) -> Mapping[str, JsonValue]:
        """Return a required object unchanged, once JSON can encode it."""
        node = self.node(name)
        level: list[JsonValue] = [node.fields]
        for _ in range(_DEEPEST):
            level = [child for value in level for child in _list_children(value)]
            # Python parses `1e400` as infinity, which JSON cannot encode.
            if any(isinstance(value, float) and not math.isfinite(value) for value in level):
                raise InvalidRequest(f"{node.place}: a number in it is too large.")
            if not level:
                return node.fields
        raise InvalidRequest(f"{node.place}: it is nested too deeply.")


def _list_children(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def cannot_count(node: Node, what: str, kind: str | None = None) -> CannotCount:
    """Return the error for an input without a counterpart in Gemini: `what`, and its type."""
    named = "" if kind is None else f" of type {kind if _PRINTABLE_TYPE(kind) else 'unknown'}"
    return CannotCount(f"{node.place}: Gemini has no counterpart of {what}{named}.")


def text_parts(block: Node) -> list[Part]:
    """Return the parts of a block that must be text; an empty one has none."""
    if block.type != "text":
        raise cannot_count(block, "a block", block.type)
    return _as_parts(block.text("text"))


def input_parts(block: Node) -> list[Part]:
    """Return the parts of a block of a kind that messages and tool results share.

    Raises:
        CannotCount: the block or its source has no counterpart in Gemini.
        InvalidRequest: the block is malformed.
    """
    translate = _TRANSLATORS.get(block.type)
    if translate is None:
        raise cannot_count(block, "a block", block.type)
    return translate(block)


def thought(block: Node) -> list[Part]:
    """Return the parts of a thinking block, without its signature.

    Gemini verifies `thoughtSignature` and would reject Anthropic's.
    """
    return [{**part, "thought": True} for part in _as_parts(block.text("thinking"))]


def function_call(block: Node) -> Part:
    """Return the part of a tool_use block, without its id.

    https://ai.google.dev/api/caching#FunctionCall has an id, but not every version of the API
    accepts it. Gemini matches calls and responses by their order.
    """
    return {"functionCall": {"name": block.name("name"), "args": block.opaque("input")}}


def function_response(block: Node, names: Mapping[str, str]) -> list[Part]:
    """Return the parts of a tool_result block; `names` maps a tool_use id to the tool's name.

    Its joined texts are the output or the error:
    https://ai.google.dev/api/caching#FunctionResponse
    """
    tool = names.get(block.name("tool_use_id"))
    if tool is None:
        place = block.place_of("tool_use_id")
        raise InvalidRequest(f"{place}: no earlier tool_use block has this id.")
    content = block.blocks("content") if block.has("content") else []
    parts = [part for inner in content for part in input_parts(inner)]
    text = "\n".join(str(part["text"]) for part in parts if "text" in part)
    response: Part = {
        "name": tool,
        "response": {"error" if block.flag("is_error") else "output": text},
    }
    if media := [part for part in parts if "inlineData" in part]:
        response["parts"] = media
    # The Gemini API's FunctionResponsePart has inlineData only, so files become parts beside it.
    return [{"functionResponse": response}, *(part for part in parts if "fileData" in part)]


def _as_parts(text: str) -> list[Part]:
    return [{"text": text}] if text else []


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
                    f"{block.place}: Gemini requires the media type of an image by URL; use a URL "
                    f"that ends in one of {known}."
                )
            return _file_data(url, media_type)
        case other:
            raise cannot_count(block, "an image block with a source", other)


def _extension(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:  # such as for an unpaired bracket
        return ""


def _document(block: Node) -> list[Part]:
    """Return the document after its title and context, which are input of the model too.

    https://docs.claude.com/en/docs/build-with-claude/citations
    """
    title, context = (_as_parts(block.text(name, default="")) for name in ("title", "context"))
    about = title + context
    source = block.node("source")
    match source.type:
        case "base64":
            return about + _inline_data(source)
        case "text":
            return about + _as_parts(source.text("data"))
        case "content":
            inner = source.blocks("content")
            return about + [part for chunk in inner for part in _chunk_parts(chunk)]
        case "url":
            # Anthropic accepts only PDFs by URL.
            return about + _file_data(source.name("url"), "application/pdf")
        case other:
            raise cannot_count(block, "a document block with a source", other)


def _chunk_parts(block: Node) -> list[Part]:
    return _image(block) if block.type == "image" else text_parts(block)


def _search_result(block: Node) -> list[Part]:
    about = _as_parts(block.text("title")) + _as_parts(block.text("source"))
    return about + [part for inner in block.blocks("content") for part in text_parts(inner)]


_TRANSLATORS: Final[Mapping[str, Callable[[Node], list[Part]]]] = {
    "document": _document,
    "image": _image,
    "search_result": _search_result,
    "text": text_parts,
}
