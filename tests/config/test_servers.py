"""Servers of one's own under LiteLLM's prefixes for OpenAI's format."""

from typing import Any

import pytest
from pydantic import SecretStr

from count_tokens_mw import CannotCount, Config
from count_tokens_mw.config.params.servers import OptInParams, ServerParams
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

BASE = "http://127.0.0.1:8000"
OPT_IN: dict[str, Any] = {"count_tokens_via": "anthropic"}
# Prefix, what makes it count, and LiteLLM's variables of the base and of the key.
PREFIXES: dict[str, tuple[dict[str, Any], str | None, str | None]] = {
    "hosted_vllm": ({}, "HOSTED_VLLM_API_BASE", "HOSTED_VLLM_API_KEY"),
    "litellm_proxy": ({}, "LITELLM_PROXY_API_BASE", "LITELLM_PROXY_API_KEY"),
    "lm_studio": (OPT_IN, "LM_STUDIO_API_BASE", "LM_STUDIO_API_KEY"),
    "llamafile": (OPT_IN, "LLAMAFILE_API_BASE", "LLAMAFILE_API_KEY"),
    "custom_openai": (OPT_IN, None, None),
}
# Variables that other tools of a gateway have, none of which is for a server of one's own.
OTHERS = {
    "ANTHROPIC_API_KEY": "sk-ant-of-the-gateway",
    "ANTHROPIC_API_BASE": "https://other.example",
    "OPENAI_API_KEY": "sk-of-openai",
    "OPENAI_API_BASE": "https://other.example",
    "OPENAI_BASE_URL": "https://other.example",
}


