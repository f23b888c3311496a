"""Prometheus gauges of several processes, added up in another one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from count_tokens_mw.telemetry.prometheus import PrometheusHook
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

WORKER = """
import asyncio, json, os, sys
import httpx
from count_tokens_mw import Config, CountTokens
from count_tokens_mw.telemetry.prometheus import PrometheusHook

entry = {"model": "anthropic/m", "api_key": "k"}
config = Config.from_mapping({"model_list": [{"model_name": "m", "litellm_params": entry}]}, {})
gate = asyncio.Event()

async def answer(request):
    print(json.dumps("asked"), flush=True)
    await gate.wait()
    return httpx.Response(200, json={"input_tokens": 7})

hook = PrometheusHook()
client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
count_tokens = CountTokens(config, hooks=[hook], http_client=client)
hook.watch(count_tokens)

async def count(text):
    body = {"model": "m", "system": text, "messages": [{"role": "user", "content": "a"}]}
    await count_tokens.count(body)

async def main():
    tasks = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        text = json.loads(line)
        if text is None:
            gate.set()
            await asyncio.gather(*tasks)
            print(json.dumps("counted"), flush=True)
        else:
            tasks.add(asyncio.create_task(count(text)))

forks = sys.argv[1] == "fork"
if forks and (child := os.fork()):
    os.waitpid(child, 0)  # like the parent of preloaded workers, which counts nothing
else:
    print(json.dumps(os.getpid()), flush=True)
    asyncio.run(main())
"""


class Worker:
    """A process that counts; its upstream answers once the gate is open."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.pid = self._read()

    def begin(self, text: str) -> None:
        """Begin a count, and wait until the upstream was asked."""
        self._write(text)
        assert self._read() == "asked"

    def finish(self) -> None:
        """Open the gate, and wait for all counts."""
        self._write(None)
        assert self._read() == "counted"

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()

    def _write(self, value: str | None) -> None:
        assert self.process.stdin is not None
        print(json.dumps(value), file=self.process.stdin, flush=True)

    def _read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@contextmanager
def worker(folder: Path, *, forks: bool) -> Iterator[Worker]:
    command = [sys.executable, "-W", "error", "-c", WORKER, "fork" if forks else "plain"]
    pipe = subprocess.PIPE
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ) as process:
        yield Worker(process)


def collect(folder: Path) -> dict[str, float]:
    """Return the gauges and the number of counts, as a server of metrics collects them."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    assert all("pid" not in sample.labels for sample in samples)
    values = {sample.name: sample.value for sample in samples}
    names = {
        "in_flight": "count_tokens_in_flight",
        "cached": "count_tokens_cache_entries",
        "requests": "count_tokens_requests_total",
    }
    return {name: values.get(metric, 0) for name, metric in names.items()}


@pytest.mark.parametrize("forks", [False, True])
def test_the_gauges_of_two_processes_are_added_up_in_a_third(tmp_path: Path, forks: bool) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(worker(tmp_path, forks=forks)) for _ in range(2))
        assert collect(tmp_path) == {"in_flight": 0, "cached": 0, "requests": 0}
        first.begin("a")
        first.begin("b")
        second.begin("c")
        assert collect(tmp_path) == {"in_flight": 3, "cached": 0, "requests": 0}
        first.finish()
        assert collect(tmp_path) == {"in_flight": 1, "cached": 2, "requests": 2}
        second.kill()
        mark_process_dead(second.pid, str(tmp_path))  # type: ignore[no-untyped-call]
        assert collect(tmp_path) == {"in_flight": 0, "cached": 2, "requests": 2}


async def test_a_host_may_name_its_processes_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    value_class = values.MultiProcessValue(lambda: "worker-1")  # type: ignore[no-untyped-call]
    monkeypatch.setattr(values, "ValueClass", value_class)
    hook = PrometheusHook(CollectorRegistry())
    count_tokens = count_tokens_with(upstream, hooks=[hook], settings={"cache": {"ttl": 300}})
    hook.watch(count_tokens)
    during: list[dict[str, float]] = []
    answer = upstream.answer

    def look(request: httpx.Request) -> httpx.Response:
        during.append(collect(tmp_path))
        return answer(request)

    upstream.answer = look
    await count_tokens.count(HELLO)
    assert during == [{"in_flight": 1, "cached": 0, "requests": 0}]
    assert collect(tmp_path) == {"in_flight": 0, "cached": 1, "requests": 1}
    assert (tmp_path / "gauge_livesum_worker-1.db").exists()
    value_class.close_all_files()
