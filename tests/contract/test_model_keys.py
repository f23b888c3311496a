"""Every name of Claude in LiteLLM's price map leads to a model that can be asked.

The names are facts of LiteLLM's wheel, and LiteLLM itself says which provider it infers.
"""

import re
from typing import Final

import pytest

from count_tokens_mw import CannotCount, Config, Deployment
from count_tokens_mw.config.model_names import may_count, provider_of
from tests.facts import LITELLM_MODELS, read_facts
from tests.facts.litellm_shapes import LITELLM_ANSWERS
from tests.support.asked import asked_by
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

BY_PROVIDER: Final[dict[str, list[str]]] = read_facts(LITELLM_MODELS)["models"]
NAMES: Final = [name for names in BY_PROVIDER.values() for name in names]
INFERRED: Final[dict[str, str]] = read_facts(LITELLM_ANSWERS)["inferred"]
OF_PLATFORM: Final = [name for name in NAMES if "/claude_platform/" in name]
REGION: Final = "eu-central-1"
ENVIRON: Final = {
    "ANTHROPIC_API_KEY": "k",
    "AWS_REGION": REGION,
    "AZURE_AI_API_BASE": "https://r.services.ai.azure.com",
    "AZURE_AI_API_KEY": "k",
    "VERTEXAI_LOCATION": "us-east5",
    "VERTEXAI_PROJECT": "p",
}
HOSTS: Final = {
    "anthropic": "api.anthropic.com",
    "azure_ai": "r.services.ai.azure.com",
    "bedrock": "bedrock-runtime.{region}.amazonaws.com",
    "bedrock_converse": "bedrock-runtime.{region}.amazonaws.com",
    "bedrock_mantle": "bedrock-mantle.{region}.api.aws",
    "vertex_ai-anthropic_models": "us-east5-aiplatform.googleapis.com",
}
FEWEST: Final = 270
_REGION_IN: Final = re.compile(r"/([a-z]+(?:-[a-z]+)+-\d)/").search


def config_of(names: list[str]) -> Config:
    entries = [{"model_name": name, "litellm_params": {"model": name}} for name in names]
    return Config.from_mapping({"model_list": entries}, ENVIRON)


@pytest.fixture(scope="module")
def deployments() -> dict[str, Deployment]:
    config = config_of(NAMES)
    assert config.warnings == ()
    return {deployment.model_name: deployment for deployment in config.deployments}


def expected_model(provider: str, name: str) -> str:
    """Return the model to ask: Bedrock's ids begin with `anthropic.`, and no id has a date `@…`."""
    name = name.removesuffix("[1m]").partition("@")[0]
    if provider.startswith("bedrock"):
        return "anthropic." + name.rpartition("/")[2].rpartition("anthropic.")[2]
    return name.rpartition("/")[2]


def test_the_facts_have_names_of_each_provider() -> None:
    assert BY_PROVIDER.keys() == HOSTS.keys()
    assert len(NAMES) - len(OF_PLATFORM) >= FEWEST
    assert len(OF_PLATFORM) >= 10
    assert sorted(INFERRED) == sorted(NAMES)


def test_the_provider_of_each_name_is_the_one_that_litellm_infers() -> None:
    """LiteLLM looks a name without a prefix up in its price map."""
    theirs = {name: inferred.replace("_mantle", "") for name, inferred in INFERRED.items()}
    assert {name: provider_of(name)[0] for name in NAMES} == theirs


def test_each_name_but_claude_platforms_leads_to_a_model_at_its_providers_host(
    deployments: dict[str, Deployment],
) -> None:
    asked, expected = {}, {}
    for provider, names in BY_PROVIDER.items():
        for name in set(names).difference(OF_PLATFORM):
            region = _REGION_IN(name)
            host = HOSTS[provider].format(region=region[1] if region else REGION)
            expected[name] = (host, expected_model(provider, name))
            deployment = deployments[name]
            assert may_count(deployment.provider, deployment.upstream_model), name
            asked[name] = tuple(asked_by(deployment))
    assert asked == expected


async def test_claude_platform_on_aws_is_named_where_it_cannot_be_counted() -> None:
    upstream = FakeUpstream()
    entries = [{"model_name": name, "litellm_params": {"model": name}} for name in OF_PLATFORM]
    count_tokens = count_tokens_with(upstream, {"model_list": entries}, environ=ENVIRON)
    for name in OF_PLATFORM:
        with pytest.raises(CannotCount, match="Claude Platform on AWS"):
            await count_tokens.count({**HELLO, "model": name})
    assert upstream.requests == []
