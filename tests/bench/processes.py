"""Servers as processes of their own, and their memory."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Process", "free_port", "run_server", "under_uvicorn"]

_START_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Process:
    """A server that listens on a port of loopback; `seconds` is the time until it did."""

    pid: int
    port: int
    seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def resident_mb(self) -> float:
        """Return its resident memory and its children's, in 10^6 bytes."""
        return sum(map(_resident, _with_children(self.pid))) / 1e6


def _resident(pid: int) -> int:
    """Read https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html"""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(inner for child in children for inner in _with_children(int(child)))]


def free_port() -> int:
    """Return a port on loopback that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def run_server(
    command: Sequence[str],
    port: int,
    environ: Mapping[str, str] | None = None,
    *,
    quiet: bool = False,
) -> Iterator[Process]:
    """Start a server, wait until it listens, and end it after the `with`.

    Raises:
        RuntimeError: the server ended by itself, or does not listen.
    """
    started = time.perf_counter()
    output = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(
        command, env={**os.environ, **(environ or {})}, stdout=output, stderr=output
    )
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
def under_uvicorn(factory: str, upstream: str, **environ: str) -> Iterator[Process]:
    """Serve an app, named as `module:factory`, with one worker."""
    port = free_port()
    options = ["--factory", "--no-access-log", "--log-level", "warning", "--backlog", "4096"]
    command = [sys.executable, "-m", "uvicorn", f"tests.bench.{factory}", *options]
    variables = {"BENCH_UPSTREAM": upstream, **environ}
    with run_server([*command, "--port", str(port)], port, variables) as process:
        yield process


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
