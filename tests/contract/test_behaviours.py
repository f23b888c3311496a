"""Known faults of other counting endpoints, each shown not to happen here.

The number before a group is its number in this project's list of behaviours.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from count_tokens_mw import Caller, NotFound, PermissionDenied, Unauthenticated
from tests.support.fakes import (
    CONFIG,
    GATEWAY_KEY,
    HELLO,
    FakeUpstream,
    Recorder,
    count_tokens_with,
    mounted,
)

COUNT = "/v1/messages/count_tokens"
PASSTHROUGH = "/anthropic/v1/messages/count_tokens"

# 1 and 5


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b""),
        (200, b"<html>a proxy's page</html>"),
        (200, b"null"),
        (200, b"[14]"),
        (200, '{"input_tokens": 14}'.encode("utf-16")),
        (200, b'{"input_tokens": null}'),
        (200, b'{"input_tokens": "14"}'),
        (200, b'{"input_tokens": 14.5}'),
        (200, b'{"input_tokens": true}'),
        (200, b'{"input_tokens": -1}'),
        (200, b'{"type":"error","error":{"type":"api_error","message":"no"}}'),
        (204, b""),
        (302, b'{"input_tokens": 14}'),
    ],
)
async def test_an_answer_that_is_no_count_is_a_502_and_never_a_number(
    upstream: FakeUpstream, status: int, body: bytes
) -> None:
    upstream.answers(status, body, location="https://elsewhere.example/")
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 502
    assert response.json()["error"]["type"] == "api_error"
    assert "input_tokens" not in response.text
    assert len(upstream.requests) == 1


async def test_a_provider_that_fails_leads_to_an_error_and_not_to_an_estimate(
    upstream: FakeUpstream,
) -> None:
    upstream.answers(500, b"oops")
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 500
    assert response.json()["error"] == {"type": "api_error", "message": "anthropic answered 500."}


async def test_an_unreachable_provider_is_a_502(upstream: FakeUpstream) -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("secret.internal:443 refused")

    upstream.answer = unreachable
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 502
    assert "secret.internal" not in response.text


async def test_a_zero_that_the_provider_counted_is_a_zero(upstream: FakeUpstream) -> None:
    upstream.answers(200, b'{"input_tokens": 0}')
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.json() == {"input_tokens": 0}


# 2

FAITHFUL = b"""{
  "system": [{"type": "text", "text": "x-anthropic-billing-header"}, {"type":"text","text":"B"}],
  "model": "claude-sonnet", "max_tokens": 1024, "stream": true, "temperature": 1.0,
  "top_p": 0.9, "top_k": 5, "stop_sequences": ["a"], "metadata": {"user_id": "u"},
  "service_tier": "auto", "user": "u",
  "messages": [{"role": "user", "content": [
      {"type": "hologram", "volume": 1.50e2, "huge": 1e400, "tiny": -0.0,
       "text": "\\ud83d\\u00e9\xc3\xa9", "same": 1, "same": 2}]}],
  "thinking": {"type": "adaptive"}, "field_of_next_year": {"a": [1, {"b": null}]}
}"""


async def test_the_upstream_gets_the_body_as_sent_but_for_model_and_generation_fields(
    upstream: FakeUpstream,
) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, content=FAITHFUL)
    assert response.status_code == 200
    sent = upstream.request.content
    assert list(upstream.body) == [
        "system",
        "model",
        "messages",
        "thinking",
        "field_of_next_year",
    ]
    assert upstream.body["model"] == "claude-sonnet-4-5"
    kept = (b'"volume": 1.50e2', b'"huge": 1e400', b'"tiny": -0.0', b'"same": 1, "same": 2')
    for text in (*kept, b"\\ud83d\\u00e9\xc3\xa9", b'{"a": [1, {"b": null}]}'):
        assert text in sent


# 3


async def test_every_anthropic_header_reaches_the_upstream_and_betas_verbatim(
    upstream: FakeUpstream,
) -> None:
    native = {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "context-1m-2025-08-07,  beta-of-2027",
        "anthropic-workspace-id": "wrkspc_1",
        "anthropic-user-profile-id": "uprof_1",
        "Anthropic-Something-New": "yes",
    }
    others = {"x-stainless-lang": "python", "user-agent": "claude-cli/2", "x-app": "cli"}
    async with mounted(count_tokens_with(upstream)) as client:
        await client.post(COUNT, json=HELLO, headers={**native, **others})
    sent = upstream.request.headers
    assert {name: sent[name] for name in native} == native
    assert "x-stainless-lang" not in sent
    assert "x-app" not in sent
    assert "claude-cli" not in sent["user-agent"]


async def test_without_a_version_the_upstream_gets_the_one_that_all_clients_know(
    upstream: FakeUpstream,
) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        await client.post(COUNT, json=HELLO)
    assert upstream.request.headers["anthropic-version"] == "2023-06-01"


async def test_betas_in_several_header_lines_all_arrive(upstream: FakeUpstream) -> None:
    headers = [("anthropic-beta", "one"), ("anthropic-beta", "two")]
    async with mounted(count_tokens_with(upstream)) as client:
        await client.post(COUNT, json=HELLO, headers=headers)
    assert upstream.request.headers["anthropic-beta"] == "one,two"


# 4


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 503, 529])
async def test_an_error_of_the_upstream_arrives_byte_for_byte(
    upstream: FakeUpstream, status: int
) -> None:
    body = (
        b'{"type":"error", "error":{"type":"any_error","message":"prompt is too long: \\u00e9"} }'
    )
    upstream.answers(
        status,
        body,
        request_id="req_011",
        retry_after="17",
        x_should_retry="true",
        anthropic_ratelimit_requests_remaining="0",
        anthropic_organization_id="org_secret",
        set_cookie="a=b",
        anthropic_ratelimit_tokens_limit="\xb9",
    )
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == status
    assert response.content == body
    assert response.headers["content-type"] == "application/json"
    assert response.headers["request-id"] == "req_011"
    assert response.headers["x-count-tokens-source"] == "provider"
    assert response.headers["retry-after"] == "17"
    assert response.headers["x-should-retry"] == "true"
    assert response.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert "anthropic-organization-id" not in response.headers
    assert "set-cookie" not in response.headers
    assert "anthropic-ratelimit-tokens-limit" not in response.headers


@pytest.mark.parametrize(
    ("status", "body", "error_type", "message"),
    [
        (413, b"<html>Too large</html>", "request_too_large", "anthropic answered 413."),
        (502, b"", "api_error", "anthropic answered 502."),
        (400, b'{"error":{"message":"bad","code":1}}', "invalid_request_error", "bad"),
        (404, b'{"message":"no such model","object":"error"}', "not_found_error", "no such model"),
        (405, b'{"detail":"Method Not Allowed"}', "invalid_request_error", "Method Not Allowed"),
        (429, b'{"error":"slow down"}', "rate_limit_error", "slow down"),
        (529, b'{"error":null}', "overloaded_error", "anthropic answered 529."),
        (
            400,
            b'{"type":"error","error":{"type":7}}',
            "invalid_request_error",
            "anthropic answered 400.",
        ),
        (500, b"[" * 100_000, "api_error", "anthropic answered 500."),
        (400, b'{"message":"' + b"x" * 9000 + b'"}', "invalid_request_error", "x" * 2000),
    ],
)
async def test_an_error_in_another_shape_keeps_its_status_and_its_message(
    upstream: FakeUpstream, status: int, body: bytes, error_type: str, message: str
) -> None:
    upstream.answers(status, body, request_id="req_012", retry_after="13")
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == status
    assert response.json() == {
        "type": "error",
        "error": {"type": error_type, "message": message},
        "request_id": "req_012",
    }
    assert response.headers["retry-after"] == "13"


# 6


@pytest.mark.parametrize(
    "base",
    [
        "https://h.example",
        "https://h.example/",
        "https://h.example/v1",
        "https://h.example/v1/",
        "https://h.example/v1/messages",
        "https://h.example/v1/messages/count_tokens",
    ],
)
@pytest.mark.parametrize("key", ["api_base", "base_url"])
@pytest.mark.parametrize("prefix", ["", "/anthropic"])
async def test_a_base_url_in_any_form_gives_one_call_to_the_right_path(
    upstream: FakeUpstream, base: str, key: str, prefix: str
) -> None:
    base = base.replace("h.example", f"h.example{prefix}")
    params = {"model": "anthropic/claude-x", key: base}
    config = {"model_list": [{"model_name": "claude-sonnet", "litellm_params": params}]}
    async with mounted(count_tokens_with(upstream, config)) as client:
        await client.post(COUNT, json=HELLO)
    assert str(upstream.request.url) == f"https://h.example{prefix}/v1/messages/count_tokens"


async def test_without_a_base_url_the_call_goes_to_anthropic(upstream: FakeUpstream) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        await client.post(COUNT, json=HELLO)
    assert str(upstream.request.url) == "https://api.anthropic.com/v1/messages/count_tokens"


# 7

CANARY = "canary-of-the-caller"
CREDENTIALS = {"authorization": f"Bearer {CANARY}", "x-api-key": CANARY, "cookie": f"s={CANARY}"}


def whole(request: httpx.Request) -> str:
    return f"{request.url} {request.headers.raw!r} {request.content!r}"


@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
async def test_nothing_of_the_callers_credentials_goes_upstream(
    upstream: FakeUpstream, path: str
) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        await client.post(path, json=HELLO, headers=CREDENTIALS)
    assert CANARY not in whole(upstream.request)
    assert upstream.request.headers["x-api-key"] == GATEWAY_KEY


# the pass-through


async def test_the_passthrough_sends_body_native_headers_and_query_as_they_came(
    upstream: FakeUpstream,
) -> None:
    config: dict[str, Any] = {"model_list": []}
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "token-counting-2024-11-01"}
    async with mounted(count_tokens_with(upstream, config)) as client:
        await client.post(f"{PASSTHROUGH}?beta=true&x=a%20b", content=FAITHFUL, headers=headers)
    assert upstream.request.content == FAITHFUL
    assert upstream.request.url.raw_path == b"/v1/messages/count_tokens?beta=true&x=a%20b"
    assert upstream.request.headers["anthropic-beta"] == "token-counting-2024-11-01"
    assert upstream.request.headers["x-api-key"] == GATEWAY_KEY


async def test_the_passthrough_adds_no_version_of_its_own(upstream: FakeUpstream) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        await client.post(PASSTHROUGH, json=HELLO)
    assert "anthropic-version" not in upstream.request.headers


async def test_a_passthrough_that_is_not_configured_is_a_404(upstream: FakeUpstream) -> None:
    config: dict[str, Any] = {"model_list": []}
    async with mounted(count_tokens_with(upstream, config, environ={})) as client:
        response = await client.post(PASSTHROUGH, json=HELLO)
    assert response.status_code == 404
    assert not upstream.requests


async def test_a_passthrough_can_be_turned_off(upstream: FakeUpstream) -> None:
    settings = {"passthrough": {"anthropic": False}}
    async with mounted(count_tokens_with(upstream, settings=settings)) as client:
        response = await client.post(PASSTHROUGH, json=HELLO)
    assert response.status_code == 404


# 15


async def test_a_model_that_cannot_be_counted_is_a_501_of_its_own_and_no_call(
    upstream: FakeUpstream,
) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json={**HELLO, "model": "gpt"})
    assert response.status_code == 501
    assert response.headers["x-should-retry"] == "false"
    error = response.json()["error"]
    assert error["type"] == "api_error"
    assert "gpt" in error["message"]
    assert "mistral" in error["message"]
    assert not upstream.requests


async def test_an_unknown_model_is_a_404_and_no_call(upstream: FakeUpstream) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json={**HELLO, "model": "claude-does-not-exist"})
    assert response.status_code == 404
    assert response.json()["error"] == {
        "type": "not_found_error",
        "message": "model: claude-does-not-exist",
    }
    assert not upstream.requests


# 16


async def test_the_caller_is_authenticated_before_the_body_is_read(upstream: FakeUpstream) -> None:
    def refuse(request: Request) -> Caller:
        raise Unauthenticated("Who are you?")

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        raise AssertionError("the body was read")

    async with mounted(count_tokens_with(upstream, authenticate=refuse)) as client:
        response = await client.post(COUNT, content=body())
    assert response.status_code == 401
    assert response.json()["error"] == {"type": "authentication_error", "message": "Who are you?"}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "sk-team"},
        {"authorization": "Bearer sk-team"},
        {"x-api-key": "sk-team", "authorization": "Bearer sk-team"},
    ],
)
async def test_the_host_sees_the_key_in_whichever_header_it_came(
    upstream: FakeUpstream, headers: dict[str, str]
) -> None:
    def by_key(request: Request) -> Caller:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.headers.get("x-api-key", bearer) != "sk-team":
            raise Unauthenticated("Who are you?")
        return Caller("team")

    async with mounted(count_tokens_with(upstream, authenticate=by_key)) as client:
        assert (await client.post(COUNT, json=HELLO, headers=headers)).status_code == 200
        assert (await client.post(COUNT, json=HELLO)).status_code == 401


@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
async def test_the_host_authorises_by_the_bodys_model(upstream: FakeUpstream, path: str) -> None:
    asked: list[tuple[str, str]] = []

    async def authorize(caller: Caller, model: str) -> None:
        asked.append((caller.id, model))
        raise PermissionDenied("Not for you.")

    async with mounted(count_tokens_with(upstream, authorize=authorize)) as client:
        response = await client.post(path, json=HELLO)
    assert asked == [("team-a", "claude-sonnet")]
    assert response.status_code == 403
    assert response.json()["error"] == {"type": "permission_error", "message": "Not for you."}
    assert not upstream.requests


# 17


@pytest.mark.parametrize(
    ("callers", "sent"),
    [
        (None, "oauth-2025-04-20"),
        ("context-1m-2025-08-07", "context-1m-2025-08-07,oauth-2025-04-20"),
        ("oauth-2025-04-20, other", "oauth-2025-04-20, other"),
    ],
)
@pytest.mark.parametrize("key", ["api_key", "auth_token"])
@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
async def test_an_oauth_token_goes_as_bearer_with_its_beta_added_to_the_callers(
    upstream: FakeUpstream, callers: str | None, sent: str, key: str, path: str
) -> None:
    params = {key: "sk-ant-oat01-token"}
    model = {"model": "anthropic/claude-x", **params}
    config = {"model_list": [{"model_name": "claude-sonnet", "litellm_params": model}]}
    settings = {"passthrough": {"anthropic": params}}
    headers = {"anthropic-beta": callers} if callers else {}
    async with mounted(count_tokens_with(upstream, config, settings=settings)) as client:
        await client.post(path, json=HELLO, headers=headers)
    assert upstream.request.headers["authorization"] == "Bearer sk-ant-oat01-token"
    assert upstream.request.headers["anthropic-beta"] == sent
    assert "x-api-key" not in upstream.request.headers


# 18


@pytest.mark.parametrize("prefix", ["/llm", "/a/b", "/anthropic", "/v1x"])
@pytest.mark.parametrize("suffix", ["", "?beta=true", "/", "/?beta=true"])
async def test_any_prefix_any_query_and_a_trailing_slash_work_without_a_redirect(
    upstream: FakeUpstream, prefix: str, suffix: str
) -> None:
    async with mounted(count_tokens_with(upstream), prefix) as client:
        response = await client.post(COUNT + suffix, json=HELLO)
    assert response.status_code == 200
    assert upstream.request.url.query == b""


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
async def test_another_method_is_a_405_in_json(
    upstream: FakeUpstream, method: str, path: str
) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    if method != "HEAD":
        assert response.json()["error"]["type"] == "invalid_request_error"


async def test_another_path_below_the_mount_is_a_404_in_the_envelope(
    upstream: FakeUpstream,
) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(f"/other{COUNT}", json=HELLO)
        assert response.status_code == 404
        response = await client.post("/v1/messages", json=HELLO)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"
    assert response.json()["request_id"] == response.headers["request-id"]


# 19


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"{",
        b"[]",
        b'"text"',
        b"{}",
        b'{"model": "claude-sonnet"}',
        b'{"messages": []}',
        b'{"model": null, "messages": []}',
        b'{"model": "", "messages": []}',
        b'{"model": ["claude-sonnet"], "messages": []}',
        b'{"model": "claude-sonnet", "messages": {}}',
        b'{"model": "claude-sonnet", "messages": "hello"}',
        b'{"model": "claude-sonnet", "messages": NaN}',
        b'{"model": "claude-sonnet", "messages": [], "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"model": "claude-sonnet", "model": "claude-opus", "messages": []}',
        json.dumps({"model": "m", "messages": [], **dict.fromkeys(map(str, range(999)))}).encode(),
        b"\xff\xfe{}",
    ],
)
@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
async def test_a_body_that_is_no_count_request_is_a_400_in_the_envelope(
    upstream: FakeUpstream, path: str, body: bytes
) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(path, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert not upstream.requests


@pytest.mark.parametrize(
    ("added", "status"),
    [
        (b'"x": [' + b"9" * 5_000 + b"]", 200),
        (b'"x": "\\ud800"', 200),
        (b'"x": 1e400', 200),
        (b'"user": ' + b"9" * 5_000, 400),
    ],
)
async def test_what_python_cannot_read_is_passed_on_unless_it_has_to_be_read(
    upstream: FakeUpstream, added: bytes, status: int
) -> None:
    body = b'{"model": "claude-sonnet", "messages": [], %s}' % added
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, content=body)
    assert response.status_code == status
    if status == 200:
        assert added in upstream.request.content
    else:
        assert "too many digits" in response.json()["error"]["message"]


@pytest.mark.parametrize("added", [{}, {"max_tokens": 9}, {"metadata": {"user_id": "u"}}])
async def test_max_tokens_and_metadata_may_be_there_or_not(
    upstream: FakeUpstream, added: dict[str, Any]
) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json={**HELLO, **added})
    assert response.status_code == 200
    assert upstream.body.keys() == {"model", "messages"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_json_is_read_whatever_the_content_type_says(
    upstream: FakeUpstream, content_type: str
) -> None:
    headers = {"content-type": content_type}
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, content=json.dumps(HELLO), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (COUNT, {"content-encoding": "br"}),
        (COUNT, {"anthropic-beta": "b\xe9ta"}),
        (PASSTHROUGH, {"anthropic-beta": "b\xe9ta"}),
        (f"{PASSTHROUGH}?{'x' * 5000}", {}),
    ],
)
async def test_what_could_not_be_passed_on_unchanged_is_a_400(
    upstream: FakeUpstream, path: str, headers: dict[str, str]
) -> None:
    lines = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(path, json=HELLO, headers=lines)
    assert response.status_code == 400
    assert not upstream.requests


# 21: test_events.py has the rest


async def test_each_request_makes_one_event_whatever_its_end(upstream: FakeUpstream) -> None:
    hook = Recorder()
    async with mounted(count_tokens_with(upstream, hooks=[hook])) as client:
        await client.post(COUNT, json=HELLO)
        await client.post(PASSTHROUGH, json=HELLO)
        await client.post(COUNT, content=b"{")
        await client.post(COUNT, json={**HELLO, "model": "nobody"})
        await client.get(COUNT)
        await client.post("/elsewhere")
    assert [(event.entry_point, event.status) for event in hook.events] == [
        ("count_tokens", 200),
        ("passthrough", 200),
        ("count_tokens", 400),
        ("count_tokens", 404),
        ("count_tokens", 405),
        ("other", 404),
    ]


# 22


async def test_a_body_that_announces_itself_too_large_is_a_413_unread(
    upstream: FakeUpstream,
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        raise AssertionError("the body was read")

    settings = {"max_body_bytes": 100}
    async with mounted(count_tokens_with(upstream, settings=settings)) as client:
        response = await client.post(COUNT, content=body(), headers={"content-length": "101"})
    assert response.status_code == 413
    assert response.json()["error"]["type"] == "request_too_large"


@pytest.mark.parametrize("headers", [{}, {"content-length": "1"}, {"content-length": "many"}])
async def test_a_body_that_grows_too_large_is_a_413(
    upstream: FakeUpstream, headers: dict[str, str]
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{" * 60
        yield b"{" * 60

    settings = {"max_body_bytes": 100}
    async with mounted(count_tokens_with(upstream, settings=settings)) as client:
        response = await client.post(COUNT, content=body(), headers=headers)
    assert response.status_code == 413


async def test_a_body_that_stalls_is_a_504_and_holds_its_place_no_longer(
    upstream: FakeUpstream,
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.get_running_loop().create_future()

    settings = {"timeout": 0.05, "max_concurrency": 1}
    async with mounted(count_tokens_with(upstream, settings=settings)) as client:
        stalled = await client.post(COUNT, content=body())
        assert stalled.status_code == 504
        assert stalled.json()["error"]["message"] == "The request body did not arrive in time."
        assert (await client.post(COUNT, json=HELLO)).status_code == 200


async def test_a_body_of_just_the_allowed_size_is_counted(upstream: FakeUpstream) -> None:
    content = json.dumps(HELLO).encode()
    settings = {"max_body_bytes": len(content)}
    async with mounted(count_tokens_with(upstream, settings=settings)) as client:
        assert (await client.post(COUNT, content=content)).status_code == 200


class StalledTransport(httpx.AsyncBaseTransport):
    """A transport that never answers, and sets `asked` at a request."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nothing sets that future")


