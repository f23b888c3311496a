"""A load generator: wrk, or asyncio where wrk is missing."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final
from urllib.request import Request, urlopen

from tests.bench.bodies import MARK
from tests.bench.gateway import KEY, PATH

__all__ = ["Load", "Requests", "check", "generate", "generate_by_asyncio", "script_for_wrk"]

_WRK: Final = """
local head, tail, distinct, number = {head}, {tail}, {distinct}, {first}
wrk.method = "POST"
wrk.path = {path}
wrk.headers = {{ {headers} }}
local same = head .. number .. tail
request = function()
  if not distinct then return wrk.format(nil, nil, nil, same) end
  number = number + 1
  return wrk.format(nil, nil, nil, head .. number .. tail)
end
done = function(summary, latency, _)
  local errors = summary.errors
  local all = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('{{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, all))
end
"""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to send: a body with a mark in it, and whether each one has to be distinct.

    `first` is the first number to put in place of the mark.
    """

    body: bytes
    distinct: bool
    first: int

    @property
    def headers(self) -> Mapping[str, str]:
        return {"content-type": "application/json", "x-api-key": KEY}

    def bodies(self) -> Iterator[bytes]:
        """Yield the bodies one after another."""
        for number in count(self.first):
            yield self.body.replace(MARK, b"%d" % (number if self.distinct else self.first))


@dataclass(frozen=True, slots=True)
class Load:
    """Measurements: requests in a second, latencies in milliseconds, and the number of answers
    that were missing or not a 200."""

    per_second: float
    p50: float
    p99: float
    requests: int
    errors: int


def check(url: str, body: bytes) -> None:
    """Send one request, and check that the stub's count comes back.

    Raises:
        RuntimeError: another count comes back, such as an estimate.
    """
    headers = dict(Requests(body, False, 0).headers)
    content = body.replace(MARK, b"0")
    with urlopen(Request(url + PATH, content, headers, method="POST"), timeout=60) as answer:
        raw = answer.read()
    if json.loads(raw)["input_tokens"] != 14:
        raise RuntimeError(f"{url} answers {raw[:100]!r}")


def generate(url: str, requests: Requests, connections: int, seconds: float) -> Load:
    """Send requests over `connections` connections for `seconds` seconds."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return asyncio.run(generate_by_asyncio(url, requests, connections, seconds))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(script_for_wrk(requests))
        script.flush()
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s"]
        printed = subprocess.run(
            [*command, "-s", script.name, url], check=True, capture_output=True, text=True
        ).stdout
    summary = json.loads(printed[printed.rindex("{") :])
    per_second = summary["requests"] / summary["seconds"]
    return Load(per_second, summary["p50"], summary["p99"], summary["requests"], summary["errors"])


def script_for_wrk(requests: Requests) -> str:
    """Return wrk's script in Lua: https://github.com/wg/wrk/blob/master/SCRIPTING"""
    head, tail = requests.body.split(MARK)
    headers = ", ".join(
        f"[ {_quote(name)} ] = {_quote(value)}" for name, value in requests.headers.items()
    )
    return _WRK.format(
        head=_quote(head.decode()),
        tail=_quote(tail.decode()),
        distinct=str(requests.distinct).lower(),
        first=requests.first,
        path=_quote(PATH),
        headers=headers,
    )


def _quote(text: str) -> str:
    """Quote a text by Lua's long brackets, within which nothing is escaped."""
    return f"[==[{text}]==]"


async def generate_by_asyncio(
    url: str, requests: Requests, connections: int, seconds: float
) -> Load:
    """Send requests without wrk; a Python process sends a few thousand a second."""
    host, port = url.removeprefix("http://").split(":")
    latencies: list[float] = []
    errors = 0
    bodies = requests.bodies()
    end = time.perf_counter() + seconds

    async def send() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.perf_counter() < end:
            started = time.perf_counter()
            is_right = await _post(reader, writer, requests.headers, next(bodies))
            errors += not is_right
            latencies.append((time.perf_counter() - started) * 1e3)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(connections)))
    taken = time.perf_counter() - started
    latencies.sort()
    middle, late = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    return Load(len(latencies) / taken, middle, late, len(latencies), errors)


async def _post(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    headers: Mapping[str, str],
    body: bytes,
) -> bool:
    lines = [f"POST {PATH} HTTP/1.1", "host: bench", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return head.startswith(b"http/1.1 200")
