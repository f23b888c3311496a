"""The providers' rows: each is whole, and a row is all that the package needs of a provider."""

import ast
import inspect
import json
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import count_tokens_mw
from count_tokens_mw import CannotCount, Config
from count_tokens_mw.__main__ import main
from count_tokens_mw.config.params.anthropic import AnthropicParams, AzureParams, PassthroughParams
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.providers import PROVIDERS, ProviderSpec, spec_of
from count_tokens_mw.providers.anthropic import AnthropicPassthrough
from count_tokens_mw.providers.base import Provider
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.telemetry.opentelemetry import OpenTelemetryHook
from demo_app.loopback import serving
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with
from tests.support.toy_provider import TOY

PACKAGE = Path(count_tokens_mw.__file__).parent
LEAST: dict[str, dict[str, Any]] = {
    "anthropic": {"api_key": "k"},
    "azure": {
        "api_key": "k",
        "api_base": "https://r.openai.azure.com",
        "count_tokens_via": "responses",
    },
    "azure_ai": {"api_key": "k", "api_base": "https://r.services.ai.azure.com"},
    "bedrock": {"aws_region_name": "us-east-1"},
    "gemini": {"api_key": "k"},
    "openai": {"api_key": "k"},
    "vertex_ai": {"vertex_location": "us", "vertex_project": "p"},
    "hosted_vllm": {"api_base": "http://127.0.0.1:8000"},
    "litellm_proxy": {"api_base": "http://127.0.0.1:4000"},
    "lm_studio": {"api_base": "http://127.0.0.1:1234", "count_tokens_via": "anthropic"},
    "llamafile": {"api_base": "http://127.0.0.1:8080", "count_tokens_via": "anthropic"},
    "custom_openai": {"api_base": "http://127.0.0.1:8000", "count_tokens_via": "anthropic"},
}
"""The least parameters of each provider."""


def opened(spec: ProviderSpec, params: Params) -> Provider:
    provider: Provider = resolve_name(spec.factory)(params, HttpClient())
    return provider


def test_every_row_has_its_own_name_prefixes_and_parameters() -> None:
    rows = list(PROVIDERS.values())
    prefixes = [prefix for row in rows for prefix in (row.name, *row.aliases)]
    assert len(set(prefixes)) == len(prefixes)
    assert len({row.params for row in rows}) == len(rows)
    assert LEAST.keys() == PROVIDERS.keys()
    for row in rows:
        assert row.region_field is None or row.region_field in row.params.model_fields


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_rows_factory_makes_a_provider(name: str) -> None:
    spec = PROVIDERS[name]
    params = spec.params.model_validate(LEAST[name])
    provider = opened(spec, params)
    assert isinstance(provider.prepare_in_thread, bool)
    for method in ("prepare", "send", "aclose"):
        has, wants = getattr(type(provider), method), getattr(Provider, method)
        assert inspect.signature(has) == inspect.signature(wants)
        assert inspect.iscoroutinefunction(has) == inspect.iscoroutinefunction(wants)
    await provider.aclose()


class OwnParams(AzureParams):
    """A host's own subclass."""


@pytest.mark.parametrize(
    ("kind", "provider"),
    [
        (AnthropicParams, "anthropic"),
        (PassthroughParams, "anthropic"),
        (AzureParams, "azure_ai"),
        (OwnParams, "azure_ai"),
    ],
)
def test_parameters_without_a_row_have_that_of_their_base(
    kind: type[AnthropicParams], provider: str
) -> None:
    params = kind.model_validate(LEAST["azure_ai"])
    spec = spec_of(params)
    assert spec.name == provider
    assert isinstance(opened(spec, params), AnthropicPassthrough) == (kind is PassthroughParams)


def test_parameters_that_no_provider_takes_are_a_programming_error() -> None:
    params = TOY.params.model_validate({"toy_token": "t"})
    with pytest.raises(TypeError, match="no provider takes ToyParams"):
        spec_of(params)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


OTHERS = {
    module: path
    for path in PACKAGE.rglob("*.py")
    if not (module := module_of(path)).startswith(("config.params.", "config.providers"))
    and not module.startswith(("providers.bedrock.", "providers.google.", "providers.openai."))
}


