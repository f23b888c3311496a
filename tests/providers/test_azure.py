"""Claude in Azure AI Foundry, and any other server with Anthropic's API."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from demo_app.emulators import EMULATED_KEY, count, emulated_anthropic
from tests.support.cloud import cloud, counting
from tests.support.fakes import FakeUpstream, Recorder
from tests.support.requests import HELLO

BODY: dict[str, Any] = {"model": "m", "messages": HELLO}


@pytest.mark.parametrize("path", ["", "/", "/anthropic", "/anthropic/v1", "/anthropic/v1/messages"])
@pytest.mark.parametrize(
    ("credential", "header"),
    [("api_key", "x-api-key"), ("auth_token", "authorization")],
)
async def test_foundry_is_asked_under_anthropic_with_a_key_or_a_bearer(
    path: str, credential: str, header: str
) -> None:
    hook = Recorder()
    with cloud(Starlette(routes=[Mount("/anthropic", emulated_anthropic())])) as foundry:
        params = {
            "model": "azure_ai/claude-sonnet-4-5",
            "api_base": foundry.url + path,
            credential: EMULATED_KEY,
        }
        async with counting(params, hooks=[hook]) as count_tokens:
            assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
    assert foundry.paths == ["/anthropic/v1/messages/count_tokens"]
    assert header in foundry.headers[0]
    assert hook.event.provider == "azure_ai"


async def test_a_server_of_ones_own_is_asked_without_a_credential(upstream: FakeUpstream) -> None:
    params = {"model": "anthropic/local-model", "api_base": "http://127.0.0.1:8080/v1"}
    async with counting(params, http_client=upstream.client()) as count_tokens:
        await count_tokens.count(BODY)
    assert str(upstream.request.url) == "http://127.0.0.1:8080/v1/messages/count_tokens"
    assert "x-api-key" not in upstream.request.headers
    assert "authorization" not in upstream.request.headers
