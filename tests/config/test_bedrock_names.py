"""Every name of a Bedrock model in LiteLLM's documentation, and the model that is asked for it."""

from typing import Any, Final

import pytest
import yaml

from count_tokens_mw import CannotCount, Config, Deployment
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from tests.facts import FOLDER
from tests.support.asked import asked_by
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

PAGES: Final[dict[str, dict[str, str]]] = yaml.safe_load(
    (FOLDER / "bedrock_spellings.yaml").read_text(encoding="utf-8")
)
ROWS: Final = {name: outcome for rows in PAGES.values() for name, outcome in rows.items()}
COUNTED: Final = {
    name: outcome for name, outcome in ROWS.items() if outcome not in ("base_model", "none")
}
UNNAMED: Final = [name for name, outcome in ROWS.items() if outcome == "base_model"]
NEVER: Final = [name for name, outcome in ROWS.items() if outcome == "none"]
ENVIRON: Final = {"AWS_REGION": "us-west-2"}
PROFILE: Final = "arn:aws:bedrock:eu-central-1:000000000000:application-inference-profile/a0a0"
FEWEST: Final = 120


def entry(name: str, info: dict[str, str] | None = None, **params: str) -> dict[str, Any]:
    litellm_params = {"model": name, **params}
    return {"model_name": name, "litellm_params": litellm_params, "model_info": info or {}}


def config_of(*entries: dict[str, Any]) -> Config:
    config = Config.from_mapping({"model_list": [*entries]}, ENVIRON)
    assert config.warnings == ()
    return config


def outcome_of(deployment: Deployment) -> str:
    """Return the API and the model that a deployment asks, as in the table."""
    host, model = asked_by(deployment)
    return f"{host.partition('.')[0].removeprefix('bedrock-')} {model}"


def test_the_table_has_every_kind_of_name_once() -> None:
    assert len(ROWS) == sum(map(len, PAGES.values())) >= FEWEST
    assert {outcome.partition(" ")[0] for outcome in ROWS.values()} == {
        "base_model",
        "mantle",
        "none",
        "runtime",
    }


def test_a_name_with_claude_in_it_leads_to_its_model() -> None:
    config = config_of(*map(entry, COUNTED))
    outcomes = {each.model_name: outcome_of(each) for each in config.deployments}
    assert outcomes == COUNTED


def test_a_name_that_a_caller_chooses_under_a_wildcard_leads_to_the_same_model() -> None:
    router = ConfigSnapshot(config_of(entry("bedrock/*"), entry("bedrock_mantle/*"))).router
    prefixed = {name: COUNTED[name] for name in COUNTED if name.startswith("bedrock")}
    outcomes = {name: outcome_of(router.find(router.name_of(name))[0]) for name in prefixed}
    assert outcomes == prefixed


@pytest.mark.parametrize("name", UNNAMED)
def test_an_arn_that_does_not_name_its_model_is_counted_by_its_base_model(name: str) -> None:
    (deployment,) = config_of(entry(name)).deployments
    with pytest.raises(CannotCount, match=r"set model_info\.base_model"):
        asked_by(deployment)
    for base_model in ("bedrock/us.anthropic.claude-sonnet-5", "in.anthropic.claude-sonnet-5"):
        (deployment,) = config_of(entry(name, {"base_model": base_model})).deployments
        assert outcome_of(deployment) == "runtime anthropic.claude-sonnet-5"


@pytest.mark.parametrize("model_id", ["provisioned-model-arn", PROFILE])
def test_an_id_that_litellm_calls_does_not_change_the_model(model_id: str) -> None:
    for name in ("bedrock/anthropic.claude-instant-v1", "bedrock/us.anthropic.claude-sonnet-5"):
        (deployment,) = config_of(entry(name, model_id=model_id)).deployments
        assert outcome_of(deployment) == ROWS[name]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("bedrock/claude_platform/claude-sonnet-4-6", {"workspace_id": "workspace-id"}),
        (
            "bedrock/agentcore/arn:aws:bedrock-agentcore:us-west-2:1:runtime/my-agent-runtime",
            {"qualifier": "production"},
        ),
        (
            "bedrock/converse_like/some-model",
            {"api_base": "https://some-api-url/models", "api_key": "sk-1234"},
        ),
    ],
)
def test_documented_parameters_of_a_model_that_none_counts_are_no_problem(
    name: str, params: dict[str, Any]
) -> None:
    (deployment,) = config_of(entry(name, **params)).deployments
    assert deployment.problem is None


async def test_no_upstream_is_asked_for_a_model_that_none_counts() -> None:
    """It is no fault of the configuration either, because the host serves the model."""
    config_of(*map(entry, NEVER))
    upstream = FakeUpstream()
    config = {"model_list": [*map(entry, NEVER)]}
    count_tokens = count_tokens_with(upstream, config, environ=ENVIRON)
    for name in NEVER:
        with pytest.raises(CannotCount) as raised:
            await count_tokens.count({**HELLO, "model": name})
        assert "base_model" not in raised.value.message, name
    assert upstream.requests == []
