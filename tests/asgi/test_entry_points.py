"""Entry points of a host (mount, spliced routes, call), and the lifetime of clients."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from count_tokens_mw import (
    Caller,
    CannotCount,
    CountTokens,
    InvalidRequest,
    PermissionDenied,
    TokenCount,
    UpstreamError,
    host_user,
)
from demo_app.emulators import EMULATED_KEY
from tests.support.fakes import HELLO, FakeUpstream, Recorder, client_of, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
PASSTHROUGH = "/anthropic/v1/messages/count_tokens"
Host = Starlette | FastAPI


def mount(host: Host, count_tokens: CountTokens) -> str:
    host.mount("/llm", count_tokens)
    return "/llm"


def splice(host: Host, count_tokens: CountTokens) -> str:
    host.router.routes.extend(count_tokens.routes)
    return ""


@pytest.mark.parametrize("host_type", [Starlette, FastAPI])
@pytest.mark.parametrize("take_in", [mount, splice])
async def test_both_paths_answer_in_a_host_that_takes_us_in(
    upstream: FakeUpstream,
    host_type: Callable[[], Host],
    take_in: Callable[[Host, CountTokens], str],
) -> None:
    host = host_type()
    host.router.routes.append(Route("/v1/messages", lambda request: PlainTextResponse("host")))
    prefix = take_in(host, count_tokens_with(upstream))
    async with client_of(host) as client:
        for path in (COUNT, PASSTHROUGH, f"{COUNT}/", f"{COUNT}?beta=true"):
            assert (await client.post(prefix + path, json=HELLO)).json() == {"input_tokens": 14}
        assert (await client.get(prefix + COUNT)).status_code == 405
        assert (await client.get("/v1/messages")).text == "host"


@pytest.mark.parametrize("prefix", ["/v1", "/v1/messages", "/gateway/v1"])
async def test_a_mount_inside_of_the_path_serves_the_whole_path(
    upstream: FakeUpstream, prefix: str
) -> None:
    path = "/v1/messages/count_tokens"
    async with client_of(Starlette(routes=[Mount(prefix, count_tokens_with(upstream))])) as client:
        whole = prefix.removesuffix("/v1").removesuffix("/v1/messages") + path
        assert (await client.post(whole, json=HELLO)).status_code == 200
        assert (await client.post(f"{prefix}/elsewhere", json=HELLO)).status_code == 404


async def test_a_mount_inside_of_the_passthroughs_path_is_the_passthrough(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, hooks=[hook])
    async with client_of(Starlette(routes=[Mount("/anthropic/v1", count_tokens)])) as client:
        assert (await client.post(PASSTHROUGH, json=HELLO)).status_code == 200
    assert hook.event.entry_point == "passthrough"


async def test_we_can_be_the_endpoint_of_a_route_at_the_full_path_without_a_redirect(
    upstream: FakeUpstream,
) -> None:
    host = Starlette(routes=[Route(COUNT, count_tokens_with(upstream))])
    async with client_of(host) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200


async def test_a_mount_at_the_full_path_answers_where_its_host_redirects_to(
    upstream: FakeUpstream,
) -> None:
    """Starlette redirects `/path` of a mount to `/path/`, and the mount answers there."""
    host = Starlette(routes=[Mount(COUNT, count_tokens_with(upstream))])
    async with client_of(host) as client:
        assert (await client.post(f"{COUNT}/", json=HELLO)).status_code == 200


@pytest.mark.parametrize("left_in", ["/api", ""])
async def test_a_mount_works_behind_a_proxy_whether_or_not_it_leaves_root_path_in_the_path(
    upstream: FakeUpstream, left_in: str
) -> None:
    hook = Recorder()
    host = Starlette(routes=[Mount("/llm", count_tokens_with(upstream, hooks=[hook]))])
    transport = httpx.ASGITransport(host, root_path="/api")
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        for path in (COUNT, PASSTHROUGH, "/elsewhere"):
            await client.post(f"{left_in}/llm{path}", json=HELLO)
    assert [event.entry_point for event in hook.events] == ["count_tokens", "passthrough", "other"]


@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_we_are_an_asgi_app_without_any_host(upstream: FakeUpstream, root_path: str) -> None:
    transport = httpx.ASGITransport(count_tokens_with(upstream), root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200


async def test_a_websocket_below_the_mount_is_closed(upstream: FakeUpstream) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": COUNT, "headers": []}
    await count_tokens_with(upstream)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


# the host's own authentication


class ByHeader(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        user = conn.headers.get("x-user")
        return (AuthCredentials(["count"]), SimpleUser(user)) if user else None


class Named(BaseUser):
    """A user without an identity, like those of Starlette's documentation."""

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return "ada"


class Identified(SimpleUser):
    @property
    def identity(self) -> str:
        return f"id-of-{self.username}"


async def test_by_default_the_hosts_authenticated_user_is_the_caller(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, authenticate=host_user, hooks=[hook])
    middleware = [Middleware(AuthenticationMiddleware, backend=ByHeader())]
    host = Starlette(routes=[Mount("/llm", count_tokens)], middleware=middleware)
    async with client_of(host, "/llm") as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 401
        assert (await client.post(COUNT, json=HELLO, headers={"x-user": "ada"})).status_code == 200
    assert [event.caller for event in hook.events] == [None, Caller("ada", frozenset({"count"}))]


