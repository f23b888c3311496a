"""Tenants' rows: each provider's counts, and no row reaches anything of the host's."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import google.auth
import pytest

from count_tokens_mw import Config, CountError, CountTokens
from count_tokens_mw.config.params.anthropic import PassthroughParams
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.providers.google import transport
from demo_app.emulators import EmulatedGoogle
from tests.support.canaries import SECRET, Canaries, canaries_in, canary_server
from tests.support.cloud import Cloud, cloud
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

KEY: Final = "key-of-the-tenant"
CLAUDE: Final = {"model": "anthropic/claude-x", "api_key": KEY}
AZURE: Final = {
    "model": "azure_ai/claude-x",
    "api_key": KEY,
    "api_base": "https://r.services.ai.azure.com",
}
BEDROCK: Final = {
    "model": "bedrock/anthropic.claude-x",
    "aws_region_name": "us-west-2",
    "aws_access_key_id": KEY,
    "aws_secret_access_key": "s",
}
GEMINI: Final = {"model": "gemini/gemini-x", "api_key": KEY}
EXPRESS: Final = {"model": "vertex_ai/gemini-x", "api_key": KEY}
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"
GOOGLE: Final = EmulatedGoogle()
ACCOUNT: Final = GOOGLE.service_account(TOKEN_URI)
USER: Final = {
    "type": "authorized_user",
    "client_id": "c",
    "client_secret": "s",
    "refresh_token": KEY,
    "quota_project_id": "p",
    "universe_domain": "googleapis.com",
    "account": "",
}
VERTEX: Final = {
    "model": "vertex_ai/claude-x",
    "vertex_location": "us-east5",
    "vertex_project": "p",
    "vertex_credentials": ACCOUNT,
}
OPENAI: Final = {"model": "openai/gpt-x", "api_key": KEY}
AZURE_OPENAI: Final = {
    "model": "azure/gpt-x",
    "api_key": KEY,
    "api_base": "https://r.openai.azure.com",
    "count_tokens_via": "responses",
}
SERVER: Final = {"api_key": KEY, "api_base": "https://llm.example"}
OPT_IN: Final = {**SERVER, "count_tokens_via": "anthropic"}
SOUND: Final[dict[str, dict[str, Any]]] = {
    "anthropic": CLAUDE,
    "azure": AZURE_OPENAI,
    "azure_ai": AZURE,
    "bedrock": BEDROCK,
    "gemini": GEMINI,
    "openai": {**OPENAI, "count_tokens_via": "responses"},
    "vertex_ai": VERTEX,
    "hosted_vllm": {**SERVER, "model": "hosted_vllm/m"},
    "litellm_proxy": {**SERVER, "model": "litellm_proxy/m"},
    "lm_studio": {**OPT_IN, "model": "lm_studio/m"},
    "llamafile": {**OPT_IN, "model": "llamafile/m"},
    "custom_openai": {**OPT_IN, "model": "custom_openai/m"},
}
NOT_ALLOWED: Final = "not allowed in a tenant's row"
NO_CREDENTIAL: Final = "a tenant's row needs a credential of its own"


def only(params: Mapping[str, Any], *without: str, **more: Any) -> dict[str, Any]:
    """Return parameters with some removed and others added."""
    return {key: value for key, value in {**params, **more}.items() if key not in without}


def row_of(params: object, info: object = None, name: str = "m") -> dict[str, Any]:
    return {"model_name": name, "litellm_params": params, "model_info": info}


def allow_all(url: str) -> bool:
    return True


def problem_of(params: object, info: object = None, **options: Any) -> str:
    """Return the problem of a row's deployment, or the empty string; it is a warning too."""
    config = Config.from_rows([row_of(params, info)], **options)
    (deployment,) = config.deployments
    if deployment.problem:
        assert deployment.params is None
        assert config.warnings
    return deployment.problem or ""


async def ask(upstream: FakeUpstream, config: Config, model: str = "m") -> int | CountError:
    """Return the count by a host whose `resolve` returns the rows, or its error."""
    count_tokens = count_tokens_with(upstream, resolve=lambda model, caller: config.deployments)
    async with count_tokens.lifespan():
        try:
            return (await count_tokens.count({**HELLO, "model": model})).input_tokens
        except CountError as error:
            return error


@pytest.fixture(scope="module")
def server() -> Iterator[Cloud]:
    with canary_server() as server:
        yield server


