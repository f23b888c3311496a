"""The parameters of OpenAI, of servers in its format, and of Azure OpenAI.

OpenAI's own key must never reach another server, and nothing is sent to a server that nobody chose.
"""

from typing import Any, Final

import pytest

from count_tokens_mw import CannotCount, Config, CountTokens, Deployment
from count_tokens_mw.config.model_names import may_count, provider_of
from count_tokens_mw.config.params.openai import AzureOpenAIParams, OpenAIParams
from tests.support.fakes import HELLO, FakeUpstream, known_caller

KEY: Final = "sk-of-openai"
OWN: Final = "sk-of-the-entry"
ENVIRON: Final = {"OPENAI_API_KEY": KEY, "OPENAI_ORGANIZATION": "org-env"}
ELSEWHERE: Final = "https://router.example/v1"
VIA: Final = {"count_tokens_via": "responses"}
COUNTER: Final = "/responses/input_tokens"


def config_of(model: str, environ: Any = ENVIRON, sections: Any = (), **params: Any) -> Config:
    entry = {"model_name": "m", "litellm_params": {"model": model, **params}}
    return Config.from_mapping({"model_list": [entry], **dict(sections)}, environ)


def deployment_of(*args: Any, **more: Any) -> Deployment:
    (deployment,) = config_of(*args, **more).deployments
    return deployment


def params_of(*args: Any, **more: Any) -> OpenAIParams:
    deployment = deployment_of(*args, **more)
    assert deployment.problem is None
    assert isinstance(deployment.params, OpenAIParams)
    return deployment.params


def key_of(params: OpenAIParams) -> str | None:
    secret = params.api_key or params.auth_token
    return secret.get_secret_value() if secret else None


def counter(upstream: FakeUpstream, config: Config) -> CountTokens:
    return CountTokens(config, authenticate=known_caller, http_client=upstream.client())


async def sent_by(upstream: FakeUpstream, config: Config, model: str = "m") -> Any:
    """Return the request that a count sends."""
    upstream.answers(200, b'{"object": "response.input_tokens", "input_tokens": 11}')
    assert (await counter(upstream, config).count({**HELLO, "model": model})).input_tokens == 11
    return upstream.requests[-1]


# ---- names


@pytest.mark.parametrize(
    ("model", "upstream_model"),
    [
        ("openai/gpt-5.6", "gpt-5.6"),
        ("openai/responses/gpt-5.6", "responses/gpt-5.6"),
        *(
            (name, name)
            for name in ("gpt-5.6", "gpt-4o-2024-08-06", "chatgpt-4o-latest", "o1", "o3-mini")
        ),
        *((name, name) for name in ("o4-mini-2025-04-16", "ft:gpt-4o:org::id", "ft:o4-mini:org::")),
    ],
)
def test_a_name_is_openais(model: str, upstream_model: str) -> None:
    assert provider_of(model) == ("openai", upstream_model)
    assert may_count("openai", upstream_model)


@pytest.mark.parametrize(
    "model",
    ["ollama", "opus", "omni", "gpt4", "chat-latest", "my-gpt-4o", "o", "oss-20b", "GPT-4O", "gpt"],
)
def test_another_bare_name_is_nobodys(model: str) -> None:
    assert provider_of(model) == ("unknown", model)


@pytest.mark.parametrize("model", ["gpt-oss/20b", "o3/mini", "openai.gpt-oss-120b-1:0"])
def test_a_name_with_a_prefix_is_not_inferred(model: str) -> None:
    assert provider_of(model)[0] != "openai"


