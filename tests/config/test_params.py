"""The parameters of each provider's entry, and their defaults from the environment."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from count_tokens_mw import Config
from count_tokens_mw.config.params.anthropic import AnthropicParams, AzureParams
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.params.google import GeminiParams, VertexParams

SECRET = "canary-of-a-secret"


def params_of(
    model: str, environ: dict[str, str] | None = None, info: Any = None, **params: Any
) -> Params | None:
    entry = {"model_name": "m", "litellm_params": {"model": model, **params}, "model_info": info}
    (deployment,) = Config.from_mapping({"model_list": [entry]}, environ or {}).deployments
    assert SECRET not in repr(deployment)
    return deployment.params


def problem_of(model: str, environ: dict[str, str] | None = None, **params: Any) -> str:
    entry = {"model_name": "m", "litellm_params": {"model": model, **params}}
    config = Config.from_mapping({"model_list": [entry]}, environ or {})
    (problem,) = config.warnings
    assert SECRET not in problem
    assert config.deployments[0].problem
    return problem.removeprefix("model_list[0] (m): litellm_params")


# Bedrock

CLAUDE = "bedrock/anthropic.claude-sonnet-4-6"
PROFILE_ARN = "arn:aws:bedrock:eu-north-1:123456789012:application-inference-profile/a"


@pytest.mark.parametrize(
    ("model", "configured", "environ", "region"),
    [
        (CLAUDE, {"aws_region_name": "eu-west-1"}, {"AWS_REGION": "us-east-1"}, "eu-west-1"),
        ("bedrock/us-east-2/anthropic.claude", {}, {"AWS_REGION": "us-east-1"}, "us-east-2"),
        ("bedrock/us-gov-west-1/anthropic.claude", {}, {}, "us-gov-west-1"),
        (f"bedrock/{PROFILE_ARN}", {}, {"AWS_REGION": "us-east-1"}, "eu-north-1"),
        (f"bedrock/{PROFILE_ARN}", {"aws_region_name": "us-west-2"}, {}, "us-west-2"),
        (CLAUDE, {}, {"AWS_REGION_NAME": "a-b-1", "AWS_REGION": "us-east-1"}, "a-b-1"),
        (CLAUDE, {}, {"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
    ],
)
def test_bedrocks_region_is_named_by_the_operator(
    model: str, configured: dict[str, str], environ: dict[str, str], region: str
) -> None:
    params = params_of(model, environ, **configured)
    assert isinstance(params, BedrockParams)
    assert params.aws_region_name == region


def test_without_any_region_the_configuration_is_refused() -> None:
    assert problem_of(CLAUDE) == ": aws_region_name is missing; set it or AWS_REGION"


@pytest.mark.parametrize(
    ("configured", "is_taken"),
    [
        ({}, True),
        ({"api_key": "own"}, False),
        ({"aws_access_key_id": "a", "aws_secret_access_key": "s"}, False),
        ({"aws_profile_name": "p"}, False),
        ({"aws_role_name": "r"}, False),
    ],
)
def test_bedrocks_token_of_the_environment_is_taken_only_where_nothing_is_configured(
    configured: dict[str, str], is_taken: bool
) -> None:
    environ = {"AWS_BEARER_TOKEN_BEDROCK": SECRET}
    params = params_of(CLAUDE, environ, aws_region_name="us-east-1", **configured)
    assert isinstance(params, BedrockParams)
    token = params.api_key.get_secret_value() if params.api_key else None
    assert (token == SECRET) is is_taken


@pytest.mark.parametrize(
    ("configured", "problem"),
    [
        ({"aws_access_key_id": SECRET}, ": aws_access_key_id and aws_secret_access_key are a"),
        ({"aws_secret_access_key": SECRET}, ": aws_access_key_id and aws_secret_access_key"),
        ({"aws_web_identity_token": SECRET}, ": aws_web_identity_token requires a role; set"),
        ({"aws_region_name": "us-east-1/../x"}, ".aws_region_name: invalid characters"),
        ({"aws_bedrock_runtime_endpoint": "h"}, ".aws_bedrock_runtime_endpoint: a URL is requ"),
        ({"count_tokens_via": "converse"}, ".count_tokens_via: not an API that counts; use auto"),
        ({"bedrock_betas": "a"}, ".bedrock_betas: Input should be a valid"),
    ],
)
def test_a_wrong_value_for_bedrock_is_named(configured: dict[str, Any], problem: str) -> None:
    actual = problem_of(CLAUDE, **{"aws_region_name": "us-east-1", **configured})
    assert actual.startswith(problem)


def test_the_base_model_of_an_entry_reaches_its_parameters() -> None:
    params = params_of(CLAUDE, info={"base_model": "b"}, aws_region_name="us-east-1")
    assert isinstance(params, BedrockParams)
    assert params.base_model == "b"


# Vertex AI


def test_the_seeds_vertex_entry_counts_at_its_count_tokens_location() -> None:
    params = params_of(
        "vertex_ai/claude-3-5-sonnet-v2@20241022",
        vertex_project="my-project",
        vertex_location="global",
        vertex_count_tokens_location="us-east5",
    )
    assert isinstance(params, VertexParams)
    assert (params.location, params.project) == ("us-east5", "my-project")


@pytest.mark.parametrize(
    ("configured", "problem"),
    [
        ({}, ": vertex_location is missing; set it or vertex_count_tokens_location"),
        ({"vertex_location": "us/../x"}, ".vertex_location: invalid characters"),
        ({"vertex_project": "p?x"}, ".vertex_project: invalid characters"),
        ({"vertex_credentials": f"{{{SECRET}"}, ".vertex_credentials: neither JSON nor"),
        ({"vertex_credentials": "/nowhere.json"}, ".vertex_credentials: the file cannot be read"),
        ({"vertex_credentials": {1: SECRET}}, ".vertex_credentials: the names of a key's members"),
        ({"vertex_credentials": [SECRET]}, ".vertex_credentials: Input should be a valid dict"),
        ({"strip_version": SECRET}, ".strip_version: Input should be a valid boolean"),
    ],
)
def test_a_wrong_value_for_vertex_is_named(configured: dict[str, Any], problem: str) -> None:
    location: dict[str, Any] = (
        {} if problem.startswith(": vertex_location") else {"vertex_location": "us-east5"}
    )
    assert problem_of("vertex_ai/gemini-2.5-flash", **{**location, **configured}).startswith(
        problem
    )


def test_a_file_of_credentials_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(SECRET)
    configured: dict[str, Any] = {
        "vertex_location": "us",
        "vertex_credentials": str(tmp_path / "key.json"),
    }
    assert problem_of("vertex_ai/gemini-x", **configured).startswith(
        ".vertex_credentials: neither JSON"
    )


def test_no_part_of_vertex_credentials_shows() -> None:
    configured: dict[str, Any] = {
        "vertex_location": "us",
        "vertex_credentials": {"type": "service_account", "private_key": SECRET},
    }
    params = params_of("vertex_ai/gemini-x", **configured)
    assert SECRET not in repr(params)


@pytest.mark.parametrize(
    "model",
    [
        "bedrock/*",
        "bedrock/converse/us.anthropic.claude-sonnet-4-6",
        "bedrock/us-east-1/anthropic.claude-sonnet-4-6",
        "bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/a",
        "bedrock/converse/arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x",
    ],
)
def test_every_form_of_a_claude_on_bedrock_is_read(model: str) -> None:
    assert isinstance(params_of(model, aws_region_name="us-east-1"), BedrockParams)


# the Gemini API


def test_geminis_key_of_its_entry_wins() -> None:
    params = params_of("gemini/gemini-x", {"GEMINI_API_KEY": "e"}, api_key=SECRET)
    assert isinstance(params, GeminiParams)
    assert params.api_key.get_secret_value() == SECRET
    assert params.api_base == "https://generativelanguage.googleapis.com"


def test_without_any_key_for_gemini_the_configuration_is_refused() -> None:
    assert (
        problem_of("gemini/gemini-x", {"ANTHROPIC_API_KEY": "a"})
        == ": api_key is missing; set it or GEMINI_API_KEY"
    )


# Azure AI Foundry

FOUNDRY = "https://r.services.ai.azure.com/anthropic"


@pytest.mark.parametrize("credential", [{"api_key": SECRET}, {"auth_token": SECRET}])
def test_foundry_is_a_host_and_a_credential_of_its_own(credential: dict[str, Any]) -> None:
    params = params_of("azure_ai/claude-sonnet-4-5", api_base=FOUNDRY, **credential)
    assert isinstance(params, AzureParams)
    assert params.api_base == FOUNDRY


NO_BASE = ": api_base is missing; set it or AZURE_AI_API_BASE"
NO_KEY = ": api_key is missing; set it or auth_token, or AZURE_AI_API_KEY"


@pytest.mark.parametrize(
    ("configured", "problem"),
    [({}, NO_BASE), ({"api_base": FOUNDRY}, NO_KEY), ({"api_key": SECRET}, NO_BASE)],
)
def test_anthropics_key_and_host_are_not_foundrys(configured: dict[str, str], problem: str) -> None:
    environ = {"ANTHROPIC_API_KEY": "a"}
    assert problem_of("azure_ai/claude-sonnet-4-5", environ, **configured) == problem


@pytest.mark.parametrize(
    "model",
    [
        "azure_ai/gpt-4o",
        "azure_ai/mistral-large",
        "vertex_ai/mistral-large@2407",
        "vertex_ai/meta/llama-4",
        "bedrock/amazon.nova-pro-v1:0",
        "bedrock/us.meta.llama3-1-70b-instruct-v1:0",
    ],
)
def test_models_of_other_makers_load_without_more_and_cannot_be_counted(model: str) -> None:
    assert params_of(model) is None


def test_a_copy_with_another_credential_is_another_account() -> None:
    params = AnthropicParams.model_validate({"api_key": "sk-a"})
    account, identity = params.account, params.identity
    copy = params.model_copy(update={"api_key": SecretStr("sk-b")})
    assert copy.account != account
    assert copy.identity != identity
    assert params.model_copy().account == account


def test_a_host_is_asked_in_lower_case_as_it_is_signed() -> None:
    configured = {"api_key": "k", "api_base": "https://Gateway.Example:8443/Path"}
    assert (
        AnthropicParams.model_validate(configured).endpoint == "https://gateway.example:8443/Path"
    )
