"""Calls of OpenAI's API, and its answers and errors in Anthropic's envelope."""

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest

from count_tokens_mw.cli.hints import hint_for
from count_tokens_mw.errors import CannotCount, UpstreamError
from count_tokens_mw.providers.openai.errors import explain_error
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted
from tests.support.openai_judge import openai_judge
from tests.support.requests import IMAGE, TOOL_ERROR, TOOL_USE, text, user

COUNT: Final = "/v1/messages/count_tokens"
KEY: Final = "sk-proj-abcdefghijklmnop"
URL: Final = "https://api.openai.com/v1/responses/input_tokens"
GPT: Final = {"model": "openai/gpt-5.6", "api_key": KEY}
SERVER: Final = {
    "model": "openai/llama",
    "api_key": KEY,
    "api_base": "http://127.0.0.1:1/v1",
    "count_tokens_via": "responses",
}
AZURE: Final = {
    **SERVER,
    "model": "azure/my-gpt",
    "api_base": "https://r.openai.azure.com",
}
ANSWER: Final = {"object": "response.input_tokens", "input_tokens": 11}


def entry(params: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"model_name": "gpt", "litellm_params": {**params, **more}}


async def ask(
    upstream: FakeUpstream,
    body: Mapping[str, Any] = HELLO,
    *entries: dict[str, Any],
    hook: Recorder | None = None,
    headers: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> httpx.Response:
    config = {"model_list": list(entries) or [entry(GPT)]}
    count_tokens = count_tokens_with(
        upstream, config, settings=settings, hooks=[hook or Recorder()]
    )
    async with mounted(count_tokens) as client:
        return await client.post(COUNT, json={**body, "model": "gpt"}, headers=headers)


def answer(upstream: FakeUpstream, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    upstream.answer = lambda request: httpx.Response(status, content=body, headers=headers)


async def test_a_count_is_one_call_with_the_key_and_nothing_of_the_callers_headers(
    upstream: FakeUpstream,
) -> None:
    answer(upstream, 200, json.dumps(ANSWER).encode(), {"x-request-id": "req_openai"})
    headers = {"anthropic-beta": "b", "anthropic-version": "2023-06-01", "x-api-key": "callers"}
    hook = Recorder()
    body = {"messages": [user(text("a"), IMAGE)], "system": "s", "max_tokens": 9, "stream": True}
    response = await ask(upstream, body, hook=hook, headers=headers)
    assert (response.status_code, response.json()) == (200, {"input_tokens": 11})
    assert response.headers["request-id"] == "req_openai"
    assert hook.event.upstream_request_id == "req_openai"
    assert hook.event.provider == "openai"
    request = upstream.request
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert not {name for name in request.headers if name.startswith(("anthropic", "x-api-key"))}
    assert upstream.body["model"] == "gpt-5.6"
    openai_judge(upstream.body)


async def test_equal_requests_share_a_call_and_other_omissions_are_still_named(
    upstream: FakeUpstream,
) -> None:
    upstream.answers(200, json.dumps(ANSWER).encode())
    config = {"model_list": [entry(GPT)]}
    count_tokens = count_tokens_with(upstream, config, settings={"cache": {"ttl": 60}})
    failed = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [TOOL_USE]}]
    bodies = [
        {"messages": [*failed, user({**TOOL_ERROR, "is_error": is_error})]}
        for is_error in (True, False)
    ]
    async with mounted(count_tokens) as client:
        answers = [await client.post(COUNT, json={**body, "model": "gpt"}) for body in bodies]
    assert len(upstream.requests) == 1
    named = [answer.headers.get("x-count-tokens-omitted") for answer in answers]
    assert named == ["messages.2.content.0.is_error", None]


