"""The demo gateway: what `make demo` starts, and that it says what it is."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from typing import Any

import httpx
import pytest
import yaml

from demo_app.__main__ import banner
from demo_app.emulators import EMULATED_KEY
from demo_app.gateway import create_app
from demo_app.loopback import address_of, listening
from demo_app.upstreams import CONFIG, configured
from tests.fakes import HELLO, client_of
from tests.shell import run_in_shell

COUNT = "/v1/messages/count_tokens"
KEY = {"authorization": "Bearer sk-demo"}


def test_without_any_credentials_everything_is_emulated_and_called_so() -> None:
    with configured({"PATH": "/bin"}) as (config, upstreams):
        assert not upstreams.live
        assert "emulated, with invented counts: anthropic, bedrock, gemini, vertex_ai" in banner(
            "http://127.0.0.1:8000", upstreams
        )
        params = config.settings.passthrough.anthropic
        assert params is not None
        assert params.api_base.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("environ", "live", "model", "leads_to"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic", "claude-3-5-sonnet", "https://api.anthropic.com"),
        ({"GEMINI_API_KEY": "k"}, "gemini", "gemini-2.5-flash", "https://generativelanguage."),
        ({"GOOGLE_API_KEY": "k"}, "gemini", "gemini-2.5-flash", "https://generativelanguage."),
        ({"AWS_ACCESS_KEY_ID": "k"}, "bedrock", "claude-bedrock", None),
        ({"AWS_BEARER_TOKEN_BEDROCK": "k"}, "bedrock", "claude-bedrock", None),
        ({"AWS_ROLE_ARN": "arn"}, "bedrock", "claude-bedrock", None),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "f"}, "vertex_ai", "claude-vertex", None),
        ({"AWS_PROFILE": "team"}, "bedrock", "claude-bedrock", None),
    ],
)
def test_a_provider_whose_credentials_are_there_is_asked_for_real(
    environ: dict[str, str], live: str, model: str, leads_to: str | None
) -> None:
    with configured(environ) as (config, upstreams):
        assert upstreams.live == {live}
        assert upstreams.label(live) == "live"
        assert f"live: {live}" in upstreams.words
        assert live not in upstreams.words.partition(";")[0]
    (params,) = (each.params for each in config.deployments if each.model_name == model)
    base = getattr(params, "api_base", None) or getattr(
        params, "aws_bedrock_runtime_endpoint", None
    )
    assert base is None if leads_to is None else str(base).startswith(leads_to)


@pytest.mark.parametrize(
    ("model", "counted"),
    [
        ("claude-3-5-sonnet-20241022", 14),
        ("claude-3-5-sonnet", 14),
        ("anthropic/claude-opus-4-8", 14),
        ("claude-vertex", 14),
        ("claude-bedrock", 14),
        ("gemini-2.5-flash", 7),
        ("gemini-vertex", 7),
    ],
)
async def test_all_five_providers_are_counted_without_any_credentials(
    demo: str, model: str, counted: int
) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello, how are you?"}]}
    async with httpx.AsyncClient(base_url=demo, headers=KEY, timeout=30) as client:
        response = await client.post(COUNT, json=body)
    assert response.json() == {"input_tokens": counted}
    assert response.headers["x-demo-upstream"] == "emulated"


async def test_every_page_of_the_gateway_says_that_it_is_emulated(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        for path in ("/", "/health"):
            assert "emulated" in (await client.get(path)).json()["upstream"]
        description = (await client.get("/openapi.json")).json()["info"]["description"]
        assert "emulated" in description
        assert (await client.get("/docs")).status_code == 200
        nobody = {**HELLO, "model": "nobody"}
        answer = await client.post(COUNT, json=nobody, headers=KEY)
    assert answer.status_code == 404
    assert "emulated" in answer.headers["x-demo-upstream"]


async def test_the_gateways_own_routes_have_its_own_authentication(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        assert (await client.get("/v1/models")).status_code == 401
        models = (await client.get("/v1/models", headers=KEY)).json()
    assert models["owner"] == "demo"
    assert {model["id"] for model in models["data"]} >= {"claude-3-5-sonnet"}


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": "sk-other"}, {"authorization": "Basic sk-demo"}]
)
async def test_another_key_is_refused_in_anthropics_envelope(
    demo: str, headers: dict[str, str]
) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        response = await client.post(COUNT, json=HELLO, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


async def test_the_access_log_has_a_line_with_the_event_and_no_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "demo_app")
    with configured({}) as (config, upstreams):
        app = create_app(config, upstreams)
        async with app.router.lifespan_context(app), client_of(app) as client:
            body = {**HELLO, "model": "claude-3-5-sonnet", "user": "eve", "system": "canary"}
            await client.post(COUNT, json=body, headers=KEY)
            await client.get("/health")
            await client.get("/%0AFORGED")
    count, health, forged = (record.message for record in caplog.records)
    assert count.startswith(f"POST {COUNT} 200 ")
    for words in (
        "caller=demo",
        "end_user=eve",
        "model=claude-3-5-sonnet",
        "tokens=",
        "upstream=emulated",
    ):
        assert words in count
    assert health.startswith("GET /health 200 ")
    assert forged.startswith("GET /%0AFORGED 404 ")
    assert "canary" not in caplog.text
    assert "sk-demo" not in caplog.text


def test_the_models_of_the_users_description_are_configured() -> None:
    names = [entry["model_name"] for entry in yaml.safe_load(CONFIG.read_text())["model_list"]]
    assert names[:3] == ["claude-3-5-sonnet", "claude-vertex", "claude-bedrock"]
    assert "claude-3-5-sonnet-20241022" in names


def program(**environ: str) -> subprocess.Popen[str]:
    """The demo as `make demo` runs it without a key."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANTHROPIC_", "AWS_", "GEMINI_", "GOOGLE_"))
    }
    return subprocess.Popen(
        [sys.executable, "-m", "demo_app"],
        env={**inherited, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_as_a_program_prints_a_line_that_works_and_ends_quietly(
    ending: signal.Signals,
) -> None:
    with program(HOST="127.0.0.1", PORT="0") as demo:
        assert demo.stdout is not None
        try:
            printed = "".join(iter(demo.stdout.readline, "  }'\n")) + "  }'"
            answer = run_in_shell(printed[printed.index("curl") :])
        finally:
            demo.send_signal(ending)
        _, errors = demo.communicate(timeout=30)
    assert "API key       sk-demo" in printed
    assert "Upstreams     emulated" in printed
    assert answer == '{"input_tokens":14}'
    assert "POST /v1/messages/count_tokens 200" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("port", "words"),
    [
        ("taken", "Address already in use; PORT=8001 make demo takes another"),
        ("many", "PORT=many: a number up to 65535 is required"),
        ("99999", "PORT=99999: a number up to 65535 is required"),
    ],
)
def test_an_address_that_cannot_be_had_is_said_in_one_line(
    demo: str, port: str, words: str
) -> None:
    if port == "taken":
        port = demo.rpartition(":")[2]
    with program(PORT=port) as refused:
        _, errors = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert errors.strip().endswith(words)
    assert len(errors.splitlines()) == 1


def test_an_ipv6_address_is_printed_as_a_url() -> None:
    assert address_of("::1", 8000, 0, 0) == "http://[::1]:8000"
    assert address_of("127.0.0.1", 8000) == "http://127.0.0.1:8000"


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY where the socket says that it is TCP."""
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("headers", "change", "status", "said"),
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
    emulator: str, headers: dict[str, str | None], change: dict[str, Any], status: int, said: str
) -> None:
    proper = {"x-api-key": EMULATED_KEY, "anthropic-version": "2023-06-01"}
    sent = {name: value for name, value in {**proper, **headers}.items() if value is not None}
    body = json.dumps({**HELLO, **change})
    async with httpx.AsyncClient(base_url=emulator, headers=sent) as client:
        response = await client.post(COUNT, content=body)
    assert response.status_code == status
    assert said in response.json()["error"]["message"]
    assert response.json()["request_id"] == response.headers["request-id"]