@pytest.mark.parametrize("whose", ["count", "deployment"])
async def test_past_the_deadline_the_answer_is_a_504(upstream: FakeUpstream, whose: str) -> None:
    settings = {"timeout": 0.05} if whose == "count" else {}
    params = {"model": "anthropic/claude-x", "timeout": 0.05 if whose == "deployment" else 60}
    config = {"model_list": [{"model_name": "claude-sonnet", "litellm_params": params}]}
    stalled = httpx.AsyncClient(transport=StalledTransport())
    count_tokens = count_tokens_with(upstream, config, settings=settings, http_client=stalled)
    async with mounted(count_tokens) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 504
    assert response.json()["error"] == {
        "type": "timeout_error",
        "message": "anthropic did not answer in time.",
    }


async def test_over_the_concurrency_cap_the_429_can_be_told_from_the_providers(
    upstream: FakeUpstream,
) -> None:
    transport = StalledTransport()
    count_tokens = count_tokens_with(
        upstream,
        settings={"max_concurrency": 1, "timeout": 2},
        http_client=httpx.AsyncClient(transport=transport),
    )
    async with mounted(count_tokens) as client:
        first = asyncio.ensure_future(client.post(COUNT, json=HELLO))
        await transport.asked.wait()
        second = await client.post(COUNT, json=HELLO)
        first.cancel()
        await asyncio.wait([first])
        transport.asked.clear()
        third = asyncio.ensure_future(client.post(COUNT, json=HELLO))
        await transport.asked.wait()
        third.cancel()
        await asyncio.wait([third])
    assert second.status_code == 429
    assert second.json()["error"]["type"] == "rate_limit_error"
    assert second.headers["retry-after"] == "1"
    assert second.headers["x-count-tokens-limit"] == "gateway"


