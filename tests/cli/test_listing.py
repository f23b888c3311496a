"""The listing of a check at 80 columns, and the models that providers are asked for."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from count_tokens_mw.__main__ import main
from demo_app.loopback import serving

WIDTH: Final = 80
LABELS: Final = 16
"""The columns before a deployment's values."""
CLAUDE: Final = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILES: Final = "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012"
LONG: Final = "arn:aws:iam::123456789012:role/" + "a-role-of-a-team-" * 5
BEDROCK: Final = {"aws_region_name": "us-gov-west-1", "api_key": "bedrock-key"}
PROFILE_OF_A_TEAM: Final = {
    "model_name": "teams/geography/claude-sonnet-4-5-with-a-long-context-window-and-a-longer-name",
    "litellm_params": {
        "model": f"bedrock/{PROFILES}:inference-profile/us-gov.{CLAUDE}",
        "aws_region_name": "us-gov-west-1",
        "aws_bedrock_runtime_endpoint": (
            "https://vpce-0123456789abcdef0-abcdefgh.bedrock-runtime.us-gov-west-1.vpce.amazonaws.com"
        ),
        "litellm_credential_name": "the-credential-of-the-team-for-geography-in-the-gateway",
        "order": 1_000_000,
        "weight": 0.5,
    },
    "model_info": {"id": "geography/us-gov-west-1/claude-sonnet-4-5-20250929/inference-profile/1"},
}
NAMES: Final[list[Any]] = [
    PROFILE_OF_A_TEAM["model_name"],
    "geography/us-gov-west-1/claude-sonnet-4-5-20250929/inference-profile/1",
    "order 1000000, weight 0.5",
    f"bedrock/{PROFILES}:inference-profile/us-gov.{CLAUDE}",
    f" {CLAUDE}\n",
    "vpce-0123456789abcdef0-abcdefgh.bedrock-runtime.us-gov-west-1.vpce.amazonaws.com",
    "(the-credential-of-the-team-for-geography-in-the-gateway)",
]


def write(tmp_path: Path, *entries: dict[str, Any], **sections: Any) -> str:
    """Write a configuration, and return its path."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"model_list": entries, **sections}))
    return str(path)


def entry(name: str, model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **params}}


def assert_fits(output: str) -> None:
    """Assert that a line is too wide only if a name in it is."""
    for line in output.splitlines():
        assert len(line) <= WIDTH or max(map(len, line.split())) > WIDTH - LABELS, line


def test_no_name_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "the-credential-of-the-team-for-geography-in-the-gateway"
    credential = {"credential_name": name, "credential_values": {"api_key": "bedrock-key"}}
    path = write(tmp_path, PROFILE_OF_A_TEAM, credential_list=[credential])
    assert main(["check", path]) == 0
    output = capsys.readouterr().out
    assert [name for name in NAMES if name not in output] == []
    assert_fits(output)


def test_problems_and_warnings_are_wrapped_between_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a-model-with-a-hyphen-and-a-name-that-nearly-fills-the-line-of-a-terminal"
    params = {"api_key": "os.environ/A_VARIABLE_OF_THE_GATEWAY_THAT_IS_NOT_SET", "vertex_projet": 1}
    path = write(tmp_path, entry(name, "anthropic/claude-x", **params))
    assert main(["check", path]) == 1
    output = capsys.readouterr().out
    assert output.count(f"({name}):") == 2
    assert "A_VARIABLE_OF_THE_GATEWAY_THAT_IS_NOT_SET" in output
    assert f"{path}: problems: 1\n  model_list[0]\n    ({name}):" in output
    assert_fits(output)


def test_an_upstreams_message_is_wrapped_below_a_state_that_needs_no_colour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        message = f"User: {LONG} is not\n  counted: authorized to perform: x:CountTokens " * 3
        body = json.dumps({"error": {"message": message}}).encode()
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": body})

    with serving(refusing) as url:
        path = write(tmp_path, entry("m", "anthropic/claude-x", api_key="k", api_base=url))
        assert main(["check", path, "--probe"]) == 1
    output = capsys.readouterr().out
    assert output.startswith("m\n  FAILED: 403 permission_error: User:\n      arn:")
    assert output.count(LONG) == 3
    assert not [line for line in output.splitlines() if line.startswith("  counted")]
    hint = "the credential lacks a permission; check its role or policy"
    assert f"    hint        {hint}\n" in output
    assert_fits(output)


def test_deployments_of_one_name_stand_in_one_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path,
        entry("sonnet", "anthropic/claude-x", api_key="k"),
        entry("gpt", "mistral/mistral-large"),
        entry("sonnet", f"bedrock/us-gov.{CLAUDE}", **BEDROCK),
        router_settings={"model_group_alias": {"fast": "sonnet"}},
    )
    assert main(["check", path]) == 0
    assert (
        capsys.readouterr().out
        == f"""\
sonnet
  configured
    deployment  sonnet#0
    model       anthropic/claude-x
    host        api.anthropic.com
    credential  litellm_params.api_key
  configured
    deployment  sonnet#2
    model       bedrock/us-gov.{CLAUDE}
    asked for   {CLAUDE}
    host        bedrock-runtime.us-gov-west-1.amazonaws.com
    credential  litellm_params.api_key

gpt
  cannot count: no counting API; answers 501
    deployment  gpt#1
    model       mistral/mistral-large

fast
  alias of sonnet
"""
    )


def test_the_model_that_a_provider_is_asked_for_stands_beside_the_configured_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    application_profile = f"{PROFILES}:application-inference-profile/a1"
    cases: list[tuple[str, dict[str, Any], str | None]] = [
        (f"bedrock/eu.{CLAUDE}", BEDROCK, CLAUDE),
        (f"bedrock/eu-west-1/{CLAUDE}", BEDROCK, CLAUDE),
        (f"bedrock/{PROFILES}:inference-profile/us-gov.{CLAUDE}", BEDROCK, CLAUDE),
        (f"bedrock/{application_profile}", {**BEDROCK, "base_model": CLAUDE}, CLAUDE),
        (f"bedrock/{application_profile}", BEDROCK, None),
        ("anthropic/claude-x", {"api_key": "k"}, "claude-x"),
        ("anthropic/claude-*", {"api_key": "k"}, None),
        ("mistral/mistral-large", {}, None),
    ]
    entries = [entry(f"m{n}", model, **params) for n, (model, params, _) in enumerate(cases)]
    aliases = {"model_group_alias": {"alias": "m0"}}
    path = write(tmp_path, *entries, router_settings=aliases)
    main(["check", path, "--json"])
    rows = json.loads(capsys.readouterr().out)["deployments"]
    assert [row["asked_model"] for row in rows] == [*(asked for _, _, asked in cases), None]
    main(["check", path])
    assert capsys.readouterr().out.count(f"    asked for   {CLAUDE}\n") == 4
