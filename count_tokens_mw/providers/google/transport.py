"""HTTP transport of google-auth with timeouts of seconds, bounded answers, and the proxy.

https://googleapis.dev/python/google-auth/latest/reference/google.auth.transport.html
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import urllib3
from google.auth import transport as auth_transport
from google.auth.exceptions import TransportError
from urllib3.connectionpool import HTTPConnectionPool

from count_tokens_mw.protocol.encodings import PIECE_BYTES, InvalidEncoding
from count_tokens_mw.providers.answer_body import AnswerBody, UnusableBody
from count_tokens_mw.providers.network import Network, split_credentials

__all__ = ["GoogleRequest"]

_RETRIES: Final = urllib3.Retry(connect=1, read=0, redirect=0, status=0, other=0)


class GoogleRequest(auth_transport.Request):
    """HTTP requests of one renewal.

    The timeouts of google-auth's own are minutes or none, and it reads an answer of any size.
    """

    def __init__(self, timeout: urllib3.Timeout, network: Network) -> None:
        self._sockets: list[socket.socket] = []
        self._network = network
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._timeout = timeout

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Any = None,
        timeout: Any = None,
        **more: Any,
    ) -> "_Response":
        # The metadata server's client passes a timeout, and retries by itself.
        more |= {"timeout": self._timeout, "retries": _RETRIES if timeout is None else False}
        # A redirect would be read to its end, however large it is.
        more |= {"preload_content": False, "redirect": False}
        try:
            pool = self._pool_for(self._network.proxy_for(url))
            return _read(pool.request(method, url, body=body, headers=headers, **more))
        except (urllib3.exceptions.HTTPError, InvalidEncoding, UnusableBody) as error:
            raise TransportError(error) from error

    def close(self) -> None:
        """Shut down every socket, because a response that drips byte by byte never times out."""
        for sock in self._sockets:
            with suppress(OSError):  # already closed, or wrapped by TLS
                sock.shutdown(socket.SHUT_RDWR)
        for pool in list(self._pools.values()):
            pool.clear()

    def _pool_for(self, proxy: str | None) -> urllib3.PoolManager:
        """Return the pool of direct connections, or of those through a proxy."""
        if proxy not in self._pools:
            pool = self._pools[proxy] = self._open_pool(proxy)
            pool.pool_classes_by_scheme = {
                scheme: self._track_sockets(kind)
                for scheme, kind in pool.pool_classes_by_scheme.items()
            }
        return self._pools[proxy]

    def _open_pool(self, proxy: str | None) -> urllib3.PoolManager:
        tls = self._network.create_tls_context()  # of its own, because urllib3 changes it
        if proxy is None:
            return urllib3.PoolManager(ssl_context=tls)
        url, credentials = split_credentials(proxy)
        headers = urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None
        return urllib3.ProxyManager(
            url, proxy_headers=headers, ssl_context=tls, proxy_ssl_context=tls
        )

    def _track_sockets(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        """Return a subclass of the pool that adds its sockets to those that `close` shuts down."""
        sockets = self._sockets

        class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined]
            def _new_conn(self) -> socket.socket:
                sock: socket.socket = super()._new_conn()
                sockets.append(sock)
                return sock

            def connect(self) -> None:
                super().connect()
                # TLS inside of TLS, by a proxy of https://, is no socket but has one.
                sock: Any = getattr(self.sock, "socket", self.sock)
                sockets.append(sock)

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


@dataclass(frozen=True, slots=True)
class _Response:
    """Answer in google-auth's terms."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


def _read(response: "urllib3.BaseHTTPResponse") -> _Response:
    """Read the whole answer, past urllib3's own decoders, which have no bound in its 1.x.

    Raises:
        UnusableBody, InvalidEncoding: see `AnswerBody`.
    """
    try:
        body = AnswerBody(response.headers.get("content-encoding", ""))
        while chunk := response.read(PIECE_BYTES, decode_content=False):
            body.add(chunk)
        return _Response(response.status, response.headers, body.finish())
    finally:
        response.close()
