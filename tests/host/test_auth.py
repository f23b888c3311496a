"""Refusals of the host, and the default that admits nobody by accident."""

import json
from typing import Any, Final, cast

import pytest
from fastapi import HTTPException as FastAPIHTTPException
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from count_tokens_mw import (
    Caller,
    PermissionDenied,
    Refused,
    TooManyRequests,
    Unauthenticated,
    anyone,
    host_user,
)
from tests.contract.test_behaviours import COUNT
from tests.support.fakes import HELLO, FakeUpstream, Recorder, client_of, count_tokens_with, mounted


def refuse_with(error: Exception) -> Any:
    """Return a callable of the host that raises, for `authenticate` or `authorize`."""

    def refuse(*args: object) -> Caller:
        raise error

    return refuse


@pytest.mark.parametrize("place", ["authenticate", "authorize"])
@pytest.mark.parametrize(
    ("error", "status", "error_type", "message"),
    [
        (Unauthenticated("No."), 401, "authentication_error", "No."),
        (HTTPException(401), 401, "authentication_error", "Unauthorized"),
        (HTTPException(403, "Not you."), 403, "permission_error", "Not you."),
        (HTTPException(402, "Pay."), 402, "billing_error", "Pay."),
        (HTTPException(429, "Budget."), 429, "rate_limit_error", "Budget."),
        (HTTPException(503, "No database."), 503, "api_error", "No database."),
        (FastAPIHTTPException(403, "Not you."), 403, "permission_error", "Not you."),
        (
            FastAPIHTTPException(403, {"reason": "x"}),
            403,
            "permission_error",
            "The gateway refused.",
        ),
        (TooManyRequests("Wait."), 429, "rate_limit_error", "Wait."),
        (HTTPException(302), 401, "authentication_error", "Authentication is required."),
    ],
)
async def test_a_refusal_of_the_host_is_told_in_the_envelope(
    upstream: FakeUpstream, place: Any, error: Exception, status: int, error_type: str, message: str
) -> None:
    hook = Recorder()
    options: Any = {place: refuse_with(error), "hooks": [hook]}
    async with mounted(count_tokens_with(upstream, **options)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == status
    assert response.json() == {
        "type": "error",
        "error": {"type": error_type, "message": message},
        "request_id": response.headers["request-id"],
    }
    assert (hook.event.status, hook.event.error_type) == (status, error_type)
    assert not upstream.requests


async def test_a_refusal_keeps_the_hosts_headers_but_not_those_of_its_body(
    upstream: FakeUpstream,
) -> None:
    headers = {
        "WWW-Authenticate": "Bearer",
        "Content-Type": "text/html",
        "Content-Length": "9999",
        "Content-Encoding": "gzip",
        "Transfer-Encoding": "chunked",
        "X-Reason": "nö",
        "X-Padded": " a\t",
    }
    refuse = refuse_with(HTTPException(401, "No.", headers=headers))
    async with mounted(count_tokens_with(upstream, authenticate=refuse)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-padded"] == "a"
    assert not response.headers.keys() & {"x-reason", "content-encoding", "transfer-encoding"}
    assert response.json()["error"]["message"] == "No."


UNSENDABLE: Final[list[Exception]] = [
    HTTPException(999, "Denied."),
    HTTPException(600, "Denied."),
    HTTPException(99, "Denied."),
    HTTPException(-1, "Denied."),
    HTTPException(cast("int", "403"), "Denied."),
    HTTPException(cast("int", 403.5), "Denied."),
    *(
        HTTPException(403, "Denied.", headers=cast("dict[str, str]", headers))
        for headers in (
            {"x\n": "y"},
            {"": "y"},
            {"x y": "y"},
            {"x:": "y"},
            {"ä": "y"},
            {1: "y"},
            {"x": "y\r\nset-cookie: z"},
            {"x": "y\0"},
            {"x": "€"},
            {"retry-after": 9},
            {"x": None},
        )
    ),
]


@pytest.mark.parametrize("place", ["authenticate", "authorize", "transform", "resolve"])
@pytest.mark.parametrize("error", UNSENDABLE, ids=repr)
async def test_a_refusal_that_no_server_can_send_is_an_internal_error(
    upstream: FakeUpstream, place: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Recorder()
    options: Any = {place: refuse_with(error), "hooks": [hook]}
    async with mounted(count_tokens_with(upstream, **options)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "api_error"
    assert (hook.event.status, hook.event.error) == (500, "InternalError")
    assert "failed with UnsendableRefusal" in caplog.text
    assert "in refuse\n" in caplog.text  # the host's own line
    assert not upstream.requests


@pytest.mark.parametrize("status", [0, 200, 302, 399, 600, 999])
async def test_an_error_of_ours_with_an_impossible_status_is_an_internal_error(
    upstream: FakeUpstream, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Recorder()
    refuse = refuse_with(Refused(status, "No.", headers={}))
    async with mounted(count_tokens_with(upstream, authenticate=refuse, hooks=[hook])) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "api_error"
    assert (hook.event.status, hook.event.error) == (500, "InternalError")
    assert "in refuse\n" in caplog.text


@pytest.mark.parametrize("result", [None, True, "team-a", {"id": "team-a"}, Caller("")])
async def test_an_authenticator_that_returns_no_caller_lets_nobody_in(
    upstream: FakeUpstream, result: Any
) -> None:
    async with mounted(count_tokens_with(upstream, authenticate=lambda _: result)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 500
    assert not upstream.requests


@pytest.mark.parametrize("place", ["authenticate", "authorize"])
async def test_a_host_callable_that_crashes_lets_nobody_in(
    upstream: FakeUpstream, place: Any
) -> None:
    options: Any = {place: refuse_with(ZeroDivisionError("secret"))}
    async with mounted(count_tokens_with(upstream, **options)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert not upstream.requests


@pytest.mark.parametrize(("allowed", "status"), [(None, 200), (True, 200), (False, 403)])
@pytest.mark.parametrize("is_async", [True, False])
async def test_authorize_may_return_false_to_refuse_sync_or_async(
    upstream: FakeUpstream, allowed: bool | None, status: int, is_async: bool
) -> None:
    async def wait(caller: Caller, model: str) -> bool | None:
        return allowed

    authorize: Any = wait if is_async else (lambda caller, model: allowed)
    async with mounted(count_tokens_with(upstream, authorize=authorize)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == status


async def test_authenticate_may_be_async_and_what_it_knows_reaches_authorize(
    upstream: FakeUpstream,
) -> None:
    seen: list[Caller] = []
    caller = Caller("ada", frozenset({"count"}), {"team": "research"})

    async def from_database(request: Request) -> Caller:
        return caller

    count_tokens = count_tokens_with(
        upstream, authenticate=from_database, authorize=lambda caller, model: seen.append(caller)
    )
    async with mounted(count_tokens) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200
    assert seen == [caller]
    assert "research" not in repr(caller)


async def test_anyone_is_an_explicit_choice(upstream: FakeUpstream) -> None:
    async with mounted(count_tokens_with(upstream, authenticate=anyone)) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200


async def test_headers_of_our_own_errors_are_as_safe_as_those_of_the_hosts(
    upstream: FakeUpstream,
) -> None:
    headers: Any = {
        "X-Reason": "✓",
        "X Y": "a",
        "X-Number": 5,
        "Content-Length": "3",
        "Request-Id": "req_host",
        "Retry-After": "9",
    }
    refuse = refuse_with(PermissionDenied("No.", headers=headers))
    async with mounted(count_tokens_with(upstream, authenticate=refuse)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 403
    assert response.headers.get_list("request-id") == ["req_host"]
    assert response.headers.get_list("content-length") == [str(len(response.content))]
    assert response.headers["retry-after"] == "9"
    assert not response.headers.keys() & {"x-reason", "x y", "x-number"}


async def test_a_method_in_place_of_is_authenticated_lets_nobody_in(
    upstream: FakeUpstream,
) -> None:
    class OldStyleUser:
        display_name = "mallory"

        def is_authenticated(self) -> bool:
            return False

    count_tokens = count_tokens_with(upstream, authenticate=host_user)

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await count_tokens({**scope, "user": OldStyleUser()}, receive, send)

    async with client_of(host) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 401


async def test_a_body_limit_of_the_hosts_own_is_told_in_the_envelope(
    upstream: FakeUpstream,
) -> None:
    """Starlette's `max_body_size` raises while the body is read."""

    async def receive() -> Any:
        raise HTTPException(413, "Content Too Large")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": COUNT, "headers": []}
    await count_tokens_with(upstream)(scope, receive, send)
    assert sent[0]["status"] == 413
    assert b'"request_too_large"' in sent[1]["body"]


async def test_an_authenticator_may_read_the_body_to_check_its_signature(
    upstream: FakeUpstream,
) -> None:
    seen: list[bytes] = []

    async def by_signature(request: Request) -> Caller:
        seen.append(await request.body())
        return Caller("team-a")

    async with mounted(count_tokens_with(upstream, authenticate=by_signature)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.json() == {"input_tokens": 14}
    assert [json.loads(body) for body in seen] == [HELLO]
