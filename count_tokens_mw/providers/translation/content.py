"""Translation of Anthropic's content blocks to the parts of another format, pure.

The message of an error begins with its place within the block, or with a colon for the block.

https://docs.claude.com/en/api/messages
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from count_tokens_mw.aio.fairness import stop_if_unneeded
from count_tokens_mw.errors import CountError, InvalidRequest
from count_tokens_mw.providers.translation.anthropic_types import (
    Document,
    Image,
    InlineFile,
    InlineText,
    NestedContent,
    RemoteFile,
    ResultBlock,
    SearchResult,
    Text,
    ToolReference,
)
from count_tokens_mw.providers.translation.counterparts import add_place
from count_tokens_mw.providers.translation.reader import Value

__all__ = ["ContentForm", "Part", "join_texts", "json_object"]

Part: TypeAlias = dict[str, Value]
"""An object of a request in the other format, such as a part of a message."""

_encode: Final = msgspec.json.encode
_EMPTY: Final = len(b'""')
_QUOTE, _BRACE = b'"{'


class ContentForm(ABC):
    """The form of content in another format, which has one kind of part each for text and files."""

    @abstractmethod
    def text(self, text: Raw | str) -> Part:
        """Return the part of a text that is not empty."""

    @abstractmethod
    def inline_file(self, file: InlineFile, *, is_image: bool) -> Part:
        """Return the part of an image or document in the request; its data are a JSON string."""

    @abstractmethod
    def remote_file(self, file: RemoteFile, *, is_image: bool) -> Part:
        """Return the part of an image or document at a URL.

        Raises:
            CannotCount: the provider does not fetch it.
        """

    def content_parts(self, content: str | Sequence[ResultBlock]) -> list[Part]:
        """Return the parts of content; empty text has none.

        Raises:
            CannotCount: a block has no counterpart.
            InvalidRequest: a text is no string.
        """
        if isinstance(content, str):
            return self._optional(content)
        parts: list[Part] = []
        for index, block in enumerate(content):
            stop_if_unneeded()
            try:
                parts += self.block_parts(block)
            except CountError as error:
                raise add_place(error, f".{index}") from None
        return parts

    def block_parts(self, block: ResultBlock) -> list[Part]:
        """Return the parts of a block of a kind that messages and tool results share."""
        match block:
            case Text(text=text):
                return self.raw_text(text, ".text")
            case Image(source=source):
                return [self._file(source, is_image=True)]
            case Document():
                return self._document(block)
            case SearchResult():
                about = self._optional(block.title) + self._optional(block.source)
                return about + self.nested_parts(block.content, ".content")
            case ToolReference():
                return []

    def nested_parts(self, content: str | Sequence[ResultBlock], place: str) -> list[Part]:
        """Return the parts of content at a place within a block."""
        try:
            return self.content_parts(content)
        except CountError as error:
            raise add_place(error, place) from None

    def raw_text(self, text: Raw, place: str) -> list[Part]:
        """Return the part of a text, if it is not empty.

        Raises:
            InvalidRequest: the text is no string.
        """
        view = memoryview(text)
        if view[0] != _QUOTE:
            raise InvalidRequest(f"{place}: a string is required.")
        return [self.text(text)] if view.nbytes > _EMPTY else []

    def _optional(self, text: str | None) -> list[Part]:
        return [self.text(text)] if text else []

    def _document(self, block: Document) -> list[Part]:
        """Return the document after its title and context, which are input of the model too.

        https://docs.claude.com/en/docs/build-with-claude/citations
        """
        about = self._optional(block.title) + self._optional(block.context)
        match block.source:
            case InlineText(data=text):
                return about + self.raw_text(text, ".source.data")
            case NestedContent(content=content):
                return about + self.nested_parts(content, ".source.content")
            case source:
                return [*about, self._file(source, is_image=False)]

    def _file(self, source: InlineFile | RemoteFile, *, is_image: bool) -> Part:
        if isinstance(source, RemoteFile):
            return self.remote_file(source, is_image=is_image)
        view = memoryview(source.data)
        if view[0] != _QUOTE or view.nbytes == _EMPTY:
            raise InvalidRequest(".source.data: a non-empty string is required.")
        return self.inline_file(source, is_image=is_image)


def json_object(value: Raw, place: str) -> Raw:
    """Return the JSON text of an object.

    Raises:
        InvalidRequest: the value is no object.
    """
    if memoryview(value)[0] != _BRACE:
        raise InvalidRequest(f"{place}: an object is required.")
    return value


def join_texts(texts: Iterable[Value]) -> Value:
    """Return texts on lines of their own, as JSON text."""
    encoded = [bytes(text) if isinstance(text, Raw) else _encode(text) for text in texts]
    return Raw(b'"%b"' % rb"\n".join([text[1:-1] for text in encoded]))
