"""Body of an upstream's answer, bounded as received and as decoded.

Every request asks for `identity`. A proxy in between may compress the answer all the same, so
gzip, deflate and zstd are decoded, and never further than the bound.
"""

from typing import Final

from count_tokens_mw.protocol.encodings import StreamDecoder, find_encoding

__all__ = ["ACCEPT_IDENTITY", "MAX_ANSWER_BYTES", "AnswerBody", "UnusableBody"]

MAX_ANSWER_BYTES: Final = 1024 * 1024
ACCEPT_IDENTITY: Final = ("accept-encoding", "identity")


class UnusableBody(ValueError):
    """Error of a body that is too large or in an unknown encoding; its text ends a sentence."""


class AnswerBody:
    """Body so far; `add` takes the next chunk, and `finish` returns the whole.

    Args:
        encoding: the value of `content-encoding`, empty for a body that is decoded already.

    Raises:
        UnusableBody: the encoding is not supported, or there is more than one.
    """

    def __init__(self, encoding: str = "") -> None:
        self._received = 0
        self._body = bytearray()
        self._decoder = _open_decoder(encoding.strip().lower())

    def add(self, chunk: bytes) -> None:
        """Add a chunk as received.

        Raises:
            UnusableBody: the body is too large, as received or as decoded.
            InvalidEncoding: the body is not valid in its encoding.
        """
        self._received += len(chunk)
        _require_bounded(self._received)
        if self._decoder is None:
            self._body += chunk
            return
        for piece in self._decoder.decode(chunk):
            self._body += piece
            _require_bounded(len(self._body))

    def finish(self) -> bytes:
        """Return the decoded body.

        Raises:
            InvalidEncoding: the body is truncated.
        """
        if self._decoder is not None:
            self._decoder.finish()
        return bytes(self._body)


def _open_decoder(name: str) -> StreamDecoder | None:
    if name in {"", "identity"}:
        return None
    encoding = find_encoding(name)
    if encoding is None:  # the value is not quoted, because it may be of any length
        raise UnusableBody("in an encoding that was not asked for")
    return StreamDecoder(encoding)


def _require_bounded(size: int) -> None:
    if size > MAX_ANSWER_BYTES:
        raise UnusableBody("with more than 1 MB")
