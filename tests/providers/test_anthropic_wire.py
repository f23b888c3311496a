"""Requests to Anthropic, validated by its own SDK's types, and by tables for the headers."""

import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest
from anthropic.types.beta.message_count_tokens_params import (
    MessageCountTokensParams as BetaCountTokensParams,
)
from anthropic.types.message_count_tokens_params import MessageCountTokensParams

from count_tokens_mw.config.params.anthropic import AnthropicParams
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.anthropic import Anthropic
from count_tokens_mw.providers.claude.fields import NOT_INPUT
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.types import Headers, UpstreamCall
from tests.support.anthropic_judge import Judge
from tests.support.requests import STANDARD

LEFT_OUT = {**dict.fromkeys(NOT_INPUT, 1), "anthropic_beta": []}
# The SDK's parameters for headers, which in a body are no fields of the API.
HEADERS_OF_THE_SDK = {"user_profile_id", "workspace_id"}


def prepare(body: Mapping[str, Any], headers: Headers = (), **params: Any) -> UpstreamCall:
    validated = AnthropicParams.model_validate({"api_key": "sk-ant-api03-key", **params})
    provider = Anthropic(validated, HttpClient())
    return provider.prepare(request_from_mapping({"model": "claude-x", **body}, headers))


def test_the_headers_of_callers_are_kept_in_64_kb() -> None:
    provider = Anthropic(AnthropicParams.model_validate({"api_key": "k"}), HttpClient())
    sent = [
        request_from_mapping(
            {"model": "m", **STANDARD["text blocks"]},
            (("anthropic-beta", f"{number}-" + "b" * length),),
        )
        for length in (10, 1000, 1100, 60_000)
        for number in range(20)
    ]
    provider.prepare(sent[0])
    tracemalloc.start()
    for request in sent:
        headers = dict(provider.prepare(request).headers)
        assert headers["anthropic-beta"] == request.headers[0][1]
        assert headers == dict(provider.prepare(request).headers)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(provider._cached_headers) <= 16
    assert kept < 16 * 4096


@pytest.fixture(scope="module", params=[MessageCountTokensParams, BetaCountTokensParams])
def judge(request: pytest.FixtureRequest) -> Judge:
    return Judge(request.param)


@pytest.mark.parametrize("body", STANDARD.values(), ids=STANDARD)
def test_the_sdks_own_type_accepts_what_is_sent(judge: Judge, body: dict[str, Any]) -> None:
    sent = prepare({**body, **LEFT_OUT}).body
    assert judge.judge(sent) == {"model": "claude-x", **body}


@pytest.mark.parametrize("field", sorted(NOT_INPUT - HEADERS_OF_THE_SDK))
def test_the_judge_refuses_what_is_dropped(judge: Judge, field: str) -> None:
    body = request_from_mapping({**STANDARD["tools"], "model": "claude-x", field: 1}).body.raw
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        judge.judge(body)


@pytest.mark.parametrize(
    ("params", "native", "sent"),
    [
        ({}, {}, {"x-api-key": "sk-ant-api03-key", "anthropic-version": "2023-06-01"}),
        ({}, {"anthropic-version": "2026-10-21"}, {"anthropic-version": "2026-10-21"}),
        ({"api_key": None, "auth_token": "t"}, {}, {"authorization": "Bearer t"}),
        ({"api_key": None, "api_base": "http://vllm"}, {}, {"authorization": None}),
        (
            {"extra_headers": {"Anthropic-Version": "2026-10-21", "X-Tenant": "acme"}},
            {"anthropic-version": "2023-06-01"},
            {"anthropic-version": "2026-10-21", "x-tenant": "acme"},
        ),
        (
            {"extra_headers": {"anthropic-beta": "b, c"}},
            {"anthropic-beta": "a,b"},
            {"anthropic-beta": "a,b,c"},
        ),
        ({"extra_headers": {"anthropic-beta": "b"}}, {}, {"anthropic-beta": "b"}),
        (
            {"api_key": "sk-ant-oat01-t", "extra_headers": {"anthropic-beta": "b"}},
            {"anthropic-beta": "a"},
            {"anthropic-beta": "a,b,oauth-2025-04-20", "authorization": "Bearer sk-ant-oat01-t"},
        ),
        ({}, {"anthropic-beta": ""}, {"anthropic-beta": ""}),
        ({}, {}, {"anthropic-beta": None}),
        ({"extra_headers": {"x-api-key": "other"}}, {}, {"x-api-key": "other"}),
    ],
)
def test_the_headers_that_are_sent(
    params: dict[str, Any], native: dict[str, str], sent: dict[str, str | None]
) -> None:
    call = prepare(STANDARD["tools"], tuple(native.items()), **params)
    headers = dict(call.headers)
    assert len(headers) == len(call.headers)
    assert headers["content-type"] == "application/json"
    assert {name: headers.get(name) for name in sent} == sent


def test_a_prepared_call_shows_neither_the_key_nor_the_prompt() -> None:
    call = prepare({"messages": [{"role": "user", "content": "the prompt"}]})
    assert "sk-ant" not in repr(call)
    assert "the prompt" not in repr(call)
    assert "https://api.anthropic.com/v1/messages/count_tokens" in repr(call)


def test_prepare_is_pure() -> None:
    assert prepare(STANDARD["tools"]) == prepare(STANDARD["tools"])
