"""HTTP client for an `UpstreamCall`, over pools of its own or over the host's client."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, cast

import aiohttp
import httpx
from yarl import URL

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.aio.per_loop import PerLoop
from count_tokens_mw.config.http_settings import HttpSettings
from count_tokens_mw.errors import (
    CountError,
    DeadlineExceeded,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.protocol.encodings import InvalidEncoding
from count_tokens_mw.providers.answer_body import ACCEPT_IDENTITY, AnswerBody, UnusableBody
from count_tokens_mw.providers.causes import cause_of
from count_tokens_mw.providers.network import Network
from count_tokens_mw.providers.responses import unusable_answer
from count_tokens_mw.types import UpstreamAnswer, UpstreamCall

__all__ = ["BROKEN", "HttpClient", "read_answer", "transport_error"]

_PIECE_BYTES: Final = 256 * 1024
_LARGE_BYTES: Final = 1024 * 1024
# The last two come through from below the libraries: failing sockets, and invalid host names or
# response bytes.
BROKEN: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    aiohttp.ClientError,
    OSError,
    UnicodeError,
)
_MESSAGES: Final = {
    UpstreamUnreachable: "could not be reached, or closed the connection",
    UpstreamUnusable: "broke off its answer",
}


class HttpClient:
    """Connection pools for all providers, opened on first use; or the host's own client.

    A pool belongs to one event loop, so every loop has its own: a host's tests may run every
    request on a new loop. After `aclose` the next use opens a new pool. The host's client is used
    unchanged, and never closed. Token servers are called by the pools even if there is one.

    Args:
        client: the host's own client.
        settings: the sizes of the pools, the proxies and the certificates.
        fairness: the event loop's, which sends large bodies in pieces.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        settings: HttpSettings | None = None,
        fairness: LoopFairness | None = None,
    ) -> None:
        self._host_client = client
        self._fairness = fairness or LoopFairness()
        self._settings = settings
        self._sessions = PerLoop(self._open_session)
        if client is None:
            _ = self.network  # not on first use, because it reads a file and would block the loop

    @cached_property
    def network(self) -> Network:
        """The proxies and the certificates.

        With a client of the host's, a provider that calls a token server opens it in a thread.
        """
        return Network(self._settings)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool of this event loop."""
        return self._sessions.get()

    async def post(self, call: UpstreamCall) -> UpstreamAnswer:
        """Send a call and read the whole answer. Redirects are not followed.

        Raises:
            UpstreamUnreachable: no connection, or a break before the answer.
            UpstreamUnusable: a break within the answer, or one of more than 1 MB, whatever its
                status.
            DeadlineExceeded: a timeout of the host's own client expired.
        """
        if self._host_client is None:
            return await self.post_to_token_server(call)
        return await _post_by_httpx(self._host_client, call, self._fairness)

    async def post_to_token_server(self, call: UpstreamCall) -> UpstreamAnswer:
        """Send a call as `post` does, but never by the host's client.

        Raises:
            UpstreamUnreachable, UpstreamUnusable: as for `post`.
        """
        proxy = self.network.proxy_for(call.target)
        return await _post_by_aiohttp(self.session, call, self._fairness, proxy)

    async def aclose(self) -> None:
        """Close this event loop's pool."""
        session = self._sessions.pop()
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        """Open a session without netrc, cookies or timeout; the count has a deadline."""
        settings = self.network.settings
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=settings.max_connections or 0,
            keepalive_timeout=settings.keepalive_expiry,
            ssl=self.network.tls,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            headers=[ACCEPT_IDENTITY],
            auto_decompress=False,  # it has no bound
        )


