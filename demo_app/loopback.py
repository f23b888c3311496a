"""Listening sockets, and ASGI apps served on one."""

import asyncio
import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

__all__ = ["Server", "address_of", "is_loopback", "listen", "listener_for", "serving"]


_TICK_SECONDS: Final = 0.1


class Server(uvicorn.Server):
    """A server of one app, which calls `ending` when its shutdown begins.

    The lifespan ends only after the last answer, which an open stream would delay.
    """

    def __init__(self, app: ASGIApp, ending: Callable[[], None], **options: Any) -> None:
        super().__init__(uvicorn.Config(app, log_level="warning", access_log=False, **options))
        self._ending = ending
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Run until the server has to stop; `stop` need not wait for uvicorn's next tick."""
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Stop the server, from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has stopped already
                self._loop.call_soon_threadsafe(self._stopped.set)


def listener_for(environ: Mapping[str, str], *, is_key_public: bool) -> socket.socket:
    """Listen on HOST and PORT, or exit with a message that names the invalid value."""
    host, port = environ.get("HOST") or "127.0.0.1", environ.get("PORT") or "8000"
    if not port.isdecimal() or int(port) > 65535:
        sys.exit(f"PORT={port}: a number up to 65535 is required")
    try:
        address = _resolve(host)
        if is_key_public and not is_loopback(address):
            sys.exit(
                f"HOST={host}: the demo's API key is public, and others could reach it there; "
                "set DEMO_API_KEY to a key of your own, or use HOST=127.0.0.1"
            )
        return listen(address, int(port))
    except OSError as error:
        sys.exit(f"HOST={host} PORT={port}: {error.strerror}; PORT=8001 make demo takes another")


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches a numeric address: 127.0.0.0/8 and ::1."""
    return ipaddress.ip_address(address).is_loopback


def _resolve(host: str) -> str:
    """Return the first numeric address of a host name."""
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])


def listen(host: str, port: int) -> socket.socket:
    """Return a TCP socket that listens already, so that no client has to wait for its server.

    Raises:
        OSError: the address is invalid or in use.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # The protocol is named, because asyncio disables Nagle's algorithm only then. With it enabled,
    # each answer on a kept connection waits 40 ms for the client's delayed acknowledgement.
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
    """Return the base URL for the result of a listening socket's `getsockname`."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def serving(app: ASGIApp, ending: Callable[[], None] = lambda: None) -> Iterator[str]:
    """Serve an app over HTTP on a free loopback port for as long as a `with` lasts.

    Yields the base URL. `ending` is called at the end, to close streams that are still open.
    """
    with listen("127.0.0.1", 0) as listener:
        # Longer than clients keep an idle connection, so that none is closed under a request.
        server = Server(app, ending, ws="none", timeout_keep_alive=75)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address_of(*listener.getsockname())
        finally:
            server.stop()
            thread.join()