async def test_omissions_may_be_refused(upstream: FakeUpstream) -> None:
    body = {"messages": [user({**text("a"), "x_future": 1})]}
    response = await ask(upstream, body, settings={"omissions": "refuse"})
    assert response.status_code == 501
    assert response.json()["error"]["message"].startswith("messages.0.content.0.x_future: ")
    assert upstream.requests == []


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"object": "response", "id": "resp_1", "output": [], "usage": {"input_tokens": 11}}',
        b'{"object": "chat.completion", "usage": {"prompt_tokens": 11}}',
        b'{"input_tokens": "11"}',
        b'{"input_tokens": -1}',
        b'{"input_tokens": null}',
        b"<html>",
        b"data: {}\n\n",
    ],
)
async def test_an_answer_without_a_count_is_a_502(body: bytes, upstream: FakeUpstream) -> None:
    """A router that generates answers with a response, whose usage is no count of this API."""
    upstream.answers(200, body)
    assert (await ask(upstream, HELLO, entry(SERVER))).status_code == 502


# ---- errors, as OpenAI's SDK and public reports have them


def error(message: str, code: object = None, kind: object = "invalid_request_error") -> bytes:
    inner = {"message": message, "type": kind, "param": None, "code": code}
    return json.dumps({"error": inner}).encode()


INVALID_KEY: Final = error(
    "Incorrect API key provided: sk-proj-************************mnop. You can find your API key "
    "at https://platform.openai.com/account/api-keys.",
    "invalid_api_key",
)
NO_MODEL: Final = error(
    "The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"
)
SLOW: Final = error(
    "Rate limit reached for gpt-5.6 in organization org-1 on requests per min (RPM): Limit 3.",
    "rate_limit_exceeded",
    "requests",
)
NO_QUOTA: Final = error(
    "You exceeded your current quota, please check your plan and billing details.",
    "insufficient_quota",
    "insufficient_quota",
)
SCOPE: Final = error(
    "You have insufficient permissions for this operation. Missing scopes: api.responses.write."
)
ORGANIZATION: Final = error(
    "OpenAI-Organization header should match organization for API key", "mismatched_organization"
)
UNSUPPORTED: Final = error(
    "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
    "unsupported_parameter",
)
NO_OUTPUT: Final = error("No tool output found for function call call_1.")
DOWN: Final = error("The server had an error while processing your request.", None, "server_error")
ERRORS: Final[list[tuple[int, bytes, int, str, str | None, str | None]]] = [
    (401, INVALID_KEY, 401, "authentication_error", "invalid_api_key", "the OpenAI API key is"),
    (401, ORGANIZATION, 401, "authentication_error", "mismatched_organization", "organization to"),
    (403, SCOPE, 403, "permission_error", "invalid_request_error", "/v1/responses"),
    (404, NO_MODEL, 404, "not_found_error", "model_not_found", "access to it"),
    (429, SLOW, 429, "rate_limit_error", "rate_limit_exceeded", "retry later"),
    (429, NO_QUOTA, 429, "rate_limit_error", "insufficient_quota", "budget"),
    (400, UNSUPPORTED, 400, "invalid_request_error", "unsupported_parameter", None),
    (400, NO_OUTPUT, 400, "invalid_request_error", "invalid_request_error", None),
    (500, DOWN, 500, "api_error", "server_error", None),
    (503, b"upstream connect error", 503, "api_error", None, None),
]


@pytest.mark.parametrize(("status", "body", "answered", "kind", "code", "hint"), ERRORS)
async def test_an_error_keeps_its_status_and_message_in_anthropics_envelope(
    status: int,
    body: bytes,
    answered: int,
    kind: str,
    code: str | None,
    hint: str | None,
    upstream: FakeUpstream,
) -> None:
    answer(upstream, status, body, {"retry-after": "0", "x-request-id": "req_1"})
    hook = Recorder()
    response = await ask(upstream, hook=hook)
    envelope = response.json()
    assert (response.status_code, envelope["type"], envelope["error"]["type"]) == (
        answered,
        "error",
        kind,
    )
    message = envelope["error"]["message"]
    if code:
        sent = json.loads(body)["error"]["message"]
        assert message == sent.replace("sk-proj-************************mnop", "…")
    assert KEY not in response.text
    assert "mnop" not in response.text
    assert response.headers["x-count-tokens-source"] == "provider"
    assert response.headers["request-id"] == "req_1"
    assert hook.event.attempts[-1].upstream_code == code
    shown = hint_for("openai", UpstreamError(answered, message, headers={}))
    assert (hint in (shown or "")) if hint else shown is None