async def test_a_body_that_trickles_in_holds_no_place(upstream: FakeUpstream) -> None:
    reading = asyncio.Event()

    async def endless_body() -> AsyncIterator[bytes]:
        reading.set()
        await asyncio.get_running_loop().create_future()
        yield b"{"

    settings = {"max_concurrency": 1}
    async with mounted(count_tokens_with(upstream, settings=settings)) as client:
        first = asyncio.ensure_future(client.post(COUNT, content=endless_body()))
        await reading.wait()
        assert (await client.post(COUNT, json=HELLO)).status_code == 200
        first.cancel()
        await asyncio.wait([first])


async def test_a_hosts_client_that_follows_redirects_does_not_follow_them_for_us(
    upstream: FakeUpstream,
) -> None:
    upstream.answers(307, location="https://elsewhere.example/")
    following = upstream.client()
    following.follow_redirects = True
    async with mounted(count_tokens_with(upstream, http_client=following)) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 502
    assert upstream.request.url.host == "api.anthropic.com"


async def test_an_unexpected_failure_shows_no_exception_text(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    keys: dict[str, Caller] = {}

    def crash(request: Request) -> Caller:
        return keys[request.headers["x-api-key"]]

    async with mounted(count_tokens_with(upstream, authenticate=crash)) as client:
        response = await client.post(COUNT, json=HELLO, headers={"x-api-key": CANARY})
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "api_error"
    assert "KeyError" not in response.text
    assert "KeyError" in caplog.text
    assert "in crash" in caplog.text
    assert CANARY not in caplog.text + response.text


# 24


async def test_the_answer_is_the_count_and_nothing_else(upstream: FakeUpstream) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 200
    assert response.json() == {"input_tokens": 14}
    assert response.headers["x-count-tokens-source"] == "provider"
    assert response.headers["request-id"] == "req_upstream"


async def test_anthropics_json_is_returned_unchanged_if_it_says_more(
    upstream: FakeUpstream,
) -> None:
    body = b'{"input_tokens": 25000, "context_management": {"original_input_tokens": 70000}}'
    upstream.answers(200, body)
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.content == body


# 25: test_layering.py has the imports


async def test_an_exact_name_comes_before_a_wildcard(upstream: FakeUpstream) -> None:
    names = {"*": "everything", "claude-*": "starred", "claude-sonnet": "exact"}
    entries = [
        {"model_name": name, "litellm_params": {"model": f"anthropic/{model}"}}
        for name, model in names.items()
    ]
    count_tokens = count_tokens_with(upstream, {"model_list": entries})
    async with mounted(count_tokens) as client:
        for model in ("claude-sonnet", "claude-opus", "other"):
            await client.post(COUNT, json={**HELLO, "model": model})
    sent = [json.loads(request.content)["model"] for request in upstream.requests]
    assert sent == ["exact", "starred", "everything"]


# several deployments of one model


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 501, 503, 529])
async def test_another_deployment_takes_over_where_it_may_do_better(
    upstream: FakeUpstream, status: int
) -> None:
    hook = Recorder()
    upstream.answer = lambda request: (
        httpx.Response(200, json={"input_tokens": 5})
        if request.url.host == "second.example"
        else httpx.Response(status)
    )
    count_tokens = count_tokens_with(upstream, two_deployments(), hooks=[hook])
    async with mounted(count_tokens) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.json() == {"input_tokens": 5}
    assert [attempt.status for attempt in hook.event.attempts] == [status, 200]
    assert hook.event.deployment == "claude-sonnet#1"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_an_answer_about_the_request_itself_is_final(
    upstream: FakeUpstream, status: int
) -> None:
    upstream.answers(status, b'{"type":"error","error":{"type":"of_tests_error","message":"m"}}')
    async with mounted(count_tokens_with(upstream, two_deployments())) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == status
    assert upstream.request.url.host == "first.example"


