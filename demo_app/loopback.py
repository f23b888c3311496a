"""Listening sockets, and ASGI apps served on one in the background."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

__all__ = ["address_of", "listening", "serving"]


def listening(host: str, port: int) -> socket.socket:
    """A TCP socket that listens from now on, so that nobody has to wait for its server.

    Raises:
        OSError: the address is no address, or is taken.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With the protocol named: asyncio turns Nagle's algorithm off only then, and with it on each
    # answer on a kept connection waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(host: str, port: int, *_: object) -> str:
    """The base URL of what `getsockname` tells of a listening socket."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an app over real HTTP on a free loopback port for as long as a `with` lasts.

    Yields its base URL.
    """
    with listening("127.0.0.1", 0) as listener:
        # Longer than a client keeps an idle connection, so that none is closed under a request.
        config = uvicorn.Config(
            app, ws="none", log_level="warning", access_log=False, timeout_keep_alive=75
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address_of(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()
