"""One deadline for the host's callables and all attempts, whose clock stops for the upload."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette

from count_tokens_mw import (
    Caller,
    CountError,
    CountTokens,
    CountTokensMiddleware,
    DeadlineExceeded,
)
from count_tokens_mw.fastapi import count_tokens_router
from tests.support.fakes import HELLO, FakeUpstream, Recorder, client_of, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
SECONDS = 0.2
CALLER = Caller("team-a")


async def hang(*_: Any) -> Any:
    await asyncio.sleep(60)


async def post(client: httpx.AsyncClient, path: str = COUNT) -> int:
    async with client:
        response = await client.post(path, json=HELLO)
    assert response.json()["error"]["type"] == "timeout_error"
    return response.status_code


async def by_mount(count_tokens: CountTokens) -> int:
    return await post(mounted(count_tokens))


async def by_the_pass_through(count_tokens: CountTokens) -> int:
    return await post(mounted(count_tokens), f"/anthropic{COUNT}")


async def by_a_breakdown(count_tokens: CountTokens) -> int:
    return await post(mounted(count_tokens), f"{COUNT}/breakdown")


async def by_routes(count_tokens: CountTokens) -> int:
    return await post(client_of(Starlette(routes=count_tokens.routes)))


async def by_middleware(count_tokens: CountTokens) -> int:
    return await post(client_of(CountTokensMiddleware(Starlette(), count_tokens)))


async def by_router(count_tokens: CountTokens) -> int:
    app = FastAPI()
    app.include_router(count_tokens_router(count_tokens))
    return await post(client_of(app))


async def by_count(count_tokens: CountTokens) -> int:
    return await status_of(count_tokens.count(HELLO, caller=CALLER))


async def by_breakdown(count_tokens: CountTokens) -> int:
    return await status_of(count_tokens.breakdown(HELLO, caller=CALLER))


async def status_of(count: Awaitable[object]) -> int:
    with pytest.raises(CountError) as raised:
        await count
    return raised.value.status


Way: TypeAlias = Callable[[CountTokens], Awaitable[int]]
BY_HTTP: list[Way] = [
    by_mount,
    by_the_pass_through,
    by_a_breakdown,
    by_routes,
    by_middleware,
    by_router,
]
CASES = [
    *((way, "authenticate") for way in BY_HTTP),
    *(
        (way, callable_)
        for way in [*BY_HTTP, by_count, by_breakdown]
        for callable_ in ("authorize", "transform")
    ),
    *((way, "resolve") for way in (by_mount, by_router, by_count, by_breakdown)),
]


@pytest.mark.parametrize(("way", "callable_"), CASES)
async def test_a_callable_that_hangs_ends_at_the_deadline_by_each_way_in(
    upstream: FakeUpstream, way: Way, callable_: str
) -> None:
    hook = Recorder()
    options: Any = {callable_: hang, "hooks": [hook]}
    count_tokens = count_tokens_with(upstream, settings={"timeout": SECONDS}, **options)
    assert await way(count_tokens) == 504
    assert hook.event.error == "DeadlineExceeded"
    assert SECONDS * 0.9 < hook.event.duration < SECONDS + 0.5  # the record starts after the clock
    assert upstream.requests == []
    assert count_tokens.in_flight == 0


@pytest.mark.parametrize("whose", ["identity", "dependencies"])
async def test_a_dependency_that_hangs_ends_at_the_deadline(
    upstream: FakeUpstream, whose: str
) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, settings={"timeout": SECONDS}, hooks=[hook])

    async def depends_on_what_hangs(request: Request) -> str:
        await hang()
        return "team-a"

    dependency: Any = Depends(depends_on_what_hangs)
    options: Any = {whose: dependency if whose == "identity" else [dependency]}
    app = FastAPI()
    app.include_router(count_tokens_router(count_tokens, **options))
    async with asyncio.timeout(SECONDS + 0.5):
        assert await post(client_of(app)) == 504
    assert hook.event.error == "DeadlineExceeded"


async def test_the_callables_and_the_attempts_have_the_time_together(
    upstream: FakeUpstream,
) -> None:
    async def decide(*_: Any) -> Caller:
        await asyncio.sleep(0.12)
        return CALLER

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0.12)
            return httpx.Response(200, json={"input_tokens": 14})

    client = httpx.AsyncClient(transport=Slow())
    for timeout, callables, status in ((0.3, 2, 504), (0.3, 1, 200), (0.2, 2, 504), (5, 2, 200)):
        options: Any = {"authenticate": decide, "http_client": client}
        if callables == 2:
            options["authorize"] = decide
        count_tokens = count_tokens_with(upstream, settings={"timeout": timeout}, **options)
        async with mounted(count_tokens) as host:
            assert (await host.post(COUNT, json=HELLO)).status_code == status


async def test_a_timeout_of_the_hosts_own_database_is_an_internal_error(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The log shows its traceback, as for any other exception of the host."""

    async def authorize(caller: Caller, model: str) -> bool:
        await asyncio.sleep(0)
        raise TimeoutError

    count_tokens = count_tokens_with(upstream, authorize=authorize)
    assert await status_of(count_tokens.count(HELLO, caller=CALLER)) == 500
    assert "failed with TimeoutError" in caplog.text


