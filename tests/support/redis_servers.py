"""A real `redis-server` on a free port, and a fake one that can be slow, dead or wrong."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

_TOO_LONG = 20  # seconds, after which a test fails instead of hanging


class RealRedis:
    """A running server on loopback that stores nothing on disk."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"

    def kill(self) -> None:
        """Kill the process, like a crash."""
        self._process.kill()
        self._process.wait()


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RealRedis]:
    """Yield a server; without `redis-server` the test is skipped, or fails in CI."""
    if shutil.which("redis-server") is None:
        missing = "redis-server is not installed (on Debian: apt-get install redis-server)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    while (server := _start(folder, *options)) is None:
        pass  # another process took the port
    try:
        yield server
    finally:
        server.kill()


def _start(folder: Path, *options: str) -> RealRedis | None:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = ""
    with process.stdout as lines:
        for line in lines:
            output += line
            if "eady to accept connections" in line:
                return RealRedis(process, port)
    process.wait()
    assert "Address already in use" in output, output
    return None


class FakeRedis:
    """A server that answers PTTL and GETRANGE from `values`, and OK to all else.

    It answers while `gate` is open. `held` is the only command that waits for the gate; None holds
    all. `seen` lists the received commands. `connections` counts all connections, and `open` the
    open ones. `fallback` replaces every answer, and `left` is the answer to PTTL.
    """

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.left = b":60000"
        self.gate = asyncio.Event()
        self.gate.set()
        self.held: str | None = None
        self.changed = asyncio.Condition()
        self.seen: list[list[str]] = []
        self.connections = self.open = 0
        self.fallback: bytes | None = None
        self.url = ""

    @property
    def names(self) -> list[str]:
        """The names of the received commands."""
        return [name for name, *_ in self.seen]

    async def until(self, name: str, times: int = 1) -> None:
        """Wait until a command was received `times` times."""
        async with asyncio.timeout(_TOO_LONG), self.changed:
            await self.changed.wait_for(lambda: self.names.count(name) >= times)

    async def until_open(self, connections: int) -> None:
        """Wait until exactly `connections` are open."""
        async with asyncio.timeout(_TOO_LONG), self.changed:
            await self.changed.wait_for(lambda: self.open == connections)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeRedis"]:
        """Serve on a free port until the `async with` ends."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://:canary-password@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self.gate.set()
            server.close()
            await self.until_open(0)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._note(connections=1)
        try:
            while count := await reader.readline():
                command = [await self._read_bulk_string(reader) for _ in range(int(count[1:]))]
                self.seen.append([word.decode() for word in command])
                await self._note()
                if self.held in {None, self.seen[-1][0]}:
                    await self.gate.wait()
                writer.write(self.fallback or self._answer(*self.seen[-1]))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            await self._note(connections=-1)

    async def _read_bulk_string(self, reader: asyncio.StreamReader) -> bytes:
        length = int((await reader.readline())[1:])
        return (await reader.readexactly(length + 2))[:-2]

    async def _note(self, connections: int = 0) -> None:
        async with self.changed:
            self.connections += max(0, connections)
            self.open += connections
            self.changed.notify_all()

    def _answer(self, name: str, *arguments: str) -> bytes:
        if name == "PTTL":
            return (self.left if arguments[0] in self.values else b":-2") + b"\r\n"
        if name == "GETRANGE":
            value = self.values.get(arguments[0], b"")[: int(arguments[2]) + 1]
            return b"$%d\r\n%s\r\n" % (len(value), value)
        if name == "SET":
            self.values[arguments[0]] = arguments[1].encode()
        return b"+OK\r\n"