def entry(model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": model, **params}}


def read(model: str, environ: dict[str, str] | None = None, **params: Any) -> Config:
    return Config.from_mapping({"model_list": [entry(model, **params)]}, environ or {})


@pytest.mark.parametrize(
    "end", ["", "/", "/v1", "/v1/", "/v1/messages", "/v1/messages/count_tokens"]
)
@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_server_is_asked_by_anthropics_api_with_a_bearer_and_its_own_name_of_the_model(
    prefix: str, end: str, upstream: FakeUpstream
) -> None:
    upstream.answers(200, b'{"input_tokens": 14, "litellm_count_source": "provider"}')
    params = {**PREFIXES[prefix][0], "api_base": BASE + end, "api_key": "sk-own"}
    config = {"model_list": [entry(f"{prefix}/meta-llama/Llama-3", **params)]}
    count_tokens = count_tokens_with(upstream, config, environ=OTHERS)
    assert (await count_tokens.count({**HELLO, "model": "m"})).input_tokens == 14
    assert str(upstream.request.url) == f"{BASE}/v1/messages/count_tokens"
    assert upstream.request.headers["authorization"] == "Bearer sk-own"
    assert "x-api-key" not in upstream.request.headers
    assert upstream.body == {**HELLO, "model": "meta-llama/Llama-3"}


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_server_without_a_key_gets_none_of_the_gateways(
    prefix: str, upstream: FakeUpstream
) -> None:
    upstream.answers(200, b'{"input_tokens": 14, "litellm_count_source": "provider"}')
    config = {"model_list": [entry(f"{prefix}/m", **PREFIXES[prefix][0], api_base=BASE)]}
    await count_tokens_with(upstream, config, environ=OTHERS).count({**HELLO, "model": "m"})
    assert not {"authorization", "x-api-key"} & upstream.request.headers.keys()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_litellms_variables_are_the_defaults_and_no_others(prefix: str) -> None:
    more, base, key = PREFIXES[prefix]
    values = {name: value for name, value in ((base, BASE), (key, "sk-default")) if name}
    config = read(f"{prefix}/m", OTHERS | values, **more)
    (deployment,) = config.deployments
    if base is None:
        assert deployment.problem == "litellm_params: api_base is missing; set it"
        return
    params = deployment.params
    assert isinstance(params, ServerParams)
    assert (params.endpoint, params.api_key) == (BASE, SecretStr("sk-default"))
    assert deployment.credential_source == key
    own = read(f"{prefix}/m", OTHERS | values, **more, api_base="http://h", auth_token="t")
    params = own.deployments[0].params
    assert isinstance(params, ServerParams)
    assert (params.endpoint, params.api_key) == ("http://h", None)
    (nowhere,) = read(f"{prefix}/m", OTHERS, **more).deployments
    assert nowhere.problem == f"litellm_params: api_base is missing; set it or {base}"


@pytest.mark.parametrize("prefix", [name for name, row in PREFIXES.items() if row[0]])
@pytest.mark.parametrize("model", ["m", "*"])
async def test_without_the_opt_in_nothing_is_read_and_nothing_is_sent(
    prefix: str, model: str, upstream: FakeUpstream
) -> None:
    params = {"api_base": BASE, "api_key": "os.environ/NOT_SET", "timeout": -1}
    config = read(f"{prefix}/{model}", OTHERS, **params)
    assert config.warnings == ()
    assert (config.deployments[0].params, config.deployments[0].problem) == (None, None)
    one = {"model_list": [entry(f"{prefix}/{model}", **params)]}
    with pytest.raises(CannotCount, match=f"at the provider {prefix}"):
        await count_tokens_with(upstream, one, environ=OTHERS).count({**HELLO, "model": "m"})
    assert upstream.requests == []


@pytest.mark.parametrize("model", ["openai/m", "lm_studio/m", "llamafile/m", "custom_openai/m"])
@pytest.mark.parametrize("via", [None, "anthropic"])
async def test_an_entry_for_any_provider_opts_in_for_all_of_them(
    model: str, via: str | None, upstream: FakeUpstream
) -> None:
    any_provider = {
        "model_name": "*",
        "litellm_params": {"model": "*", "api_base": BASE, "count_tokens_via": via},
    }
    count_tokens = count_tokens_with(upstream, {"model_list": [any_provider]}, environ=OTHERS)
    if via is None:
        with pytest.raises(CannotCount):
            await count_tokens.count({**HELLO, "model": model})
    else:
        await count_tokens.count({**HELLO, "model": model})
        assert upstream.body["model"] == "m"
    assert len(upstream.requests) == (via is not None)


@pytest.mark.parametrize("prefix", [name for name, row in PREFIXES.items() if row[0]])
@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({**OPT_IN, "api_base": "https://api.openai.com/v1"}, "has no API of Anthropic's"),
        ({**OPT_IN, "api_base": "https://API.OpenAI.com"}, "has no API of Anthropic's"),
        ({**OPT_IN, "api_base": "nowhere"}, "a URL is required"),
        ({"count_tokens_via": "mantle", "api_base": BASE}, "count_tokens_via: Input should be"),
        ({"count_tokens_via": True, "api_base": BASE}, "count_tokens_via: Input should be"),
    ],
)
def test_a_wrong_opt_in_is_a_problem_of_the_entry(
    prefix: str, params: dict[str, Any], problem: str
) -> None:
    (deployment,) = read(f"{prefix}/m", **params).deployments
    assert problem in (deployment.problem or "")


def test_a_provider_that_is_named_beside_the_model_may_opt_in_too() -> None:
    config = read("org/model", custom_llm_provider="custom_openai", api_base=BASE, **OPT_IN)
    (deployment,) = config.deployments
    assert (deployment.provider, deployment.upstream_model) == ("custom_openai", "org/model")
    assert isinstance(deployment.params, OptInParams)


@pytest.mark.parametrize("own", [OPT_IN, {}])
def test_a_shared_credential_has_the_base_the_key_and_the_opt_in(own: dict[str, Any]) -> None:
    values = {"api_base": BASE, "api_key": "sk-shared", **OPT_IN}
    shared = {"credential_name": "ours", "credential_values": values}
    own = entry("openai/m", **own, litellm_credential_name="ours")
    config = Config.from_mapping({"model_list": [own], "credential_list": [shared]}, OTHERS)
    (deployment,) = config.deployments
    assert isinstance(deployment.params, ServerParams)
    assert deployment.params.endpoint == BASE
    assert deployment.credential_source == "credential_list (ours)"
