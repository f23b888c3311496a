"""Hostile requests through the app, each shape in a process of its own: stall and memory.

`python -m tests.bench.bounds MODEL FILE LINES` posts the body in a file, with so many lines of a
header.
"""

import asyncio
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO, Final, NamedTuple

import httpx
from starlette.types import ASGIApp, Message

from count_tokens_mw import Config, CountTokens, anyone
from tests.bench.bodies import small
from tests.bench.gateway import PATH
from tests.bench.hostile import BETA, PLAIN, SHAPES, Header, Shape
from tests.bench.once import longest_round_ms

__all__ = ["LARGE", "SMALL", "Bound", "Measured", "facts_of", "measure", "measure_bounds"]

SMALL: Final = 1_000_000
LARGE: Final = 31_000_000
_CHUNK: Final = 64 * 1024  # as servers read it
_COUNTS: Final = 5
_MODELS: Final = {"anthropic": "anthropic/claude-sonnet-5", "gemini": "gemini/gemini-3.8-flash"}
# Without a cache, so that each count does the work of the first.
_SETTINGS: Final = {"timeout": 60, "cache": {"ttl": 0}}


class Measured(NamedTuple):
    """The status of the answers, the longest stall of the loop, and the first's peak in memory.

    The stall is the median of a few counts.
    """

    status: int
    stall_ms: float
    growth_mb: float


class Bound(NamedTuple):
    """The measurements of a shape, and those of plain text of its size."""

    shape: str
    size: int
    measured: Measured
    plain: Measured

    @property
    def stall_ratio(self) -> float:
        return self.measured.stall_ms / self.plain.stall_ms

    @property
    def growth_ratio(self) -> float:
        """The growth in memory as a multiple of the body."""
        return self.measured.growth_mb * 1e6 / self.size

    def as_json(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "size": self.size,
            **self.measured._asdict(),
            "stall_ratio": self.stall_ratio,
            "growth_ratio": self.growth_ratio,
        }


def measure_bounds(*sizes: int) -> list[Bound]:
    """Measure plain text and all hostile shapes at some sizes.

    Raises:
        RuntimeError: a shape was not answered with the status that it is to get.
    """
    bounds = []
    for size in sizes:
        plain = {name: measure(shape, size) for name, shape in PLAIN.items()}
        bounds += [Bound(f"plain text, {name}", size, own, own) for name, own in plain.items()]
        for name, shape in SHAPES.items():
            own = measure(shape, size)
            if own.status not in {shape.status, shape.also}:
                raise RuntimeError(f"{name}, {size} bytes: answered with {own.status}")
            bounds.append(Bound(name, size, own, plain[shape.model]))
    return bounds


def facts_of(bounds: Sequence[Bound]) -> Mapping[str, float]:
    """Return the worst ratios, or nothing if nothing was measured."""
    if not bounds:
        return {}
    return {
        "worst_stall_ratio": max(bound.stall_ratio for bound in bounds),
        "worst_growth_ratio": max(bound.growth_ratio for bound in bounds),
    }


def measure(shape: Shape, size: int) -> Measured:
    """Measure a shape in a new process."""
    request = shape.request(size)
    with tempfile.NamedTemporaryFile() as file:
        file.write(request.body)
        file.flush()
        lines = str(len(request.headers))
        command = [sys.executable, "-m", __name__, shape.model, file.name, lines]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return Measured(*json.loads(printed))


def main() -> None:
    """Measure a request in this process, and print what was measured."""
    model, path, lines = sys.argv[1:]
    with Path(path).open("rb") as body:
        measured = asyncio.run(_measure_here(model, body, int(lines)))
    sys.stdout.write(json.dumps(measured))


async def _measure_here(model: str, body: BinaryIO, lines: int) -> Measured:
    async with httpx.AsyncClient(transport=_Upstream()) as client:
        app = CountTokens(_config(), authenticate=anyone, http_client=client)
        await _post(app, iter([small(model)]), [])  # to warm up
        headers = [BETA] * lines
        gc.collect()
        _forget_peak()
        before = _peak_mb()
        stalls: list[float] = []
        growth_mb, status = 0.0, 0
        for _ in range(_COUNTS):
            body.seek(0)
            chunks = iter(partial(body.read, _CHUNK), b"")
            count = asyncio.ensure_future(_post(app, chunks, headers))
            stalls.append(await longest_round_ms(count))
            status = count.result()
            growth_mb = growth_mb or _peak_mb() - before  # by the first alone
        return Measured(status, median(stalls), growth_mb)


def _config() -> Config:
    entries = [
        {"model_name": name, "litellm_params": {"model": model, "api_key": "bench"}}
        for name, model in _MODELS.items()
    ]
    return Config.from_mapping({"model_list": entries, "count_tokens": _SETTINGS}, {})


class _Upstream(httpx.AsyncBaseTransport):
    """An upstream that reads every body and keeps none of it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async for _ in request.stream:  # type: ignore[union-attr]
            pass
        return httpx.Response(200, json={"input_tokens": 14, "totalTokens": 14})


async def _post(app: ASGIApp, chunks: Iterator[bytes], headers: Sequence[Header]) -> int:
    """Post a body that is nowhere in memory as a whole, and return the status of the answer."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "query_string": b"",
        "headers": headers,
    }
    status = 0

    async def receive() -> Message:
        chunk = next(chunks, b"")
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    return status


def _forget_peak() -> None:
    """Let the peak of this process's memory begin anew.

    https://docs.kernel.org/filesystems/proc.html
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mb() -> float:
    """Return the peak of this process's resident memory in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
