"""Servers as processes of their own, and what can be read off them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Process", "running", "under_uvicorn"]

_START_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Process:
    """A server that listens on a port of loopback; `seconds` is how long it took to."""

    pid: int
    port: int
    seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def resident_mb(self) -> float:
        """Its resident memory and that of its children, in 10^6 bytes."""
        return sum(map(_resident, _with_children(self.pid))) / 1e6


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _with_children(int(child)))]


@contextmanager
def running(
    command: Sequence[str], port: int, environ: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Start a server, wait until it listens, and end it after the `with`.

    Raises:
        RuntimeError: it ended by itself, or does not listen.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **(environ or {})})
    try:
        while not _listens(port):
            if process.poll() is not None or time.perf_counter() - started > _START_SECONDS:
                raise RuntimeError(f"{command[0]} does not listen")
            time.sleep(0.01)
        yield Process(process.pid, port, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def under_uvicorn(name: str, port: int, upstream: str, **environ: str) -> Iterator[Process]:
    """One of `apps` with one worker."""
    options = ["--factory", "--no-access-log", "--log-level", "warning", "--backlog", "4096"]
    command = [sys.executable, "-m", "uvicorn", f"tests.bench.apps:{name}", *options]
    variables = {"BENCH_UPSTREAM": upstream, **environ}
    with running([*command, "--port", str(port)], port, variables) as process:
        yield process


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