async def test_where_all_deployments_fail_the_answer_is_the_first_ones(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    upstream.answer = lambda request: httpx.Response(
        429 if request.url.host == "first.example" else 503,
        headers={"request-id": f"req_{request.url.host}"},
    )
    count_tokens = count_tokens_with(upstream, two_deployments(), hooks=[hook])
    async with mounted(count_tokens) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 429
    assert hook.event.deployment == "claude-sonnet#0"
    assert hook.event.upstream_request_id == "req_first.example"


def two_deployments() -> dict[str, Any]:
    entry = CONFIG["model_list"][0]
    return {
        "model_list": [
            {
                **entry,
                "litellm_params": {
                    **entry["litellm_params"],
                    "api_base": f"https://{host}.example",
                },
            }
            for host in ("first", "second")
        ]
    }


async def test_a_deadline_that_passed_is_not_spent_on_another_deployment(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(
        upstream,
        two_deployments(),
        settings={"timeout": 1e-6},
        http_client=httpx.AsyncClient(transport=StalledTransport()),
        hooks=[hook],
    )
    with pytest.raises(Exception, match="did not answer in time"):
        await count_tokens.count(HELLO)
    assert len(hook.event.attempts) == 1
    with pytest.raises(NotFound):
        await count_tokens.count({**HELLO, "model": "nobody"})
