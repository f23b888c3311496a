"""Warnings of a file that loads: placeholders, keys, and chats that differ from their counts."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from count_tokens_mw import Config
from count_tokens_mw.__main__ import main
from count_tokens_mw.config.params.anthropic import AnthropicParams
from count_tokens_mw.config.params.bedrock import BedrockParams

FIRST = "model_list[0] (m): litellm_params"
PLACEHOLDER = "it still has a placeholder in it"
PROMPT = "LiteLLM adds to the prompt what no count has"


def entry(model: Any = "anthropic/claude-x", **params: Any) -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": model, "api_key": "k", **params}}


def warnings_of(*entries: dict[str, Any], **sections: Any) -> list[str]:
    data = {"model_list": list(entries), **sections}
    config = Config.from_mapping(data, {"URL": "https://{{ host }}"})
    assert all(not deployment.problem for deployment in config.deployments)
    return list(config.warnings)


# Placeholders


@pytest.mark.parametrize(
    "value",
    [
        "${ANTHROPIC_API_KEY}",
        "{{ANTHROPIC_API_KEY}}",
        "{{.Values.key}}",
        "<your-key>",
        "sk-${KEY}",
        "Bearer-os.environ/KEY",
    ],
)
def test_a_key_that_still_is_a_template_is_a_warning(value: str) -> None:
    assert warnings_of(entry(api_key=value)) == [f"{FIRST}.api_key: {PLACEHOLDER}"]


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"api_base": "https://os.environ/HOST"}, "api_base"),
        ({"model": "anthropic/<a-model>"}, "model"),
        ({"extra_headers": {"x-team": "${TEAM}"}}, "extra_headers.x-team"),
    ],
)
def test_other_values_and_headers_are_searched_too(params: dict[str, Any], key: str) -> None:
    assert warnings_of(entry(**params)) == [f"{FIRST}.{key}: {PLACEHOLDER}"]


def test_the_values_of_variables_and_credentials_are_searched_too() -> None:
    config = Config.from_mapping(
        {
            "model_list": [entry(), entry(api_key="os.environ/KEY", litellm_credential_name="c")],
            "credential_list": [
                {"credential_name": "c", "credential_values": {"api_base": "https://${HOST}"}}
            ],
        },
        {"KEY": "<key>"},
    )
    assert config.warnings[-2:] == (
        f"model_list[1] (m): litellm_params.api_key: {PLACEHOLDER}",
        f"credential_list[0] (c).credential_values.api_base: {PLACEHOLDER}",
    )


@pytest.mark.parametrize("value", ["sk-ant-$KEY", "{key}", "a<b", "$(KEY)", "os.environ", "}}{{"])
def test_other_characters_are_no_placeholder(value: str) -> None:
    assert warnings_of(entry(api_key=value)) == []


# Keys


def test_only_mistakes_make_the_check_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    sound = entry(a_key_of_tomorrow=1, prompt_id="p")
    for key, status in (("vertex_projct", 1), ("aws_session_tags", 0)):
        path.write_text(yaml.safe_dump({"model_list": [sound, entry(**{key: 1})]}))
        assert main(["check", str(path), "--json"]) == status
        assert json.loads(capsys.readouterr().out)["ok"] is (status == 0)


@pytest.mark.parametrize("key", ["prompt_id", "vector_store_ids"])
def test_a_key_that_adds_to_the_prompt_is_a_warning(key: str) -> None:
    assert warnings_of(entry(**{key: ["a"]}), entry(**{key: ["a"]})) == [
        f"{FIRST}.{key}: {PROMPT} (also in 1 more)"
    ]
    assert warnings_of(entry(**{key: None})) == []


# Chats that go elsewhere


def test_a_completion_model_is_a_warning() -> None:
    (warning,) = warnings_of(entry(), general_settings={"completion_model": "gpt"})
    assert warning.startswith("general_settings.completion_model: LiteLLM's proxy sends every chat")
    assert warnings_of(entry(), general_settings={"completion_model": None}) == []
    assert warnings_of(entry(), general_settings=["completion_model"]) == []


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("litellm_settings", "api_base"),
        ("litellm_settings", "vertex_project"),
        ("litellm_settings", "vertex_location"),
        ("router_settings", "default_litellm_params"),
    ],
)
def test_a_default_of_chats_is_a_warning(section: str, key: str) -> None:
    (warning,) = warnings_of(entry(), **{section: {key: {"api_base": "https://a.example"}}})
    assert warning.startswith(f"{section}.{key}: a default of LiteLLM's chats, and of no count")
    assert warnings_of(entry(), **{section: {key: ""}}) == []


def test_different_models_of_one_name_told_apart_by_tags_are_a_warning() -> None:
    free, paid = entry("anthropic/claude-a", tags=["free"]), entry("claude-b", tags=["paid"])
    (warning,) = warnings_of(free, paid)
    assert warning.startswith("model_list[0].litellm_params.tags: LiteLLM selects among the")
    assert warnings_of(free, free) == []
    assert warnings_of(free, paid | {"model_name": "n"}) == []
    assert warnings_of(entry("anthropic/claude-a"), entry("anthropic/claude-b")) == []


# Precedence of variables


def params_of(
    environ: dict[str, str], variables: dict[str, str], **params: Any
) -> AnthropicParams | BedrockParams:
    model = params.pop("model", "anthropic/claude-x")
    data = {
        "model_list": [{"model_name": "m", "litellm_params": {"model": model, **params}}],
        "environment_variables": variables,
    }
    (deployment,) = Config.from_mapping(data, environ).deployments
    assert isinstance(deployment.params, AnthropicParams | BedrockParams)
    return deployment.params


def test_a_reference_is_the_processs_variable_and_then_the_files() -> None:
    process, file = {"KEY": "process"}, {"KEY": "file", "OTHER": "file"}
    for name, value in (("KEY", "process"), ("OTHER", "file")):
        params = params_of(process, file, api_key=f"os.environ/{name}")
        assert params.api_key is not None
        assert params.api_key.get_secret_value() == value


def test_a_default_is_the_files_variable_and_then_the_processs() -> None:
    process = {"ANTHROPIC_API_KEY": "process", "AWS_REGION": "us-east-1"}
    for file, value in (({"ANTHROPIC_API_KEY": "file"}, "file"), ({}, "process")):
        params = params_of(process, file)
        assert params.api_key is not None
        assert params.api_key.get_secret_value() == value
    bedrock = {"model": "bedrock/anthropic.claude-x"}
    for file, value in (({"AWS_REGION": "eu-west-1"}, "eu-west-1"), ({}, "us-east-1")):
        params = params_of(process, file, **bedrock)
        assert isinstance(params, BedrockParams)
        assert params.aws_region_name == value


def test_a_variable_of_the_file_may_refer_to_one_of_the_process() -> None:
    params = params_of({"TEAM": "process"}, {"KEY": "os.environ/TEAM"}, api_key="os.environ/KEY")
    assert params.api_key is not None
    assert params.api_key.get_secret_value() == "process"
