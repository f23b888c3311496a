"""Processes that share a Redis make each call once; a failing Redis only costs the sharing."""

import asyncio
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from redis import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from count_tokens_mw import Config, ConfigError, TokenCount
from count_tokens_mw.cache.counts import CountCache
from count_tokens_mw.cache.redis import SharedCounts
from count_tokens_mw.config.models import CacheSettings
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.protocol.request import request_from_mapping
from demo_app.loopback import serving
from tests.support.fakes import CONFIG, HELLO, FakeUpstream, count_tokens_with
from tests.support.jobs import job_of
from tests.support.redis_servers import FakeRedis, RealRedis, free_port, running_redis

KEY, OTHER = bytes(32), bytes(31) + b"\1"
NAME = f"count_tokens:1:{KEY.hex()}"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def real(server: RealRedis) -> Iterator[Redis]:
    """Yield a client of the real Redis, emptied."""
    with Redis(port=server.port, protocol=2) as client:
        client.flushall()
        yield client


@pytest.fixture
async def fake() -> AsyncIterator[FakeRedis]:
    async with FakeRedis().serving() as served:
        yield served


class Clocked:
    """A counting engine of its own, as in another process, whose clock stands still.

    The upstream counts the letters of the system prompt.
    """

    def __init__(self, url: str, upstream: FakeUpstream | None = None, **cache: Any) -> None:
        self.now = 0.0
        self.upstream = upstream or counting_letters()
        self.engine = CountingEngine(
            self.config(url=url, **cache), self.upstream.client(), clock=lambda: self.now
        )

    def config(self, **cache: Any) -> Config:
        return Config.from_mapping(
            {**CONFIG, "count_tokens": {"cache": cache}}, {"ANTHROPIC_API_KEY": "canary-key"}
        )

    async def count(self, text: str) -> TokenCount:
        request = request_from_mapping({**HELLO, "system": text}, ())
        counted = await self.engine.count(job_of(self.engine, request))
        assert counted.input_tokens == len(text)
        return counted

    async def sources(self, *texts: str) -> list[str]:
        return [(await self.count(text)).source for text in texts]


@asynccontextmanager
async def clocked(
    url: str, upstream: FakeUpstream | None = None, **cache: Any
) -> AsyncIterator[Clocked]:
    made = Clocked(url, upstream, **cache)
    try:
        yield made
    finally:
        await made.engine.aclose()


def only_key(real: Redis) -> bytes:
    (name,) = real.keys("*")
    assert isinstance(name, bytes)
    return name


def value_at(real: Redis, name: bytes | str) -> bytes:
    value = real.get(name)
    assert isinstance(value, bytes)
    return value


def counting_letters() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.answer = lambda request: httpx.Response(
        200,
        json={"input_tokens": len(json.loads(request.content)["system"])},
        headers={"request-id": "req_1", "retry-after": "9"},
    )
    return upstream


# Worker processes

WORKER = """
import asyncio, json, sys
from count_tokens_mw import Config, CountTokens
from count_tokens_mw.cache import redis

redis._STEP_SECONDS *= 10  # a busy machine may keep the Redis itself from running
url, upstream = sys.argv[1:]
entry = {"model": "anthropic/m", "api_key": "canary-key", "api_base": upstream}
config = Config.from_mapping({
    "model_list": [{"model_name": "m", "litellm_params": entry}],
    "count_tokens": {"cache": {"url": url}},
}, {})

async def main():
    count_tokens = CountTokens(config)
    async def count(text):
        body = {"model": "m", "system": text, "messages": [{"role": "user", "content": "a"}]}
        counted = await count_tokens.count(body)
        return counted.input_tokens, counted.source
    while line := await asyncio.to_thread(sys.stdin.readline):
        texts, closing = json.loads(line)
        answers = await asyncio.gather(*map(count, texts))
        if closing:
            await count_tokens.aclose()
        print(json.dumps(answers), flush=True)
    await count_tokens.aclose()

asyncio.run(main())
"""


