"""Single measurements: start, Bedrock in one process, memory, and a neighbour's latency."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx

from tests.bench.bodies import MARK, large, small
from tests.bench.gateway import MODELS, PATH, config
from tests.bench.load import Requests, check, generate
from tests.bench.processes import Process, under_uvicorn

__all__ = [
    "bedrock_ratio",
    "longest_holds_ms",
    "longest_round_ms",
    "memory_growth_mb",
    "start_seconds",
    "worst_health_ms",
]

_TIMED: Final = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
_CONFIG: Final = """
model_list:
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-5
      api_key: os.environ/ANTHROPIC_API_KEY
"""


def start_seconds(times: int = 31) -> tuple[float, float]:
    """Measure by turns, in new processes, `import fastapi` and the package's start.

    The start is the import and the reading of a small file. The results are medians.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(_CONFIG, encoding="utf-8")
        start = f"from count_tokens_mw import Config; Config.from_yaml({str(path)!r})"
        rounds = [(_seconds_of("import fastapi"), _seconds_of(start)) for _ in range(times)]
    baselines, starts = zip(*rounds, strict=True)
    return median(baselines), median(starts)


def _seconds_of(program: str) -> float:
    """Run a program in a new process and return its seconds; its imports stay compiled."""
    environ = {**os.environ, "ANTHROPIC_API_KEY": "bench"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", _TIMED.format(program)]
    return float(subprocess.run(command, check=True, capture_output=True, env=environ).stdout)


def bedrock_ratio(upstream: str, seconds: float = 2, rounds: int = 5) -> float:
    """Return our counts a second against a bare aiobotocore client's in the same process."""
    return asyncio.run(_bedrock_ratio(upstream, seconds, rounds))


async def _bedrock_ratio(upstream: str, seconds: float, rounds: int) -> float:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    from count_tokens_mw import Caller, CountTokens

    count_tokens = CountTokens(config(upstream), authorize=lambda *_: True, hooks=[lambda _: None])
    caller = Caller("bench")
    keys = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "bench"}
    options = {"region_name": "us-east-1", "endpoint_url": upstream, **keys}
    pool = AioConfig(max_pool_connections=100)
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1}
    number = 0

    async with get_session().create_client("bedrock-runtime", config=pool, **options) as client:

        async def bare() -> None:
            nonlocal number
            number += 1
            messages = [{"role": "user", "content": f"Hello {number}"}]
            raw = json.dumps({**body, "messages": messages}).encode()
            model = "anthropic.claude-sonnet-5"
            await client.count_tokens(modelId=model, input={"invokeModel": {"body": raw}})

        async def ours() -> None:
            nonlocal number
            number += 1
            messages = [{"role": "user", "content": f"Hello {number}"}]
            await count_tokens.count({"model": "bedrock", "messages": messages}, caller=caller)

        ratios = []
        for turn in range(rounds + 1):
            theirs = await _per_second(bare, seconds if turn else 1)
            mine = await _per_second(ours, seconds if turn else 1)
            ratios.append(mine / theirs)
    await count_tokens.aclose()
    return median(ratios[1:])  # the first one is to warm up


def longest_holds_ms(upstream: str, size: int = 5_000_000, counts: int = 7) -> dict[str, float]:
    """Measure for how long a large count holds the event loop at worst, by model, as a median."""
    return asyncio.run(_longest_holds_ms(upstream, size, counts))


async def _longest_holds_ms(upstream: str, size: int, counts: int) -> dict[str, float]:
    from count_tokens_mw import CountTokens, anyone

    count_tokens = CountTokens(config(upstream), authenticate=anyone)
    medians = {}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(count_tokens), base_url="http://bench", timeout=60
    ) as client:
        for model in MODELS:
            body = large(model, size)
            holds = []
            for number in range(counts + 1):
                raw = body.replace(MARK, b"%d" % number)
                count = asyncio.create_task(client.post(PATH, content=raw))
                holds.append(await longest_round_ms(count))
                count.result().raise_for_status()
            medians[model] = median(holds[1:])  # the first one is to warm up
    await count_tokens.aclose()
    return medians


async def longest_round_ms(task: asyncio.Task[Any]) -> float:
    """Wait for a task, and return how long one iteration of the loop took at most."""
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest * 1e3


async def _per_second(
    ask: Callable[[], Awaitable[None]], seconds: float, at_once: int = 16
) -> float:
    end = time.perf_counter() + seconds
    asked = 0

    async def ask_until_end() -> None:
        nonlocal asked
        while time.perf_counter() < end:
            await ask()
            asked += 1

    await asyncio.gather(*(ask_until_end() for _ in range(at_once)))
    return asked / seconds


def memory_growth_mb(upstream: str, first: int = 20_000, last: int = 200_000) -> float:
    """Measure a gateway's growth in memory from `first` to `last` distinct counts."""
    with under_uvicorn("gateway:in_front", upstream) as gateway:
        asked = _ask(gateway, 0, first)
        before = gateway.resident_mb()
        _ask(gateway, asked, last)
        return gateway.resident_mb() - before


def _ask(gateway: Process, asked: int, until: int) -> int:
    while asked < until:
        seconds = 5 if until - asked > 20_000 else 1
        asked += generate(gateway.url, Requests(small(), True, asked), 16, seconds).requests
    return asked


def worst_health_ms(counts: int = 100, size: int = 5_000_000) -> float:
    """Measure how long a neighbouring route takes at worst while large counts are in flight."""
    with (
        under_uvicorn("crowd:slow_upstream", "") as slow,
        under_uvicorn("gateway:in_front", slow.url) as gateway,
    ):
        check(gateway.url, small())  # to warm up
        command = [sys.executable, "-m", "tests.bench.crowd", gateway.url, str(counts), str(size)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as crowd:
            worst = 0.0
            while crowd.poll() is None:
                worst = max(worst, _health_ms(gateway))
                time.sleep(0.002)
            if crowd.returncode:
                raise RuntimeError("not all of the large counts were answered")
        return worst


def _health_ms(gateway: Process) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        connection.request("GET", "/health")
        connection.getresponse().read()
    finally:
        connection.close()
    return (time.perf_counter() - started) * 1e3
