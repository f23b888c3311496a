"""The one way to send an `UpstreamCall` over HTTP: our own connections, or the host's client."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, Final

import aiohttp
import httpx
from yarl import URL

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.config.models import HttpSettings
from count_tokens_mw.errors import UpstreamUnreachable, UpstreamUnusable
from count_tokens_mw.providers.transport_errors import transport_errors
from count_tokens_mw.types import UpstreamAnswer, UpstreamCall

__all__ = ["HttpClient"]

_PIECE: Final = 256 * 1024
_LARGE: Final = 1024 * 1024


class HttpClient:
    """Pooled connections for all providers, opened on first use; or the host's own client.

    Pools belong to the event loop that they were opened on, so there is one for each loop: a host's
    tests may run every request on a loop of its own. After `aclose` the next use opens a new one.
    The host's client is used as it is, and never closed.

    Args:
        client: the host's own.
        settings: the sizes of our pools.
        turns: those of large bodies, which are sent in pieces.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        settings: HttpSettings | None = None,
        fairness: LoopFairness | None = None,
    ) -> None:
        self._given = client
        self._settings = settings or HttpSettings()
        self._fairness = fairness or LoopFairness()
        # Here, where no event loop has to wait: it reads a file of certificates.
        self._tls = None if client else httpx.create_ssl_context(trust_env=False)
        self._opened: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    async def post(self, call: UpstreamCall) -> UpstreamAnswer:
        """Send a call and read its answer to the end. Redirects are not followed.

        Raises:
            UpstreamUnreachable: no connection, or it broke before there was an answer.
            UpstreamUnusable: it broke off in the middle of an answer.
            DeadlineExceeded: a timeout of the host's own client passed.
        """
        if self._given is None:
            return await _post_by_aiohttp(self._session(), call, self._fairness)
        return await _post_by_httpx(self._given, call, self._fairness)

    async def aclose(self) -> None:
        """Close what this object opened."""
        session = self._opened.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._opened.get(loop)
        if session is None:
            # A loop that is closed took its connections with it.
            self._opened = {loop: s for loop, s in self._opened.items() if not loop.is_closed()}
            session = self._opened[loop] = self._open_session()
        return session

    def _open_session(self) -> aiohttp.ClientSession:
        """No proxy and no netrc from the environment, no cookies; no timeout of its own either,
        since the count's deadline is over it."""
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=self._settings.max_connections or 0,
            keepalive_timeout=self._settings.keepalive_expiry,
            ssl=self._tls or True,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )


async def _post_by_aiohttp(
    session: aiohttp.ClientSession, call: UpstreamCall, fairness: LoopFairness
) -> UpstreamAnswer:
    data: bytes | AsyncIterator[bytes] = call.body
    headers = call.headers
    if len(call.body) > _LARGE:  # aiohttp warns of so much in one piece, which would hold the loop
        data = aiter(_Pieces(call.body, fairness))
        # Or it would go out chunked, which not every upstream takes.
        headers = [*headers, ("content-length", str(len(call.body)))]
    with transport_errors(call.provider, UpstreamUnreachable):
        response = await session.post(
            URL(call.target, encoded=True), data=data, headers=headers, allow_redirects=False
        )
    with transport_errors(call.provider, UpstreamUnusable):
        async with response:
            body = await response.read()
    return UpstreamAnswer(response.status, _decoded(response.raw_headers), body)


async def _post_by_httpx(
    client: httpx.AsyncClient, call: UpstreamCall, fairness: LoopFairness
) -> UpstreamAnswer:
    with transport_errors(call.provider, UpstreamUnreachable):
        request = client.build_request(
            "POST", call.target, content=call.body, headers=list(call.headers)
        )
        if len(call.body) > _LARGE:
            request.stream = _Pieces(call.body, fairness)  # the client's own hooks see the bytes
        options: dict[str, Any] = {"stream": True, "follow_redirects": False}
        if call.signed:  # the client's own parameters and auth would make the signature another's
            request.url, options["auth"] = httpx.URL(call.target), None
        response = await client.send(request, **options)
    with transport_errors(call.provider, UpstreamUnusable):
        async with aclosing(response):
            await response.aread()
    return UpstreamAnswer(response.status_code, _decoded(response.headers.raw), response.content)


class _Pieces(httpx.AsyncByteStream):
    """A large body, piece by piece and by turns; as often as it is asked for."""

    def __init__(self, body: bytes, fairness: LoopFairness) -> None:
        self._body = body
        self._fairness = fairness

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _PIECE):
            await self._fairness.checkpoint()
            yield self._body[start : start + _PIECE]


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
