"""Events and hooks: everything about a request except its content and its secrets."""

import asyncio
import functools
import json
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from count_tokens_mw import Caller, CountEvent
from tests.contract.test_behaviours import COUNT, PASSTHROUGH, StalledTransport
from tests.support.fakes import HELLO, FakeUpstream, Recorder, client_of, count_tokens_with, mounted

CANARY = "canary"
SECRETS = {
    "model": "claude-sonnet",
    "system": CANARY,
    "messages": [{"role": "user", "content": CANARY}],
    "metadata": {"user_id": "meta-user", "tags": ["b"], "note": CANARY},
    "user": "body-user",
}
HEADERS = {
    "authorization": f"Bearer {CANARY}",
    "x-api-key": CANARY,
    "cookie": CANARY,
    "anthropic-beta": CANARY,
    "x-litellm-tags": "a",
    "x-claude-code-session-id": "session-1",
    "x-claude-code-agent-id": "agent-1",
    "x-claude-code-parent-agent-id": "agent-0",
}


def without_times(event: CountEvent) -> dict[str, Any]:
    """Return the event as data, without its times and request id, which are checked here."""
    facts = {**event.as_dict(), "caller": event.caller}
    assert facts.pop("duration") >= 0
    assert facts.pop("started_at") > 0
    assert facts.pop("request_id").startswith("req_")
    for attempt in facts["attempts"]:
        assert attempt.pop("duration") >= 0
        assert attempt.pop("started_at") > 0
    return facts


async def test_the_event_of_a_count_says_all_that_is_known(upstream: FakeUpstream) -> None:
    hook = Recorder()
    async with mounted(count_tokens_with(upstream, hooks=[hook])) as client:
        await client.post(COUNT, json=SECRETS, headers=HEADERS)
    assert without_times(hook.event) == {
        "entry_point": "count_tokens",
        "status": 200,
        "error": None,
        "error_type": None,
        "input_tokens": 14,
        "source": "provider",
        "omitted": [],
        "unread": [],
        "tags": ["a", "b"],
        "caller": Caller("team-a"),
        "end_user": "body-user",
        "session_id": "session-1",
        "agent_id": "agent-1",
        "parent_agent_id": "agent-0",
        "model": "claude-sonnet",
        "deployment": "claude-sonnet#0",
        "provider": "anthropic",
        "upstream_model": "claude-sonnet-4-5",
        "upstream_request_id": "req_upstream",
        "attempts": [
            {
                "deployment": "claude-sonnet#0",
                "provider": "anthropic",
                "upstream_model": "claude-sonnet-4-5",
                "status": 200,
                "error": None,
                "error_type": None,
                "upstream_code": None,
                "upstream_request_id": "req_upstream",
                "source": "provider",
                "host": "api.anthropic.com",
            },
        ],
    }
    assert CANARY not in repr(hook.event)