class Worker:
    """A subprocess that runs a gateway."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def begin(self, texts: list[str], *, closing: bool = False) -> None:
        assert self.process.stdin is not None
        print(json.dumps([texts, closing]), file=self.process.stdin, flush=True)

    def answers(self) -> list[list[Any]]:
        assert self.process.stdout is not None
        answers: list[list[Any]] = json.loads(self.process.stdout.readline())
        return answers

    def count(self, texts: list[str], *, closing: bool = False) -> list[list[Any]]:
        self.begin(texts, closing=closing)
        return self.answers()


@contextmanager
def worker(url: str, upstream: str) -> Iterator[Worker]:
    command = [sys.executable, "-W", "error", "-c", WORKER, url, upstream]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        yield Worker(process)
        _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    for line in stderr.splitlines():
        assert line.startswith("cache.url: the Redis failed with "), stderr


class Upstream:
    """An HTTP server that counts the letters of the system prompt while its gate is open."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_asked = threading.Event()

    async def answer(self, request: Request) -> JSONResponse:
        text = (await request.json())["system"]
        self.asked.append(text)
        self.is_asked.set()
        await asyncio.to_thread(self.gate.wait)
        return JSONResponse({"input_tokens": len(text), "more": [len(text)]})

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/messages/count_tokens", self.answer, methods=["POST"])])


TEXTS = ["x" * length for length in range(1, 21)]


@pytest.mark.usefixtures("real")
def test_the_second_process_never_asks_what_the_first_one_asked(server: RealRedis) -> None:
    upstream = Upstream()
    with serving(upstream.app()) as base, ExitStack() as stack:
        first, second = [stack.enter_context(worker(server.url, base)) for _ in range(2)]
        counted = first.count(TEXTS, closing=True)  # waits for the pending writes
        assert counted == [[len(text), "provider"] for text in TEXTS]
        for _ in range(2):  # from Redis, then from its own cache
            assert second.count(TEXTS) == [[len(text), "cache"] for text in TEXTS]
        assert second.count(["y" * 30], closing=True) == [[30, "provider"]]
        assert first.count(["y" * 30]) == [[30, "cache"]], "after a close it is opened again"
    assert sorted(upstream.asked) == [*TEXTS, "y" * 30]


def test_a_redis_that_is_killed_in_the_middle_makes_no_answer_wrong(tmp_path: Path) -> None:
    upstream = Upstream()
    with ExitStack() as stack:
        base = stack.enter_context(serving(upstream.app()))
        own = stack.enter_context(running_redis(tmp_path))
        workers = [stack.enter_context(worker(own.url, base)) for _ in range(2)]
        assert workers[0].count(TEXTS[:5], closing=True) == [[n, "provider"] for n in range(1, 6)]
        assert workers[1].count(TEXTS[:5]) == [[n, "cache"] for n in range(1, 6)]
        upstream.gate.clear()
        upstream.is_asked.clear()
        for process in workers:
            process.begin(TEXTS)  # five are in Redis, the others are misses
        upstream.is_asked.wait()
        own.kill()
        upstream.gate.set()
        for process in workers:
            assert [count for count, _ in process.answers()] == [len(text) for text in TEXTS]
            more = ["z" * length for length in range(30, 50)]
            assert [count for count, _ in process.count(more)] == [len(text) for text in more]
            assert process.count(more) == [[len(text), "cache"] for text in more], "its own memory"


# Stored values


