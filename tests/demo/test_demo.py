"""The demo around the gateway: keys with models, the page's routes, errors and access rules."""

import logging
import shlex
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

import demo_app
from demo_app.demo import create_app
from demo_app.keys import ApiKey
from demo_app.upstreams import configured
from tests.support.fakes import HELLO

COUNT = "/v1/messages/count_tokens"
KEY = {"authorization": "Bearer sk-demo"}
CLAUDE_ONLY = {"x-api-key": "sk-demo-claude"}
PASSED_THROUGH = "/anthropic/v1/messages/count_tokens"


def client_of(app: Any) -> httpx.AsyncClient:
    """Return a client of an app in this process, under a host name that the gateway accepts."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.mark.parametrize(
    ("path", "model", "status"),
    [
        (COUNT, "claude-sonnet-5", 200),
        (COUNT, "claude-sonnet-5[1m]", 200),
        (COUNT, "claude-bedrock", 200),
        (COUNT, "anthropic/claude-opus-4-8", 200),
        (PASSED_THROUGH, "claude-opus-5-5", 200),
        (COUNT, "gemini-3.8-flash", 403),
        (COUNT, "gpt-5.6", 403),
        (COUNT, "nobody", 403),  # a 404 would reveal that the model does not exist
        (PASSED_THROUGH, "gemini-3.8-flash", 403),
    ],
)
async def test_a_key_is_for_the_models_of_its_patterns_only(
    demo: str, path: str, model: str, status: int
) -> None:
    async with httpx.AsyncClient(base_url=demo, headers=CLAUDE_ONLY, timeout=30) as client:
        version = {"anthropic-version": "2023-06-01"}
        response = await client.post(path, json={**HELLO, "model": model}, headers=version)
    assert response.status_code == status
    if status == 403:
        error = response.json()["error"]
        assert error["type"] == "permission_error"
        assert error["message"] == f"claude-team may not use {model}, only anthropic/*, claude-*."


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "sk-other"},
        {"x-api-key": "sk-demo-claud"},
        {"x-api-key": "sk-demö".encode()},
        {"authorization": "Basic sk-demo"},
        {"authorization": "Bearer"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", COUNT),
        ("GET", "/v1/models"),
        ("GET", "/demo/events"),
        ("POST", "/demo/breakdown"),
    ],
)
async def test_whoever_has_no_key_is_refused_in_anthropics_envelope(
    demo: str, method: str, path: str, headers: Any
) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        response = await client.request(method, path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    envelope = response.json()
    assert envelope["type"] == "error"
    is_sent = "x-api-key" in headers
    message = "Unknown API key." if is_sent else "Send an API key as x-api-key or as bearer."
    assert envelope["error"] == {"type": "authentication_error", "message": message}
    assert envelope["request_id"] == response.headers["request-id"]


async def test_of_two_credentials_either_may_be_the_one_that_is_known(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo, headers=KEY) as client:
        both = await client.get("/v1/models", headers={"x-api-key": "sk-other"})
    assert both.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "type_"),
    [
        ("GET", "/v1/nothing", 404, "not_found_error"),
        ("GET", "/demo/breakdown", 405, "invalid_request_error"),
        ("GET", COUNT, 405, "invalid_request_error"),
    ],
)
async def test_every_error_is_in_anthropics_envelope(
    demo: str, method: str, path: str, status: int, type_: str
) -> None:
    async with httpx.AsyncClient(base_url=demo, headers=KEY) as client:
        response = await client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["type"] == type_


async def test_a_fault_is_told_in_the_envelope_too_and_without_its_words() -> None:
    with configured({}) as (config, upstreams):
        app = create_app(config, upstreams)

    @app.get("/demo/fault")
    async def fault() -> None:
        raise LookupError("sk-secret")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/demo/fault")
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "api_error"
    assert "sk-secret" not in response.text


def test_a_key_says_itself_to_nobody() -> None:
    assert "sk-secret" not in repr(ApiKey("sk-secret", "team"))


@pytest.mark.parametrize(
    ("key", "first", "last", "listed", "unlisted"),
    [
        ("sk-demo", "claude-sonnet-5", "mistral-large", "gpt-5.6", "anthropic/*"),
        (
            "sk-demo-claude",
            "claude-sonnet-5",
            "claude-bedrock",
            "claude-vertex",
            "gpt-5.6",
        ),
    ],
)
def test_the_sdk_lists_the_models_that_a_key_may_use(
    demo: str, key: str, first: str, last: str, listed: str, unlisted: str
) -> None:
    with anthropic.Anthropic(api_key=key, base_url=demo, max_retries=0) as client:
        page = client.models.list()
    names = [model.id for model in page.data]
    assert listed in names
    assert unlisted not in names
    assert (names[0], names[-1], page.first_id, page.last_id) == (first, last, first, last)
    assert not page.has_more
    assert {model.type for model in page.data} == {"model"}
    assert [model.display_name for model in page.data] == names
    assert page.data[0].created_at.year == 1970


@pytest.mark.parametrize(
    ("key", "asked", "id_"),
    [
        ("sk-demo", "gemini-3.8-flash", "gemini-3.8-flash"),
        ("sk-demo", "gemini-2.5-flash", "gemini-3.8-flash"),
        ("sk-demo-claude", "claude-3-5-sonnet", "claude-sonnet-5"),
        ("sk-demo-claude", "gemini-3.8-flash", None),
        ("sk-demo-claude", "gemini-2.5-flash", None),
        ("sk-demo", "anthropic/*", None),
        ("sk-demo", "anthropic/claude-opus-5", None),
        ("sk-demo", "nobody", None),
    ],
)
def test_the_sdk_gets_one_model_that_a_key_may_use(
    demo: str, key: str, asked: str, id_: str | None
) -> None:
    with anthropic.Anthropic(api_key=key, base_url=demo, max_retries=0) as client:
        if id_ is not None:
            model = client.models.retrieve(asked)
            assert (model.type, model.id, model.display_name) == ("model", id_, id_)
            return
        with pytest.raises(anthropic.NotFoundError) as raised:
            client.models.retrieve(asked)
    assert f"model: {asked}" in raised.value.message
    assert raised.value.request_id


async def test_the_page_is_told_of_keys_upstreams_and_models(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        info = (await client.get("/demo/info")).json()
    assert (info["version"], info["key"]) == ("0.1.0", "sk-demo")
    assert set(info["upstreams"]) == {"anthropic", "bedrock", "gemini", "openai", "vertex_ai"}
    gpt = {"id": "gpt-5.6", "provider": "openai", "countable": True}
    assert gpt in info["models"]
    assert info["models"][0] == {
        "id": "claude-sonnet-5",
        "provider": "anthropic",
        "countable": True,
    }
    assert info["models"][-1] == {"id": "mistral-large", "provider": "mistral", "countable": False}


@pytest.mark.parametrize("path", ["/", "/page/index.html"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_page_comes_with_headers_that_bind_it_to_this_gateway(
    demo: str, method: str, path: str
) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        response = await client.request(method, path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/page/%2e%2e/keys.py", "/page/..%2fkeys.py", "/page/none.js"])
async def test_nothing_but_the_pages_files_is_served(demo: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        assert (await client.get(path)).status_code == 404


async def test_prometheus_is_told_what_was_counted(demo: str) -> None:
    body = {**HELLO, "model": "claude-vertex", "system": "for the metrics"}
    counted = 'count_tokens_requests_total{model="claude-vertex",outcome="counted"'
    async with httpx.AsyncClient(base_url=demo, timeout=30) as client:
        await client.post(COUNT, json=body, headers=KEY)
        metrics = await client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert f'{counted},provider="vertex_ai",source="provider"}}' in metrics.text
    assert "count_tokens_in_flight 0.0" in metrics.text


async def test_the_docs_show_our_routes_and_the_gateways_own_keys(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        assert (await client.get("/docs")).status_code == 200
        api = (await client.get("/openapi.json")).json()
    (header,) = api["components"]["securitySchemes"]
    for path in (COUNT, "/v1/messages/count_tokens/breakdown", "/demo/breakdown"):
        assert api["paths"][path]["post"]["security"] == [{header: []}]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("rebound.example", 400),
        ("localhost.example:8000", 400),
        ("192.0.2.1", 400),
    ],
)
async def test_a_name_that_is_not_loopbacks_is_refused_while_everybody_knows_the_key(
    demo: str, host: str, status: int
) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        assert (await client.get("/demo/info", headers={"host": host})).status_code == status


async def test_the_access_log_has_a_line_with_the_event_and_no_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    with configured({}) as (config, upstreams):
        app = create_app(config, upstreams)
        async with app.router.lifespan_context(app), client_of(app) as client:
            body = {**HELLO, "model": "claude-sonnet-5", "user": "eve", "system": "canary"}
            await client.post(COUNT, json=body, headers=KEY)
            await client.get("/health?key=sk-demo")
            await client.get("/%0AFORGED")
            await client.get("/health", headers={"host": "rebound.example"})
    count, health, forged, rebound = (record.message for record in caplog.records)
    assert count.startswith(f"POST {COUNT} 200 ")
    for fact in (
        "caller=demo",
        "end_user=eve",
        "model=claude-sonnet-5",
        "provider=anthropic",
        "input_tokens=",
        "source=provider",
        "request_id=",
    ):
        assert f" {fact}" in count
    assert health.startswith("GET /health 200 ")
    assert forged.startswith("GET /%0AFORGED 404 ")
    assert rebound.startswith("GET /health 400 ")
    assert "canary" not in caplog.text
    assert "sk-demo" not in caplog.text


@pytest.mark.parametrize(
    "forged",
    [
        {"model": "gpt caller=admin"},
        {"model": 'claude-sonnet-5" caller="admin'},
        {"model": "claude-sonnet-5", "user": "eve caller=admin"},
        {"model": "claude-sonnet-5", "metadata": {"user_id": "eve\ncaller=admin"}},
    ],
)
async def test_no_caller_can_forge_a_fact_of_the_access_log(
    forged: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    with configured({}) as (config, upstreams):
        app = create_app(config, upstreams)
        async with app.router.lifespan_context(app), client_of(app) as client:
            await client.post(COUNT, json={**HELLO, **forged}, headers=KEY)
    (record,) = caplog.records
    facts = shlex.split(record.message)
    assert [fact for fact in facts if fact.startswith("caller=")] == ["caller=demo"]


def test_no_file_of_the_page_is_longer_than_300_lines() -> None:
    page = Path(demo_app.__file__).with_name("page")
    files = [path for path in page.rglob("*") if path.is_file()]
    lengths = {path.relative_to(page): len(path.read_text().splitlines()) for path in files}
    assert len(lengths) > 20
    assert {name: length for name, length in lengths.items() if length > 300} == {}
