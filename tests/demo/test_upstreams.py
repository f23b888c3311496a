"""The demo's upstreams, and the marks of emulated counts."""

import json
import socket
from typing import Any

import httpx
import pytest
import yaml

from demo_app.__main__ import banner
from demo_app.emulators import EMULATED_KEY
from demo_app.loopback import address_of, listen
from demo_app.upstreams import CONFIG, configured
from tests.support.fakes import HELLO

COUNT = "/v1/messages/count_tokens"
KEY = {"authorization": "Bearer sk-demo"}


def test_without_any_credentials_everything_is_emulated_and_called_so() -> None:
    with configured({"PATH": "/bin"}) as (config, upstreams):
        assert not upstreams.live
        assert (
            "emulated, with invented counts: anthropic, bedrock, gemini, openai, vertex_ai"
            in banner("http://127.0.0.1:8000", upstreams, "sk-demo")
        )
        params = config.settings.passthrough.anthropic
        assert params is not None
        assert params.api_base.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("environ", "live", "model", "leads_to"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic", "claude-sonnet-5", "https://api.anthropic.com"),
        ({"GEMINI_API_KEY": "k"}, "gemini", "gemini-3.8-flash", "https://generativelanguage."),
        ({"GOOGLE_API_KEY": "k"}, "gemini", "gemini-3.8-flash", "https://generativelanguage."),
        ({"AWS_ACCESS_KEY_ID": "k"}, "bedrock", "claude-bedrock", None),
        ({"AWS_BEARER_TOKEN_BEDROCK": "k"}, "bedrock", "claude-bedrock", None),
        ({"AWS_ROLE_ARN": "arn"}, "bedrock", "claude-bedrock", None),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "f"}, "vertex_ai", "claude-vertex", None),
        ({"AWS_PROFILE": "team"}, "bedrock", "claude-bedrock", None),
        ({"OPENAI_API_KEY": "k"}, "openai", "gpt-5.6", "https://api.openai.com"),
    ],
)
def test_a_provider_whose_credentials_are_there_is_asked_for_real(
    environ: dict[str, str], live: str, model: str, leads_to: str | None
) -> None:
    with configured(environ) as (config, upstreams):
        assert upstreams.live == {live}
        assert upstreams.each[live] == "live"
        assert f"live: {live}" in upstreams.summary
        assert live not in upstreams.summary.partition(";")[0]
    (params,) = (entry.params for entry in config.deployments if entry.model_name == model)
    base = getattr(params, "api_base", None) or getattr(
        params, "aws_bedrock_runtime_endpoint", None
    )
    assert base is None if leads_to is None else str(base).startswith(leads_to)


@pytest.mark.parametrize(
    ("model", "provider", "counted"),
    [
        ("claude-opus-5-5", "anthropic", 14),
        ("claude-sonnet-5", "anthropic", 14),
        ("claude-3-5-sonnet-20241022", "anthropic", 14),
        ("anthropic/claude-opus-4-8", "anthropic", 14),
        ("claude-vertex", "vertex_ai", 14),
        ("claude-bedrock", "bedrock", 14),
        ("gemini-3.8-flash", "gemini", 7),
        ("gemini-vertex", "vertex_ai", 7),
        ("gpt-5.6", "openai", 21),
    ],
)
async def test_all_providers_are_counted_without_any_credentials(
    demo: str, model: str, provider: str, counted: int
) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello, how are you?"}]}
    async with httpx.AsyncClient(base_url=demo, headers=KEY, timeout=30) as client:
        response = await client.post(COUNT, json=body)
    assert response.json() == {"input_tokens": counted}
    assert response.headers["x-demo-upstream"] == "emulated"
    assert response.headers["x-demo-provider"] == provider


async def test_the_gateway_says_everywhere_that_it_is_emulated(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        assert "emulated" in (await client.get("/health")).headers["x-demo-upstream"]
        assert set((await client.get("/demo/info")).json()["upstreams"].values()) == {"emulated"}
        description = (await client.get("/openapi.json")).json()["info"]["description"]
        assert "emulated" in description
        nobody = {**HELLO, "model": "nobody"}
        answer = await client.post(COUNT, json=nobody, headers=KEY)
    assert answer.status_code == 404
    assert "emulated" in answer.headers["x-demo-upstream"]
    assert "x-demo-provider" not in answer.headers


def test_the_models_of_the_users_description_are_configured() -> None:
    """Some by their former names, which are aliases."""
    config = yaml.safe_load(CONFIG.read_text())
    names = {entry["model_name"] for entry in config["model_list"]}
    aliases = config["router_settings"]["model_group_alias"]
    assert {"claude-3-5-sonnet", "claude-3-5-sonnet-20241022"} < aliases.keys()
    assert {"claude-vertex", "claude-bedrock", *aliases.values()} <= names


def test_an_ipv6_address_is_printed_as_a_url() -> None:
    assert address_of("::1", 8000, 0, 0) == "http://[::1]:8000"
    assert address_of("127.0.0.1", 8000) == "http://127.0.0.1:8000"


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY only where the socket's protocol is TCP."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("headers", "change", "status", "message"),
    [
        ({"x-api-key": None}, {}, 401, "x-api-key header is required"),
        ({"x-api-key": "sk-other"}, {}, 401, "invalid x-api-key"),
        ({"authorization": f"Bearer {EMULATED_KEY}"}, {}, 400, "exactly one"),
        ({"anthropic-version": None}, {}, 400, "anthropic-version"),
        ({"anthropic-emulate-status": "529"}, {}, 529, "emulated"),
        ({"anthropic-emulate-status": "abc"}, {}, 400, "one of 400, 401"),
        ({}, {"max_tokens": 1}, 400, "max_tokens: Extra inputs are not permitted"),
        ({}, {"context_management": {}}, 400, "context_management: Extra inputs"),
        ({}, {"model": "claude-does-not-exist"}, 404, "model: claude-does-not-exist"),
        ({}, {"model": "\ud800"}, 404, "model: \ud800"),
        ({}, {"messages": []}, 400, "at least one message"),
        ({}, {"messages": [{"role": [], "content": ""}]}, 400, "messages.0.role"),
        ({}, {"messages": [{"role": "user"}]}, 400, "messages.0.content"),
        ({}, {"messages": [{"role": "user", "content": [{}]}]}, 400, "messages.0.content.0.type"),
        ({}, {"messages": [{"role": "system", "content": "a"}]}, 400, "messages.0"),
    ],
)
async def test_the_emulated_upstream_is_as_strict_as_the_api(
    emulator: str, headers: dict[str, str | None], change: dict[str, Any], status: int, message: str
) -> None:
    proper = {"x-api-key": EMULATED_KEY, "anthropic-version": "2023-06-01"}
    sent = {name: value for name, value in {**proper, **headers}.items() if value is not None}
    body = json.dumps({**HELLO, **change})
    async with httpx.AsyncClient(base_url=emulator, headers=sent) as client:
        response = await client.post(COUNT, content=body)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]
    assert response.json()["request_id"] == response.headers["request-id"]