@pytest.mark.parametrize(
    "model",
    [
        *("text-embedding-3-small", "dall-e-3", "whisper-1", "tts-1", "omni-moderation-latest"),
        *("gpt-image-1", "chatgpt-image-latest", "sora-2", "gpt-realtime", "gpt-realtime-mini"),
        *(
            "gpt-4o-transcribe",
            "gpt-4o-mini-transcribe-2025-12-15",
            "gpt-4o-mini-tts",
            "gpt-live-1",
        ),
        *("gpt-4o-realtime-preview", "responses/text-embedding-3-large"),
    ],
)
def test_a_model_without_text_cannot_be_counted(model: str) -> None:
    assert deployment_of(f"openai/{model}").params is None
    assert deployment_of(f"azure/{model}", api_base="https://r", api_key="k", **VIA).params is None


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("openai/gpt-5.6", "gpt-5.6"),
        ("openai/responses/gpt-5.6", "gpt-5.6"),
        ("openai/facebook/opt-125m", "facebook/opt-125m"),
        ("azure/responses/my-gpt", "my-gpt"),
        ("azure/o_series/my-o3", "my-o3"),
        ("azure/gpt5_series/my-gpt", "my-gpt"),
    ],
)
async def test_a_model_is_asked_for_without_litellms_routes(
    model: str, asked: str, upstream: FakeUpstream
) -> None:
    base = "https://r.example"
    await sent_by(upstream, config_of(model, api_base=base, api_key=OWN, **VIA))
    assert upstream.body["model"] == asked


# ---- the base, and whose key it gets


@pytest.mark.parametrize(
    "base",
    [
        *(
            None,
            "",
            "https://api.openai.com",
            "https://api.openai.com/",
            "https://api.openai.com/v1",
        ),
        *(
            "https://api.openai.com/v1/",
            "HTTPS://API.OPENAI.COM/v1",
            "https://api.openai.com:443/v1",
        ),
        *("https://api.openai.com/v1/responses", "https://api.openai.com/v1/chat/completions"),
    ],
)
async def test_openais_own_base_has_its_key_and_organization(
    base: str | None, upstream: FakeUpstream
) -> None:
    environ = ENVIRON if base is None else {**ENVIRON, "OPENAI_BASE_URL": base}
    for config in (
        config_of("openai/gpt-5.6", environ),
        *([config_of("openai/gpt-5.6", api_base=base)] if base else []),
    ):
        request = await sent_by(upstream, config)
        assert str(request.url).replace(":443", "") == f"https://api.openai.com/v1{COUNTER}"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["openai-organization"] == "org-env"
        assert "x-api-key" not in request.headers


OTHERS: Final = [
    *(ELSEWHERE, "http://api.openai.com/v1", "https://api.openai.com:8443/v1"),
    *("https://api.openai.com.evil.example/v1", "https://evil.example/api.openai.com/v1"),
    *("https://eu.api.openai.com/v1", "https://openai.com", "https://api.openai.com./v1"),
    *("https://r.openai.azure.com", "http://127.0.0.1:8000/v1", "api.openai.com", "https://[::1"),
    *("https://api.openai.com:x/v1", "os.environ/NOT_SET"),
]


