"""Turns of long work on the event loop, and the fast path of `fast_timeout`."""

import asyncio
import hashlib
import threading
from collections import Counter
from functools import partial
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.aio.timeout import fast_timeout
from count_tokens_mw.asgi.body import read_body
from count_tokens_mw.cache.fingerprint import update
from count_tokens_mw.config.models import Settings
from tests.support.fakes import FakeUpstream, count_tokens_with


async def test_no_two_turns_are_in_the_same_round_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    fairness, rounds = LoopFairness(), [0]
    taken: Counter[int] = Counter()
    ended = False

    def next_round() -> None:
        rounds[0] += 1
        if not ended:
            loop.call_soon(next_round)

    async def work() -> None:
        for _ in range(3):
            await fairness.checkpoint()
            taken[rounds[0]] += 1

    next_round()
    await asyncio.gather(*(work() for _ in range(20)))
    ended = True
    assert sum(taken.values()) == 60
    assert set(taken.values()) == {1}


async def test_one_that_is_cancelled_while_it_waits_holds_up_nobody() -> None:
    fairness = LoopFairness()
    waiting = [asyncio.create_task(fairness.checkpoint()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    await asyncio.wait_for(fairness.checkpoint(), 5)
    assert waiting[2].done()
    assert all(task.cancelled() for task in waiting[:2])


def test_every_event_loop_has_its_own() -> None:
    fairness = LoopFairness()

    async def many() -> int:
        await asyncio.gather(*(fairness.checkpoint() for _ in range(5)))
        return 5

    assert [asyncio.run(many()) for _ in range(2)] == [5, 5]


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_000])
async def test_a_hash_in_pieces_is_the_hash_of_the_whole(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    digest = hashlib.sha256()
    await update(digest, data, LoopFairness())
    assert digest.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("sizes", [[10], [100_000] * 7, [3_000_000], [1, 2_000_000, 1]])
async def test_a_body_in_whatever_chunks_is_read_whole_with_its_hash(sizes: list[int]) -> None:
    chunks = [bytes([number]) * size for number, size in enumerate(sizes)]
    left = list(chunks)

    async def receive() -> Any:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    request = Request({"type": "http", "headers": []}, receive)
    body = await read_body(request, {}, Settings(), LoopFairness())
    assert body.raw == b"".join(chunks)
    assert body.digest == hashlib.sha256(body.raw).digest()


class Waiting:
    """Work that awaits a future, and the exception that ended it."""

    def __init__(self) -> None:
        self.future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ended_by: BaseException | None = None

    async def work(self, times: int = 1) -> str:
        result = ""
        try:
            for _ in range(times):
                result = await asyncio.shield(self.future)
                await asyncio.sleep(0)
        except BaseException as error:
            self.ended_by = error
            raise
        return result


async def test_what_does_not_wait_returns_without_a_round_of_the_loop() -> None:
    rounds: list[int] = []
    asyncio.get_running_loop().call_soon(rounds.append, 1)

    async def at_once() -> str:
        return "result"

    assert await fast_timeout(0, at_once()) == "result"
    assert not rounds


@pytest.mark.parametrize("seconds", [None, 60])
async def test_what_waits_returns_what_it_was_told(seconds: float | None) -> None:
    waiting = Waiting()
    asyncio.get_running_loop().call_soon(waiting.future.set_result, "result")
    assert await fast_timeout(seconds, waiting.work(3)) == "result"


async def test_what_waits_too_long_is_cancelled_where_it_waits() -> None:
    waiting = Waiting()
    with pytest.raises(TimeoutError):
        await fast_timeout(0.01, waiting.work())
    assert isinstance(waiting.ended_by, asyncio.CancelledError)


async def test_who_waits_can_be_cancelled_and_so_is_the_work() -> None:
    waiting = Waiting()
    task = asyncio.create_task(fast_timeout(60, waiting.work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(waiting.ended_by, asyncio.CancelledError)


@pytest.mark.parametrize("waits", [False, True])
async def test_an_error_of_the_work_is_raised(waits: bool) -> None:
    async def fail() -> None:
        if waits:
            await asyncio.sleep(0)
        raise LookupError("of the work")

    with pytest.raises(LookupError, match="of the work"):
        await fast_timeout(60, fail())


async def test_work_may_have_time_limits_of_its_own() -> None:
    waiting = Waiting()

    async def work() -> str:
        try:
            async with asyncio.timeout(0.01):
                return await waiting.work()
        except TimeoutError:
            return "its own limit"

    assert await fast_timeout(60, work()) == "its own limit"


def test_a_loop_that_is_closed_is_let_go() -> None:
    fairness = LoopFairness()

    async def many() -> None:
        await asyncio.gather(*(fairness.checkpoint() for _ in range(3)))
        await asyncio.gather(*(fairness.run_sync(lambda: None) for _ in range(3)))

    for _ in range(5):
        asyncio.run(many())
    assert len(fairness._on_loop) == len(fairness._in_thread) == 1


async def test_what_is_done_in_a_thread_is_done_one_after_another() -> None:
    fairness = LoopFairness()
    loop_thread, at_once, most = threading.get_ident(), 0, 0

    def work(number: int) -> int:
        nonlocal at_once, most
        assert threading.get_ident() != loop_thread
        at_once += 1
        most = max(most, at_once)
        at_once -= 1
        return number

    results = await asyncio.gather(*(fairness.run_sync(partial(work, n)) for n in range(10)))
    assert results == list(range(10))
    assert most == 1


@pytest.mark.parametrize(
    ("model", "size", "in_thread"),
    [
        ("gemini/gemini-x", 1_000_000, True),
        ("gemini/gemini-x", 1_000, False),
        ("anthropic/claude-x", 1_000_000, False),
    ],
)
async def test_a_large_body_is_converted_in_a_thread(
    upstream: FakeUpstream, model: str, size: int, in_thread: bool
) -> None:
    upstream.answer = lambda _: httpx.Response(200, json={"input_tokens": 7, "totalTokens": 7})
    params = {"model": model, "api_key": "k"}
    config = {"model_list": [{"model_name": "m", "litellm_params": params}]}
    count_tokens = count_tokens_with(upstream, config)
    before = Counter({"threads": 0})

    class Turning(LoopFairness):
        async def run_sync(self, work: Any) -> Any:
            before["threads"] += 1
            return await super().run_sync(work)

    count_tokens._pipeline.engine.fairness = Turning()
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * size}]}
    assert (await count_tokens.count(body)).input_tokens == 7
    assert before["threads"] == in_thread
    assert b"x" * size in upstream.request.content
