"""The parameters of Entra ID: which identity an entry of Foundry has, and its problems."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

import pytest

from count_tokens_mw import Config, Deployment
from count_tokens_mw.config.params import entra
from count_tokens_mw.config.params.anthropic import AzureParams

BASE: Final = "https://r.services.ai.azure.com"
APPLICATION: Final = {"tenant_id": "t", "client_id": "c"}
VARIABLES: Final = {"AZURE_TENANT_ID": "env-t", "AZURE_CLIENT_ID": "env-c"}
SECRET: Final = {"AZURE_CLIENT_SECRET": "env-s"}
FILE: Final = {"AZURE_FEDERATED_TOKEN_FILE": "/env/token"}


def deployment_of(params: Mapping[str, Any], environ: Mapping[str, str]) -> Deployment:
    entry = {
        "model_name": "m",
        "litellm_params": {"model": "azure_ai/claude-x", "api_base": BASE, **params},
    }
    (deployment,) = Config.from_mapping({"model_list": [entry]}, environ).deployments
    return deployment


def identity_of(params: AzureParams) -> dict[str, Any]:
    """Return the set parameters of a credential, revealed."""
    fields = (*AzureParams.credentials, "tenant_id", "client_id")
    values = {name: getattr(params, name) for name in fields if getattr(params, name)}
    return {
        name: getattr(at, "get_secret_value", lambda at=at: at)() for name, at in values.items()
    }


OF_ENV: Final = {"tenant_id": "env-t", "client_id": "env-c"}
IDENTITIES: Final[Mapping[str, tuple[Any, Any, Any, str]]] = {
    "a secret": (
        {**APPLICATION, "client_secret": "s"},
        {},
        {**APPLICATION, "client_secret": "s"},
        "litellm_params.client_secret, for a token of Entra ID",
    ),
    "a secret, before the environment's key": (
        {**APPLICATION, "client_secret": "s"},
        {"AZURE_AI_API_KEY": "k"},
        {**APPLICATION, "client_secret": "s"},
        "litellm_params.client_secret, for a token of Entra ID",
    ),
    "a file": (
        {**APPLICATION, "azure_federated_token_file": "/t"},
        SECRET,
        {**APPLICATION, "azure_federated_token_file": "/t"},
        "litellm_params.azure_federated_token_file, for a token of Entra ID",
    ),
    "LiteLLM's file": (
        {**APPLICATION, "azure_ad_token": "oidc/file//var/run/token"},
        {"AZURE_AI_API_KEY": "k"},
        {**APPLICATION, "azure_federated_token_file": "/var/run/token"},
        "",
    ),
    "the machine's": (
        {"azure_managed_identity": True},
        {**VARIABLES, **SECRET},
        {"azure_managed_identity": True},
        "litellm_params.azure_managed_identity, for a token of Entra ID",
    ),
    "one of the machine's": (
        {"azure_managed_identity": True, "client_id": "c"},
        {},
        {"azure_managed_identity": True, "client_id": "c"},
        "litellm_params.azure_managed_identity, for a token of Entra ID",
    ),
    "the environment's secret": (
        {},
        {**VARIABLES, **SECRET, **FILE},
        {**OF_ENV, "client_secret": "env-s"},
        "AZURE_CLIENT_SECRET, for a token of Entra ID",
    ),
    "the environment's file": (
        {},
        {**VARIABLES, **FILE},
        {**OF_ENV, "azure_federated_token_file": "/env/token"},
        "AZURE_FEDERATED_TOKEN_FILE, for a token of Entra ID",
    ),
    "the environment's key before its secret": (
        {},
        {**VARIABLES, **SECRET, "AZURE_AI_API_KEY": "k"},
        {"api_key": "k"},
        "AZURE_AI_API_KEY",
    ),
    "a key, whatever the environment has": (
        {"api_key": "k"},
        {**VARIABLES, **SECRET},
        {"api_key": "k"},
        "litellm_params.api_key",
    ),
    "a key beside an application": (
        {**APPLICATION, "api_key": "k"},
        SECRET,
        {**APPLICATION, "api_key": "k"},
        "litellm_params.api_key",
    ),
    "a token": (
        {"azure_ad_token": "t"},
        {**VARIABLES, **SECRET},
        {"auth_token": "t"},
        "litellm_params.azure_ad_token",
    ),
    "a reference": (
        {"tenant_id": "os.environ/T", "client_id": "c", "client_secret": "os.environ/S"},
        {"T": "t", "S": "s"},
        {**APPLICATION, "client_secret": "s"},
        "os.environ/S, for a token of Entra ID",
    ),
    "a part of the environment's": (
        {"client_secret": "s"},
        {**VARIABLES, **FILE},
        {**OF_ENV, "client_secret": "s"},
        "litellm_params.client_secret, for a token of Entra ID",
    ),
}


@pytest.mark.parametrize(
    ("params", "environ", "identity", "source"), IDENTITIES.values(), ids=IDENTITIES
)
def test_an_entry_has_one_identity(
    params: dict[str, Any], environ: dict[str, str], identity: dict[str, Any], source: str
) -> None:
    deployment = deployment_of(params, environ)
    assert deployment.problem is None
    assert isinstance(deployment.params, AzureParams)
    assert identity_of(deployment.params) == identity
    assert deployment.params.azure_scope == "https://ai.azure.com/.default"
    assert not source or deployment.credential_source == source


@pytest.mark.parametrize("authority", ["https://login.us/", "login.us", "https://LOGIN.us"])
def test_scope_and_authority_have_variables(authority: str) -> None:
    environ = {"AZURE_SCOPE": "https://x/.default", "AZURE_AUTHORITY_HOST": authority}
    params = deployment_of({**APPLICATION, "client_secret": "s"}, environ).params
    assert isinstance(params, AzureParams)
    assert (params.azure_scope, params.azure_authority_host) == (
        "https://x/.default",
        "https://login.us",
    )


PROBLEMS: Final = {
    "no proof": (APPLICATION, {}, "client_secret is missing; set it or azure_federated_token_file"),
    "no client": ({"tenant_id": "t", "client_secret": "s"}, {}, "client_id is missing; set it or"),
    "no tenant": ({"client_id": "c", "client_secret": "s"}, {}, "tenant_id is missing; set it or"),
    "a part of an application in the environment": ({}, VARIABLES, "api_key is missing; set it or"),
    "two proofs": (
        {**APPLICATION, "client_secret": "s", "azure_federated_token_file": "/t"},
        {},
        "client_secret and azure_federated_token_file are both set",
    ),
    "a proof beside the machine's": (
        {"azure_managed_identity": True, "client_secret": "s"},
        {},
        "azure_managed_identity excludes client_secret",
    ),
    "a key too": (
        {**APPLICATION, "client_secret": "s", "api_key": "k"},
        {},
        "api_key and client_secret are both set; keep one of them",
    ),
    "another reference": (
        {**APPLICATION, "azure_ad_token": "oidc/azure/audience"},
        {},
        "only oidc/file/PATH is supported",
    ),
    "a path in the tenant": (
        {"tenant_id": "../t", "client_id": "c", "client_secret": "s"},
        {},
        "tenant_id: invalid characters",
    ),
    "no TLS": (
        {**APPLICATION, "client_secret": "s", "azure_authority_host": "http://login"},
        {},
        "azure_authority_host: Entra ID requires https://",
    ),
    "two scopes": (
        {**APPLICATION, "client_secret": "s", "azure_scope": "a b"},
        {},
        "azure_scope: one scope is required",
    ),
}


@pytest.mark.parametrize(("params", "environ", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_an_entry_without_a_whole_identity_has_a_problem(
    params: dict[str, Any], environ: dict[str, str], problem: str
) -> None:
    assert problem in (deployment_of(params, environ).problem or "")


@pytest.mark.parametrize("missing", ["azure", "azure.identity"])
def test_without_the_extra_an_entry_names_it(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Other packages may have installed a part of `azure`."""
    monkeypatch.setattr(
        entra, "find_spec", lambda name: None if name == missing else find_spec(name)
    )
    problem = deployment_of({**APPLICATION, "client_secret": "s"}, {}).problem or ""
    assert "pip install 'count-tokens-mw[azure]'" in problem
    assert deployment_of({"api_key": "k"}, {}).problem is None


