"""Answers of LiteLLM, vLLM, llama.cpp and SGLang, and of servers without a counting API."""

import json
from typing import Any

import httpx
import pytest

from count_tokens_mw import CannotCount, CountError, UpstreamError, UpstreamUnusable
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

BASE = "http://127.0.0.1:8000"
ENTRIES: dict[str, dict[str, Any]] = {
    "anthropic": {"model": "anthropic/m", "api_key": "k"},
    "anthropic at a base": {"model": "anthropic/m", "api_base": BASE},
    "azure_ai": {"model": "azure_ai/claude", "api_key": "k", "api_base": BASE},
    "hosted_vllm": {"model": "hosted_vllm/m", "api_base": BASE},
    "openai": {"model": "openai/m", "api_base": BASE, "count_tokens_via": "anthropic"},
    "lm_studio": {"model": "lm_studio/m", "api_base": BASE, "count_tokens_via": "anthropic"},
    "litellm_proxy": {"model": "litellm_proxy/m", "api_base": BASE},
}
"""Entries in Anthropic's format; the last requires the source of a count."""
OTHERS = [name for name in ENTRIES if name != "litellm_proxy"]
OWN = [name for name in ENTRIES if name != "anthropic"]
by_entry = pytest.mark.parametrize("entry", ENTRIES)