@pytest.mark.parametrize("module", OTHERS)
def test_no_other_module_knows_a_provider_by_name(module: str) -> None:
    """Anthropic's name is also that of the protocol, of the pass-through and of its settings."""
    prefixes = {prefix for row in PROVIDERS.values() for prefix in (row.name, *row.aliases)}
    tree = ast.parse(OTHERS[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            assert node.value not in prefixes - {"anthropic"}, node.lineno
        if isinstance(node, ast.ImportFrom):
            vendors = ("bedrock", "google", "openai")
            rooms = [f"{room}.{vendor}" for room in ("params", "providers") for vendor in vendors]
            assert not any(room in (node.module or "") for room in rooms), node.lineno


# A provider that nobody else knows


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ProviderSpec:
    monkeypatch.setitem(PROVIDERS, "toy", TOY)
    return TOY


def entry(name: str, model: str, info: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    params = {"model": model, "toy_token": "secret-token", **more}
    return {"model_name": name, "litellm_params": params, "model_info": info or {}}


FAR = {"token_count_model": {"model": "bear-1", "region": "far"}}


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("listed", "target"),
    [
        (entry("m", "toy/bear-1"), "home/bear-1"),
        (entry("m", "toy_beta/bear-1"), "home/bear-1"),
        (entry("m", "bear-1", custom_llm_provider="toy_next"), "home/bear-1"),
        (entry("m", "bear-1", toy_region="here"), "here/bear-1"),
        (entry("m", "bear-2", FAR), "far/bear-1"),
        (entry("*", "toy/bear-*"), "home/bear-m"),
    ],
)
async def test_a_row_leads_from_the_file_to_the_upstream(
    listed: dict[str, Any], target: str, upstream: FakeUpstream
) -> None:
    upstream.answers(200, b'{"marbles": 7}')
    count_tokens = count_tokens_with(upstream, {"model_list": [listed]}, environ={})
    assert (await count_tokens.count({**HELLO, "model": "m"})).input_tokens == 7
    assert upstream.request.url == f"https://toys.example/{target}"
    assert upstream.request.headers["x-toy"] == "secret-token"


@pytest.mark.usefixtures("toy")
async def test_an_entry_for_any_provider_is_for_the_new_one_too(upstream: FakeUpstream) -> None:
    upstream.answers(200, b'{"marbles": 7}')
    count_tokens = count_tokens_with(upstream, {"model_list": [entry("*", "*")]}, environ={})
    for model in ("toy/bear-1", "toy_beta/bear-1", "bear-1"):
        await count_tokens.count({**HELLO, "model": model})
    assert {str(request.url) for request in upstream.requests} == {
        "https://toys.example/home/bear-1"
    }
    with pytest.raises(CannotCount):
        await count_tokens.count({**HELLO, "model": "toy/doll"})


@pytest.mark.usefixtures("toy")
def test_the_new_parameters_are_known_keys() -> None:
    config = Config.from_mapping({"model_list": [entry("m", "toy/bear-1", toy_regoin="x")]}, {})
    place = "model_list[0] (m): litellm_params"
    assert config.warnings == (f"{place}.toy_regoin: unknown key; did you mean toy_region?",)


@pytest.mark.usefixtures("toy")
async def test_telemetry_has_the_rows_name_for_it(upstream: FakeUpstream) -> None:
    upstream.answers(200, b'{"marbles": 7}')
    exporter, tracing = InMemorySpanExporter(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    config = {"model_list": [entry("m", "toy/bear-1")]}
    hooks = [OpenTelemetryHook(tracing)]
    await count_tokens_with(upstream, config, environ={}, hooks=hooks).count(
        {**HELLO, "model": "m"}
    )
    (span,) = exporter.get_finished_spans()
    (attempt,) = span.events
    for attributes in (span.attributes, attempt.attributes):
        assert attributes is not None
        assert attributes["gen_ai.provider.name"] == "example.toys"


@pytest.mark.usefixtures("toy")
def test_the_check_probes_it_and_shows_the_rows_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answering(scope: Any, receive: Any, send: Any) -> None:
        is_good = scope["path"] == "/home/bear-1"
        body = {"marbles": 7} if is_good else {"error": {"message": "Wind it: secret-token"}}
        status = 200 if is_good else 400
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    path = tmp_path / "config.yaml"
    with serving(answering) as url:
        models = ("toy/bear-1", "toy/bear-2", "toy/bear-broken", "toy/doll")
        entries = [entry(model, model, toy_base=url) for model in models]
        path.write_text(yaml.safe_dump({"model_list": entries}))
        assert main(["check", "--json", "--probe", str(path)]) == 1
    good, bad, broken, doll = json.loads(capsys.readouterr().out)["deployments"]
    assert (good["state"], good["input_tokens"]) == ("counted", 7)
    assert good["credential"] == "litellm_params.toy_token"
    assert bad["words"] == "400 invalid_request_error: Wind it: …"
    assert bad["hint"] == "wind up the toy"
    assert (broken["state"], broken["words"]) == ("problem", "toy: this toy is broken.")
    assert doll["state"] == "cannot_count"
