"""The body of a request, read within bounds and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.aio.fairness import YIELD_ABOVE_BYTES, LoopFairness
from count_tokens_mw.asgi.encodings import BodyDecoder, open_decoder
from count_tokens_mw.cache.fingerprint import update
from count_tokens_mw.config.models import Settings
from count_tokens_mw.errors import ClientClosedRequest, RequestTooLarge
from count_tokens_mw.host.callbacks import to_refused
from count_tokens_mw.types import RequestBody

__all__ = ["BODY_HEADERS", "TimedRequest", "expected_size", "read_body"]

T = TypeVar("T")

BODY_HEADERS: Final = ("content-encoding", "content-length")
"""The headers that describe a body."""
# A call of a decompressor takes as long as hashing this many bytes, or longer.
_DECODING_COST: Final = 16 * 1024


class TimedRequest(Request):
    """A request with its deadline, whose clock stands still while the body is read.

    `is_read` records whether the body was read, by `authenticate` for instance.

    Args:
        scope: the ASGI scope.
        receive: the ASGI callable.
        settings: the section `count_tokens`. `timeout` starts now, and `upload_timeout` at the
            first read.
    """

    def __init__(self, scope: Scope, receive: Receive, settings: Settings) -> None:
        super().__init__(scope, receive)
        self.is_read = False
        self.deadline = Deadline(settings.timeout)
        self._upload_seconds = settings.upload_timeout or settings.timeout
        self._upload_deadline: Deadline | None = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        self.is_read = True
        chunks = super().stream()
        while chunk := await self.upload(_next(chunks)):
            yield chunk
        yield b""

    async def upload(self, reading: Coroutine[Any, Any, T]) -> T:
        """Read from the client, and return the result.

        Raises:
            DeadlineExceeded: the body does not arrive in time.
        """
        if self._upload_deadline is None:
            self._upload_deadline = Deadline(self._upload_seconds)
        message = "The request body did not arrive in time."
        return await self._upload_deadline.run(reading, message, pauses=self.deadline)


def read_body(
    request: TimedRequest, headers: Mapping[str, str], limit: int, fairness: LoopFairness
) -> Awaitable[RequestBody]:
    """Read the body to its end, from the client or from a host that has read it before.

    The result is the decoded body, and so is its hash.

    Raises:
        RequestTooLarge: the actual or decoded size exceeds `limit` bytes.
        InvalidRequest: the content encoding is not supported, or the body is not valid in it.
        ClientClosedRequest: the client disconnected.
        DeadlineExceeded: the body did not arrive in time.
        Refused: the body exceeds a limit of the host's own.
    """
    decoder = None
    if "content-encoding" in headers:
        decoder = open_decoder(request.headers.getlist("content-encoding"))
    return request.upload(_read(request, limit, fairness, decoder))


async def _read(
    request: TimedRequest, limit: int, fairness: LoopFairness, decoder: BodyDecoder | None
) -> RequestBody:
    # Only Starlette's `stream` replays a body, but it takes longer than reading a small one.
    receive = _replay(request) if request.is_read else request.receive
    body = _BodyBuffer(limit, fairness)
    size = 0
    more = True
    while more:
        message = await _receive(receive)
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if decoder is None:
            await body.add(chunk, len(chunk))
            continue
        for piece in decoder.decode(chunk):
            await body.add(piece, max(len(piece), _DECODING_COST))
    if decoder is not None:
        decoder.finish()
    return await body.finish()


async def _receive(receive: Receive) -> Message:
    try:
        message = await receive()
    except HTTPException as refusal:  # the host may have a body limit of its own
        raise to_refused(refusal) from None
    except ClientDisconnect:
        raise ClientClosedRequest("The client left.") from None
    if message["type"] == "http.disconnect":
        raise ClientClosedRequest("The client left.")
    return message


class _BodyBuffer:
    """Pieces of a body so far and their hash; a large body takes turns on the event loop."""

    def __init__(self, limit: int, fairness: LoopFairness) -> None:
        self._limit = limit
        self._fairness = fairness
        self._pieces: list[bytes] = []
        self._digest = hashlib.sha256()
        self._size = self._since_checkpoint = 0

    async def add(self, piece: bytes, cost: int) -> None:
        """Add a piece; `cost` is the work for it so far and for its hash, in bytes hashed.

        Raises:
            RequestTooLarge: the decoded size exceeds the limit.
        """
        self._size += len(piece)
        if self._size > self._limit:
            raise _too_large(self._limit, "request_body_too_large_after_decoding")
        self._pieces.append(piece)
        self._since_checkpoint += cost
        if self._since_checkpoint <= YIELD_ABOVE_BYTES:
            self._digest.update(piece)
        else:
            await self._fairness.checkpoint()
            await update(self._digest, piece, self._fairness)
            self._since_checkpoint = 0

    async def finish(self) -> RequestBody:
        """Return the whole body and its hash."""
        if self._size > YIELD_ABOVE_BYTES:
            await self._fairness.checkpoint()  # parsing reads the whole body next
        return RequestBody(b"".join(self._pieces), self._digest.digest())


def _replay(request: Request) -> Receive:
    stream = request.stream()

    async def receive() -> Message:
        chunk = await _next(stream)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    return receive


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    return await anext(chunks, b"")


def _too_large(limit: int, error_code: str | None = None) -> RequestTooLarge:
    message = f"The request body is larger than {limit} bytes."
    return RequestTooLarge(message, error_code=error_code)


def _declared_length(headers: Mapping[str, str]) -> int:
    """Return the content-length, or 0 if it is missing or no number."""
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0


def expected_size(headers: Mapping[str, str], limit: int) -> int:
    """Return the bytes that a body may take: its declared length, or `limit` if that says little.

    Raises:
        RequestTooLarge: the declared size exceeds `limit` bytes.
    """
    declared = _declared_length(headers)
    if declared > limit:
        raise _too_large(limit)
    is_certain = "content-length" in headers and "content-encoding" not in headers
    return max(0, declared) if is_certain else limit
