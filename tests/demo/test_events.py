"""The live list of the last counts: its events, its listeners and its cost."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import Message

from count_tokens_mw import CountEvent
from demo_app.demo import create_app
from demo_app.events import LiveEvents
from demo_app.loopback import serving
from demo_app.upstreams import Upstreams, configured
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with
from tests.support.shell import run_in_shell

COUNT = "/v1/messages/count_tokens"
KEY = {"x-api-key": "sk-demo"}
EMULATED = Upstreams(frozenset())


@pytest.fixture
def gateway() -> Iterator[str]:
    """Serve a demo gateway that no other test uses, and yield its base URL."""
    with configured({}) as (config, upstreams):
        app = create_app(config, upstreams)
        with serving(app, ending=app.state.live.close) as url:
            yield url


@pytest.fixture
async def event(upstream: FakeUpstream) -> CountEvent:
    """Record one event, from which tests make others."""
    recorder = Recorder()
    await count_tokens_with(upstream, hooks=[recorder]).count(HELLO)
    return recorder.event


async def read_event(lines: AsyncIterator[str]) -> dict[str, Any]:
    """Read the next event of a stream, without comments."""
    fields: list[str] = []
    async for line in lines:
        if fields or line.startswith("id:"):
            fields.append(line)
        if fields and not line:
            break
    id_, name, data, end = fields
    assert (name, end) == ("event: count", "")
    facts: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert id_ == f"id: {facts['id']}"
    return facts


@asynccontextmanager
async def listen(live: LiveEvents) -> AsyncIterator[AsyncIterator[str]]:
    """Yield the stream of a new listener, after its greeting."""
    async with aclosing(live.listen(0)) as texts:
        assert await anext(texts) == ": connected\n\n"
        yield texts


async def take(live: LiveEvents, most: int) -> list[dict[str, Any]]:
    """Return the first events that a new listener receives."""
    async with listen(live) as texts:
        return [data_of(await anext(texts)) for _ in range(most)]


def data_of(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(text.split("data: ")[1])
    return data


async def test_a_listener_is_told_the_last_counts_and_then_each_new_one(gateway: str) -> None:
    client = httpx.AsyncClient(base_url=gateway, timeout=30)
    async with client, client.stream("GET", "/demo/events", headers=KEY) as early:
        assert early.headers["content-type"].startswith("text/event-stream")
        body = {**HELLO, "model": "claude-bedrock", "user": "eve"}
        answer = await client.post(COUNT, json=body, headers={"x-api-key": "sk-demo-claude"})
        first = await read_event(early.aiter_lines())
        async with client.stream("GET", "/demo/events", headers=KEY) as late:
            lines = late.aiter_lines()
            assert await read_event(lines) == first
            await asyncio.to_thread(
                run_in_shell,
                f"curl -s {gateway}{COUNT} -H 'x-api-key: sk-other' -d '{json.dumps(body)}'",
            )
            second = await read_event(lines)
    assert {name: first[name] for name in first if name not in {"id", "at", "duration_ms"}} == {
        "entry_point": "count_tokens",
        "caller": "claude-team",
        "end_user": "eve",
        "model": "claude-bedrock",
        "provider": "bedrock",
        "upstream": "emulated",
        "status": 200,
        "error": None,
        "input_tokens": answer.json()["input_tokens"],
        "source": "provider",
        "attempts": 1,
        "request_id": answer.headers["request-id"],
    }
    assert first["duration_ms"] > 0
    assert second["id"] > first["id"]
    assert second["at"] > first["at"]
    assert (second["status"], second["error"]) == (401, "authentication_error")
    assert second["caller"] is second["provider"] is second["upstream"] is None


async def test_who_comes_back_is_told_what_it_missed(gateway: str) -> None:
    client = httpx.AsyncClient(base_url=gateway, headers=KEY, timeout=30)
    async with client:
        for model in ("seen", "missed"):
            await client.post(COUNT, json={**HELLO, "model": model})
        async with client.stream("GET", "/demo/events") as stream:
            seen = await read_event(stream.aiter_lines())
        back = {"last-event-id": str(seen["id"])}
        async with client.stream("GET", "/demo/events", headers=back) as stream:
            missed = await read_event(stream.aiter_lines())
    assert (seen["model"], missed["model"]) == ("seen", "missed")


@pytest.mark.parametrize("nonsense", ["", "x", "-1", "9" * 5000])
async def test_an_id_that_is_none_is_no_fault(demo: str, nonsense: str) -> None:
    headers = {**KEY, "last-event-id": nonsense}
    async with (
        httpx.AsyncClient(base_url=demo, headers=headers) as client,
        client.stream("GET", "/demo/events") as stream,
    ):
        assert stream.status_code == 200


async def test_fifty_are_kept(event: CountEvent) -> None:
    live = LiveEvents(EMULATED)
    for number in range(120):
        live(event._replace(model=f"model-{number}"))
    kept = await take(live, 50)
    assert [facts["model"] for facts in kept] == [f"model-{number}" for number in range(70, 120)]


async def test_ids_of_before_a_restart_are_lower_since_they_begin_at_the_clocks(
    event: CountEvent,
) -> None:
    now = time.time()
    live = LiveEvents(EMULATED)
    live(event)
    (facts,) = await take(live, 1)
    assert int(now * 1000) <= facts["id"] <= time.time() * 1000


async def test_a_slow_listener_loses_the_oldest(event: CountEvent) -> None:
    live = LiveEvents(EMULATED)
    live(event._replace(model="first"))
    async with listen(live) as texts:
        assert data_of(await anext(texts))["model"] == "first"
        for number in range(60):
            live(event._replace(model=f"model-{number}"))
        assert data_of(await anext(texts))["model"] == "model-10"


async def test_while_nothing_happens_the_connection_is_kept_alive(event: CountEvent) -> None:
    live = LiveEvents(EMULATED, keep_alive=0.01)
    async with listen(live) as texts:
        assert await anext(texts) == ": keep-alive\n\n"
        live(event)
        assert data_of(await anext(texts))["model"] == event.model


async def test_a_listener_that_never_reads_costs_bounded_memory_and_holds_nobody_up(
    event: CountEvent,
) -> None:
    with configured({}) as (config, upstreams):
        app = create_app(config, upstreams)
    stuck = asyncio.Event()

    async def receive() -> Message:
        return await asyncio.Future[Message]()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            stuck.set()
            await asyncio.Future()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/demo/events",
        "query_string": b"",
        "headers": [(b"x-api-key", b"sk-demo"), (b"host", b"localhost")],
    }
    listeners = [asyncio.create_task(app(dict(scope), receive, send)) for _ in range(20)]
    app.state.live(event)
    await stuck.wait()
    for _ in range(100):  # so that the list is full
        app.state.live(event)
    tracemalloc.start()
    try:
        for _ in range(50):
            for _ in range(100):
                app.state.live(event)
            await asyncio.sleep(0)  # the listeners' turn
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(COUNT, json={**HELLO, "model": "mistral-large"}, headers=KEY)
    assert answer.status_code == 501
    for listener in listeners:
        listener.cancel()
    await asyncio.wait(listeners)
    assert grown < 100_000  # fifty events; all of them would be two megabytes


def test_a_stream_ends_when_its_client_leaves(gateway: str, logged: Callable[[str], str]) -> None:
    with (
        httpx.Client(base_url=gateway, headers=KEY, timeout=30) as client,
        client.stream("GET", "/demo/events") as stream,
    ):
        assert stream.status_code == 200
    assert logged("GET /demo/events 200 ")


async def test_a_server_that_ends_ends_its_streams() -> None:
    live = LiveEvents(EMULATED)
    async with listen(live) as texts:
        waiting = asyncio.create_task(anext(texts, "ended"))
        await asyncio.sleep(0)  # so that it waits
        live.close()
        assert await waiting == "ended"
    async with listen(live) as texts:
        assert await anext(texts, "ended") == "ended"