async def test_the_event_of_a_failed_count_has_the_upstreams_own_error_type(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    body = {"type": "error", "error": {"type": "new_error_of_2027", "message": CANARY}}
    upstream.answers(400, json.dumps(body).encode(), request_id="req_9")
    async with mounted(count_tokens_with(upstream, hooks=[hook])) as client:
        await client.post(PASSTHROUGH, json=SECRETS, headers=HEADERS)
    event = hook.event
    assert (event.status, event.error_type) == (400, "new_error_of_2027")
    assert (event.deployment, event.upstream_model) == ("passthrough/anthropic", "claude-sonnet")
    assert (event.input_tokens, event.source) == (None, None)
    assert event.attempts[0].upstream_request_id == "req_9"
    assert CANARY not in repr(event)


async def test_the_event_of_a_refused_request_knows_no_model(upstream: FakeUpstream) -> None:
    hook = Recorder()
    async with mounted(count_tokens_with(upstream, hooks=[hook])) as client:
        await client.post(COUNT, content=b"{", headers=HEADERS)
    event = hook.event
    assert (event.status, event.error_type) == (400, "invalid_request_error")
    assert (event.model, event.deployment, event.attempts) == (None, None, ())
    assert event.caller == Caller("team-a")
    assert event.session_id == "session-1"


@pytest.mark.parametrize(
    ("headers", "body", "end_user"),
    [
        ({"x-litellm-end-user-id": "b", "x-end-user-id": "a"}, {"user": "d"}, "a"),
        ({"x-litellm-customer-id": "c"}, {"user": "d"}, "c"),
        ({"x-end-user-id": " ", "x-litellm-customer-id": " c "}, {"user": "d"}, "c"),
        ({}, {"metadata": {"user_id": "m"}, "user": "d"}, "d"),
        ({}, {"metadata": {"user_id": "m"}, "user": ""}, "m"),
        ({}, {"metadata": {"user_id": "m"}, "litellm_metadata": {"user": "l"}}, "l"),
        ({}, {"metadata": {"user_id": 7}, "user": ["d"]}, "7"),
        ({}, {"safety_identifier": "s"}, None),
        ({}, {"metadata": "m"}, None),
        ({}, {"user": "line\nbreak"}, "line\\nbreak"),
        ({}, {"user": "\ud800"}, "\\ud800"),
        ({}, {"user": "x" * 1000}, "x" * 256),
        ({}, {"user": "a\n" * 1000}, ("a\\n" * 128)[:256]),
    ],
)
async def test_the_end_user_is_taken_from_headers_then_from_the_body(
    upstream: FakeUpstream, headers: dict[str, str], body: dict[str, Any], end_user: str | None
) -> None:
    hook = Recorder()
    async with mounted(count_tokens_with(upstream, hooks=[hook])) as client:
        await client.post(COUNT, content=json.dumps({**HELLO, **body}), headers=headers)
    assert hook.event.end_user == end_user
    assert upstream.body.keys() == {"model", "messages"}


async def test_the_headers_that_name_the_end_user_are_configurable(upstream: FakeUpstream) -> None:
    hook = Recorder()
    settings = {"end_user_headers": ["X-Tenant"]}
    async with mounted(count_tokens_with(upstream, settings=settings, hooks=[hook])) as client:
        await client.post(COUNT, json=HELLO, headers={"x-tenant": "acme", "x-end-user-id": "eve"})
    await count_tokens_with(upstream, settings=settings, hooks=[hook]).count(
        HELLO, headers={"x-tenant": "acme"}
    )
    assert [event.end_user for event in hook.events] == ["acme", "acme"]


async def test_a_safety_identifier_names_the_end_user_last_and_only_if_configured(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    settings = {"end_user_safety_identifier": True}
    count_tokens = count_tokens_with(upstream, settings=settings, hooks=[hook])
    bodies = [{"safety_identifier": "s"}, {"safety_identifier": "s", "user": "u"}]
    for body in bodies:
        await count_tokens.count({**HELLO, **body})
    assert [event.end_user for event in hook.events] == ["s", "u"]


async def test_hooks_may_be_async_and_one_that_raises_changes_nothing(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def broken(event: CountEvent) -> None:
        raise RuntimeError(CANARY)

    async def write(event: CountEvent) -> None:
        heard.append(event.request_id)

    count_tokens = count_tokens_with(upstream, hooks=[broken, write])
    async with mounted(count_tokens) as client:
        response = await client.post(COUNT, json=HELLO)
    await count_tokens.aclose()
    assert response.status_code == 200
    assert len(heard) == 1
    assert "broken failed with RuntimeError" in caplog.text
    assert CANARY not in caplog.text


async def test_a_request_that_a_task_group_cancels_still_reaches_every_hook(
    upstream: FakeUpstream,
) -> None:
    """Starlette's `BaseHTTPMiddleware` and anyio's `fail_after` cancel a request like this."""
    heard: list[str] = []
    transport = StalledTransport()

    async def to_database(event: CountEvent) -> None:
        await asyncio.sleep(0)
        heard.append("database")

    count_tokens = count_tokens_with(
        upstream,
        http_client=httpx.AsyncClient(transport=transport),
        hooks=[to_database, lambda event: heard.append("log")],
    )
    async with anyio.create_task_group() as group:
        group.start_soon(count_tokens.count, HELLO)
        await transport.asked.wait()
        group.cancel_scope.cancel()
    await count_tokens.aclose()
    assert heard == ["log", "database"]


async def test_what_a_hook_was_made_with_is_not_logged(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    def write(event: CountEvent, dsn: str) -> None:
        raise OSError

    hook = functools.partial(write, dsn=f"postgres://u:{CANARY}@h")
    await count_tokens_with(upstream, hooks=[hook]).count(HELLO)
    assert "hook partial failed with OSError" in caplog.text
    assert CANARY not in caplog.text


async def test_the_event_is_left_for_the_hosts_access_log(upstream: FakeUpstream) -> None:
    logged: list[CountEvent] = []
    count_tokens = count_tokens_with(upstream)

    class AccessLog:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = {}
            await self.app(scope, receive, send)
            logged.append(scope["state"]["count_tokens"])

    host = AccessLog(Starlette(routes=[Mount("/llm", count_tokens)]))
    async with client_of(host, "/llm") as client:
        await client.post(COUNT, json=HELLO)
    assert [event.input_tokens for event in logged] == [14]


async def test_a_client_that_leaves_while_it_sends_is_a_499_in_the_event(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": COUNT, "headers": []}
    await count_tokens_with(upstream, hooks=[hook])(scope, receive, send)
    assert (hook.event.status, hook.event.error_type) == (499, "api_error")
    assert not upstream.requests


async def test_a_request_that_is_cancelled_is_a_499_in_the_event(upstream: FakeUpstream) -> None:
    hook = Recorder()
    transport = StalledTransport()
    stalled = httpx.AsyncClient(transport=transport)
    count_tokens = count_tokens_with(upstream, http_client=stalled, hooks=[hook])
    async with mounted(count_tokens) as client:
        request = asyncio.ensure_future(client.post(COUNT, json=HELLO))
        await transport.asked.wait()
        request.cancel()
        await asyncio.wait([request])
    assert hook.event.status == 499
    assert [attempt.status for attempt in hook.event.attempts] == [499]


async def test_a_hook_cannot_change_the_event_for_the_next_one(upstream: FakeUpstream) -> None:
    hook = Recorder()
    await count_tokens_with(upstream, hooks=[hook]).count(HELLO)
    with pytest.raises(AttributeError):
        hook.event.status = 0  # type: ignore[misc]


async def test_an_id_that_the_upstream_chose_is_cut(upstream: FakeUpstream) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, hooks=[hook])
    upstream.answers(200, b'{"input_tokens":1}', request_id="r" * 1000)
    await count_tokens.count(HELLO)
    assert hook.event.upstream_request_id == "r" * 256
    assert hook.event.attempts[0].upstream_request_id == "r" * 256
