"""The demo gateway: what `make demo` starts, and that it says what it is."""

import logging
import os
import subprocess
import sys

import httpx
import pytest
import yaml

from count_tokens_mw import Config
from demo_app.__main__ import CONFIG, banner, upstream_for
from demo_app.emulator import EMULATED_KEY
from demo_app.gateway import create_app
from tests.fakes import HELLO, client_of
from tests.shell import run_in_shell

COUNT = "/v1/messages/count_tokens"
KEY = {"authorization": "Bearer sk-demo"}


def test_without_a_key_the_upstream_is_emulated_and_called_so() -> None:
    with upstream_for({"PATH": "/bin"}) as (environ, upstream):
        assert environ["ANTHROPIC_API_KEY"] == EMULATED_KEY
        assert environ["ANTHROPIC_API_BASE"].startswith("http://127.0.0.1:")
        assert upstream.startswith("emulated")
        assert "emulated" in banner("http://127.0.0.1:8000", upstream)


@pytest.mark.parametrize("base", [None, "https://proxy.example"])
def test_with_a_key_the_upstream_is_anthropic_itself(base: str | None) -> None:
    given = {"ANTHROPIC_API_KEY": "sk-ant-api03-real"}
    if base:
        given["ANTHROPIC_API_BASE"] = base
    with upstream_for(given) as (environ, upstream):
        expected = base or "https://api.anthropic.com"
        assert upstream == f"live ({expected})"
        config = Config.from_yaml(CONFIG, environ)
    params = config.settings.passthrough.anthropic
    assert params is not None
    assert params.api_base == expected


async def test_every_page_of_the_gateway_says_that_it_is_emulated(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        for path in ("/", "/health"):
            assert "emulated" in (await client.get(path)).json()["upstream"]
        description = (await client.get("/openapi.json")).json()["info"]["description"]
        assert "emulated" in description
        assert (await client.get("/docs")).status_code == 200
        answer = await client.post(COUNT, json=HELLO, headers=KEY)
    assert answer.headers["x-demo-upstream"].startswith("emulated")


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
    with upstream_for({}) as (environ, upstream):
        app = create_app(Config.from_yaml(CONFIG, environ), upstream)
        async with app.router.lifespan_context(app), client_of(app) as client:
            body = {**HELLO, "user": "eve", "system": "canary"}
            await client.post(COUNT, json=body, headers=KEY)
            await client.get("/health")
    count, health = (record.message for record in caplog.records)
    assert count.startswith(f"POST {COUNT} 200 ")
    for words in ("caller=demo", "end_user=eve", "model=claude-sonnet", "tokens=", "=emulated"):
        assert words in count
    assert health.startswith("GET /health 200 ")
    assert "canary" not in caplog.text
    assert "sk-demo" not in caplog.text


def test_the_models_of_the_users_description_are_configured() -> None:
    names = [entry["model_name"] for entry in yaml.safe_load(CONFIG.read_text())["model_list"]]
    assert names[:2] == ["claude-3-5-sonnet-20241022", "claude-3-5-sonnet"]


def test_it_starts_as_a_program_and_prints_a_line_that_works() -> None:
    """As `make demo` runs it, but on any free port; then the printed curl line, as pasted."""
    environ = {**os.environ, "HOST": "127.0.0.1", "PORT": "0"}
    environ.pop("ANTHROPIC_API_KEY", None)
    command = [sys.executable, "-m", "demo_app"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        try:
            printed = "".join(iter(demo.stdout.readline, "  }'\n")) + "  }'"
            answer = run_in_shell(printed[printed.index("curl") :])
        finally:
            demo.terminate()
    assert "API key       sk-demo" in printed
    assert "Upstream      emulated" in printed
    assert answer == '{"input_tokens":14}'


def test_a_port_that_is_taken_is_said_and_ends_it(demo: str) -> None:
    environ = {**os.environ, "PORT": demo.rpartition(":")[2]}
    command = [sys.executable, "-m", "demo_app"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "address already in use" in done.stderr.lower()