def config_of(*params: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with deployments of one model, the first to be tried first."""
    return {
        "model_list": [
            {"model_name": "m", "litellm_params": {**each, "order": order}}
            for order, each in enumerate(params)
        ]
    }


async def count_at(entry: str, upstream: FakeUpstream) -> int:
    count_tokens = count_tokens_with(upstream, config_of(ENTRIES[entry]), environ={})
    return (await count_tokens.count({**HELLO, "model": "m"})).input_tokens


async def error_at(entry: str, upstream: FakeUpstream) -> CountError:
    with pytest.raises(CountError) as raised:
        await count_at(entry, upstream)
    return raised.value


# The source of a count


@by_entry
@pytest.mark.parametrize(
    "source",
    ["local_estimate", "token_count_model", "of_tomorrow", "", "Provider", 1, ["provider"]],
)
async def test_a_count_from_anything_but_a_provider_is_refused(
    entry: str, source: object, upstream: FakeUpstream
) -> None:
    answer = {"input_tokens": 14, "litellm_count_source": source}
    upstream.answers(200, json.dumps(answer).encode())
    error = await error_at(entry, upstream)
    assert isinstance(error, CannotCount)
    assert error.message.startswith("The upstream only estimates this count")
    assert error.headers["x-should-retry"] == "false"


@by_entry
async def test_a_providers_count_is_passed_on_as_it_came(
    entry: str, upstream: FakeUpstream
) -> None:
    answer = b'{"input_tokens": 14, "litellm_count_source": "provider"}'
    upstream.answers(200, answer)
    count_tokens = count_tokens_with(upstream, config_of(ENTRIES[entry]), environ={})
    async with mounted(count_tokens) as client:
        response = await client.post("/v1/messages/count_tokens", json={**HELLO, "model": "m"})
    assert (response.status_code, response.content) == (200, answer)


@pytest.mark.parametrize("entry", OTHERS)
@pytest.mark.parametrize(
    "answer",
    [
        {"input_tokens": 14},
        {"input_tokens": 14, "litellm_count_source": None},
        {"input_tokens": 14, "context_management": {"original_input_tokens": 14}},
    ],
)
async def test_an_absent_source_is_a_count(
    entry: str, answer: dict[str, Any], upstream: FakeUpstream
) -> None:
    upstream.answers(200, json.dumps(answer).encode())
    assert await count_at(entry, upstream) == 14


@pytest.mark.parametrize(
    "answer", [{"input_tokens": 14}, {"input_tokens": 14, "litellm_count_source": None}]
)
async def test_a_proxy_that_names_no_source_may_only_estimate(
    answer: dict[str, Any], upstream: FakeUpstream
) -> None:
    upstream.answers(200, json.dumps(answer).encode())
    error = await error_at("litellm_proxy", upstream)
    assert isinstance(error, CannotCount)
    assert "litellm_count_source" in error.message


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        ("litellm_proxy", None),
        ("litellm_proxy", "provider"),
        ("anthropic at a base", "provider"),
        ("hosted_vllm", "provider"),
    ],
)
async def test_a_zero_of_litellms_is_no_count(
    entry: str, source: str | None, upstream: FakeUpstream
) -> None:
    answer = {"input_tokens": 0} | ({"litellm_count_source": source} if source else {})
    upstream.answers(200, json.dumps(answer).encode())
    error = await error_at(entry, upstream)
    assert type(error) is UpstreamUnusable
    assert error.status == 502


@pytest.mark.parametrize("entry", OTHERS)
async def test_another_servers_zero_is_a_count(entry: str, upstream: FakeUpstream) -> None:
    upstream.answers(200, b'{"input_tokens": 0}')
    assert await count_at(entry, upstream) == 0


@by_entry
async def test_an_answer_without_a_count_stays_unusable(entry: str, upstream: FakeUpstream) -> None:
    upstream.answers(200, b'{"litellm_count_source": "local_estimate"}')
    assert isinstance(await error_at(entry, upstream), UpstreamUnusable)


@pytest.mark.parametrize(
    "params",
    [
        {"model": "gemini/gemini-x", "api_key": "k", "api_base": BASE},
        {"model": "vertex_ai/gemini-x", "api_key": "k", "api_base": BASE},
        *(
            {
                "model": "bedrock/anthropic.claude-x",
                "aws_region_name": "us-east-1",
                "api_key": "k",
                "count_tokens_via": via,
                f"aws_bedrock_{via}_endpoint": BASE,
            }
            for via in ("runtime", "mantle")
        ),
    ],
)
async def test_a_proxy_in_front_of_a_cloud_is_refused_too(
    params: dict[str, Any], upstream: FakeUpstream
) -> None:
    counts = b'"totalTokens": 14, "input_tokens": 14, "inputTokens": 14'
    upstream.answers(200, b'{%s, "litellm_count_source": "local_estimate"}' % counts)
    count_tokens = count_tokens_with(upstream, config_of(params), environ={})
    with pytest.raises(CannotCount, match="only estimates"):
        await count_tokens.count({**HELLO, "model": "m"})


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b'{"input_tokens": 1, "litellm_count_source": "local_estimate"}', "only estimates"),
        (404, b'{"detail": "Not Found"}', "no token counting API"),
    ],
)
async def test_the_pass_through_is_judged_alike(
    status: int, body: bytes, message: str, upstream: FakeUpstream
) -> None:
    upstream.answers(status, body)
    own = {"passthrough": {"anthropic": {"api_key": "k", "api_base": BASE}}}
    async with mounted(count_tokens_with(upstream, settings=own, environ={})) as client:
        response = await client.post("/anthropic/v1/messages/count_tokens", json=HELLO)
    assert response.status_code == 501
    assert message in response.json()["error"]["message"]


# Servers without a counting API

NO_API: dict[str, tuple[int, bytes]] = {
    "FastAPI": (404, b'{"detail": "Not Found"}'),
    "FastAPI, another method": (405, b'{"detail": "Method Not Allowed"}'),
    "llama.cpp": (
        404,
        b'{"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}',
    ),
    "OpenAI": (
        404,
        (
            b'{"error": {"message": "Invalid URL (POST /v1/messages/count_tokens)", '
            b'"type": "invalid_request_error", "param": null, "code": null}}'
        ),
    ),
    "Ollama": (404, b"404 page not found"),
    "nginx": (405, b"<html><h1>405 Not Allowed</h1></html>"),
    "nothing": (404, b""),
    "an odd code": (404, b'{"error": {"message": "m", "code": ["model_not_found"]}}'),
    "a type alone": (404, b'{"type": "error", "error": "nothing here"}'),
    "a list": (404, b"[]"),
    "no UTF-8": (404, b"\xff\xfe"),
}


@pytest.mark.parametrize("entry", OWN)
@pytest.mark.parametrize("case", NO_API)
async def test_a_server_without_the_api_cannot_count(
    entry: str, case: str, upstream: FakeUpstream
) -> None:
    status, body = NO_API[case]
    upstream.answers(status, body, retry_after="7", x_should_retry="true")
    error = await error_at(entry, upstream)
    assert isinstance(error, CannotCount)
    assert f"answered {status}: the server has no token counting API" in error.message
    assert error.headers == {"x-should-retry": "false"}


@pytest.mark.parametrize("case", NO_API)
async def test_anthropic_itself_has_the_api(case: str, upstream: FakeUpstream) -> None:
    status, body = NO_API[case]
    upstream.answers(status, body)
    error = await error_at("anthropic", upstream)
    assert isinstance(error, UpstreamError)
    assert error.status == status


@pytest.mark.parametrize("entry", ["anthropic at a base", "hosted_vllm", "openai"])
async def test_the_next_deployment_takes_over(entry: str, upstream: FakeUpstream) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_first = request.url.host == "127.0.0.1"
        return httpx.Response(404 if is_first else 200, json={"input_tokens": 14})

    upstream.answer = answer
    hook = Recorder()
    second = {"model": "anthropic/claude-x", "api_key": "k"}
    config = config_of(ENTRIES[entry], second)
    count_tokens = count_tokens_with(upstream, config, environ={}, hooks=[hook])
    assert (await count_tokens.count({**HELLO, "model": "m"})).input_tokens == 14
    assert [attempt.status for attempt in hook.event.attempts] == [501, 200]
    assert hook.event.attempts[0].error == "CannotCount"


UNKNOWN_MODEL: dict[str, tuple[bytes, bool]] = {
    "Anthropic": (
        (
            b'{"type":"error","error":{"type":"not_found_error","message":"model: m"},'
            b'"request_id":"req_1"}'
        ),
        True,
    ),
    "vLLM": (
        (
            b'{"type": "error", "error": {"type": "NotFoundError", "message": '
            b'"The model `m` does not exist."}}'
        ),
        False,
    ),
    "OpenAI": (
        (
            b'{"error": {"message": "no model `m`", "type": "invalid_request_error", '
            b'"param": null, "code": "model_not_found"}}'
        ),
        False,
    ),
    "Azure": (
        (b'{"error": {"code": "DeploymentNotFound", "message": "The deployment does not exist."}}'),
        False,
    ),
}


@pytest.mark.parametrize("entry", OWN)
@pytest.mark.parametrize("case", UNKNOWN_MODEL)
async def test_an_unknown_model_of_a_server_with_the_api_stays_a_404(
    entry: str, case: str, upstream: FakeUpstream
) -> None:
    body, is_verbatim = UNKNOWN_MODEL[case]
    upstream.answers(404, body)
    error = await error_at(entry, upstream)
    assert isinstance(error, UpstreamError)
    assert (error.status, error.type) == (404, "not_found_error")
    assert (error.body is not None) == is_verbatim


# Errors in other shapes, as each server's source has them

SHAPES: dict[str, tuple[int, Any, str, str, str | None]] = {
    "vLLM, in the envelope": (
        400,
        {"type": "error", "error": {"type": "BadRequestError", "message": "too long"}},
        *("invalid_request_error", "too long", "BadRequestError"),
    ),
    "vLLM, an exception": (
        500,
        {"type": "error", "error": {"type": "internal_error", "message": "no template"}},
        *("api_error", "no template", "internal_error"),
    ),
    "vLLM, validation": (
        400,
        {"error": {"message": "1 error", "type": "Bad Request", "param": None, "code": 400}},
        *("invalid_request_error", "1 error", "Bad Request"),
    ),
    "vLLM, its key": (401, {"error": "Unauthorized"}, "authentication_error", "Unauthorized", None),
    "llama.cpp, an exception": (
        500,
        {"error": {"code": 500, "message": "unsupported content", "type": "server_error"}},
        *("api_error", "unsupported content", "server_error"),
    ),
    "llama.cpp, a request": (
        400,
        {"error": {"code": 400, "message": "no messages", "type": "invalid_request_error"}},
        *("invalid_request_error", "no messages", "invalid_request_error"),
    ),
    "llama.cpp, its key": (
        401,
        {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}},
        *("authentication_error", "Invalid API Key", "authentication_error"),
    ),
    "llama.cpp, loading": (
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        *("api_error", "Loading model", "unavailable_error"),
    ),
    "SGLang, in the envelope": (
        500,
        {"type": "error", "error": {"type": "internal_server_error", "message": "Internal"}},
        *("api_error", "Internal", "internal_server_error"),
    ),
    "SGLang, a type of its own": (
        408,
        {"type": "error", "error": {"type": "request_timeout_error", "message": "late"}},
        *("invalid_request_error", "late", "request_timeout_error"),
    ),
    "SGLang, flat": (
        400,
        {
            "object": "error",
            "message": "bad",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        *("invalid_request_error", "bad", "BadRequestError"),
    ),
    "FastAPI, validation": (
        422,
        {
            "detail": [
                {"loc": ["body", "messages", 0], "msg": "Field required", "input": {"p": "prompt"}},
                {"loc": ["body", "model"], "msg": "Input should be a string", "input": "prompt"},
                {"loc": "odd", "msg": "odd"},
                "odd",
            ]
        },
        "invalid_request_error",
        "body.messages.0: Field required; body.model: Input should be a string",
        None,
    ),
    "FastAPI, an exception of LiteLLM's": (
        400,
        {"detail": {"error": "model parameter is required"}},
        *("invalid_request_error", "model parameter is required", None),
    ),
    "LiteLLM, older": (
        429,
        {"error": {"message": "slow", "type": "throttling_error", "param": None, "code": "429"}},
        *("rate_limit_error", "slow", "throttling_error"),
    ),
}


@pytest.mark.parametrize("entry", ["anthropic at a base", "hosted_vllm", "openai"])
@pytest.mark.parametrize("case", SHAPES)
async def test_an_error_in_another_shape_is_in_the_envelope_with_a_type_that_fits(
    entry: str, case: str, upstream: FakeUpstream
) -> None:
    status, body, error_type, message, code = SHAPES[case]
    upstream.answers(status, json.dumps(body).encode(), retry_after="3600")
    hook = Recorder()
    config = config_of(ENTRIES[entry])
    count_tokens = count_tokens_with(upstream, config, environ={}, hooks=[hook])
    async with mounted(count_tokens) as client:
        response = await client.post("/v1/messages/count_tokens", json={**HELLO, "model": "m"})
    answer = response.json()
    assert (response.status_code, answer["type"]) == (status, "error")
    assert answer["error"] == {"type": error_type, "message": message}
    assert answer["request_id"] == response.headers["request-id"]
    assert response.headers["retry-after"] == "3600"
    (attempt,) = hook.event.attempts
    assert (attempt.error_type, attempt.upstream_code) == (error_type, code)


@pytest.mark.parametrize("error_type", ["overloaded_error", "error_of_tomorrow_error"])
async def test_an_envelope_of_anthropics_stays_byte_for_byte(
    error_type: str, upstream: FakeUpstream
) -> None:
    body = b'{"type":"error", "error":{"type":"%s","message":"m"},"x":1}' % error_type.encode()
    upstream.answers(529, body)
    for entry in ENTRIES:
        error = await error_at(entry, upstream)
        assert isinstance(error, UpstreamError)
        assert error.body == body
