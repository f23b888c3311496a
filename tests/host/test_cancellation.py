"""A `CancelledError` of the host's code that cancels nothing, beside real cancellations."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI, Request

from count_tokens_mw import Caller, InternalError
from count_tokens_mw.fastapi import count_tokens_router
from tests.support.fakes import HELLO, FakeUpstream, Recorder, client_of, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
ERROR = {"type": "api_error", "message": "The gateway failed; its log has the traceback."}


async def await_a_cancelled_task(*_: Any) -> Any:
    """Raise a `CancelledError` as hosts do: by awaiting a task of theirs that was cancelled."""
    inner = asyncio.ensure_future(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(inner.cancel)
    await inner


def raise_cancelled(*_: Any) -> Any:
    raise asyncio.CancelledError


async def post(client: httpx.AsyncClient) -> httpx.Response:
    async with client:
        return await client.post(COUNT, json=HELLO)


@pytest.mark.parametrize("stray", [await_a_cancelled_task, raise_cancelled])
@pytest.mark.parametrize("callable_", ["authenticate", "authorize", "transform", "resolve"])
async def test_a_stray_cancellation_of_a_callable_is_a_500_with_an_event_and_a_log_line(
    upstream: FakeUpstream, callable_: str, stray: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Recorder()
    options: Any = {callable_: stray, "hooks": [hook]}
    count_tokens = count_tokens_with(upstream, **options)
    response = await post(mounted(count_tokens))
    assert (response.status_code, response.json()["error"]) == (500, ERROR)
    assert (hook.event.status, hook.event.error) == (500, "InternalError")
    assert f"{hook.event.request_id} failed with CancelledError" in caplog.text
    assert stray.__name__ in caplog.text  # the traceback reaches the host's own code
    assert upstream.requests == []
    assert count_tokens.in_flight == 0


async def test_a_stray_cancellation_is_an_internal_error_of_a_direct_call(
    upstream: FakeUpstream,
) -> None:
    count_tokens = count_tokens_with(upstream, authorize=await_a_cancelled_task)
    for run in (count_tokens.count, count_tokens.breakdown):
        with pytest.raises(InternalError):
            await run(HELLO, caller=Caller("team-a"))
    assert count_tokens.in_flight == 0


@pytest.mark.parametrize("stray", [await_a_cancelled_task, raise_cancelled])
@pytest.mark.parametrize("whose", ["identity", "dependencies"])
async def test_a_stray_cancellation_of_a_dependency_is_a_500_with_an_event_and_a_log_line(
    upstream: FakeUpstream, whose: str, stray: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Recorder()

    async def dependency(request: Request) -> str:
        await stray()
        return "team-a"

    options: Any = {whose: Depends(dependency) if whose == "identity" else [Depends(dependency)]}
    app = FastAPI()
    app.include_router(count_tokens_router(count_tokens_with(upstream, hooks=[hook]), **options))
    response = await post(client_of(app))
    assert (response.status_code, response.json()["error"]) == (500, ERROR)
    assert (hook.event.status, hook.event.error) == (500, "InternalError")
    assert f"{hook.event.request_id} failed with CancelledError" in caplog.text
    assert stray.__name__ in caplog.text


@pytest.mark.parametrize("ttl", [0, 60])
async def test_a_stray_cancellation_of_the_hosts_client_is_an_unreachable_upstream(
    upstream: FakeUpstream, ttl: int
) -> None:
    upstream.answer = raise_cancelled
    hook = Recorder()
    config = {
        "router_settings": {"num_retries": 0},
        "model_list": [
            {"model_name": "claude-sonnet", "litellm_params": {"model": "anthropic/claude-x"}}
        ],
    }
    count_tokens = count_tokens_with(
        upstream, config, settings={"cache": {"ttl": ttl}}, hooks=[hook]
    )
    response = await post(mounted(count_tokens))
    assert response.status_code == 502
    assert hook.event.error == "UpstreamUnreachable"
    assert [attempt.status for attempt in hook.event.attempts] == [502]


async def cancel_task(request: Coroutine[Any, Any, Any], started: asyncio.Event) -> None:
    task = asyncio.create_task(request)
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_scope(request: Coroutine[Any, Any, Any], started: asyncio.Event) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: request)
        await started.wait()
        group.cancel_scope.cancel()


async def time_out(request: Coroutine[Any, Any, Any], started: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await request
    assert started.is_set()


@pytest.mark.parametrize("cancel", [cancel_task, cancel_scope, time_out])
@pytest.mark.parametrize("where", ["authorize", "dependency"])
async def test_a_real_cancellation_is_passed_on(
    upstream: FakeUpstream, where: str, cancel: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hook, started, ended = Recorder(), asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Any:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def authorize(caller: Caller, model: str) -> None:
        await wait(None)  # type: ignore[arg-type]

    count_tokens = count_tokens_with(upstream, authorize=authorize, hooks=[hook])
    app: Any = count_tokens
    if where == "dependency":
        app = FastAPI()
        app.include_router(count_tokens_router(count_tokens, dependencies=[Depends(wait)]))
    await cancel(post(client_of(app)), started)
    assert ended.is_set()
    assert [event.status for event in hook.events] == ([499] if where == "authorize" else [])
    assert "failed" not in caplog.text
    assert count_tokens.in_flight == 0