@pytest.mark.parametrize("base", OTHERS)
async def test_nothing_is_sent_to_another_base_that_nobody_chose(
    base: str, upstream: FakeUpstream
) -> None:
    configs = [
        config_of("openai/gpt-5.6", api_base=base),
        config_of("openai/gpt-5.6", base_url=base),
        config_of("openai/gpt-5.6", api_base=base, api_key="os.environ/NOT_SET", timeout=-1),
        config_of("gpt-5.6", api_base=base, api_key=OWN),
    ]
    credential = {"credential_name": "c", "credential_values": {"api_base": base}}
    shared = {"credential_list": [credential]}
    configs.append(config_of("openai/gpt-5.6", litellm_credential_name="c", sections=shared))
    if not base.startswith("os.environ/"):
        environs = [{**ENVIRON, name: base} for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE")]
        configs += [config_of("openai/gpt-5.6", environ) for environ in environs]
        configs.append(
            config_of(
                "openai/gpt-5.6", sections={"environment_variables": {"OPENAI_API_BASE": base}}
            )
        )
    for config in configs:
        assert config.warnings == ()
        (deployment,) = config.deployments
        assert (deployment.params, deployment.problem) == (None, None)
        with pytest.raises(CannotCount, match="openai"):
            await counter(upstream, config).count({**HELLO, "model": "m"})
    assert upstream.requests == []


async def test_an_entry_of_any_provider_sends_nothing_to_another_base(
    upstream: FakeUpstream,
) -> None:
    entry = {"model_name": "*", "litellm_params": {"model": "*", "api_base": ELSEWHERE}}
    config = Config.from_mapping({"model_list": [entry]}, ENVIRON)
    for model in ("gpt-5.6", "openai/gpt-5.6", "azure/my-gpt"):
        with pytest.raises(CannotCount):
            await counter(upstream, config).count({**HELLO, "model": model})
    assert upstream.requests == []


async def test_an_entry_of_any_provider_counts_at_openai(upstream: FakeUpstream) -> None:
    entry = {"model_name": "*", "litellm_params": {"model": "*"}}
    config = Config.from_mapping({"model_list": [entry]}, ENVIRON)
    for model in ("gpt-5.6", "openai/gpt-5.6", "o3-mini"):
        request = await sent_by(upstream, config, model)
        assert request.url.host == "api.openai.com"


@pytest.mark.parametrize("model", ["gpt-5.6", "openai/gpt-5.6", "gpt-5.6[1m]"])
async def test_a_bare_name_also_matches_the_pattern_of_its_provider(
    model: str, upstream: FakeUpstream
) -> None:
    entry = {"model_name": "openai/*", "litellm_params": {"model": "openai/*"}}
    config = Config.from_mapping({"model_list": [entry]}, ENVIRON)
    await sent_by(upstream, config, model)
    assert upstream.body["model"] == "gpt-5.6"


@pytest.mark.parametrize("via", ["responses", "anthropic"])
@pytest.mark.parametrize(
    "base", [base for base in OTHERS if base.startswith(("http://", ELSEWHERE))]
)
async def test_another_base_never_gets_openais_key_or_organization(
    base: str, via: str, upstream: FakeUpstream
) -> None:
    environs = [ENVIRON, {**ENVIRON, "OPENAI_BASE_URL": base}, {**ENVIRON, "OPENAI_API_BASE": base}]
    for number, environ in enumerate(environs):
        own_base = {"api_base": base} if number == 0 else {}
        config = config_of("openai/gpt-5.6", environ, count_tokens_via=via, **own_base)
        request = await sent_by(upstream, config)
        assert str(request.url).startswith(base.removesuffix("/v1"))
        assert KEY not in str(dict(request.headers))
        assert "authorization" not in request.headers
        assert "org-env" not in str(dict(request.headers))


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://127.0.0.1:8000", f"http://127.0.0.1:8000/v1{COUNTER}"),
        ("http://127.0.0.1:8000/", f"http://127.0.0.1:8000/v1{COUNTER}"),
        ("http://127.0.0.1:8000/v1", f"http://127.0.0.1:8000/v1{COUNTER}"),
        ("https://gateway.example/openai", f"https://gateway.example/openai{COUNTER}"),
        (
            "https://gateway.example/openai/v1/responses",
            f"https://gateway.example/openai/v1{COUNTER}",
        ),
        (f"https://gateway.example/v1{COUNTER}", f"https://gateway.example/v1{COUNTER}"),
        ("https://eu.api.openai.com/v1", f"https://eu.api.openai.com/v1{COUNTER}"),
    ],
)
async def test_a_chosen_server_is_asked_as_litellm_would_with_the_entrys_own_key(
    base: str, url: str, upstream: FakeUpstream
) -> None:
    config = config_of("openai/gpt-5.6", api_base=base, api_key=OWN, organization="org-1", **VIA)
    request = await sent_by(upstream, config)
    assert str(request.url) == url
    assert request.headers["authorization"] == f"Bearer {OWN}"
    assert request.headers["openai-organization"] == "org-1"


