"""Content encodings of HTTP bodies: gzip, deflate and zstd, decoded piece by piece."""

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final, NamedTuple, Protocol

__all__ = ["PIECE_BYTES", "Encoding", "InvalidEncoding", "StreamDecoder", "find_encoding"]

PIECE_BYTES: Final = 64 * 1024
"""A decoded piece is never larger, whatever the compression ratio."""
# A decompressor copies the rest of its input at each call, and empty blocks take time per byte.
_SLICE_BYTES: Final = 4096
# Empty members and frames take time without any output; bgzip makes 512 of 32 MB.
_MAX_STREAMS: Final = 4096
_MAX_ZSTD_WINDOW_LOG: Final = 23  # 8 MB: https://www.rfc-editor.org/rfc/rfc9659
_GZIP_WBITS: Final = 31
_ZLIB_WBITS: Final = 15
_RAW_WBITS: Final = -15


class InvalidEncoding(ValueError):
    """Error of a body that is corrupt or truncated, or has data after its end."""


class _Stream(Protocol):
    """Decompressor of one gzip member or zstd frame, in the terms of the standard library."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _ZlibStream:
    """Decompressor of one gzip member, or of zlib's formats."""

    def __init__(self, wbits: int = _GZIP_WBITS) -> None:
        self._inner = zlib.decompressobj(wbits)
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


class _DeflateStream(_ZlibStream):
    """Decompressor of zlib's format, or of the raw one that some servers call deflate too."""

    def __init__(self) -> None:
        super().__init__(_ZLIB_WBITS)
        self._is_started = False

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if not self._is_started and data[0] & 0x0F != zlib.DEFLATED:
            super().__init__(_RAW_WBITS)
        self._is_started = True
        return super().decompress(data, max_length)


class Encoding(NamedTuple):
    """Content encoding: its name, the first bytes of its bodies, and its decompressor."""

    name: str
    magic: tuple[bytes, ...]
    open: Callable[[], _Stream]
    error: type[Exception]


class StreamDecoder:
    """Decoder of one body; `decode` yields pieces and `finish` ends it."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._stream: _Stream | None = None
        self._streams = 0

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces of the next chunk; a piece may be empty.

        Raises:
            InvalidEncoding: the body is corrupt, or has data after its end.
        """
        for start in range(0, len(chunk), _SLICE_BYTES):
            yield from self._decode_slice(chunk[start : start + _SLICE_BYTES])

    def finish(self) -> None:
        """Check that the body has ended.

        Raises:
            InvalidEncoding: the body is truncated.
        """
        if self._stream is not None:
            raise InvalidEncoding(self._encoding.name)

    def _decode_slice(self, data: bytes) -> Iterator[bytes]:
        while data or (self._stream is not None and not self._stream.needs_input):
            stream = self._stream = self._stream or self._open()
            try:
                piece = stream.decompress(data, PIECE_BYTES)
            except self._encoding.error:
                raise InvalidEncoding(self._encoding.name) from None
            data = b""
            if stream.eof:
                data, self._stream = stream.unused_data, None
            yield piece

    def _open(self) -> _Stream:
        self._streams += 1
        if self._streams > _MAX_STREAMS:
            raise InvalidEncoding(self._encoding.name)
        return self._encoding.open()


def find_encoding(name: str) -> Encoding | None:
    """Return the encoding of a name in lower case, or None if it is not supported."""
    match name:
        case "gzip" | "x-gzip":
            return Encoding("gzip", (b"\x1f\x8b",), _ZlibStream, zlib.error)
        case "deflate":
            return Encoding("deflate", (), _DeflateStream, zlib.error)
        case "zstd":
            return _load_zstd()
    return None


@cache
def _load_zstd() -> Encoding | None:
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

    return Encoding("zstd", (b"\x28\xb5\x2f\xfd", *skippable), open_frame, zstd.ZstdError)