# A tenant's row


def row_problem(**params: Any) -> str:
    row = {"model": "azure_ai/claude-x", "api_base": BASE, **params}
    entry = {"model_name": "m", "litellm_params": row}
    (deployment,) = Config.from_rows([entry], allow_base=lambda url: True).deployments
    return deployment.problem or ""


def test_a_tenants_row_may_have_an_application_of_its_own() -> None:
    assert row_problem(**APPLICATION, client_secret="s") == ""
    entry = {
        "model_name": "m",
        "litellm_params": {"model": "azure_ai/claude-x", "api_base": BASE, **APPLICATION},
    }
    entry["litellm_params"]["client_secret"] = "s"  # type: ignore[index]
    (deployment,) = Config.from_rows([entry], allow_base=lambda url: True).deployments
    assert isinstance(deployment.params, AzureParams)
    assert deployment.params.azure_authority_host == "https://login.microsoftonline.com"


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({**APPLICATION, "azure_ad_token": "oidc/file//t"}, "azure_ad_token: a path is not"),
        ({**APPLICATION, "auth_token": "oidc/file//t"}, "auth_token: a path is not allowed"),
        ({**APPLICATION, "azure_federated_token_file": "/t"}, "azure_federated_token_file: not"),
        ({"azure_managed_identity": True}, "azure_managed_identity: not allowed"),
        ({**APPLICATION, "client_secret": "s", "azure_authority_host": "https://x"}, "_host: not"),
        (APPLICATION, "client_secret is missing"),
    ],
)
def test_a_tenants_row_has_nothing_of_the_host(params: dict[str, Any], problem: str) -> None:
    assert problem in row_problem(**params)