@pytest.mark.parametrize("base", ["http://h:1", "http://h:1/v1", "http://h:1/v1/messages"])
async def test_a_chosen_server_may_have_anthropics_api(base: str, upstream: FakeUpstream) -> None:
    config = config_of("openai/m", api_base=base, count_tokens_via="anthropic")
    request = await sent_by(upstream, config)
    assert str(request.url) == "http://h:1/v1/messages/count_tokens"
    assert upstream.body == {**HELLO, "model": "m"}


# ---- values


@pytest.mark.parametrize(
    ("configured", "environ", "organization"),
    [
        ({}, {}, None),
        ({"organization": "org-1"}, {}, "org-1"),
        ({"organization": ["org-1", "org-2"]}, {}, "org-1"),
        ({"organization": "org-1"}, {"OPENAI_ORGANIZATION": "org-2"}, "org-1"),
        ({}, {"OPENAI_ORG_ID": "org-3", "OPENAI_ORGANIZATION": "org-2"}, "org-2"),
        ({}, {"OPENAI_ORG_ID": "org-3"}, "org-3"),
    ],
)
def test_the_organization_is_the_entrys_or_the_environments(
    configured: Any, environ: dict[str, str], organization: str | None
) -> None:
    params = params_of("openai/gpt-5.6", {"OPENAI_API_KEY": KEY, **environ}, **configured)
    assert params.organization == organization


def test_extra_headers_take_precedence() -> None:
    headers = {"Authorization": "Bearer other", "OpenAI-Project": "proj_1"}
    params = params_of("openai/gpt-5.6", {}, extra_headers=headers)
    assert params.credential_field == "extra_headers"
    assert key_of(params) is None


@pytest.mark.parametrize(
    ("configured", "problem"),
    [
        ({}, ": api_key is missing; set it or OPENAI_API_KEY"),
        (
            {"api_key": "os.environ/NOT_SET"},
            ".api_key: the environment variable NOT_SET is not set",
        ),
        (
            {"api_key": "a b"},
            ".api_key: empty, or not visible ASCII; remove spaces and line breaks",
        ),
        (
            {"api_key": OWN, "organization": "a\nb"},
            ".organization: invalid characters; use letters, digits and . _ : -",
        ),
        ({"api_key": OWN, "organization": []}, ".organization: Input should be a valid string"),
        (
            {"api_key": OWN, "count_tokens_via": "completions"},
            ".count_tokens_via: Input should be 'responses' or 'anthropic'",
        ),
        (
            {"api_key": OWN, "count_tokens_via": "anthropic"},
            ": count_tokens_via: OpenAI has no API of Anthropic's; remove it",
        ),
        ({"api_base": "nowhere", **VIA}, ".api_base: a URL is required, as in"),
    ],
)
def test_a_fault_of_an_entry_is_a_problem(configured: dict[str, Any], problem: str) -> None:
    config = config_of("openai/gpt-5.6", {}, **configured)
    (warning,) = config.warnings
    assert warning.startswith(f"model_list[0] (m): litellm_params{problem}")
    assert config.deployments[0].problem
    assert OWN not in warning


def test_a_misspelt_choice_is_a_warning() -> None:
    config = config_of("openai/m", api_base=ELSEWHERE, count_token_via="responses")
    assert config.deployments[0].params is None
    (warning,) = config.warnings
    assert warning.endswith("count_token_via: unknown key; did you mean count_tokens_via?")


def test_parameters_are_an_account() -> None:
    first, second = (params_of("openai/gpt-5.6", organization=name) for name in ("a", "b"))
    assert first.account != second.account
    assert first.identity != second.identity
    assert KEY not in repr(first) + first.account


# ---- Azure OpenAI

AZURE: Final = {"api_base": "https://r.openai.azure.com", **VIA}


