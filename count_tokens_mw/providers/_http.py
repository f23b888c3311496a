"""The one way to send an `UpstreamCall` over HTTP, and to read what comes back."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from count_tokens_mw.errors import DeadlineExceeded, UpstreamError, UpstreamUnusable
from count_tokens_mw.types import TokenCount, UpstreamAnswer, UpstreamCall

__all__ = ["HttpClient", "count_from", "transport_errors", "upstream_error"]

_KEEPALIVE_SECONDS: Final = 30.0
# What the libraries let through from below: names that are no host names, sockets that fail,
# answers with bytes that are not text.
_STRAY: Final = (httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError)
_LONGEST_MESSAGE: Final = 2000
_PASSED_ON: Final = {"retry-after", "retry-after-ms", "x-should-retry", "request-id"}
_PASSED_ON_PREFIX: Final = "anthropic-ratelimit-"
_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch


class HttpClient:
    """One pooled client for all providers, opened on first use; or the host's own, never closed.

    Pools belong to the event loop that they were opened on, so there is one for each loop: a host's
    tests may run every request on a loop of its own. After `aclose` the next use opens a new one.
    """

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._given = client
        self._opened: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    async def post(self, call: UpstreamCall) -> UpstreamAnswer:
        """Send a call and read its answer to the end. Redirects are not followed.

        Raises:
            UpstreamUnusable: no connection, or it broke off.
            DeadlineExceeded: a timeout of the host's own client passed.
        """
        with transport_errors(call.provider):
            response = await self._client().post(
                call.target, content=call.body, headers=call.headers, follow_redirects=False
            )
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
            self._opened[loop] = _open_client()
        return self._opened[loop]


def _open_client() -> httpx.AsyncClient:
    """httpx's API over aiohttp's transport, which answers several times as many requests.

    No proxy, certificate or netrc from the environment; no cookie is kept between callers; no
    timeout and no limit of its own, since the count's deadline and `max_concurrency` are over it.
    """
    tls = httpx.create_ssl_context(trust_env=False)

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
def transport_errors(provider: str) -> Iterator[None]:
    """Turn whatever the HTTP libraries raise into an error of ours.

    Raises:
        UpstreamUnusable: no connection, or it broke off.
        DeadlineExceeded: a timeout of the client passed.
    """
    try:
        yield
    except httpx.TimeoutException as error:
        # httpx-aiohttp files every broken connection under ConnectTimeout.
        broken = isinstance(error.__cause__, aiohttp.ClientConnectionError)
        if broken and not isinstance(error.__cause__, TimeoutError):
            raise _unreachable(provider) from error
        raise DeadlineExceeded(f"{provider} did not answer in time.") from error
    except (httpx.HTTPError, aiohttp.ClientError, *_STRAY) as error:
        raise _unreachable(provider) from error


def _unreachable(provider: str) -> UpstreamUnusable:
    return UpstreamUnusable(f"{provider} could not be reached, or broke off its answer.")


def count_from(provider: str, answer: UpstreamAnswer, *, field: str = "input_tokens") -> TokenCount:
    """The count in an answer: a whole number that the provider itself gave, or an error.

    Raises:
        UpstreamError: the answer is an error status.
        UpstreamUnusable: neither that nor a count. Zero is never made up.
    """
    if answer.status >= 400:
        raise upstream_error(provider, answer)
    said = _json_object(answer.body) if 200 <= answer.status < 300 else {}
    count = said.get(field)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise UpstreamUnusable(
            f"{provider} answered {answer.status} without a count.", headers=_passed_on(answer)
        )
    return TokenCount(count, headers=_passed_on(answer))


def upstream_error(provider: str, answer: UpstreamAnswer) -> UpstreamError:
    """An error status in the upstream's own words.

    Anthropic's envelope is kept byte for byte; of anything else the message is kept if it can be
    told from the rest (never a page of HTML), and the status always.
    """
    said = _json_object(answer.body)
    error = said.get("error")
    inner = error if isinstance(error, Mapping) else {}
    message, error_type = inner.get("message"), inner.get("type")
    headers = _passed_on(answer)
    if said.get("type") == "error" and isinstance(message, str) and isinstance(error_type, str):
        return UpstreamError(
            answer.status, message, headers=headers, body=answer.body, error_type=error_type
        )
    candidates = (message, error, said.get("message"), said.get("detail"))
    words = next((text for text in candidates if isinstance(text, str) and text), None)
    words = words or f"{provider} answered {answer.status}."
    return UpstreamError(answer.status, words[:_LONGEST_MESSAGE], headers=headers)


def _passed_on(answer: UpstreamAnswer) -> Mapping[str, str]:
    return {
        name: value
        for name, value in answer.headers.items()
        if (name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIX)) and _PRINTABLE(value)
    }


def _json_object(body: bytes) -> Mapping[str, object]:
    try:
        said = json.loads(body.decode())
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