async def _post_by_aiohttp(
    session: aiohttp.ClientSession, call: UpstreamCall, fairness: LoopFairness, proxy: str | None
) -> UpstreamAnswer:
    data: bytes | AsyncIterator[bytes] = call.body
    headers = call.headers
    if len(call.body) > _LARGE_BYTES:
        # In one piece it blocks the event loop, of which aiohttp warns.
        data = aiter(_BodyStream(call.body, fairness))
        # Without a length aiohttp sends it chunked, which not every upstream accepts.
        headers = [*headers, ("content-length", str(len(call.body)))]
    broken: type[UpstreamUnusable] = UpstreamUnreachable
    try:
        url = URL(call.target, encoded=True)
        response = await session.post(
            url, data=data, headers=headers, allow_redirects=False, proxy=proxy
        )
        broken = UpstreamUnusable
        async with response:
            head = UpstreamAnswer(response.status, _decode_headers(response.raw_headers), b"")
            with _reading(call.provider, head):
                return replace(head, body=await read_answer(response))
    except BROKEN as error:
        raise transport_error(call.provider, broken, error) from error


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """Read the whole body of a response whose session does not decode it.

    Raises:
        UnusableBody, InvalidEncoding: see `AnswerBody`.
    """
    try:
        body = AnswerBody(", ".join(response.headers.getall("content-encoding", ())))
        while chunk := await response.content.readany():
            body.add(chunk)
    except UnusableBody:
        if response.connection and response.connection.transport:
            # Closing would first send the rest of the request, which an upstream may never read.
            response.connection.transport.abort()
        raise
    return body.finish()


async def _post_by_httpx(
    client: httpx.AsyncClient, call: UpstreamCall, fairness: LoopFairness
) -> UpstreamAnswer:
    broken: type[UpstreamUnusable] = UpstreamUnreachable
    try:
        headers = list(call.headers)
        if all(name != ACCEPT_IDENTITY[0] for name, _ in headers):
            headers.append(ACCEPT_IDENTITY)
        request = client.build_request("POST", call.target, content=call.body, headers=headers)
        if len(call.body) > _LARGE_BYTES:
            # Replaced after the request is built, so that the client's hooks can read the body.
            request.stream = _BodyStream(call.body, fairness)
        options: dict[str, Any] = {"stream": True, "follow_redirects": False}
        if call.signed:  # the client's own parameters and auth would break the signature
            request.url, options["auth"] = httpx.URL(call.target), None
        response = await client.send(request, **options)
        broken = UpstreamUnusable
        async with aclosing(response):
            head = UpstreamAnswer(response.status_code, _decode_headers(response.headers.raw), b"")
            with _reading(call.provider, head):
                body = await _read_httpx(response)
        # A cycle of httpx's, from the stream to its response, would keep the request's body.
        response.stream = httpx.ByteStream(b"")
        return replace(head, body=body)
    except BROKEN as error:
        raise transport_error(call.provider, broken, error) from error


async def _read_httpx(response: httpx.Response) -> bytes:
    """Read the body past httpx's own decoders, which have no bound."""
    if response.is_stream_consumed:  # a hook of the client has read it, and httpx decoded it
        body = AnswerBody()
        body.add(response.content)
        return body.finish()
    body = AnswerBody(response.headers.get("content-encoding", ""))
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw())) as chunks:
        async for chunk in chunks:
            body.add(chunk)
    return body.finish()


@contextmanager
def _reading(provider: str, head: UpstreamAnswer) -> Iterator[None]:
    """Translate the errors of an `AnswerBody`; its answer has this status and these headers."""
    try:
        yield
    except UnusableBody as error:
        raise unusable_answer(provider, head, str(error)) from None
    except InvalidEncoding as error:
        raise transport_error(provider, UpstreamUnusable, error) from None


class _BodyStream(httpx.AsyncByteStream):
    """Replayable stream of a large body, which yields to the event loop between pieces."""

    def __init__(self, body: bytes, fairness: LoopFairness) -> None:
        self._body = body
        self._fairness = fairness

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _PIECE_BYTES):
            await self._fairness.checkpoint()
            yield self._body[start : start + _PIECE_BYTES]


def _decode_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def transport_error(provider: str, broken: type[UpstreamUnusable], error: Exception) -> CountError:
    """Return the error for an exception of the HTTP libraries, one of `BROKEN`.

    It is a `DeadlineExceeded` if a timeout of the client expired, else an instance of `broken`.
    """
    if isinstance(error, httpx.TimeoutException) and not _is_broken(error.__cause__):
        return DeadlineExceeded(f"{provider} did not answer in time.")
    return broken(f"{provider} {_MESSAGES[broken]}{cause_of(error)}.")


def _is_broken(cause: BaseException | None) -> bool:
    """Return whether a timeout is a broken connection; httpx-aiohttp reports it so."""
    return isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, TimeoutError)
