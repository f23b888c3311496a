"""Known faults of other gateways on Bedrock, Vertex AI and Gemini, each with its reference."""

import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from count_tokens_mw import UpstreamUnusable
from demo_app.emulators import (
    EMULATED_GEMINI_KEY,
    EMULATED_OPENAI_KEY,
    EmulatedGoogle,
    emulated_bedrock,
    emulated_openai,
)
from tests.support.cloud import Cloud, bedrock_params, cloud, counting, vertex_params
from tests.support.fakes import mounted

HELLO = [{"role": "user", "content": "Hello"}]
GENERATING: dict[str, Any] = {
    "model": "m",
    "messages": HELLO,
    "max_tokens": 64000,
    "stream": True,
    "temperature": 0.5,
}


@asynccontextmanager
async def client_for(kind: str) -> AsyncIterator[tuple[httpx.AsyncClient, Cloud]]:
    """Yield a client of a gateway in front of one emulated upstream, and that upstream."""
    google = EmulatedGoogle()
    apps = {"bedrock": emulated_bedrock, "openai": emulated_openai}
    with cloud(apps.get(kind, lambda: google.app)()) as upstream:
        params: dict[str, dict[str, Any]] = {
            "bedrock": bedrock_params(upstream.url),
            "vertex claude": vertex_params(google, upstream.url, "claude-opus-4-8"),
            "vertex gemini": vertex_params(google, upstream.url, "gemini-2.5-flash"),
            "gemini": {
                "model": "gemini/gemini-2.5-flash",
                "api_key": EMULATED_GEMINI_KEY,
                "api_base": upstream.url,
            },
            "openai": {
                "model": "openai/gpt-5.6",
                "api_key": EMULATED_OPENAI_KEY,
                "api_base": upstream.url,
                "count_tokens_via": "responses",
            },
        }
        async with counting(params[kind]) as count_tokens, mounted(count_tokens) as client:
            yield client, upstream


EVERY_KIND = ["bedrock", "vertex claude", "vertex gemini", "gemini", "openai"]
COUNTS = ("/count-tokens", "count-tokens:rawPredict", ":countTokens", "/input_tokens", "/token")


@pytest.mark.parametrize("kind", EVERY_KIND)
async def test_a_count_never_becomes_a_paid_completion(kind: str) -> None:
    """bifrost 970; Portkey on Vertex with `stream: true`."""
    async with client_for(kind) as (client, upstream):
        response = await client.post("/v1/messages/count_tokens", json=GENERATING)
    assert response.status_code == 200
    assert upstream.paths
    assert all(path.endswith(COUNTS) for path in upstream.paths)


@pytest.mark.parametrize("kind", EVERY_KIND)
async def test_the_vendors_own_field_does_not_leak_to_the_client(kind: str) -> None:
    """agentgateway answered Bedrock's `inputTokens`."""
    async with client_for(kind) as (client, _):
        answer = (await client.post("/v1/messages/count_tokens", json=GENERATING)).json()
    assert answer.keys() == {"input_tokens"}


@pytest.mark.parametrize("kind", EVERY_KIND)
async def test_a_long_system_prompt_is_not_lost_on_the_way(kind: str) -> None:
    """bifrost 5648 counted 17 for 7,400 tokens; python-genai 432, Portkey 1379 lost the tools."""
    long: dict[str, Any] = {
        **GENERATING,
        "system": "word " * 7400,
        "tools": [{"name": "f", "description": "d " * 100, "input_schema": {"type": "object"}}],
    }
    async with client_for(kind) as (client, _):
        answer = (await client.post("/v1/messages/count_tokens", json=long)).json()
    assert answer["input_tokens"] > 7500


async def test_a_gemini_key_does_not_leak_through_an_error() -> None:
    """goruck/home-generative-agent 578: the text of an exception had it as `?key=`."""
    params = {"model": "gemini/x", "api_key": "AIza-canary", "api_base": "http://127.0.0.1:1"}
    async with counting(params) as count_tokens:
        with pytest.raises(UpstreamUnusable) as raised:
            await count_tokens.count(GENERATING)
    assert "AIza-canary" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("kind", EVERY_KIND)
async def test_one_model_is_never_counted_as_another(kind: str) -> None:
    """Portkey's cache confused models; here an unknown name has no deployment."""
    async with client_for(kind) as (client, upstream):
        response = await client.post(
            "/v1/messages/count_tokens", json={**GENERATING, "model": "another"}
        )
    assert response.status_code == 404
    assert not upstream.paths
