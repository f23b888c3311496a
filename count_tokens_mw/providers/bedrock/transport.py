"""HTTP of botocore's clients that get credentials: bounded answers, proxies, certificates.

https://aiobotocore.aio-libs.org
"""

from typing import Any, NamedTuple

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import ProxyConfiguration
from botocore.parsers import ResponseParserError

from count_tokens_mw.protocol.encodings import InvalidEncoding
from count_tokens_mw.providers.answer_body import AnswerBody, UnusableBody
from count_tokens_mw.providers.network import Network

__all__ = ["client_config"]


def client_config(network: Network) -> AioConfig:
    """Return the configuration of clients that get credentials: no retry, no environment."""

    class Session(_BoundedSession):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self._network = network
            self._proxy_config = _ProxyOfUrl(network)

    return AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=3,
        read_timeout=5,
        proxies={},
        ignore_configured_endpoint_urls=True,
        http_session_cls=Session,
    )


class _BoundedSession(AIOHTTPSession):  # type: ignore[misc]
    """HTTP session of botocore's clients with bounded answers; botocore reads any size.

    Certificates and proxies are those of the network, whatever AWS's own variables name.
    """

    _network: Network

    async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession | None = self._sessions.get(proxy_url)
        if session is None:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._network.tls),
                timeout=self._timeout,
                skip_auto_headers={"CONTENT-TYPE"},
                auto_decompress=False,
            )
            self._sessions[proxy_url] = await self._exit_stack.enter_async_context(session)
        return session

    async def send(self, request: Any) -> AioAWSResponse:
        request.stream_output = True  # so that the answer is not read there
        response = await super().send(request)
        url, headers = request.url, response.headers
        try:
            body = await _read(response.raw, headers.get("content-encoding", ""))
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionClosedError(endpoint_url=url, error=error) from error
        except (InvalidEncoding, UnusableBody) as error:
            message = f"AWS answered {response.status_code} {error}"
            raise ResponseParserError(message) from error
        return AioAWSResponse(url, response.status_code, headers, _RawBody(body))


class _ProxyOfUrl(ProxyConfiguration):  # type: ignore[misc]
    """botocore's view of the network's proxies; aiohttp takes user and password from the URL."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def proxy_url_for(self, url: str) -> str | None:
        return self._network.proxy_for(url)


class _RawBody(NamedTuple):
    body: bytes

    async def read(self) -> bytes:
        return self.body


async def _read(response: aiohttp.ClientResponse, encoding: str) -> bytes:
    async with response:
        body = AnswerBody(encoding)
        while chunk := await response.content.readany():
            body.add(chunk)
    return body.finish()
