"""The one way to send an `UpstreamCall` over HTTP."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from count_tokens_mw.errors import DeadlineExceeded, UpstreamUnreachable, UpstreamUnusable
from count_tokens_mw.types import UpstreamAnswer, UpstreamCall

__all__ = ["HttpClient", "transport_errors"]

_KEEPALIVE_SECONDS: Final = 30.0
_PIECE: Final = 256 * 1024
# What the libraries let through from below: names that are no host names, sockets that fail,
# answers with bytes that are not text.
_STRAY: Final = (httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError)


class HttpClient:
    """One pooled client for all providers, opened on first use; or the host's own, never closed.

    Pools belong to the event loop that they were opened on, so there is one for each loop: a host's
    tests may run every request on a loop of its own. After `aclose` the next use opens a new one.
    """

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._given = client
        # Here, where no event loop has to wait: it reads a file of certificates.
        self._tls = None if client else httpx.create_ssl_context(trust_env=False)
        self._opened: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    async def post(self, call: UpstreamCall) -> UpstreamAnswer:
        """Send a call and read its answer to the end. Redirects are not followed.

        Raises:
            UpstreamUnreachable: no connection, or it broke before there was an answer.
            UpstreamUnusable: it broke off in the middle of an answer.
            DeadlineExceeded: a timeout of the host's own client passed.
        """
        client = self._client()
        with transport_errors(call.provider, UpstreamUnreachable):
            request = client.build_request(
                "POST", call.target, content=_content(call.body), headers=_headers(call)
            )
            response = await client.send(request, stream=True, follow_redirects=False)
        with transport_errors(call.provider, UpstreamUnusable):
            async with aclosing(response):
                await response.aread()
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers.raw
        }
        return UpstreamAnswer(response.status_code, headers, response.content)

    async def aclose(self) -> None:
        """Close what this object opened."""
        client = self._opened.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _client(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        if loop not in self._opened:
            # A loop that is closed took its connections with it.
            self._opened = {loop: c for loop, c in self._opened.items() if not loop.is_closed()}
            self._opened[loop] = _open_client(self._tls or True)
        return self._opened[loop]


def _content(body: bytes) -> bytes | AsyncIterator[bytes]:
    """A large body in pieces: aiohttp writes bytes in one, and warns that this holds the loop."""
    return body if len(body) <= _PIECE else _pieces(body)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


def _headers(call: UpstreamCall) -> list[tuple[str, str]]:
    # Or a body in pieces would go out chunked, which not every upstream takes.
    return [*call.headers, ("content-length", str(len(call.body)))]


def _open_client(tls: ssl.SSLContext | bool) -> httpx.AsyncClient:
    """httpx's API over aiohttp's transport, which answers several times as many requests.

    No proxy, certificate or netrc from the environment; no cookie is kept between callers; no
    timeout and no limit of its own, since the count's deadline and `max_concurrency` are over it.
    """

    def open_session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=tls)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return httpx.AsyncClient(
        transport=AiohttpTransport(verify=tls, client=open_session),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        timeout=None,  # noqa: S113 - see above
        trust_env=False,
    )


@contextmanager
def transport_errors(provider: str, broken: type[UpstreamUnusable]) -> Iterator[None]:
    """Turn whatever the HTTP libraries raise into an error of ours.

    Raises:
        UpstreamUnusable: of the class `broken`, for a connection that is.
        DeadlineExceeded: a timeout of the client passed.
    """
    words = {
        UpstreamUnreachable: "could not be reached, or closed the connection",
        UpstreamUnusable: "broke off its answer",
    }
    try:
        yield
    except httpx.TimeoutException as error:
        # httpx-aiohttp files every broken connection under ConnectTimeout.
        is_broken = isinstance(error.__cause__, aiohttp.ClientConnectionError)
        if is_broken and not isinstance(error.__cause__, TimeoutError):
            raise broken(f"{provider} {words[broken]}.") from error
        raise DeadlineExceeded(f"{provider} did not answer in time.") from error
    except (httpx.HTTPError, aiohttp.ClientError, *_STRAY) as error:
        raise broken(f"{provider} {words[broken]}.") from error