@pytest.fixture
def canaries(server: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    with canaries_in(tmp_path, server, monkeypatch) as canaries:
        yield canaries


@pytest.fixture(autouse=True)
def _answers(upstream: FakeUpstream) -> None:
    body = b'{"input_tokens": 14, "inputTokens": 14, "totalTokens": 14}'
    upstream.answers(200, body)


@pytest.fixture
def token_urls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lead google-auth's requests to an emulator, and yield their URLs."""
    urls: list[str] = []
    request = transport.GoogleRequest.__call__

    def redirected(self: Any, url: str, *args: Any, **options: Any) -> Any:
        urls.append(url)
        return request(self, f"{endpoint.url}/token", *args, **options)

    with cloud(GOOGLE.app) as endpoint:
        monkeypatch.setattr(transport.GoogleRequest, "__call__", redirected)
        yield urls


# Each provider's row counts, and touches nothing of the host's.


class Counts(NamedTuple):
    """A row that counts, and where."""

    params: Mapping[str, Any]
    url: str
    key: str | None = KEY


RUNTIME: Final = "https://bedrock-runtime.us-west-2.amazonaws.com/model/anthropic.claude-x/"
COUNTS: Final = {
    "anthropic": Counts(CLAUDE, "https://api.anthropic.com/v1/messages/count_tokens"),
    "anthropic, bearer": Counts(
        {"model": "claude-x", "auth_token": KEY}, "https://api.anthropic.com/"
    ),
    "anthropic, own server": Counts(
        {"model": "anthropic/m", "base_url": "https://Own.example/v1"}, "https://own.example/", None
    ),
    "anthropic, named provider": Counts(
        {"model": "m", "custom_llm_provider": "anthropic", "api_key": KEY},
        "https://api.anthropic.com/",
    ),
    "azure_ai": Counts(AZURE, "https://r.services.ai.azure.com/anthropic/v1/messages/"),
    "azure_ai, token": Counts(
        only(AZURE, "api_key", azure_ad_token=KEY), "https://r.services.ai.azure.com/anthropic/"
    ),
    "bedrock": Counts(BEDROCK, RUNTIME),
    "bedrock, session token": Counts(only(BEDROCK, aws_session_token="t"), RUNTIME),
    "bedrock, API key": Counts(
        only(BEDROCK, "aws_access_key_id", "aws_secret_access_key", api_key=KEY), RUNTIME
    ),
    "bedrock, region of the model": Counts(
        only(BEDROCK, "aws_region_name", model="bedrock/us-west-2/anthropic.claude-x"), RUNTIME
    ),
    "bedrock, mantle": Counts(
        only(BEDROCK, count_tokens_via="mantle"), "https://bedrock-mantle.us-west-2.api.aws/"
    ),
    "bedrock, api_base": Counts(
        only(BEDROCK, api_base="https://vpce.example"), "https://vpce.example/model/"
    ),
    "gemini": Counts(GEMINI, "https://generativelanguage.googleapis.com/v1beta/models/gemini-x:"),
    "openai": Counts(OPENAI, "https://api.openai.com/v1/responses/input_tokens"),
    "openai, organization": Counts(
        only(OPENAI, organization="org-of-the-tenant"), "https://api.openai.com/v1/"
    ),
    "openai, bearer": Counts(only(OPENAI, "api_key", auth_token=KEY), "https://api.openai.com/v1/"),
    "openai, another server": Counts(
        only(OPENAI, api_base="https://vllm.example/v1", count_tokens_via="responses"),
        "https://vllm.example/v1/responses/input_tokens",
    ),
    "openai, Anthropic's API": Counts(
        only(OPENAI, api_base="https://vllm.example/v1", count_tokens_via="anthropic"),
        "https://vllm.example/v1/messages/count_tokens",
    ),
    "azure": Counts(AZURE_OPENAI, "https://r.openai.azure.com/openai/v1/responses/input_tokens"),
    "azure, token": Counts(
        only(AZURE_OPENAI, "api_key", azure_ad_token=KEY), "https://r.openai.azure.com/openai/v1/"
    ),
    "vertex_ai, express": Counts(EXPRESS, "https://aiplatform.googleapis.com/v1/publishers/"),
    "vertex_ai, mapping": Counts(
        VERTEX, "https://us-east5-aiplatform.googleapis.com/v1/projects/p/", None
    ),
    "vertex_ai, JSON": Counts(
        only(VERTEX, "vertex_project", vertex_credentials=f" {json.dumps(ACCOUNT)}"),
        "https://us-east5-aiplatform.googleapis.com/v1/projects/emulated-project/",
        None,
    ),
}


@pytest.mark.parametrize("case", COUNTS)
async def test_a_row_with_its_own_credential_counts(
    case: str,
    upstream: FakeUpstream,
    canaries: Canaries,
    token_urls: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    params, url, key = COUNTS[case]
    config = Config.from_rows([row_of(params)], allow_base=allow_all)
    assert config.warnings == ()
    assert await ask(upstream, config) == 14
    assert str(upstream.request.url).startswith(url)
    assert key is None or key in str(dict(upstream.request.headers))
    assert canaries.touched(upstream) == []
    assert set(token_urls) == ({TOKEN_URI} if params is VERTEX or "JSON" in case else set())
    assert SECRET not in caplog.text


def test_a_row_has_the_default_settings_and_no_pass_through(canaries: Canaries) -> None:
    config = Config.from_rows([row_of(CLAUDE)])
    assert config == Config(deployments=config.deployments)
    assert config.settings.passthrough.anthropic is None


# Each forbidden thing: the row, and the key that its problem names.


class Refused(NamedTuple):
    """A row that wants more, and its problem; an operator's entry like it reaches a canary."""

    params: Mapping[str, Any]
    problem: str
    info: Mapping[str, Any] | None = None
    reaches: bool = True


URL: Final = "{url}"
FOLDER: Final = "{folder}"
STS: Final = {"aws_sts_endpoint": URL}
PLAIN_BEDROCK: Final = only(BEDROCK, "aws_access_key_id", "aws_secret_access_key")
REFERENCE: Final = f"os.environ/ is {NOT_ALLOWED}"
VARIABLE: Final = "os.environ/CANARY"
REFUSED: Final = {
    # References to variables
    "variable": Refused(only(CLAUDE, api_key=VARIABLE), f"api_key: {REFERENCE}"),
    "variable of a URL": Refused(
        only(CLAUDE, api_base="os.environ/CANARY_URL"), f"api_base: {REFERENCE}"
    ),
    "variable of a header": Refused(
        only(CLAUDE, extra_headers={"x-api-key": VARIABLE}), f"extra_headers.x-api-key: {REFERENCE}"
    ),
    "variable of a model": Refused(
        {**CLAUDE, "model": VARIABLE}, f"model: {REFERENCE}", reaches=False
    ),
    "variable of a provider": Refused(
        {**CLAUDE, "custom_llm_provider": VARIABLE},
        f"custom_llm_provider: {REFERENCE}",
        reaches=False,
    ),
    "variable of an unused key": Refused(
        {**CLAUDE, "rpm": [{"x": VARIABLE}]}, f"rpm.x: {REFERENCE}", reaches=False
    ),
    "variable of an id": Refused(
        CLAUDE, f"model_info.id: {REFERENCE}", {"id": VARIABLE}, reaches=False
    ),
    "variable of another provider": Refused(
        {"model": "mistral/m", "api_key": VARIABLE}, f"api_key: {REFERENCE}", reaches=False
    ),
    # The host's default keys
    "default key": Refused(only(CLAUDE, "api_key"), "api_key is missing; set it"),
    "default key of Foundry": Refused(only(AZURE, "api_key"), "set it or auth_token"),
    "default URL of vLLM": Refused(
        only(SOUND["hosted_vllm"], "api_base"), "api_base is missing; set it"
    ),
    "default URL of a proxy": Refused(
        only(SOUND["litellm_proxy"], "api_base"), "api_base is missing; set it"
    ),
    "default URL of a llamafile": Refused(
        only(SOUND["llamafile"], "api_base"), "api_base is missing; set it"
    ),
    "default URL of Foundry": Refused(only(AZURE, "api_base"), "api_base is missing; set it"),
    "default key of Gemini": Refused(only(GEMINI, "api_key"), "api_key is missing; set it"),
    "default key of OpenAI": Refused(only(OPENAI, "api_key"), "api_key is missing; set it"),
    "default key of another server": Refused(
        only(OPENAI, "api_key", api_base=URL, count_tokens_via="responses"),
        "api_base: this host does not allow the URL",
    ),
    "default key of Azure OpenAI": Refused(
        only(AZURE_OPENAI, "api_key"), "api_key is missing; set it"
    ),
    "default key of Bedrock": Refused(PLAIN_BEDROCK, NO_CREDENTIAL),
    "default region": Refused(only(BEDROCK, "aws_region_name"), "aws_region_name is missing"),
    "default credentials of Google": Refused(only(VERTEX, "vertex_credentials"), NO_CREDENTIAL),
    "default location": Refused(
        only(VERTEX, "vertex_location"), "vertex_location is missing", reaches=False
    ),
    "express key of a Claude model": Refused(
        only(VERTEX, "vertex_credentials", api_key=KEY), NO_CREDENTIAL
    ),
    "express key of any model": Refused(
        only(VERTEX, "vertex_credentials", model="vertex_ai/*", api_key=KEY),
        NO_CREDENTIAL,
        reaches=False,
    ),
    "express key and a location": Refused(
        {**EXPRESS, "vertex_location": "us-east5", "vertex_project": "p"},
        f"vertex_location: {NOT_ALLOWED[:11]}",
        {"token_count_model": "vertex_ai/claude-x"},
    ),
    "express key and a counting region": Refused(
        {**EXPRESS, "vertex_project": "p"},
        f"vertex_location: {NOT_ALLOWED[:11]}",
        {"token_count_model": {"model": "vertex_ai/claude-x", "region": "us-east5"}},
    ),
    "any provider": Refused(
        {"model": "*", "api_key": KEY}, "model: a tenant's row needs a provider", reaches=False
    ),
    "shared credential": Refused(
        only(CLAUDE, "api_key", litellm_credential_name="shared"),
        f"litellm_credential_name: {NOT_ALLOWED}",
    ),
    # AWS
    "profile": Refused(
        only(PLAIN_BEDROCK, aws_profile_name="team"), f"aws_profile_name: {NOT_ALLOWED}"
    ),
    "profile with a program": Refused(
        only(PLAIN_BEDROCK, aws_profile_name="runs"), f"aws_profile_name: {NOT_ALLOWED}"
    ),
    "profile without a region": Refused(
        only(PLAIN_BEDROCK, "aws_region_name", aws_profile_name="team"),
        f"aws_profile_name: {NOT_ALLOWED}",
    ),
    "role": Refused(
        only(BEDROCK, aws_role_name="arn:aws:iam::1:role/r", **STS), f"aws_role_name: {NOT_ALLOWED}"
    ),
    "STS endpoint": Refused(only(BEDROCK, **STS), f"aws_sts_endpoint: {NOT_ALLOWED}", None, False),
    "web identity": Refused(
        only(
            PLAIN_BEDROCK,
            aws_role_name="arn:aws:iam::1:role/r",
            aws_web_identity_token=f"{FOLDER}/token",
            **STS,
        ),
        f"aws_web_identity_token: {NOT_ALLOWED}",
    ),
    "runtime endpoint": Refused(
        only(BEDROCK, aws_bedrock_runtime_endpoint=URL),
        f"aws_bedrock_runtime_endpoint: {NOT_ALLOWED}",
    ),
    "mantle endpoint": Refused(
        only(BEDROCK, aws_bedrock_mantle_endpoint=URL, count_tokens_via="mantle"),
        f"aws_bedrock_mantle_endpoint: {NOT_ALLOWED}",
    ),
    # Google
    "key file": Refused(
        {**VERTEX, "vertex_credentials": f"{FOLDER}/key.json"}, "vertex_credentials: a path is"
    ),
    "key file by another name": Refused(
        only(VERTEX, "vertex_credentials", vertex_ai_credentials=f"{FOLDER}/key.json"),
        "vertex_ai_credentials: a path is",
    ),
    "external account": Refused(
        {**VERTEX, "vertex_credentials": "{google_key}"}, "vertex_credentials.type: only"
    ),
    "external account with a program": Refused(
        {**VERTEX, "vertex_credentials": "{google_program}"}, "vertex_credentials.type: only"
    ),
    "impersonation": Refused(
        {
            **VERTEX,
            "vertex_credentials": {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": f"{URL}/v1/x@y:generateAccessToken",
                "source_credentials": {**ACCOUNT, "token_uri": f"{URL}/token"},
            },
        },
        "vertex_credentials.type: only",
    ),
    "token URL": Refused(
        {**VERTEX, "vertex_credentials": {**ACCOUNT, "token_uri": f"{URL}/token"}},
        "vertex_credentials.token_uri: only Google's own hosts",
    ),
    # Upstreams
    "header": Refused(
        only(CLAUDE, extra_headers={"x-team": SECRET}), f"extra_headers: {NOT_ALLOWED}"
    ),
    **{
        f"{key} of {name}": Refused(
            only(
                params,
                **{key: URL},
                **(
                    {"model": "vertex_ai/gemini-x", "vertex_credentials": None, "api_key": KEY}
                    if name == "vertex_ai"
                    else {}
                ),
                **({"vertex_location": None} if name == "vertex_ai" else {}),
            ),
            "api_base: this host does not allow the URL",
        )
        for name, params in SOUND.items()
        for key in ("api_base", "base_url")
    },
}


def filled(value: Any, canaries: Canaries) -> Any:
    """Return a value with the canaries' addresses, which are known only while they are there."""
    if isinstance(value, Mapping):
        return {key: filled(item, canaries) for key, item in value.items()}
    program = {"executable": {"command": f"touch {canaries.folder}/ran"}}
    match value:
        case "{google_key}":
            return canaries.google_key
        case "{google_program}":
            return {**canaries.google_key, "credential_source": program}
        case str():
            return value.replace(URL, canaries.server.url).replace(FOLDER, str(canaries.folder))
    return value


@pytest.mark.parametrize("case", REFUSED)
async def test_a_row_that_wants_more_has_a_problem_and_reaches_nothing(
    case: str, upstream: FakeUpstream, canaries: Canaries, caplog: pytest.LogCaptureFixture
) -> None:
    params, problem, info, _ = REFUSED[case]
    caplog.set_level(logging.DEBUG)
    config = Config.from_rows([row_of(filled(params, canaries), info)])
    (deployment,) = config.deployments
    assert deployment.params is None
    assert problem in (deployment.problem or "")
    assert any(problem in warning for warning in config.warnings)
    error = await ask(upstream, config)
    assert isinstance(error, CountError)
    assert error.status == 500
    assert upstream.requests == []
    assert canaries.touched(upstream) == []
    said = f"{config!r} {config.warnings} {error} {error.message} {caplog.text}"
    for text in (SECRET, KEY, canaries.server.url, str(canaries.folder), "_API_KEY", "AWS_REGION"):
        assert text not in said


@pytest.mark.parametrize("case", [name for name, refused in REFUSED.items() if refused.reaches])
async def test_the_canaries_are_alive_because_an_operators_entry_reaches_them(
    case: str, upstream: FakeUpstream, canaries: Canaries
) -> None:
    params, _, info, _ = REFUSED[case]
    shared = {"credential_name": "shared", "credential_values": {"api_key": VARIABLE}}
    row = row_of(filled(params, canaries), info)
    config = Config.from_mapping({"model_list": [row], "credential_list": [shared]})
    await ask(upstream, config)
    assert canaries.touched(upstream) or (canaries.folder / "ran").exists()


@pytest.mark.parametrize("provider", ["bedrock", "vertex_ai"])
async def test_no_metadata_service_is_asked_for_credentials(
    provider: str, upstream: FakeUpstream, canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chains of AWS and Google end at the machine's metadata service."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name)
    monkeypatch.delenv("VERTEXAI_CREDENTIALS")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    calls: list[object] = []
    monkeypatch.setattr(google.auth, "default", lambda *args: calls.append(args))
    params = only(SOUND[provider], "aws_access_key_id", "aws_secret_access_key")
    params = only(params, "vertex_credentials")
    assert NO_CREDENTIAL in problem_of(params)
    assert isinstance(await ask(upstream, Config.from_rows([row_of(params)])), CountError)
    assert (canaries.touched(upstream), calls) == ([], [])
    await ask(upstream, Config.from_mapping({"model_list": [row_of(params)]}))
    assert canaries.server.paths if provider == "bedrock" else calls


@pytest.mark.parametrize("model", ["claude-x", "endpoints/123", "123"])
async def test_express_mode_counts_no_other_model_by_the_hosts_credentials(
    model: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(google.auth, "default", lambda *args: calls.append(args))
    row = row_of({**EXPRESS, "vertex_project": "p"}, {"token_count_model": f"vertex_ai/{model}"})
    error = await ask(upstream, Config.from_rows([row]))
    assert isinstance(error, CountError)
    assert (error.status, upstream.requests, calls) == (501, [], [])


# Every parameter is allowed or forbidden, with a reason.

_ROLE: Final = "a role is assumed by the host's credentials or a token from a file"
_ENDPOINT: Final = "an endpoint of AWS; api_base is subject to allow_base"
_FEDERATION: Final = "the token exchange is the operator's, with a token of the host"
FORBIDDEN: Final[Mapping[str, str]] = {
    "anthropic_federation_rule_id": _FEDERATION,
    "anthropic_federation_workspace_id": _FEDERATION,
    "anthropic_identity_token": _FEDERATION,
    "anthropic_identity_token_file": _FEDERATION,
    "anthropic_organization_id": _FEDERATION,
    "anthropic_service_account_id": _FEDERATION,
    "aws_bedrock_mantle_endpoint": _ENDPOINT,
    "aws_bedrock_runtime_endpoint": _ENDPOINT,
    "aws_external_id": _ROLE,
    "aws_profile_name": "a profile is in the host's files, and may run a program",
    "aws_role_name": _ROLE,
    "aws_session_name": _ROLE,
    "aws_sts_endpoint": _ENDPOINT,
    "aws_web_identity_token": "it may be a path",
    "azure_authority_host": "the identity's proof is sent to it",
    "azure_federated_token_file": "a path",
    "azure_managed_identity": "it is the identity of the host's machine",
    "bedrock_mantle_service_name": "the scope of a signature is the operator's",
    "extra_headers": "headers may authenticate or route inside the host's network",
}
NAMES: Final = {
    provider: {name for field in spec.params.model_fields for name in spec.params.names(field)}
    for provider, spec in PROVIDERS.items()
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_parameter_is_allowed_or_forbidden(provider: str) -> None:
    allowed = PROVIDERS[provider].params.row_keys
    assert allowed <= NAMES[provider]
    assert NAMES[provider] - allowed == NAMES[provider] & FORBIDDEN.keys()


def test_a_new_parameter_is_forbidden_until_it_is_listed() -> None:
    assert Params.row_keys == {"timeout"}
    assert "forward_client_credentials" not in PassthroughParams.row_keys


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbidden_parameter_is_named_at_every_provider(provider: str, name: str) -> None:
    problem = problem_of({**SOUND[provider], name: SECRET}, allow_base=allow_all)
    assert f"{name}: {NOT_ALLOWED}; remove it" in problem
    assert SECRET not in problem
    assert problem_of({**SOUND[provider], name: None}, allow_base=allow_all) == ""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_parameter_of_another_provider_has_no_effect(provider: str) -> None:
    names = frozenset().union(*NAMES.values()) - NAMES[provider] - FORBIDDEN.keys()
    row = {**dict.fromkeys(names, "x"), "rpm": 5, "tags": ["a"], **SOUND[provider]}
    assert problem_of(row, allow_base=allow_all) == ""


# Google's credentials


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ({}, ".type: only"),
        ({**ACCOUNT, "type": None}, ".type: only"),
        ({**ACCOUNT, "type": ["service_account"]}, ".type: only"),
        *(
            ({**ACCOUNT, "type": kind}, ".type: only")
            for kind in (
                "external_account",
                "external_account_authorized_user",
                "gdch_service_account",
                "impersonated_service_account",
            )
        ),
        *(
            ({**key, name: "https://evil.example/"}, f".{name!r}: {NOT_ALLOWED}")
            for key in (ACCOUNT, USER)
            for name in (
                "credential_source",
                "service_account_impersonation_url",
                "token",
                "token_info_url",
                "token_url",
                "trust_boundary",
            )
        ),
        *(
            ({**ACCOUNT, name: "https://evil.example/"}, f".{name}: only Google's own hosts")
            for name in (
                "auth_provider_x509_cert_url",
                "auth_uri",
                "client_x509_cert_url",
                "token_uri",
            )
        ),
        *(
            ({**key, "token_uri": url}, ".token_uri: only Google's own hosts")
            for key in (ACCOUNT, USER)
            for url in (
                "http://oauth2.googleapis.com/token",
                "https://oauth2.googleapis.com.evil.example/token",
                "https://oauth2.googleapis.com@evil.example/token",
                "https://oauth2.googleapis.com:8443/token",
                "https://oauth2.googleapis.com\\@evil.example/token",
                "https://oauth2.googleapis.com/token\n",
                "https://evil.example#oauth2.googleapis.com/token",
                "//oauth2.googleapis.com/token",
                "",
            )
        ),
        ({**ACCOUNT, "token_uri": None}, ".token_uri: a string is required"),
        ({**ACCOUNT, "private_key": {"file": "/etc/passwd"}}, ".private_key: a string is"),
        ({**ACCOUNT, "universe_domain": "evil.example"}, ".universe_domain: only googleapis.com"),
        ({**USER, "quota_project_id": "p\r\nx-evil: 1"}, ".quota_project_id: invalid characters"),
        ({**ACCOUNT, "project_id": "../x"}, ".project_id: invalid characters"),
    ],
)
def test_only_googles_own_credentials_are_allowed(key: dict[str, Any], problem: str) -> None:
    actual = problem_of({**VERTEX, "vertex_credentials": key})
    assert f"vertex_credentials{problem}" in actual
    assert "evil" not in actual
    assert problem_of({**VERTEX, "vertex_credentials": json.dumps(key)}) == actual


@pytest.mark.parametrize(
    "key",
    [
        ACCOUNT,
        USER,
        {**ACCOUNT, "token_uri": "https://accounts.google.com/o/oauth2/token"},
        {**ACCOUNT, "client_x509_cert_url": "https://www.googleapis.com/robot/v1/x%40y.com"},
    ],
)
def test_googles_own_key_files_are_allowed(key: dict[str, Any]) -> None:
    assert problem_of({**VERTEX, "vertex_credentials": key}) == ""


async def test_an_authorized_user_counts(upstream: FakeUpstream, token_urls: list[str]) -> None:
    """The emulator issues no token to a user, but it is asked in place of Google's host alone."""
    row = row_of({**VERTEX, "vertex_credentials": USER})
    assert isinstance(await ask(upstream, Config.from_rows([row])), CountError)
    assert set(token_urls) == {TOKEN_URI}


# Hosts

STEERING: Final = (
    "evil.example",
    "evil.example/",
    "x.evil.example#",
    "evil.example:443/",
    "evil.example:443",
    "evil.example?",
    "evil.example\\",
    "@evil.example",
    "x@evil.example",
    "..",
    "-",
    "us-east-1\n",
    "us-east-1.",
    "x" * 64,
    "",
)
PLACES: Final[Mapping[str, Mapping[str, Any]]] = {
    "aws_region_name": BEDROCK,
    "base_model": BEDROCK,
    "count_tokens_model": BEDROCK,
    "model_id": BEDROCK,
    "vertex_count_tokens_location": VERTEX,
    "vertex_location": VERTEX,
    "vertex_project": VERTEX,
}
VENDORS: Final = (".amazonaws.com", ".api.aws", ".googleapis.com", "api.anthropic.com")


async def hosts_of(upstream: FakeUpstream, row: dict[str, Any]) -> list[str]:
    """Return the hosts of a row's requests, by both of Bedrock's APIs."""
    for via in ("runtime", "mantle"):
        params = {"count_tokens_via": via, **row["litellm_params"]}
        config = Config.from_rows([{**row, "litellm_params": params}])
        outcome = await ask(upstream, config)
        assert not isinstance(outcome, CountError) or outcome.status in {500, 501}
    return [request.url.host for request in upstream.requests]


@pytest.mark.parametrize("value", STEERING)
@pytest.mark.parametrize("name", PLACES)
async def test_no_value_steers_the_host(
    name: str, value: str, upstream: FakeUpstream, token_urls: list[str]
) -> None:
    hosts = await hosts_of(upstream, row_of({**PLACES[name], name: value}))
    assert all(host.endswith(VENDORS) and "evil" not in host for host in hosts)
    is_location = name.startswith("aws_region") or name.endswith("location")
    assert value == "" or not is_location or hosts == []


@pytest.mark.parametrize("value", STEERING)
@pytest.mark.parametrize("params", [BEDROCK, VERTEX, EXPRESS, GEMINI, CLAUDE])
async def test_no_model_steers_the_host(
    params: dict[str, Any], value: str, upstream: FakeUpstream, token_urls: list[str]
) -> None:
    provider = params["model"].partition("/")[0]
    for row in (
        row_of({**params, "model": f"{provider}/{value}"}),
        row_of({**params, "model": f"{provider}/{value}/anthropic.claude-x"}),
        row_of(params, {"token_count_model": f"{provider}/{value}"}),
        row_of(params, {"token_count_model": {"model": "gemini-x", "region": value}}),
    ):
        hosts = await hosts_of(upstream, row)
        assert all(host.endswith(VENDORS) and "evil" not in host for host in hosts)


# allow_base


@pytest.mark.parametrize("provider", SOUND)
@pytest.mark.parametrize("key", ["api_base", "base_url"])
def test_the_host_is_asked_about_the_url_that_will_be_used(provider: str, key: str) -> None:
    asked: list[str] = []

    def allow_base(url: str) -> bool:
        asked.append(url)
        return url == "https://ok.example/x"

    params = only(SOUND[provider], "api_base")
    (deployment,) = Config.from_rows(
        [row_of({**params, key: "https://OK.example/x/"})], allow_base=allow_base
    ).deployments
    assert asked == ["https://ok.example/x"]
    assert deployment.problem is None
    assert deployment.params is not None
    assert deployment.params.endpoint.startswith("https://ok.example/x")
    problem = problem_of({**params, key: "https://ok.example/y"}, allow_base=allow_base)
    assert "api_base: this host does not allow the URL" in problem
    assert "ok.example" not in problem


def test_the_url_of_two_names_is_the_one_that_is_asked_about() -> None:
    params = {**CLAUDE, "api_base": "https://ok.example", "base_url": "https://evil.example"}
    assert "does not allow" in problem_of(params, allow_base="https://ok.example".__eq__)


@pytest.mark.parametrize(
    "url",
    [
        "https://ok.example\\.evil.example",
        "https://ok.example%2eevil.example",
        "https://ok.example@evil.example",
        "https://ok.example;evil.example",
        "https://ok.example?x",
        "https://ok.example,evil.example",
        "file:///etc/passwd",
        "unix:///var/run/docker.sock",
        "ok.example",
        "https://",
        7,
    ],
)
def test_the_host_is_never_asked_about_a_url_that_clients_read_differently(url: object) -> None:
    asked: list[str] = []

    def allow_base(url: str) -> bool:
        asked.append(url)
        return True

    assert problem_of({**CLAUDE, "api_base": url}, allow_base=allow_base)
    assert asked == []


@pytest.mark.parametrize("url", ["http://[::1]:8080", "http://my_host:80", "https://a-b.c.example"])
def test_usual_urls_are_asked_about(url: str) -> None:
    assert problem_of({**CLAUDE, "api_base": url}, allow_base=url.__eq__) == ""


def test_an_exception_of_the_host_means_no_and_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def allow_base(url: str) -> bool:
        raise KeyError(SECRET)

    problem = problem_of({**CLAUDE, "api_base": "https://a.example"}, allow_base=allow_base)
    assert "does not allow" in problem
    assert "KeyError" in caplog.text
    assert SECRET not in caplog.text + problem


@pytest.mark.filterwarnings("ignore:coroutine")
def test_a_coroutine_is_no_permission() -> None:
    async def allow_base(url: str) -> bool:
        return True

    allow: Any = allow_base
    assert "does not allow" in problem_of({**CLAUDE, "api_base": "https://a.x"}, allow_base=allow)


@pytest.mark.parametrize("answer", [False, None, 0, ""])
def test_only_a_true_answer_allows(answer: Any) -> None:
    url = "https://a.example"
    assert problem_of({**CLAUDE, "api_base": url}, allow_base=lambda url: answer)


# Shapes

ENDLESS: Final[dict[str, Any]] = {}
ENDLESS["x"] = ENDLESS


@pytest.mark.parametrize(
    "row",
    [
        None,
        7,
        "row",
        [],
        {},
        {"model_name": "m"},
        row_of(None),
        row_of([]),
        row_of({1: 2}),
        row_of({**CLAUDE, "x": ENDLESS}),
        row_of({**VERTEX, "vertex_credentials": ENDLESS}),
        row_of(CLAUDE, ENDLESS),
        row_of(CLAUDE, {"id": "passthrough/anthropic"}),
        row_of({**CLAUDE, **{f"k{number}": 1 for number in range(64)}}),
        row_of({**CLAUDE, "k" * 65: 1}),
        row_of(CLAUDE, {f"k{number}": 1 for number in range(65)}),
        row_of({**CLAUDE, "timeout": -1}),
        row_of({**CLAUDE, "timeout": float("inf")}),
        row_of({**CLAUDE, "weight": float("nan")}),
        row_of({**CLAUDE, "api_key": KEY + "\n\n x"}),
    ],
    ids=lambda row: repr(row)[:40],
)
def test_a_malformed_row_is_a_problem_of_its_own(row: Any) -> None:
    config = Config.from_rows([row, row_of(CLAUDE, name="sound")])
    assert config.warnings
    assert KEY not in str(config.warnings)
    *broken, sound = config.deployments
    assert sound.problem is None
    assert all(deployment.problem and deployment.params is None for deployment in broken)


def test_a_problem_is_one_line() -> None:
    (warning,) = Config.from_rows([row_of({"model": "gemini/x"}, name="m\n\x1bERROR")]).warnings
    assert warning == "rows[0] (m??ERROR): litellm_params: api_key is missing; set it"


def test_a_misspelt_key_is_a_warning_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = Config.from_rows([row_of({**CLAUDE, "api_bse": "https://a.example"})])
    assert config.warnings == (
        "rows[0] (m): litellm_params.api_bse: unknown key; did you mean api_base?",
    )
    assert caplog.text == ""


async def test_a_row_with_a_problem_is_no_request_by_the_hosts_own_entry(
    upstream: FakeUpstream,
) -> None:
    config = Config.from_rows([row_of(only(CLAUDE, "api_key"), name="claude-sonnet")])
    error = await ask(upstream, config, "claude-sonnet")
    assert isinstance(error, CountError)
    assert upstream.requests == []


async def test_rows_are_a_configuration_of_their_own(upstream: FakeUpstream) -> None:
    rows = (row_of(CLAUDE, name="claude-*") for _ in range(1))
    count_tokens = CountTokens(Config.from_rows(rows), http_client=upstream.client())
    async with count_tokens.lifespan():
        counted = await count_tokens.count({**HELLO, "model": "claude-x"})
    assert counted.input_tokens == 14