# The upload


def slow_body(pause: float, pieces: int = 4) -> AsyncIterator[bytes]:
    raw = httpx.Request("POST", "http://h", json=HELLO).content

    async def generate() -> AsyncIterator[bytes]:
        size = len(raw) // pieces + 1
        for start in range(0, len(raw), size):
            await asyncio.sleep(pause)
            yield raw[start : start + size]

    return generate()


async def trickle(count_tokens: CountTokens, pause: float) -> httpx.Response:
    """Send a body whose pieces arrive one after another."""
    left = [piece async for piece in slow_body(0)]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def receive_slowly() -> Any:
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        await count_tokens(scope, receive_slowly, send)

    async with client_of(app) as client:
        return await client.post(COUNT, json=HELLO)


async def authenticate_by_body(request: Any) -> Caller:
    await request.body()
    return CALLER


@pytest.mark.parametrize("options", [{}, {"authenticate": authenticate_by_body}])
async def test_the_clock_stands_still_while_the_body_arrives(
    upstream: FakeUpstream, options: Any
) -> None:
    """The four pieces take 0.2 s, whoever reads them."""
    settings = {"timeout": 0.15, "upload_timeout": 10}
    answer = await trickle(count_tokens_with(upstream, settings=settings, **options), 0.05)
    assert answer.status_code == 200
    settings = {"timeout": 10, "upload_timeout": 0.15}
    answer = await trickle(count_tokens_with(upstream, settings=settings, **options), 0.05)
    assert answer.status_code == 504
    assert answer.json()["error"]["message"] == "The request body did not arrive in time."


@pytest.mark.parametrize("options", [{}, {"authenticate": authenticate_by_body}])
async def test_an_upload_has_as_long_as_a_count_by_default(
    upstream: FakeUpstream, options: Any
) -> None:
    answer = await trickle(count_tokens_with(upstream, settings={"timeout": 0.15}, **options), 0.05)
    assert answer.status_code == 504


async def test_an_authenticate_that_hangs_after_reading_the_body_ends_at_the_deadline(
    upstream: FakeUpstream,
) -> None:
    async def authenticate(request: Any) -> Caller:
        await request.body()
        await hang()
        return CALLER

    settings = {"timeout": 0.1, "upload_timeout": 10}
    count_tokens = count_tokens_with(upstream, settings=settings, authenticate=authenticate)
    answer = await trickle(count_tokens, 0.05)
    assert answer.json()["error"]["message"] == "The gateway did not decide in time."


async def test_a_dependency_may_read_the_body_within_the_upload_timeout(
    upstream: FakeUpstream,
) -> None:
    async def by_body(request: Request) -> str:
        return str(len(await request.body()))

    settings = {"timeout": 0.15, "upload_timeout": 10}
    count_tokens = count_tokens_with(upstream, settings=settings)
    app = FastAPI()
    app.include_router(count_tokens_router(count_tokens, identity=Depends(by_body)))
    left = [piece async for piece in slow_body(0)]

    async def slowly(scope: Any, receive: Any, send: Any) -> None:
        async def receive_slowly() -> Any:
            await asyncio.sleep(0.05)
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        await app(scope, receive_slowly, send)

    async with client_of(slowly) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200


# Breakdowns


async def test_a_breakdown_has_its_own_time_over_all_its_counts(upstream: FakeUpstream) -> None:
    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0.05)
            return httpx.Response(200, json={"input_tokens": 14})

    messages = [{"role": "user", "content": str(n)} for n in range(12)]
    hook = Recorder()

    def broken_down(breakdown: dict[str, float], timeout: float) -> Awaitable[object]:
        count_tokens = count_tokens_with(
            upstream,
            settings={"timeout": timeout, "breakdown": {"max_concurrency": 1, **breakdown}},
            http_client=httpx.AsyncClient(transport=Slow()),
            hooks=[hook],
        )
        return count_tokens.breakdown({**HELLO, "messages": messages})

    await broken_down({"timeout": 30}, timeout=0.3)  # takes 0.6 s and more
    with pytest.raises(DeadlineExceeded):
        await broken_down({"timeout": 0.3}, timeout=30)
    assert hook.events[-1].status == 504
    assert {attempt.status for attempt in hook.events[-1].attempts} <= {200, 504}
    assert len(hook.events[-1].attempts) < 10