@pytest.mark.parametrize("headers", [{"retry-after": "17"}, {"retry-after-ms": "17000"}])
async def test_a_rate_limit_says_when_to_come_back(
    headers: dict[str, str], upstream: FakeUpstream
) -> None:
    answer(upstream, 429, SLOW, headers)
    response = await ask(upstream)
    assert response.status_code == 429
    assert headers.items() <= dict(response.headers).items()


async def test_another_deployment_takes_over_from_one_that_is_limited(
    upstream: FakeUpstream,
) -> None:
    answers = [
        httpx.Response(429, content=SLOW, headers={"retry-after": "17"}),
        httpx.Response(200, json=ANSWER),
    ]
    upstream.answer = lambda request: answers[len(upstream.requests) - 1]
    first, second = entry(GPT, order=1), entry(GPT, api_key="sk-other", order=2)
    assert (await ask(upstream, HELLO, first, second)).json() == {"input_tokens": 11}


# ---- a server without the API

NO_API: Final = [
    (404, b'{"detail":"Not Found"}'),
    (404, b"404 page not found"),
    (404, b"<html>nginx</html>"),
    (404, error("Invalid URL (POST /v1/responses/input_tokens)")),
    (404, b'{"error":{"code":"404","message":"Resource not found"}}'),
    (404, b""),
    (405, b'{"detail":"Method Not Allowed"}'),
    (405, b""),
]
NO_SUCH_MODEL: Final = [
    NO_MODEL,
    b'{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","code":404}}',
    b'{"object":"error","message":"The model `m` does not exist.","type":"NotFoundError"}',
    b'{"error":{"code":"DeploymentNotFound","message":"This API deployment does not exist."}}',
]


@pytest.mark.parametrize("params", [SERVER, AZURE, GPT], ids=["server", "azure", "openai"])
@pytest.mark.parametrize(("status", "body"), NO_API)
async def test_a_server_without_the_api_is_a_501_and_the_next_deployment_takes_over(
    status: int, body: bytes, params: dict[str, Any], upstream: FakeUpstream
) -> None:
    other = {"model": "anthropic/claude-x", "api_key": "k", "api_base": "https://a.example"}
    upstream.answer = lambda request: (
        httpx.Response(200, json={"input_tokens": 7})
        if request.url.host == "a.example"
        else httpx.Response(status, content=body)
    )
    response = await ask(upstream, HELLO, entry(params))
    name = params["model"].partition("/")[0]
    assert response.status_code == 501
    message = response.json()["error"]["message"]
    assert message == f"{name} answered {status}: the server has no token counting API."
    assert "count_tokens_via" in (hint_for(name, CannotCount(message)) or "")
    response = await ask(upstream, HELLO, entry(params, order=1), entry(other, order=2))
    assert response.json() == {"input_tokens": 7}


@pytest.mark.parametrize("body", NO_SUCH_MODEL)
async def test_an_unknown_model_is_a_404(body: bytes, upstream: FakeUpstream) -> None:
    upstream.answers(404, body)
    response = await ask(upstream, HELLO, entry(AZURE))
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")
    assert "does not exist" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Incorrect API key provided: sk-ab***yz. See", "Incorrect API key provided: …. See"),
        ("key 'sk-****************' is bad", "key '…' is bad"),
        ("Incorrect API key provided: ****abcd", "Incorrect API key provided: …"),
        ("use **bold** text", "use **bold** text"),
        ("a" * 1_000_000, "a" * 1_000_000),  # hours by a pattern that begins anywhere
    ],
    ids=lambda text: text[:40],
)
def test_no_part_of_a_key_is_quoted(message: str, shown: str) -> None:
    refused = UpstreamError(401, message, headers={"request-id": "r"}, body=b"{}", code="c")
    explained = explain_error("openai", refused)
    assert isinstance(explained, UpstreamError)
    assert (explained.status, explained.message, explained.code) == (401, shown, "c")
    assert explained.body == (b"{}" if shown == message else None)
    assert explained.headers == {"request-id": "r"}
