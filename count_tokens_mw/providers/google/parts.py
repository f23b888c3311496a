"""Translation of Anthropic's content blocks to Gemini's parts, pure.

From https://docs.claude.com/en/api/messages to https://ai.google.dev/api/caching#Part. The message
of an error begins with its place within the block, or with a colon for the block itself.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from count_tokens_mw.aio.fairness import stop_if_unneeded
from count_tokens_mw.errors import CannotCount, CountError, InvalidRequest
from count_tokens_mw.providers.google.anthropic_types import (
    Document,
    Image,
    InlineFile,
    InlineText,
    NestedContent,
    RemoteFile,
    ResultBlock,
    SearchResult,
    Text,
    Thinking,
    ToolReference,
    ToolResult,
    ToolUse,
)
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.reader import Value

__all__ = [
    "Part",
    "block_parts",
    "content_parts",
    "function_call",
    "function_response",
    "json_object",
    "placed",
    "sign_first_call",
    "thought",
]

Part: TypeAlias = dict[str, Value]
"""An object of a request to Gemini, such as a part."""

# The four types that Anthropic accepts: https://docs.claude.com/en/docs/build-with-claude/vision
_IMAGE_TYPES: Final = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_encode: Final = msgspec.json.encode
_PLACEHOLDER: Final = "skip_thought_signature_validator"
_EMPTY: Final = len(b'""')
_QUOTE, _BRACE = b'"{'


def placed(error: CountError, place: str) -> CountError:
    """Return an error whose message begins with the place of what it contains."""
    return type(error)(f"{place}{error.message}")


def content_parts(content: str | Sequence[ResultBlock], dialect: Dialect) -> list[Part]:
    """Return the parts of content; empty text has none.

    Raises:
        CannotCount: a block has no counterpart in Gemini.
        InvalidRequest: a text is no string.
    """
    if isinstance(content, str):
        return _text(content)
    parts: list[Part] = []
    for index, block in enumerate(content):
        stop_if_unneeded()
        try:
            parts += block_parts(block, dialect)
        except CountError as error:
            raise placed(error, f".{index}") from None
    return parts


def block_parts(block: ResultBlock, dialect: Dialect) -> list[Part]:
    """Return the parts of a block of a kind that messages and tool results share."""
    match block:
        case Text(text=text):
            return _raw_text(text, ".text")
        case Image():
            return _image(block, dialect)
        case Document():
            return _document(block, dialect)
        case SearchResult():
            about = _text(block.title) + _text(block.source)
            return about + _nested_parts(block.content, ".content", dialect)
        case ToolReference():
            return []


def thought(block: Thinking) -> list[Part]:
    """Return the parts of a thinking block, without its signature.

    Gemini verifies `thoughtSignature` and would reject Anthropic's.
    """
    return [{**part, "thought": True} for part in _raw_text(block.thinking, ".thinking")]


def function_call(block: ToolUse) -> Part:
    """Return the part of a tool_use block, without its id.

    https://ai.google.dev/api/caching#FunctionCall has an id, but not every version of the API
    accepts it. Gemini matches calls and responses by their order.
    """
    return {"functionCall": {"name": block.name, "args": json_object(block.input, ".input")}}


def sign_first_call(parts: Sequence[Part]) -> None:
    """Add the placeholder for a signature that another model did not give to the first call.

    https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
    """
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        # As it is documented, although the field is base64: the API refuses it encoded once more.
        first["thoughtSignature"] = _PLACEHOLDER


def function_response(block: ToolResult, tool: str, dialect: Dialect) -> tuple[Part, list[Part]]:
    """Return the part of a tool_result block, and the media that cannot stand within it.

    Its joined texts are the output or the error:
    https://ai.google.dev/api/caching#FunctionResponse
    """
    parts = _nested_parts(block.content or "", ".content", dialect)
    texts = [part["text"] for part in parts if "text" in part]
    output = texts[0] if len(texts) == 1 else _join(texts)
    response: Part = {
        "name": tool,
        "response": {"error" if block.is_error else "output": output},
    }
    if len(parts) == len(texts):
        return {"functionResponse": response}, []
    media = [part for part in parts if "text" not in part]
    within = [part for part in media if dialect.holds_in_response(part)]
    if within:
        response["parts"] = within
    beside = [part for part in media if not dialect.holds_in_response(part)]
    return {"functionResponse": response}, beside


def json_object(value: Raw, place: str) -> Raw:
    """Return the JSON text of an object.

    Raises:
        InvalidRequest: the value is no object.
    """
    if memoryview(value)[0] != _BRACE:
        raise InvalidRequest(f"{place}: an object is required.")
    return value


def _nested_parts(content: str | Sequence[ResultBlock], place: str, dialect: Dialect) -> list[Part]:
    try:
        return content_parts(content, dialect)
    except CountError as error:
        raise placed(error, place) from None


def _text(text: str | None) -> list[Part]:
    return [{"text": text}] if text else []


def _raw_text(text: Raw, place: str) -> list[Part]:
    view = memoryview(text)
    if view[0] != _QUOTE:
        raise InvalidRequest(f"{place}: a string is required.")
    return [{"text": text}] if view.nbytes > _EMPTY else []


def _join(texts: Sequence[Value]) -> Value:
    """Return texts on lines of their own, as JSON text."""
    encoded = [bytes(text) if isinstance(text, Raw) else _encode(text) for text in texts]
    return Raw(b'"%b"' % rb"\n".join([text[1:-1] for text in encoded]))


def _inline(file: InlineFile) -> list[Part]:
    view = memoryview(file.data)
    if view[0] != _QUOTE or view.nbytes == _EMPTY:
        raise InvalidRequest(".source.data: a non-empty string is required.")
    return [{"inlineData": {"mimeType": file.media_type, "data": file.data}}]


def _remote(url: str, media_type: str, dialect: Dialect) -> list[Part]:
    if not url.lower().startswith(dialect.url_schemes):
        schemes = " or ".join(dialect.url_schemes)
        raise CannotCount(f": Gemini takes only a URL that begins with {schemes} here.")
    return [{"fileData": {"mimeType": media_type, "fileUri": url}}]


def _image(block: Image, dialect: Dialect) -> list[Part]:
    if isinstance(block.source, InlineFile):
        return _inline(block.source)
    url = block.source.url
    media_type = _IMAGE_TYPES.get(_extension(url))
    if media_type is None:
        raise CannotCount(
            ": Gemini requires the media type of an image by URL; use a URL that ends in one of "
            f"{', '.join(_IMAGE_TYPES)}."
        )
    return _remote(url, media_type, dialect)


def _extension(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:  # such as for an unpaired bracket
        return ""


def _document(block: Document, dialect: Dialect) -> list[Part]:
    """Return the document after its title and context, which are input of the model too.

    https://docs.claude.com/en/docs/build-with-claude/citations
    """
    about = _text(block.title) + _text(block.context)
    match block.source:
        case InlineFile() as file:
            return about + _inline(file)
        case InlineText(data=text):
            return about + _raw_text(text, ".source.data")
        case NestedContent(content=content):
            return about + _nested_parts(content, ".source.content", dialect)
        case RemoteFile(url=url):  # Anthropic accepts only PDFs by URL.
            return about + _remote(url, "application/pdf", dialect)
