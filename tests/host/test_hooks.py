"""Hooks: they delay and fail no request, async ones run on within bounds, and a close waits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from typing import Any

import pytest

from count_tokens_mw import Caller, CountEvent, CountTokens
from count_tokens_mw.aio.throttle import LogThrottle
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.host.hooks import HookRunner
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"


def new_event() -> CountEvent:
    return RequestRecord("count").event()


class Gate:
    """An async hook that records each event at its start and, once it is open, at its end."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.started: list[CountEvent] = []
        self.ended: list[CountEvent] = []

    async def __call__(self, event: CountEvent) -> None:
        self.started.append(event)
        await self.opened.wait()
        self.ended.append(event)


async def hang(event: CountEvent) -> None:
    await asyncio.get_running_loop().create_future()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def by_count(count_tokens: CountTokens) -> None:
    await count_tokens.count(HELLO, caller=Caller("team-a"))


async def by_breakdown(count_tokens: CountTokens) -> None:
    await count_tokens.breakdown(HELLO, caller=Caller("team-a"))


async def by_http(count_tokens: CountTokens) -> None:
    async with mounted(count_tokens) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200


@pytest.mark.parametrize("count", [by_count, by_breakdown, by_http])
async def test_no_entry_point_waits_for_a_hook_and_every_event_is_complete(
    upstream: FakeUpstream, count: Callable[[CountTokens], Awaitable[None]]
) -> None:
    gate, last = Gate(), Recorder()
    count_tokens = count_tokens_with(upstream, hooks=[gate, last])
    async with asyncio.timeout(5):
        await count(count_tokens)
    assert gate.ended == []
    event = last.event  # the hook behind the one that hangs has it
    assert (event.status, event.input_tokens, event.caller) == (200, 14, Caller("team-a"))
    assert event.attempts
    assert event.duration > 0
    gate.opened.set()
    await count_tokens.aclose()
    assert gate.started == gate.ended == [event]


async def test_all_hooks_receive_the_one_event_that_was_complete_before_any_of_them(
    upstream: FakeUpstream,
) -> None:
    first, gate, last = Recorder(), Gate(), Recorder()
    count_tokens = count_tokens_with(upstream, hooks=[first, gate, last])
    gate.opened.set()
    await count_tokens.count(HELLO)
    await count_tokens.aclose()
    assert first.event is gate.ended[0] is last.event


async def test_the_calls_of_a_hook_start_in_the_order_of_the_events_and_overlap() -> None:
    gate = Gate()
    runner = HookRunner([gate])
    events = [new_event() for _ in range(5)]
    for event in events:
        runner.emit(event)
    await asyncio.sleep(0)
    assert gate.started == events
    assert gate.ended == []
    gate.opened.set()
    await runner.aclose()
    assert gate.ended == events


async def test_an_async_hook_runs_in_the_context_of_its_request(upstream: FakeUpstream) -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="lost")
    seen: list[str] = []

    async def hook(event: CountEvent) -> None:
        await asyncio.sleep(0)
        seen.append(tenant.get())

    def authorize(caller: Caller, model: str) -> None:
        tenant.set("acme")

    count_tokens = count_tokens_with(upstream, authorize=authorize, hooks=[hook])
    await by_http(count_tokens)
    await count_tokens.aclose()
    assert seen == ["acme"]


