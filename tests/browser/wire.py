"""A proxy to a server that a test can disconnect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

__all__ = ["Wire"]


class Wire:
    """A TCP proxy, whose open connections `cut` aborts; later connections work again.

    `url` leads through it.
    """

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._host, self._port = parts.hostname, parts.port
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    @asynccontextmanager
    async def listen(self) -> AsyncIterator["Wire"]:
        """Listen for as long as an `async with` lasts."""
        listener = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            listener.close()
            self.cut()
            await listener.wait_closed()

    def cut(self) -> None:
        """Abort every open connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        remote_reader, remote_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, remote_writer}
        with suppress(OSError):
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, remote_writer))
                both.create_task(self._pass(remote_reader, writer))
        self._writers -= {writer, remote_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
