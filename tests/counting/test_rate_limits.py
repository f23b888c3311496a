"""A provider's 429 with a `retry-after` is waited for once, if it fits into the time."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from count_tokens_mw import CountEvent
from count_tokens_mw.counting.admission import Place
from count_tokens_mw.errors import TooManyRequests
from tests.counting.test_failover import Fleet
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
LIMITED = {
    "type": "error",
    "error": {"type": "rate_limit_error", "message": "too many"},
    "request_id": "req_upstream",
}


def limited(status: int = 429, **headers: str) -> Callable[[], httpx.Response]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(status, json=LIMITED, headers=sent)


def once(fleet: Fleet, host: str, fault: Callable[[], httpx.Response]) -> None:
    """Let a host have a fault at the first request only."""

    def answer() -> httpx.Response:
        del fleet.faults[host]
        return fault()

    fleet.faults[host] = answer


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry_after": "2"}, 2), ({"retry_after": "9.5"}, 9.5), ({"retry_after_ms": "300"}, 0.3)],
)
async def test_it_waits_and_asks_again(headers: dict[str, Any], seconds: float) -> None:
    fleet = Fleet("only")
    once(fleet, "only", limited(**headers))
    assert (await fleet.count()).input_tokens == 4
    assert fleet.pauses == [pytest.approx(seconds)]
    assert fleet.attempts == [("only", 429), ("only", 200)]


async def test_a_second_429_is_the_answer() -> None:
    fleet = Fleet("only")
    fleet.faults["only"] = limited(retry_after="2")
    assert await fleet.status() == 429
    assert fleet.attempts == [("only", 429), ("only", 429)]
    assert len(fleet.pauses) == 1


@pytest.mark.parametrize(
    "fault",
    [
        limited(retry_after="11"),  # over half of the time
        limited(),
        limited(retry_after="0"),
        limited(retry_after="soon"),
        limited(529, retry_after="1"),
        limited(503, retry_after="1"),
        limited(400, retry_after="1"),
    ],
)
async def test_anything_else_is_the_answer_at_once(fault: Callable[[], httpx.Response]) -> None:
    fleet = Fleet("only")
    fleet.faults["only"] = fault
    assert await fleet.status() == fault().status_code
    assert len(fleet.attempts) == 1
    assert fleet.pauses == []


async def test_another_deployment_is_asked_instead() -> None:
    fleet = Fleet("first", "second")
    fleet.faults["first"] = limited(retry_after="2")
    assert await fleet.status() == 200
    assert fleet.attempts == [("first", 429), ("second", 200)]
    assert fleet.pauses == []


async def test_the_last_deployment_is_waited_for() -> None:
    fleet = Fleet("first", "second")
    fleet.faults["first"] = limited(retry_after="30")
    once(fleet, "second", limited(retry_after="2"))
    assert await fleet.status() == 200
    assert fleet.attempts == [("first", 429), ("second", 429), ("second", 200)]


async def test_another_request_waits_instead_of_spending_a_call() -> None:
    fleet = Fleet("only")
    fleet.faults["only"] = limited(retry_after="2")
    assert await fleet.status() == 429
    fleet.faults.clear()
    fleet.now = 0.5
    assert await fleet.status() == 200
    assert fleet.attempts == [("only", 200)]
    assert fleet.pauses[1:] == [pytest.approx(1.5)]
    fleet.now = 2.5
    assert await fleet.status() == 200
    assert len(fleet.pauses) == 2


async def test_whoever_waited_for_another_does_not_wait_again() -> None:
    fleet = Fleet("only")
    fleet.faults["only"] = limited(retry_after="2")
    for attempts in (2, 1):
        assert await fleet.status() == 429
        assert len(fleet.attempts) == attempts


async def test_who_waits_holds_no_place(upstream: FakeUpstream) -> None:
    counted = upstream.answer
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if asked.count("limited.example") == 1 and request.url.host == "limited.example":
            return limited(retry_after_ms="400")()
        return counted(request)

    upstream.answer = answer
    recorder = Recorder()
    entries: list[dict[str, Any]] = [
        {
            "model_name": name,
            "litellm_params": {
                "model": "anthropic/claude-x",
                "api_base": f"https://{name}.example",
                "api_key": "k",
            },
        }
        for name in ("limited", "free")
    ]
    settings = {"max_concurrency": 1, "timeout": 2}
    count_tokens = count_tokens_with(
        upstream, {"model_list": entries}, settings=settings, hooks=[recorder]
    )
    async with mounted(count_tokens) as client:
        bodies = [{**HELLO, "model": "limited", "system": str(n)} for n in range(3)]
        tasks = [asyncio.ensure_future(client.post(COUNT, json=body)) for body in bodies]
        await asyncio.sleep(0.1)
        assert asked
        assert count_tokens.in_flight == 0
        free = await client.post(COUNT, json={**HELLO, "model": "free"})
        assert free.status_code == 200
        assert asked == ["limited.example", "free.example"]
        assert [answer.status_code for answer in await asyncio.gather(*tasks)] == [200] * 3
    assert len(asked) == 5
    events: list[CountEvent] = recorder.events
    assert sorted(len(event.attempts) for event in events) == [1, 1, 1, 2]
    assert count_tokens.in_flight == 0


async def test_without_a_place_afterwards_the_providers_429_is_the_answer(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise TooManyRequests("no place")

    monkeypatch.setattr(Place, "take", refuse)
    upstream.answer = lambda _: limited(retry_after_ms="1")()
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert (response.status_code, response.json()) == (429, LIMITED)
    assert response.headers["retry-after-ms"] == "1"