async def test_what_is_kept_is_a_hash_and_the_answer_and_nothing_of_the_prompt(
    server: RealRedis, real: Redis
) -> None:
    async with clocked(server.url) as one:
        one.upstream.answer = lambda request: httpx.Response(
            200, content=b'{ "input_tokens": 13,  "more": 1 }', headers={"retry-after": "9"}
        )
        await one.count("canary-prompt")
    name = only_key(real)
    assert re.fullmatch(rb"count_tokens:1:[0-9a-f]{64}", name)
    value = value_at(real, name)
    assert json.loads(value) == {
        "key": name.decode().rpartition(":")[2],
        "ttl": 300,
        "input_tokens": 13,
        "body": '{ "input_tokens": 13,  "more": 1 }',
    }
    assert b"canary" not in value
    assert 0 < real.pttl(name) <= 300_000
    async with clocked(server.url) as two:
        counted = await two.count("canary-prompt")
    assert counted == TokenCount(13, "cache", b'{ "input_tokens": 13,  "more": 1 }')
    assert two.upstream.requests == []


async def test_a_count_that_has_no_answer_of_its_own_is_kept_without_one(
    server: RealRedis, real: Redis
) -> None:
    shared = SharedCounts(server.url, 60)
    shared.set(KEY, TokenCount(7, headers={"retry-after": "9"}))
    await shared.aclose()
    assert json.loads(value_at(real, NAME)) == {"key": KEY.hex(), "ttl": 60, "input_tokens": 7}
    entry = await shared.get(KEY)
    await shared.aclose()
    assert entry is not None
    assert entry[0] == TokenCount(7, "cache")


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b'{"input_tokens":7,"a":%s}' % (b"1" * 65536),
        b'{"input_tokens":7,"a":%s}' % (b"1" * 9000),
        b'{"input_tokens":7,"a":"text"}',
        b'{"input_tokens":7,"a":[{"b":["text"]}]}',
    ],
)
async def test_an_answer_with_words_in_it_or_without_an_end_is_not_kept(
    server: RealRedis, real: Redis, body: bytes
) -> None:
    shared = SharedCounts(server.url, 60)
    shared.set(KEY, TokenCount(7, body=body))
    await shared.aclose()
    assert real.keys("*") == []


def kept(**changes: Any) -> bytes:
    value = {"key": KEY.hex(), "ttl": 60, "input_tokens": 7, **changes}
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"7",
        b"[]",
        b"\xff",
        b"{" * 100_000,
        b"[" * 60_000,
        kept(key=OTHER.hex()),
        kept(input_tokens=-1),
        kept(input_tokens=True),
        kept(input_tokens=7.0),
        kept(input_tokens="7"),
        kept(input_tokens=None),
        kept(more=1),
        kept(ttl="60"),
        kept(ttl=True),
        kept(ttl=-1),
        kept(ttl=10**400),
        kept(ttl=float("nan")),
        kept(ttl=float("-inf")),
        kept(ttl=float("inf")),
        kept(input_tokens=2**63),
        kept(body='{"input_tokens":7,"a":%s}' % ("1" * 4096)),
        kept(body=7),
        kept(body="7"),
        kept(body="no json"),
        kept(body="\ud800"),
        kept(body="{}"),
        kept(body='{"input_tokens":8}'),
        kept(body='{"input_tokens":7.0}'),
        kept(input_tokens=1, body='{"input_tokens":true}'),
        b'{"input_tokens":7}',
        kept()[:-1],
        b'{"key":"%s","input_tokens":1%s}' % (KEY.hex().encode(), b"0" * 5000),
    ],
)
async def test_what_is_not_exactly_a_count_is_as_if_it_were_not_there(
    server: RealRedis, real: Redis, value: bytes
) -> None:
    shared = SharedCounts(server.url, 60)
    real.set(NAME, value, px=60_000)
    entry = await shared.get(KEY)
    real.set(NAME, kept(body='{"input_tokens":7}'), px=60_000)
    right = await shared.get(KEY)
    await shared.aclose()
    assert entry is None
    assert right is not None
    assert right[0] == TokenCount(7, "cache", b'{"input_tokens":7}')