async def test_a_host_that_forgot_its_authentication_lets_nobody_in(
    upstream: FakeUpstream,
) -> None:
    async with mounted(count_tokens_with(upstream, authenticate=host_user)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 401
    assert not upstream.requests


@pytest.mark.parametrize(("user", "id_"), [(Identified("ada"), "id-of-ada"), (Named(), "ada")])
def test_the_callers_id_is_the_users_identity_or_else_its_name(user: BaseUser, id_: str) -> None:
    scope = {"type": "http", "headers": [], "user": user}
    assert host_user(Request(scope)) == Caller(id_)


# without HTTP


async def test_a_count_without_http_is_the_providers_count(upstream: FakeUpstream) -> None:
    count = await count_tokens_with(upstream).count({**HELLO, "max_tokens": 5})
    assert count == TokenCount(
        14, body=b'{"input_tokens":14}', headers={"request-id": "req_upstream"}
    )
    assert upstream.body == {**HELLO, "model": "claude-sonnet-4-5"}


async def test_a_count_without_http_makes_an_event_with_what_its_headers_say(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, hooks=[hook])
    headers = {"Anthropic-Beta": "b", "X-End-User-Id": "eve"}
    await count_tokens.count(HELLO, headers=headers, caller=Caller("job"))
    assert upstream.request.headers["anthropic-beta"] == "b"
    event = hook.event
    assert (event.entry_point, event.status, event.input_tokens) == ("count", 200, 14)
    assert (event.caller, event.end_user) == (Caller("job"), "eve")


async def test_a_count_without_http_raises_what_http_would_answer(upstream: FakeUpstream) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, hooks=[hook])
    with pytest.raises(CannotCount):
        await count_tokens.count({**HELLO, "model": "gpt"})
    upstream.answers(429, b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}')
    with pytest.raises(UpstreamError) as raised:
        await count_tokens.count(HELLO)
    assert (raised.value.status, raised.value.message) == (429, "slow")
    assert [event.status for event in hook.events] == [501, 429]


async def test_any_mapping_and_any_sequence_can_be_counted(upstream: FakeUpstream) -> None:
    message = MappingProxyType({"role": "user", "content": deque([{"type": "text", "text": "a"}])})
    body = MappingProxyType({"model": "claude-sonnet", "messages": (message,)})
    assert (await count_tokens_with(upstream).count(body)).input_tokens == 14
    assert upstream.body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}]}
    ]


class Looping(list[Any]):
    def __init__(self) -> None:
        super().__init__()
        self.append(self)


@pytest.mark.parametrize("value", [object(), b"bytes", float("nan"), float("inf"), Looping()])
async def test_a_value_that_json_cannot_hold_is_refused(upstream: FakeUpstream, value: Any) -> None:
    with pytest.raises(InvalidRequest):
        await count_tokens_with(upstream).count({**HELLO, "system": value})


async def test_a_count_for_a_caller_is_authorised(upstream: FakeUpstream) -> None:
    def only_ada(caller: Caller, model: str) -> bool:
        return caller.id == "ada"

    count_tokens = count_tokens_with(upstream, authorize=only_ada)
    await count_tokens.count(HELLO, caller=Caller("ada"))
    await count_tokens.count(HELLO)
    with pytest.raises(PermissionDenied):
        await count_tokens.count(HELLO, caller=Caller("bob"))


# opening and closing


class WatchedTransport(httpx.MockTransport):
    def __init__(self) -> None:
        super().__init__(lambda request: httpx.Response(200, json={"input_tokens": 1}))
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_a_client_that_the_host_gave_is_never_closed(upstream: FakeUpstream) -> None:
    transport = WatchedTransport()
    client = httpx.AsyncClient(transport=transport)
    count_tokens = count_tokens_with(upstream, http_client=client)
    async with count_tokens.lifespan():
        await count_tokens.count(HELLO)
    assert not transport.closed
    assert not client.is_closed


def emulated_config(url: str) -> tuple[dict[str, Any], dict[str, str]]:
    params = {"model": "anthropic/claude-x", "api_base": url}
    entry = {"model_name": "claude-sonnet", "litellm_params": params}
    return {"model_list": [entry]}, {"ANTHROPIC_API_KEY": EMULATED_KEY}


async def test_the_lifespan_closes_what_was_opened_and_a_later_count_opens_it_again(
    upstream: FakeUpstream, emulator: str
) -> None:
    """An open aiohttp session would raise a ResourceWarning, which fails the test."""
    config, environ = emulated_config(emulator)
    count_tokens = count_tokens_with(upstream, config, environ=environ, http_client=None)
    for _ in range(2):
        async with count_tokens.lifespan():
            assert (await count_tokens.count(HELLO)).input_tokens > 0
    await count_tokens.aclose()


def test_each_event_loop_gets_a_pool_of_its_own(upstream: FakeUpstream, emulator: str) -> None:
    """A script with two `asyncio.run` has two event loops, and so have a host's tests."""
    config, environ = emulated_config(emulator)
    count_tokens = count_tokens_with(upstream, config, environ=environ, http_client=None)

    async def count() -> int:
        async with count_tokens.lifespan():
            return (await count_tokens.count(HELLO)).input_tokens

    assert asyncio.run(count()) == asyncio.run(count())


async def test_the_lifespan_can_be_the_hosts_own_or_a_part_of_it(upstream: FakeUpstream) -> None:
    count_tokens = count_tokens_with(upstream)
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        async with count_tokens.lifespan(app):
            seen.append("started")
            yield {"database": "open"}
        seen.append("ended")

    for host in (Starlette(lifespan=lifespan), FastAPI(lifespan=count_tokens.lifespan)):
        async with host.router.lifespan_context(host):
            pass
    assert seen == ["started", "ended"]


async def test_as_the_outermost_app_we_answer_the_servers_lifespan(upstream: FakeUpstream) -> None:
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await count_tokens_with(upstream)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
