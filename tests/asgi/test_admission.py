"""Admission over real sockets: what one caller does keeps no other out."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from count_tokens_mw import Config, CountEvent, CountTokens, api_key
from demo_app.loopback import serving
from tests.support.fakes import HELLO

COUNT: Final = "/v1/messages/count_tokens"
BREAKDOWN: Final = f"{COUNT}/breakdown"
KEYS: Final = {"sk-a": "a", "sk-b": "b"}
A: Final = {"x-api-key": "sk-a"}
B: Final = {"x-api-key": "sk-b"}


class Upstream:
    """An upstream that counts 14 after a while, and records what it is asked."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds
        self.asked = self.left = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.json()
        self.asked += 1
        if "slow" in json.dumps(body):
            gone = asyncio.ensure_future(request.receive())
            done, _ = await asyncio.wait([gone], timeout=self.seconds)
            gone.cancel()
            if done:
                self.left += 1
                return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"input_tokens": 14}'})


def counter(url: str, events: list[CountEvent], **settings: Any) -> CountTokens:
    """Return a counter in front of an upstream."""
    params = {"model": "anthropic/claude-x", "api_base": url, "api_key": "k"}
    data = {
        "model_list": [{"model_name": HELLO["model"], "litellm_params": params}],
        "count_tokens": {"cache": {"ttl": 0}, **settings},
    }
    config = Config.from_mapping(data, {})
    return CountTokens(config, authenticate=api_key(KEYS), hooks=[events.append])


@contextmanager
def gateway(upstream: Upstream, **settings: Any) -> Iterator[tuple[str, list[CountEvent]]]:
    """Serve a gateway in front of an upstream, and yield its URL and its events."""
    events: list[CountEvent] = []
    with serving(upstream) as url, serving(counter(url, events, **settings)) as base:
        yield base, events


def body_of(number: int, kind: str = "slow") -> dict[str, Any]:
    return {**HELLO, "system": f"{kind} {number}"}


async def assert_answered(url: str) -> None:
    """Assert that the other caller is answered within a second."""
    started = time.monotonic()
    async with httpx.AsyncClient(base_url=url, headers=B, timeout=10) as client:
        answer = await client.post(COUNT, json=body_of(0, "quick"))
    assert answer.json() == {"input_tokens": 14}
    assert time.monotonic() - started < 1


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to that")


async def test_a_caller_who_abandons_64_counts_keeps_no_place() -> None:
    upstream = Upstream(60)
    with gateway(upstream, max_concurrency=64) as (url, events):
        async with httpx.AsyncClient(base_url=url, headers=A, timeout=60) as client:
            tasks = [asyncio.ensure_future(client.post(COUNT, json=body_of(n))) for n in range(64)]
            await eventually(lambda: upstream.asked == 64)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await assert_answered(url)
        await eventually(lambda: len(events) == 65)
        await eventually(lambda: upstream.left == 64)
    statuses = [event.status for event in events]
    assert sorted(statuses) == [200] + [499] * 64


async def test_a_count_that_another_request_joined_goes_on_without_its_first_client() -> None:
    upstream = Upstream(1)
    with gateway(upstream, cache={"ttl": 60}) as (url, events):
        async with httpx.AsyncClient(base_url=url, headers=A, timeout=60) as client:
            first = asyncio.ensure_future(client.post(COUNT, json=body_of(0)))
            await eventually(lambda: upstream.asked == 1)
            second = asyncio.ensure_future(client.post(COUNT, json=body_of(0)))
            await asyncio.sleep(0.1)
            first.cancel()
            await asyncio.wait([first])
            assert (await second).json() == {"input_tokens": 14}
        await eventually(lambda: len(events) == 2)
    assert (upstream.asked, upstream.left) == (1, 0)
    assert sorted(event.status for event in events) == [200, 499]


async def test_a_host_that_replays_the_body_is_left_alone() -> None:
    with serving(Upstream(0.3)) as url:
        app = counter(url, [])
        body = json.dumps(body_of(0)).encode()

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"x-api-key", b"sk-a"), (b"content-length", str(len(body)).encode())]
        scope = {"type": "http", "method": "POST", "path": COUNT, "query_string": b""}
        await app({**scope, "headers": headers}, receive, send)
        await app.aclose()
    assert sent[0]["status"] == 200


@asynccontextmanager
async def slow_uploads(url: str, number: int, length: int | None) -> AsyncIterator[None]:
    """Begin uploads of a caller that never end; without a length they are chunked."""
    port = urlsplit(url).port
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    head = f"POST {COUNT} HTTP/1.1\r\nhost: gateway\r\nx-api-key: sk-a\r\n{framing}\r\n\r\n"
    start = "1\r\n{\r\n" if length is None else "{"
    sockets = []
    try:
        for _ in range(number):
            sockets.append(socket.create_connection(("127.0.0.1", port)))
            sockets[-1].sendall((head + start).encode())
        await asyncio.sleep(0.2)
        yield
    finally:
        for each in sockets:
            each.close()


@pytest.mark.parametrize("length", [100, 2_000_000, 31_000_000, None])
async def test_a_caller_who_uploads_slowly_64_times_holds_no_place(length: int | None) -> None:
    with gateway(Upstream(), max_concurrency=8) as (url, _):
        async with slow_uploads(url, 64, length):
            await assert_answered(url)


async def test_a_caller_who_starts_40_breakdowns_holds_a_quarter_of_the_places() -> None:
    upstream = Upstream(60)
    with gateway(upstream, max_concurrency=16, breakdown={"max_concurrency": 8}) as (url, _):
        async with httpx.AsyncClient(base_url=url, headers=A, timeout=60) as client:
            tasks = [
                asyncio.ensure_future(client.post(BREAKDOWN, json=body_of(n))) for n in range(40)
            ]
            await eventually(lambda: upstream.asked == 4)
            await assert_answered(url)
            assert upstream.asked == 5
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def test_a_callers_waiting_requests_keep_no_other_caller_out() -> None:
    upstream = Upstream(0.3)
    with gateway(upstream, max_concurrency=4) as (url, _):
        async with httpx.AsyncClient(base_url=url, headers=A, timeout=60) as client:
            tasks = [asyncio.ensure_future(client.post(COUNT, json=body_of(n))) for n in range(36)]
            await eventually(lambda: upstream.asked == 4)
            await assert_answered(url)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def test_sixteen_counts_at_once_are_sixteen_counts_with_two_places() -> None:
    upstream = Upstream(0.3)
    with gateway(upstream, max_concurrency=2) as (url, events):
        async with httpx.AsyncClient(base_url=url, headers=A, timeout=60) as client:
            answers = await asyncio.gather(
                *(client.post(COUNT, json=body_of(n)) for n in range(16))
            )
        assert [answer.status_code for answer in answers] == [200] * 16
        assert upstream.asked == len(events) == 16


async def test_more_than_eight_per_place_are_refused_at_once() -> None:
    upstream = Upstream(0.2)
    with gateway(upstream, max_concurrency=2) as (url, _):
        async with httpx.AsyncClient(base_url=url, headers=A, timeout=60) as client:
            answers = await asyncio.gather(
                *(client.post(COUNT, json=body_of(n)) for n in range(24))
            )
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(429) == 24 - 2 - 16
    limits = {answer.headers.get("x-count-tokens-limit") for answer in answers}
    assert limits == {None, "gateway"}