async def test_the_longest_answer_is_shared(server: RealRedis, real: Redis) -> None:
    body = b'{"input_tokens":7}' + b"\n" * (4096 - len(b'{"input_tokens":7}'))
    shared = SharedCounts(server.url, 60)
    shared.set(KEY, TokenCount(7, body=body))
    await shared.aclose()
    entry = await shared.get(KEY)
    await shared.aclose()
    assert entry is not None
    assert entry[0] == TokenCount(7, "cache", body)
    assert len(value_at(real, NAME)) > 8000


async def test_of_a_value_of_any_size_no_more_is_read_than_a_count_has(
    server: RealRedis, real: Redis
) -> None:
    shared = SharedCounts(server.url, 60)
    assert await shared.get(KEY) is None
    before = real.info("stats")
    real.set(NAME, b"x" * 4_000_000, px=60_000)
    assert await shared.get(KEY) is None
    await shared.aclose()
    after = real.info("stats")
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after["total_net_output_bytes"] - before["total_net_output_bytes"] < 40_000


@pytest.mark.parametrize("left", [b":%d" % 10**400, b":%d" % (10**12 + 1), b":-1", b"$1\r\n1"])
async def test_a_time_to_live_that_no_redis_has_is_as_if_nothing_were_there(
    fake: FakeRedis, left: bytes
) -> None:
    fake.values[NAME] = kept()
    shared = SharedCounts(fake.url, 60)
    assert await shared.get(KEY) is not None
    fake.left = left
    assert await shared.get(KEY) is None
    await shared.aclose()


async def test_a_key_of_another_kind_is_a_failure_and_the_count_is_right(
    server: RealRedis, real: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with clocked(server.url) as one:
        await one.count("abc")
    name = only_key(real)
    real.delete(name)
    real.lpush(name, "a")
    async with clocked(server.url) as two:
        assert await two.sources("abc") == ["provider"]
    assert [record.args for record in caplog.records] == [("ResponseError",)]


# TTL


async def test_a_count_is_remembered_for_no_longer_than_it_has_left_in_redis(
    server: RealRedis, real: Redis
) -> None:
    async with clocked(server.url, ttl=60) as one:
        await one.count("abc")
    name = only_key(real)
    real.pexpire(name, 10_000)
    async with clocked(server.url, ttl=60) as two:
        assert await two.sources("abc") == ["cache"]
        real.delete(name)
        two.now += 8
        assert await two.sources("abc") == ["cache"]
        two.now += 3
        assert await two.sources("abc") == ["provider"]


async def test_a_shorter_ttl_of_ours_is_kept_and_a_key_that_stays_for_ever_is_none_of_ours(
    server: RealRedis, real: Redis
) -> None:
    shared = SharedCounts(server.url, 60)
    real.set(NAME, kept(), px=1_000_000)
    long = await shared.get(KEY)
    real.set(NAME, kept())
    for_ever = await shared.get(KEY)
    await shared.aclose()
    assert long is not None
    assert long[1] <= 60
    assert for_ever is None


async def test_a_count_is_never_older_than_our_own_ttl_allows(
    server: RealRedis, real: Redis
) -> None:
    shared = SharedCounts(server.url, 10)
    entries = []
    for left in (3_599_000, 3_595_000, 3_589_000):  # left of the hour of another gateway's ttl
        real.set(NAME, kept(ttl=3600), px=left)
        entries.append(await shared.get(KEY))
    await shared.aclose()
    young, older, too_old = entries
    assert young is not None
    assert 8 < young[1] <= 9
    assert older is not None
    assert 4 < older[1] <= 5
    assert too_old is None


@pytest.mark.parametrize(("ttl", "least"), [(1e300, 9 * 10**11), (60, 59_000), (1e-9, -2)])
async def test_redis_is_told_the_ttl(
    server: RealRedis, real: Redis, ttl: float, least: int
) -> None:
    shared = SharedCounts(server.url, ttl)
    shared.set(KEY, TokenCount(7))
    await shared.aclose()
    assert not shared._is_circuit_open(), "the command succeeded"
    assert least <= real.pttl(NAME) <= max(1, min(ttl * 1000, 10**12))


async def test_the_time_that_a_slow_answer_took_is_over(fake: FakeRedis) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 7
        return now

    fake.values[NAME] = kept()
    shared = SharedCounts(fake.url, 300, clock)
    entry = await shared.get(KEY)
    await shared.aclose()
    assert entry == (TokenCount(7, "cache"), 53)


# A Redis that fails


async def test_one_that_hangs_costs_one_wait_for_each_pause_and_not_for_each_count(
    fake: FakeRedis,
) -> None:
    fake.gate.clear()
    async with clocked(fake.url) as one:
        assert await one.sources(*TEXTS) == ["provider"] * 20
        assert len(fake.seen) == 1, "the password, which it did not answer"
        assert fake.connections == 1
        one.now += 4.9
        assert await one.sources("y" * 30) == ["provider"]
        assert fake.connections == 1
        one.now += 0.2
        async with anyio.create_task_group() as tasks:
            for length in range(31, 51):
                tasks.start_soon(one.count, "y" * length)
        assert fake.connections == 2, "one tries, and the others do not"
        fake.gate.set()
        one.now += 5.1
        assert await one.sources("z" * 60) == ["provider"]
        await fake.until("SET")
    async with clocked(fake.url) as two:
        assert await two.sources("z" * 60) == ["cache"]


async def test_those_who_wait_for_a_place_do_not_wait_for_one_that_hangs(fake: FakeRedis) -> None:
    fake.gate.clear()
    async with clocked(fake.url) as one, anyio.create_task_group() as tasks:
        for length in range(1, 51):
            tasks.start_soon(one.count, "y" * length)
    assert fake.connections == 8
    assert len(one.upstream.requests) == 50


async def test_a_try_that_is_cancelled_is_followed_by_another_after_a_pause(
    fake: FakeRedis,
) -> None:
    now = 0.0
    fake.values[NAME] = kept()
    shared = SharedCounts(fake.url, 300, lambda: now)
    fake.gate.clear()
    assert await shared.get(KEY) is None
    now += 6
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shared.get, KEY)
        await fake.until("AUTH", 2)
        tasks.cancel_scope.cancel()
    fake.gate.set()
    assert await shared.get(KEY) is None
    now += 6
    assert await shared.get(KEY) == (TokenCount(7, "cache"), 60)
    await shared.aclose()


class StallingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock leaps ahead, as after a stall."""

    stalled = 0.0

    def time(self) -> float:
        return super().time() + self.stalled


@pytest.mark.parametrize("held", ["AUTH", "PTTL", "GETRANGE"])
def test_a_loop_that_stalls_is_no_failure_of_redis(held: str) -> None:
    loop = StallingLoop()

    async def main() -> object:
        async with FakeRedis().serving() as fake:
            fake.values[NAME], fake.held = kept(), held
            shared = SharedCounts(fake.url, 300, lambda: 0.0)
            fake.gate.clear()
            getting = asyncio.create_task(shared.get(KEY))
            await fake.until(held)
            loop.stalled += 10
            fake.gate.set()
            entry = await getting
            await shared.aclose()
            return entry

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(main()) == (TokenCount(7, "cache"), 60)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b":no number\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-OOM command not allowed\r\n",
        b"$5\r\nshort\r\n",
        b"a" * 100_000,
        b"*1\r\n" * 5000,
    ],
)
async def test_whatever_answers_instead_of_a_redis_the_count_is_right(
    fake: FakeRedis, answer: bytes
) -> None:
    fake.fallback = answer
    async with clocked(fake.url) as one:
        assert await one.sources("abc", "abcd", "abc") == ["provider", "provider", "cache"]
    assert fake.connections == 1


async def test_there_is_one_warning_a_minute_and_it_does_not_name_the_url(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeRedis().serving() as gone:
        url = gone.url
    async with clocked(url) as one:
        warned = []
        for length in range(1, 15):  # every 10 seconds
            await one.count("x" * length)
            warned.append(len(caplog.records))
            one.now += 10
    assert warned == [1] * 6 + [2] * 6 + [3] * 2
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    text = (
        "cache.url: the Redis failed with ConnectionError; until it is back, no counts are shared"
    )
    assert {record.getMessage() for record in caplog.records} == {text}
    assert all(record.exc_info is None for record in caplog.records)


async def test_a_wrong_password_shows_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_redis(tmp_path, "--requirepass", "secret") as locked:
        url = locked.url.replace("//", "//:canary-password@")
        async with clocked(url) as one:
            assert await one.sources("abc") == ["provider"]
            assert "canary" not in repr(one.engine.snapshot)
        async with clocked(locked.url.replace("//", "//:secret@")) as two:
            await two.count("abc")
        with Redis(port=locked.port, password="secret", protocol=2) as client:
            assert len(client.keys("*")) == 1
    assert [record.args for record in caplog.records] == [("AuthenticationError",)]
    assert "canary" not in caplog.text


# Cancellation in the middle of a command


async def test_the_answer_to_one_who_left_reaches_nobody_else(fake: FakeRedis) -> None:
    """Prevent ChatGPT's leak of March 2023: https://openai.com/index/march-20-chatgpt-outage/"""
    others = f"count_tokens:1:{OTHER.hex()}"
    fake.values = {NAME: kept(), others: kept(key=OTHER.hex(), input_tokens=8)}
    fake.held = "GETRANGE"
    shared = SharedCounts(fake.url, 300)
    for held in ("AUTH", "PTTL", "GETRANGE"):  # while connecting, and within the pipeline
        fake.held, before = held, fake.names.count(held)
        fake.gate.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shared.get, KEY)
            await fake.until(held, before + 1)
            tasks.cancel_scope.cancel()
        fake.gate.set()
        for _ in range(3):
            entry = await shared.get(OTHER)
            assert entry is not None
            assert entry[0] == TokenCount(8, "cache")
    await shared.aclose()
    assert fake.connections == 4, "a connection with a cancelled command is never used again"


