"""Content encodings of a request body: gzip and zstd, decoded piece by piece."""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple, Protocol

from count_tokens_mw.errors import InvalidRequest

__all__ = ["PIECE_BYTES", "BodyDecoder", "open_decoder"]

PIECE_BYTES: Final = 64 * 1024
"""A decoded piece is never larger, whatever the compression ratio."""
# A decompressor copies the rest of its input at each call, and empty blocks take time per byte.
_SLICE_BYTES: Final = 4096
# Empty members and frames take time without any output; bgzip makes 512 of 32 MB.
_MAX_STREAMS: Final = 4096
_MAX_ZSTD_WINDOW_LOG: Final = 23  # 8 MB: https://www.rfc-editor.org/rfc/rfc9659


class _Stream(Protocol):
    """Decompressor of one gzip member or zstd frame, in the terms of the standard library."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipStream:
    """Decompressor of one gzip member."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = len(piece) < max_length  # else zlib may hold output back
        return piece


class _Encoding(NamedTuple):
    name: str
    magic: tuple[bytes, ...]
    open: Callable[[], _Stream]
    error: type[Exception]


class BodyDecoder:
    """Decoder of one body; `decode` yields pieces and `finish` ends it.

    A body without the encoding's magic number has been decoded before, by the host's server or
    middleware, and is yielded as it is: no JSON begins with one of these bytes.
    """

    def __init__(self, encoding: _Encoding) -> None:
        self._encoding = encoding
        self._start = b""  # until the magic number is whole
        self._is_encoded: bool | None = None
        self._stream: _Stream | None = None
        self._streams = 0

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
        for start in range(0, len(chunk), _SLICE_BYTES):
            yield from self._decode_slice(chunk[start : start + _SLICE_BYTES])

    def finish(self) -> None:
        """Check that the body has ended.

        Raises:
            InvalidRequest: the body is truncated.
        """
        if self._stream is not None or (self._is_encoded is None and self._start):
            raise self._invalid()

    def _decode_slice(self, data: bytes) -> Iterator[bytes]:
        while data or (self._stream is not None and not self._stream.needs_input):
            stream = self._stream = self._stream or self._open()
            try:
                piece = stream.decompress(data, PIECE_BYTES)
            except self._encoding.error:
                raise self._invalid() from None
            data = b""
            if stream.eof:
                data, self._stream = stream.unused_data, None
            yield piece

    def _open(self) -> _Stream:
        self._streams += 1
        if self._streams > _MAX_STREAMS:
            raise self._invalid()
        return self._encoding.open()

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
    encoding = _find_encoding(names[0]) if len(names) == 1 else None
    if encoding is not None:
        return BodyDecoder(encoding)
    supported = "gzip or zstd" if _load_zstd() else "gzip"
    raise InvalidRequest(
        f"content-encoding: this compression is not supported; send {supported}, "
        "once, or an uncompressed body.",
        error_code="request_body_encoding_unsupported",
    )


def _find_encoding(name: str) -> _Encoding | None:
    if name in {"gzip", "x-gzip"}:
        return _Encoding("gzip", (b"\x1f\x8b",), _GzipStream, zlib.error)
    return _load_zstd() if name == "zstd" else None


@cache
def _load_zstd() -> _Encoding | None:
    """Return the encoding zstd, or None without the extra `zstd`."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        return None
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _MAX_ZSTD_WINDOW_LOG}
    skippable = tuple(b"%c\x2a\x4d\x18" % first for first in range(0x50, 0x60))

    def open_frame() -> _Stream:
        return zstd.ZstdDecompressor(options=options)

    return _Encoding("zstd", (b"\x28\xb5\x2f\xfd", *skippable), open_frame, zstd.ZstdError)