async def test_an_async_hook_that_hangs_is_ended_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = HookRunner([hang], seconds=0.01)
    runner.emit(new_event())
    await runner.aclose()
    assert "hook hang failed with TimeoutError" in caplog.text


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_stray_cancellation_of_a_hook_is_logged_and_changes_nothing(
    upstream: FakeUpstream, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def stray(event: CountEvent) -> None:
        raise asyncio.CancelledError

    async def stray_async(event: CountEvent) -> None:
        stray(event)

    last = Recorder()
    count_tokens = count_tokens_with(upstream, hooks=[stray_async if is_async else stray, last])
    await by_http(count_tokens)
    await count_tokens.aclose()
    assert last.event.status == 200
    assert "stray" in caplog.text
    assert "failed with CancelledError" in caplog.text


class LazyWrite:
    """An awaitable that is no coroutine, as some database drivers return."""

    def __init__(self) -> None:
        self.is_awaited = False

    def __await__(self) -> Generator[Any, None, None]:
        self.is_awaited = True
        yield from asyncio.sleep(0).__await__()


async def test_any_awaitable_of_a_hook_is_awaited_or_dropped() -> None:
    writes = [LazyWrite(), LazyWrite()]
    unwritten = iter(writes)
    runner = HookRunner([lambda event: next(unwritten)], most_pending=1)
    runner.emit(new_event())
    runner.emit(new_event())
    await runner.aclose()
    assert [write.is_awaited for write in writes] == [True, False]


async def test_calls_beyond_the_bound_are_dropped_with_one_warning_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, gate, last = [0.0], Gate(), Recorder()
    runner = HookRunner([gate, last], most_pending=2, clock=lambda: now[0])
    events = [new_event() for _ in range(7)]
    for event in events[:5]:
        runner.emit(event)
    assert len(warnings_of(caplog)) == 1
    now[0] = 61
    runner.emit(events[5])
    gate.opened.set()
    await runner.aclose()
    runner.emit(events[6])  # there is room again
    await runner.aclose()
    assert gate.ended == [*events[:2], events[6]]
    assert last.events == events  # sync hooks are never dropped
    message = (
        "a call of hook Gate was dropped, because 2 calls still run; "
        "calls lost since the last such warning: {}"
    )
    assert warnings_of(caplog) == [message.format(1), message.format(3)]


async def test_a_close_waits_for_async_hooks_then_cancels_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    async def slow(event: CountEvent) -> None:
        await asyncio.sleep(0.01)
        ended.append("slow")

    async def cancelled(event: CountEvent) -> None:
        try:
            await hang(event)
        finally:
            ended.append("cancelled")

    runner = HookRunner([slow, cancelled], drain_seconds=0.1)
    runner.emit(new_event())
    await runner.aclose()
    assert ended == ["slow", "cancelled"]
    assert "1 calls of async hooks did not end before the close" in caplog.text
    await runner.aclose()  # nothing is left


async def test_a_close_does_not_wait_for_a_hook_that_ignores_its_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("count_tokens_mw.host.hooks._CANCEL_SECONDS", 0.01)
    gate = asyncio.Event()

    async def stubborn(event: CountEvent) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    runner = HookRunner([stubborn], drain_seconds=0.01)
    runner.emit(new_event())
    async with asyncio.timeout(5):
        await runner.aclose()
    gate.set()
    await runner.aclose()


async def test_a_hook_may_close_its_own_counter(upstream: FakeUpstream) -> None:
    closed = asyncio.Event()

    async def close(event: CountEvent) -> None:
        await count_tokens.aclose()
        closed.set()

    count_tokens = count_tokens_with(upstream, hooks=[close])
    await count_tokens.count(HELLO)
    async with asyncio.timeout(2):
        await closed.wait()


async def test_the_connections_close_although_the_wait_for_hooks_is_cancelled(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    count_tokens = count_tokens_with(upstream, hooks=[hang])
    engine = count_tokens._pipeline.engine
    close_engine = engine.aclose

    async def close_and_record() -> None:
        closed.append("engine")
        await close_engine()

    monkeypatch.setattr(engine, "aclose", close_and_record)
    await count_tokens.count(HELLO)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await count_tokens.aclose()
    assert closed == ["engine"]


def test_the_end_of_an_event_loop_is_logged_if_it_cancels_a_hook(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = HookRunner([hang])

    async def emit() -> None:
        runner.emit(new_event())
        await asyncio.sleep(0)

    asyncio.run(emit())
    (warning,) = warnings_of(caplog)
    assert warning.startswith("a call of hook hang was cancelled;")


async def test_a_hook_that_is_cancelled_before_it_starts_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A coroutine that was never awaited would be a warning, which is an error here."""
    runner, others = HookRunner([hang]), asyncio.all_tasks()
    runner.emit(new_event())
    (call,) = asyncio.all_tasks() - others
    call.cancel()
    await runner.aclose()
    (warning,) = warnings_of(caplog)
    assert warning.startswith("a call of hook hang was cancelled;")


class Draining:
    """A hook with a queue of its own, which is emptied by `drain`."""

    def __init__(self) -> None:
        self.queue: list[CountEvent] = []
        self.sent: list[CountEvent] = []

    def __call__(self, event: CountEvent) -> None:
        self.queue.append(event)

    async def drain(self) -> None:
        await asyncio.sleep(0)
        self.sent += self.queue
        self.queue.clear()


async def test_a_close_drains_each_hook_that_has_a_queue_of_its_own(upstream: FakeUpstream) -> None:
    first, last = Draining(), Draining()
    count_tokens = count_tokens_with(upstream, hooks=[first, last])
    async with count_tokens.lifespan():
        await count_tokens.count(HELLO)
        assert first.sent == []
    assert len(first.sent) == len(last.sent) == 1


@pytest.mark.parametrize("drain", [None, "text", lambda: None])
async def test_a_drain_that_is_no_async_method_is_the_hosts_own(drain: Any) -> None:
    def hook(event: CountEvent) -> None:
        pass

    hook.drain = drain  # type: ignore[attr-defined]
    await HookRunner([hook]).aclose()


async def test_a_drain_that_fails_or_hangs_is_logged_and_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Draining):
        async def drain(self) -> None:
            raise OSError

    class Hanging(Draining):
        async def drain(self) -> None:
            await asyncio.Event().wait()

    runner = HookRunner([Failing(), Hanging(), last := Draining()], drain_seconds=0.01)
    runner.emit(new_event())
    async with asyncio.timeout(5):
        await runner.aclose()
    assert len(last.sent) == 1
    assert "Failing failed with OSError" in caplog.text
    assert "1 calls of async hooks did not end before the close" in caplog.text


async def test_a_close_that_is_cancelled_cancels_the_calls() -> None:
    ended: list[str] = []

    async def cancelled(event: CountEvent) -> None:
        try:
            await hang(event)
        finally:
            ended.append("cancelled")

    runner = HookRunner([cancelled])
    runner.emit(new_event())
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(runner.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await asyncio.sleep(0)
    assert ended == ["cancelled"]


async def test_failures_are_counted_between_the_lines_that_a_throttle_admits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]

    async def broken(event: CountEvent) -> None:
        raise OSError

    runner = HookRunner([broken], failures=LogThrottle(60, lambda: now[0]))
    for now[0] in (0, 1, 59, 60):
        runner.emit(new_event())
        await runner.aclose()
    lines = [record.getMessage().partition("\n")[0] for record in caplog.records]
    message = "failed with OSError; failures since the last such line: "
    assert [line.rpartition(message)[2] for line in lines] == ["1", "3"]