async def test_an_answer_that_is_another_ones_is_known_by_its_key(fake: FakeRedis) -> None:
    fake.values[NAME] = kept(key=OTHER.hex())
    shared = SharedCounts(fake.url, 300)
    assert await shared.get(KEY) is None
    await shared.aclose()
    assert fake.names.count("GETRANGE") == 1


async def test_an_answer_that_comes_too_late_reaches_nobody(fake: FakeRedis) -> None:
    now = 0.0
    fake.values[NAME] = kept()
    shared = SharedCounts(fake.url, 300, lambda: now)
    assert await shared.get(OTHER) is None
    fake.held = "GETRANGE"
    fake.gate.clear()
    assert await shared.get(KEY) is None, "after 50 ms"
    fake.gate.set()
    now += 6
    assert await shared.get(OTHER) is None
    await shared.aclose()
    assert fake.connections == 2


# Opening and closing


async def test_a_reload_closes_the_one_before_and_counts_under_way_go_on(
    fake: FakeRedis, server: RealRedis, real: Redis
) -> None:
    gate, is_asked = anyio.Event(), anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if "slow" in request.content.decode():
            is_asked.set()
            await gate.wait()
        return httpx.Response(200, json={"input_tokens": 4})

    upstream = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    one = Clocked(fake.url)
    one.engine = CountingEngine(one.config(url=fake.url), upstream)
    assert await one.sources("fast") == ["provider"]
    await fake.until("SET")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.count, "slow")
        await is_asked.wait()
        before = fake.connections
        one.engine.reload(one.config(url=server.url))
        await fake.until_open(0)
        assert await one.sources("fast") == ["provider"]
        gate.set()
    assert (fake.open, fake.connections) == (0, before), "counts in flight reopen no connection"
    await one.engine.aclose()
    assert len(real.keys("*")) == 1
    assert one.engine.sender._former == []


