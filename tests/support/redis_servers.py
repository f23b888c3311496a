"""A real `redis-server` on a free port, and a fake one that is slow, dead or wrong as told."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

_TOO_LONG = 20  # what does not come until then is a failure, and would else be waited for for ever


class RealRedis:
    """One that runs, on loopback, and keeps nothing on the disk."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()


def free_port() -> int:
    """One that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RealRedis]:
    """Without `redis-server` the test is skipped, but not in CI, where that is a failure."""
    if shutil.which("redis-server") is None:
        missing = "redis-server is not installed (on Debian: apt-get install redis-server)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    while (started := _started(folder, *options)) is None:
        pass  # somebody else took the port
    try:
        yield started
    finally:
        started.kill()


def _started(folder: Path, *options: str) -> RealRedis | None:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    with process.stdout as lines:
        for line in lines:
            said += line
            if "eady to accept connections" in line:
                return RealRedis(process, port)
    process.wait()
    assert "Address already in use" in said, said
    return None


class FakeRedis:
    """Answers PTTL and GET from `values` and OK to all else; while `gate` is closed, nothing.

    `held` is the one command that waits for the gate, if not all do. `seen` are the commands that
    came, `connections` how many there ever were, and `open` how many there are. `fallback` is sent
    in place of every answer.
    """

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
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
        """The names of the commands that came."""
        return [name for name, *_ in self.seen]

    async def until(self, name: str, times: int = 1) -> None:
        """Wait until a command has come so often."""
        async with asyncio.timeout(_TOO_LONG), self.changed:
            await self.changed.wait_for(lambda: self.names.count(name) >= times)

    async def until_open(self, connections: int) -> None:
        """Wait until there are so many connections."""
        async with asyncio.timeout(_TOO_LONG), self.changed:
            await self.changed.wait_for(lambda: self.open == connections)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeRedis"]:
        """Serve on a free port for as long as an `async with` lasts."""
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
                command = [await self._word(reader) for _ in range(int(count[1:]))]
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

    async def _word(self, reader: asyncio.StreamReader) -> bytes:
        length = int((await reader.readline())[1:])
        return (await reader.readexactly(length + 2))[:-2]

    async def _note(self, connections: int = 0) -> None:
        async with self.changed:
            self.connections += max(0, connections)
            self.open += connections
            self.changed.notify_all()

    def _answer(self, name: str, *arguments: str) -> bytes:
        if name == "PTTL":
            return b":60000\r\n" if arguments[0] in self.values else b":-2\r\n"
        if name == "GET":
            value = self.values.get(arguments[0])
            return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)
        if name == "SET":
            self.values[arguments[0]] = arguments[1].encode()
        return b"+OK\r\n"