@pytest.mark.parametrize(
    ("model", "configured"),
    [
        ("azure/my-gpt", {}),
        ("azure/my-gpt", {"api_base": "https://r.openai.azure.com", "api_key": OWN}),
        ("azure/my-gpt", {"api_base": "os.environ/NOT_SET", "api_key": "os.environ/NOT_SET"}),
        ("azure/my-gpt", {"api_base": "https://api.openai.com/v1", "api_version": "2025-04-01"}),
    ],
)
async def test_azure_openai_is_a_501_without_a_call(
    model: str, configured: dict[str, str], upstream: FakeUpstream
) -> None:
    environ = {**ENVIRON, "AZURE_API_KEY": "k", "AZURE_API_BASE": "https://r.openai.azure.com"}
    config = config_of(model, environ, **configured)
    assert config.warnings == ()
    with pytest.raises(CannotCount, match="azure"):
        await counter(upstream, config).count({**HELLO, "model": "m"})
    assert upstream.requests == []


@pytest.mark.parametrize(
    "base",
    [
        *(
            "https://r.openai.azure.com",
            "https://r.openai.azure.com/",
            "https://r.openai.azure.com/openai",
        ),
        "https://r.openai.azure.com/openai/v1/",
        "https://r.openai.azure.com/openai/deployments/my-gpt/chat/completions",
    ],
)
async def test_azure_openai_is_tried_if_it_is_chosen(base: str, upstream: FakeUpstream) -> None:
    config = config_of("azure/my-gpt", api_base=base, api_key=OWN, **VIA)
    request = await sent_by(upstream, config)
    assert str(request.url) == f"https://r.openai.azure.com/openai/v1{COUNTER}"
    assert request.headers["api-key"] == OWN
    assert "authorization" not in request.headers
    assert upstream.body["model"] == "my-gpt"


@pytest.mark.parametrize(
    ("environ", "configured", "header", "value"),
    [
        ({"AZURE_API_KEY": "b"}, {}, "api-key", "b"),
        ({"AZURE_OPENAI_API_KEY": "a", "AZURE_API_KEY": "b"}, {}, "api-key", "a"),
        ({"AZURE_AD_TOKEN": "t"}, {}, "authorization", "Bearer t"),
        ({"AZURE_API_KEY": "b", "AZURE_AD_TOKEN": "t"}, {}, "api-key", "b"),
        ({"AZURE_API_KEY": "b"}, {"azure_ad_token": "t"}, "authorization", "Bearer t"),
        ({"AZURE_AD_TOKEN": "t"}, {"api_key": OWN}, "api-key", OWN),
    ],
)
async def test_azure_openai_has_its_own_credentials(
    environ: dict[str, str],
    configured: dict[str, str],
    header: str,
    value: str,
    upstream: FakeUpstream,
) -> None:
    config = config_of("azure/my-gpt", {**ENVIRON, **environ}, **AZURE, **configured)
    request = await sent_by(upstream, config)
    assert request.headers[header] == value
    assert KEY not in str(dict(request.headers))
    assert "openai-organization" not in request.headers


@pytest.mark.parametrize(
    ("configured", "problem"),
    [
        (VIA, "api_base is missing; set it or AZURE_API_BASE"),
        (AZURE, "api_key is missing; set it or AZURE_API_KEY"),
        ({**AZURE, "count_tokens_via": "anthropic"}, "Input should be 'responses'"),
        ({**AZURE, "azure_ad_token": "oidc/file/token"}, "azure_ad_token: oidc/ is supported for"),
    ],
)
def test_a_fault_of_azure_openai_is_a_problem(configured: dict[str, Any], problem: str) -> None:
    config = config_of("azure/my-gpt", **configured)
    assert problem in config.warnings[0]
    assert config.deployments[0].params is None


def test_azures_parameters_are_not_openais() -> None:
    assert isinstance(params_of("azure/m", api_key=OWN, **AZURE), AzureOpenAIParams)