def test_a_reload_without_an_event_loop_is_closed_by_the_next_close() -> None:
    async def main() -> int:
        async with FakeRedis().serving() as fake:
            one = Clocked(fake.url)
            await one.count("abc")
            await asyncio.to_thread(one.engine.reload, one.config())
            assert fake.open == 1
            await one.engine.aclose()
            await fake.until_open(0)
            return fake.connections

    assert anyio.run(main) == 1


async def test_the_same_settings_again_keep_what_is_open(fake: FakeRedis) -> None:
    async with clocked(fake.url) as one:
        await one.count("abc")
        one.engine.reload(one.config(url=fake.url))
        assert await one.sources("abc", "abcd") == ["cache", "provider"]
        assert fake.connections == fake.open >= 1


async def test_the_lifespan_writes_what_is_being_written_and_closes(fake: FakeRedis) -> None:
    count_tokens = count_tokens_with(
        FakeUpstream(), settings={"cache": {"ttl": 300, "url": fake.url}}
    )
    for opened in (1, 2):
        async with count_tokens.lifespan():
            counted = await count_tokens.count({**HELLO, "system": str(opened)})
            assert counted.source == "provider"
        assert len(fake.values) == opened
        await fake.until_open(0)
        assert fake.connections == opened


def test_each_event_loop_has_connections_of_its_own(server: RealRedis, real: Redis) -> None:
    one = Clocked(server.url)
    one.upstream.client()

    async def main(text: str, key: bytes) -> list[object]:
        shared = one.engine.sender._cache
        assert shared is not None
        assert shared._shared is not None
        sources: list[object] = list(await one.sources(text))
        shared._shared.set(key, TokenCount(9))
        await one.engine.aclose()
        return sources

    assert anyio.run(main, "abc", KEY) == ["provider"]
    threads = [
        threading.Thread(target=anyio.run, args=(main, "x" * n, bytes([n]) * 32))
        for n in range(10, 13)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(real.keys("*")) == 1 + 1 + 3 * 2
    assert len(one.upstream.requests) == 4


def test_what_a_closed_loop_took_with_it_is_forgotten() -> None:
    shared = SharedCounts("redis://127.0.0.1:1", 60)

    async def main() -> None:
        await shared.get(KEY)

    anyio.run(main)
    assert (len(shared._clients._values), shared.is_open) == (1, False)
    shared._retry_at = None
    anyio.run(main)
    assert len(shared._clients._values) == 1


# Transports


async def test_a_unix_socket_leads_to_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with running_redis(tmp_path, "--unixsocket", str(path)):
        async with clocked(f"unix://{path}?db=3") as one:
            await one.count("abc")
        async with clocked(f"unix://{path}?db=3") as two:
            assert await two.sources("abc") == ["cache"]
        async with clocked(f"unix://{path}") as three:
            assert await three.sources("abc") == ["provider"]


def self_signed(folder: Path) -> tuple[str, str]:
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(folder / "cert"), str(folder / "key")


async def test_tls_leads_to_it_if_its_certificate_is_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"]
    port = free_port()
    tls += ["--tls-port", str(port)]
    with running_redis(tmp_path, *tls):
        url = f"rediss://127.0.0.1:{port}"
        trusted = f"{url}?ssl_ca_certs={certificate}"
        async with clocked(trusted) as one:
            await one.count("abc")
        async with clocked(trusted) as two:
            assert await two.sources("abc") == ["cache"]
        assert caplog.records == []
        for untrusted in (url, f"{url}?ssl_ca_certs=/nowhere"):
            async with clocked(untrusted) as three:
                assert await three.sources("abc") == ["provider"]
    assert [record.args for record in caplog.records] == [("ConnectionError",)] * 2


# Settings


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://127.0.0.1:6379/0",
        "redis://user:p%40ss@[::1]:6379/15?db=2",
        "rediss://redis.example/?ssl_cert_reqs=none&ssl_check_hostname=False",
        "unix:///run/redis.sock?db=1&password=secret",
    ],
)
def test_the_urls_of_a_redis(url: str) -> None:
    environ = {"REDIS_URL": url}
    section = {"count_tokens": {"cache": {"url": "os.environ/REDIS_URL"}}}
    settings = Config.from_mapping(section, environ).settings
    assert settings.cache.url is not None
    assert settings.cache.url.get_secret_value() == url
    assert url not in repr(settings) + str(settings) + settings.model_dump_json()
    assert SharedCounts(url, 60).is_open is False


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "not the URL of a Redis server"),
        ("canary", "not the URL of a Redis server"),
        ("http://canary", "not the URL of a Redis server"),
        ("redis+cluster://canary", "not the URL of a Redis server"),
        ("redis://", "not the URL of a Redis server"),
        ("redis://canary:port", "not the URL of a Redis server"),
        ("redis://canary:0", "not the URL of a Redis server"),
        ("redis://canary:70000", "not the URL of a Redis server"),
        ("redis://[canary", "not the URL of a Redis server"),
        ("redis://:canary#1@host", "not the URL of a Redis server"),
        ("redis://canary/name", "not the URL of a Redis server"),
        ("redis://canary/1 ", "not the URL of a Redis server"),
        ("unix://", "not the URL of a Redis server"),
        ("redis://canary?socket_timeout=100", "an unsupported option"),
        ("redis://canary?decode_responses=1", "an unsupported option"),
        ("redis://canary?db=canary", "an unsupported option"),
        ("redis://canary?ssl_cert_reqs=none", "an unsupported option"),
        ("rediss://canary?ssl_cert_reqs=canary", "an unsupported option"),
        (7, "string"),
        ("os.environ/UNSET", "the environment variable UNSET is not set"),
    ],
)
def test_what_is_no_url_of_a_redis_is_refused_and_not_quoted(url: object, message: str) -> None:
    section = {"count_tokens": {"cache": {"url": url}}}
    with pytest.raises(ConfigError, match=r"count_tokens\.cache\.url: ") as caught:
        Config.from_mapping(section, {})
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


