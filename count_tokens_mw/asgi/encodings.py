"""Content encodings of a request body: gzip and zstd."""

from collections.abc import Iterable, Iterator
from typing import Final

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.protocol.encodings import (
    Encoding,
    InvalidEncoding,
    StreamDecoder,
    find_encoding,
)

__all__ = ["BodyDecoder", "open_decoder"]

_SUPPORTED: Final = {"gzip", "x-gzip", "zstd"}


class BodyDecoder:
    """Decoder of one body; `decode` yields pieces and `finish` ends it.

    A body without the encoding's magic number has been decoded before, by the host's server or
    middleware, and is yielded as it is: no JSON begins with one of these bytes.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._start = b""  # until the magic number is whole
        self._is_encoded: bool | None = None
        self._decoder = StreamDecoder(encoding)

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces of the next chunk; a piece may be empty.

        Raises:
            InvalidRequest: the body is corrupt, or has data after its end.
        """
        if self._is_encoded is None:
            chunk = self._start + chunk
            if any(magic.startswith(chunk) and magic != chunk for magic in self._encoding.magic):
                self._start = chunk
                return
            self._is_encoded = chunk.startswith(self._encoding.magic)
        if not self._is_encoded:
            yield chunk
            return
        try:
            yield from self._decoder.decode(chunk)
        except InvalidEncoding:
            raise self._invalid() from None

    def finish(self) -> None:
        """Check that the body has ended.

        Raises:
            InvalidRequest: the body is truncated.
        """
        if self._is_encoded is None and self._start:
            raise self._invalid()
        try:
            self._decoder.finish()
        except InvalidEncoding:
            raise self._invalid() from None

    def _invalid(self) -> InvalidRequest:
        return InvalidRequest(
            f"content-encoding: the body is not one valid {self._encoding.name} body; "
            "send a whole one, or an uncompressed body.",
            error_code="request_body_encoding_invalid",
        )


def open_decoder(lines: Iterable[str]) -> BodyDecoder | None:
    """Return the decoder that the lines of `content-encoding` name, or None for no encoding.

    Raises:
        InvalidRequest: the encoding is not supported, or there is more than one.
    """
    names = [name.strip().lower() for name in ",".join(lines).split(",")]
    if names in ([""], ["identity"]):
        return None
    is_supported = len(names) == 1 and names[0] in _SUPPORTED
    encoding = find_encoding(names[0]) if is_supported else None
    if encoding is not None:
        return BodyDecoder(encoding)
    supported = "gzip or zstd" if find_encoding("zstd") else "gzip"
    raise InvalidRequest(
        f"content-encoding: this compression is not supported; send {supported}, "
        "once, or an uncompressed body.",
        error_code="request_body_encoding_unsupported",
    )
