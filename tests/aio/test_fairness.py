"""Turns of long work on the event loop."""

import asyncio
import hashlib
import threading
from collections import Counter
from functools import partial
from typing import Any

import httpx
import pytest

from count_tokens_mw.aio.fairness import LoopFairness, takes_long
from count_tokens_mw.asgi.body import TimedRequest, read_body
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

    request = TimedRequest({"type": "http", "headers": []}, receive, Settings())
    request.is_read = True
    body = await read_body(request, {}, 10_000_000, LoopFairness())
    assert body.raw == b"".join(chunks)
    assert body.digest == hashlib.sha256(body.raw).digest()


def test_a_loop_that_is_closed_is_let_go() -> None:
    fairness = LoopFairness()

    async def many() -> None:
        await asyncio.gather(*(fairness.checkpoint() for _ in range(3)))
        await asyncio.gather(*(fairness.run_sync(lambda: None) for _ in range(3)))

    for _ in range(5):
        asyncio.run(many())
    assert len(fairness._on_loop._values) == len(fairness._in_thread._values) == 1


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
    ("body", "long"),
    [
        (b'{"a":1},' * 4000, False),
        (b'{"a":1} ,' * 4000, False),
        (b'{\r\n\t "a":1} ,' * 4001, True),
        (b"{{}" * 40_000, False),
        (b'{"":0}' * 4000 + b" " * 1_000_000, False),
        (b" " * 1_048_577, True),
    ],
)
def test_a_translation_takes_long_by_bytes_and_by_objects(body: bytes, *, long: bool) -> None:
    assert takes_long(body) is long


@pytest.mark.parametrize(
    ("model", "size", "in_thread"),
    [
        ("gemini/gemini-x", 2_000_000, True),
        ("gemini/gemini-x", 800_000, False),
        ("gemini/gemini-x", 1_000, False),
        ("anthropic/claude-x", 2_000_000, False),
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

    count_tokens._pipeline.engine._failover._fairness = Turning()
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * size}]}
    assert (await count_tokens.count(body)).input_tokens == 7
    assert before["threads"] == in_thread
    assert b"x" * size in upstream.request.content