def test_without_redis_py_the_extra_is_named_at_start() -> None:
    code = """
import sys
sys.modules["redis"] = None  # the import fails, as if it were not installed
from count_tokens_mw import Config, ConfigError, CountTokens
CountTokens(Config.from_mapping({}, {}))
try:
    Config.from_mapping({"count_tokens": {"cache": {"url": "redis://canary"}}}, {})
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "count_tokens.cache.url: " in done.stdout
    assert "pip install 'count-tokens-mw[redis]'" in done.stdout
    assert "canary" not in done.stdout


async def test_a_ttl_of_0_turns_it_off_too(fake: FakeRedis) -> None:
    async with clocked(fake.url, ttl=0) as one:
        assert await one.sources("abc", "abc") == ["provider", "provider"]
    assert fake.connections == 0


def test_nothing_of_redis_is_imported_before_it_is_configured() -> None:
    code = """
import sys
from count_tokens_mw import Config, CountTokens
CountTokens(Config.from_mapping({}, {}))
print("redis" in sys.modules)
CountTokens(Config.from_mapping({"count_tokens": {"cache": {"url": "redis://h"}}}, {}))
print("redis.asyncio" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


async def test_37_identical_requests_at_once_ask_redis_once(fake: FakeRedis) -> None:
    async with clocked(fake.url) as one, anyio.create_task_group() as tasks:
        for _ in range(37):
            tasks.start_soon(one.count, "abc")
    assert fake.names.count("GETRANGE") == 1
    assert len(one.upstream.requests) == 1


def test_a_cache_without_a_url_has_nothing_to_close() -> None:
    cache = CountCache(CacheSettings())
    cache.retire()
    anyio.run(cache.aclose)
    assert not cache.is_open
