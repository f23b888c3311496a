"""The region of a Bedrock entry that names none: ARNs, variables, and AWS's own files."""

import os
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.session import Session

from count_tokens_mw import Config
from count_tokens_mw.config.params.bedrock import BedrockParams

CLAUDE: Final = "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"
IN_OHIO: Final = "bedrock/us-east-2/anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE: Final = "arn:aws:bedrock:{}:123456789012:application-inference-profile/a1"
CONFIG: Final = """
[default]
region = eu-west-1
s3 =
    region = us-gov-west-1

[profile team]
region = eu-west-2
sso_session = ours

[profile without]
output = json

[sso-session ours]
sso_region = eu-west-3
"""
CREDENTIALS: Final = """
[team]
aws_access_key_id = a
aws_secret_access_key = s

[keys]
aws_access_key_id = a
aws_secret_access_key = s
region = ap-south-1

[default]
aws_access_key_id = a
aws_secret_access_key = s
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "config").write_text(CONFIG)
    (folder / "credentials").write_text(CREDENTIALS)
    return tmp_path


def region_of(
    environ: dict[str, str], variables: dict[str, str] | None = None, **params: Any
) -> str | None:
    """Return the region of an entry, or None if it has a problem."""
    entry = {"model_name": "m", "litellm_params": {"model": CLAUDE, **params}}
    data = {"model_list": [entry], "environment_variables": variables}
    (deployment,) = Config.from_mapping(data, environ).deployments
    if deployment.problem:
        assert "aws_region_name is missing" in deployment.problem
        return None
    assert isinstance(deployment.params, BedrockParams)
    return deployment.params.aws_region_name


@pytest.mark.parametrize("profile", [None, "default", "team", "without", "keys", "nobody"])
@pytest.mark.parametrize("variable", [None, "AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_the_region_is_that_of_botocores_session(
    profile: str | None, variable: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    if variable:
        monkeypatch.setenv(variable, "keys")
    expected = None
    if profile != "nobody":  # botocore refuses it
        expected = Session(profile=profile).get_config_variable("region")
    params: dict[str, Any] = {"aws_profile_name": profile} if profile else {}
    assert region_of(dict(os.environ), **params) == expected
    assert expected or profile in {"without", "nobody"}


def test_files_may_be_elsewhere(home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("[default]\nregion = sa-east-1\n")
    named = {"AWS_CONFIG_FILE": str(tmp_path / "elsewhere")}
    assert region_of(named) == "sa-east-1"
    assert region_of({**named, "AWS_SHARED_CREDENTIALS_FILE": "$X/credentials", "X": "/"}) == (
        "sa-east-1"
    )
    files = {"HOME": str(home), "AWS_CONFIG_FILE": "~/elsewhere"}
    assert region_of(files, aws_profile_name="keys") == "ap-south-1"
    assert region_of({**files, "AWS_CONFIG_FILE": "${HOME}/elsewhere"}) == "sa-east-1"
    assert region_of({"AWS_CONFIG_FILE": "~/elsewhere"}) is None
    assert region_of({"USERPROFILE": str(home)}) == "eu-west-1"


def test_the_variables_of_a_profile_are_the_processs_alone(home: Path) -> None:
    """The credentials' library does not see the file's either, and a warning says so."""
    assert region_of({"HOME": str(home)}, {"AWS_PROFILE": "team"}) == "eu-west-1"
    assert region_of({"HOME": str(home)}, {"AWS_REGION": "us-east-2"}) == "us-east-2"


@pytest.mark.parametrize("text", ["region", "[default]\nregion =\n", "[default", "\xff\x00"])
def test_a_file_without_a_region_leaves_the_entry_without_one(text: str, home: Path) -> None:
    (home / ".aws" / "credentials").unlink()
    (home / ".aws" / "config").write_text(text, encoding="latin-1")
    assert region_of({"HOME": str(home)}) is None


def test_a_change_of_the_file_is_seen_by_a_reload(home: Path) -> None:
    assert region_of({"HOME": str(home)}) == "eu-west-1"
    (home / ".aws" / "config").write_text("[default]\nregion = us-west-1\n")
    assert region_of({"HOME": str(home)}) == "us-west-1"


@pytest.mark.parametrize(
    ("params", "environ", "region"),
    [
        ({}, {"AWS_REGION_NAME": "us-east-2", "AWS_REGION": "us-west-2"}, "us-east-2"),
        ({}, {"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
        ({"aws_profile_name": "team"}, {"AWS_REGION": "us-east-2"}, "us-east-2"),
        ({"aws_region_name": "us-west-1"}, {"AWS_REGION": "us-east-2"}, "us-west-1"),
        ({"model_id": PROFILE.format("ca-central-1")}, {"AWS_REGION": "us-east-2"}, "ca-central-1"),
        (
            {"model_id": PROFILE.format("ca-central-1"), "aws_region_name": "us-west-1"},
            {},
            "us-west-1",
        ),
        (
            {
                "model_id": PROFILE.format("ca-central-1"),
                "model": IN_OHIO,
            },
            {},
            "ca-central-1",
        ),
        ({"model_id": "a1", "model": IN_OHIO}, {}, "us-east-2"),
        ({"model_id": "a1"}, {}, "eu-west-1"),
    ],
)
def test_the_entry_comes_first_then_variables_then_files(
    params: dict[str, Any], environ: dict[str, str], region: str, home: Path
) -> None:
    assert region_of({**environ, "HOME": str(home)}, **params) == region


def test_the_files_are_read_only_if_nothing_else_names_the_region(home: Path) -> None:
    unread = home / ".aws" / "config"
    unread.unlink()
    unread.mkdir()
    assert region_of({"HOME": str(home), "AWS_REGION": "us-east-2"}) == "us-east-2"
    assert region_of({"HOME": str(home)}) is None
