"""The configuration that is read from a file, and the problems of an unusable one."""

from pathlib import Path
from typing import Any

import pytest

from count_tokens_mw import Config, ConfigError, CountTokens
from count_tokens_mw.config.params.anthropic import AnthropicParams

KEY = {"ANTHROPIC_API_KEY": "sk-ant-api03-key"}
ENDLESS = "a YAML alias refers to itself"
SECRET = "sk-ant-api03-in-the-file"


def entry(name: str = "claude", **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": "anthropic/claude-x", **params}}


def problems_of(data: Any, environ: dict[str, str] = KEY) -> tuple[str, ...]:
    if isinstance(data, dict) and isinstance(data.get("count_tokens", {}), dict):
        data = {**data, "count_tokens": {"strict": True, **data.get("count_tokens", {})}}
    with pytest.raises(ConfigError) as raised:
        Config.from_mapping(data, environ)
    assert SECRET not in str(raised.value)
    return raised.value.problems


def params_of(data: dict[str, Any], environ: dict[str, str] = KEY) -> AnthropicParams:
    (deployment,) = Config.from_mapping({"model_list": [data]}, environ).deployments
    assert isinstance(deployment.params, AnthropicParams)
    return deployment.params


def test_an_entry_becomes_a_deployment() -> None:
    data = {**entry(api_key=SECRET, timeout=5), "model_info": {"id": "mine"}}
    (deployment,) = Config.from_mapping({"model_list": [data]}, {}).deployments
    assert (deployment.id, deployment.model_name) == ("mine", "claude")
    assert (deployment.provider, deployment.upstream_model) == ("anthropic", "claude-x")
    assert deployment.params is not None
    assert deployment.params.timeout == 5
    assert SECRET not in repr(deployment)


def test_a_claude_model_without_a_provider_is_anthropics() -> None:
    data = {"model_name": "c", "litellm_params": {"model": "claude-3-5-sonnet-20241022"}}
    (deployment,) = Config.from_mapping({"model_list": [data]}, KEY).deployments
    assert (deployment.provider, deployment.upstream_model) == (
        "anthropic",
        "claude-3-5-sonnet-20241022",
    )


def test_the_key_defaults_to_the_variable_and_nothing_else_does() -> None:
    environ = {
        **KEY,
        "ANTHROPIC_AUTH_TOKEN": "other",
        "ANTHROPIC_BASE_URL": "https://other.example",
        "ANTHROPIC_API_BASE": "https://other.example",
    }
    params = params_of(entry(), environ)
    assert params.api_key is not None
    assert params.api_key.get_secret_value() == KEY["ANTHROPIC_API_KEY"]
    assert params.auth_token is None
    assert params.api_base == "https://api.anthropic.com"


def test_a_provider_that_is_named_apart_wins_over_the_models_name() -> None:
    data = entry(model="claude-x", custom_llm_provider="databricks")
    (deployment,) = Config.from_mapping({"model_list": [data]}, KEY).deployments
    assert (deployment.provider, deployment.params) == ("databricks", None)


def test_a_key_that_is_left_empty_is_a_key_that_is_not_there() -> None:
    data = {**entry(api_base=None, extra_headers=None, timeout=None), "model_info": None}
    assert params_of(data) == params_of(entry())
    empty = {"model_list": None, "count_tokens": {"timeout": None}}
    assert Config.from_mapping(empty, {}).settings.timeout == 20


def test_no_credential_shows_in_repr_wherever_it_stands() -> None:
    data = entry(api_key=SECRET, extra_headers={"authorization": SECRET})
    config = Config.from_mapping({"model_list": [data], "count_tokens": {}}, {})
    assert SECRET not in repr(config)


def test_the_default_key_does_not_join_another_credential() -> None:
    assert params_of(entry(auth_token="token")).api_key is None


def test_a_server_of_ones_own_may_ask_for_no_credential() -> None:
    params = params_of(entry(api_base="http://127.0.0.1:8080"), {})
    assert (params.api_key, params.auth_token) == (None, None)


def test_references_are_resolved_anywhere() -> None:
    environ = {"KEY": SECRET, "BASE": "https://h.example/v1", "T": "7.5", "H": "v", "M": "9"}
    data = {
        "model_list": [
            entry(
                model="os.environ/MODEL",
                api_key="os.environ/KEY",
                api_base="os.environ/BASE",
                timeout="os.environ/T",
                extra_headers={"X-Tenant": "os.environ/H"},
            )
        ],
        "count_tokens": {"max_body_bytes": "os.environ/M"},
    }
    config = Config.from_mapping(data, {**environ, "MODEL": "anthropic/claude-y"})
    (deployment,) = config.deployments
    assert deployment.upstream_model == "claude-y"
    assert isinstance(deployment.params, AnthropicParams)
    assert deployment.params.model_dump(exclude={"api_key"}, exclude_none=True) == {
        "api_base": "https://h.example",
        "timeout": 7.5,
        "extra_headers": {"x-tenant": "v"},
    }
    assert config.settings.max_body_bytes == 9


def test_other_sections_and_other_providers_are_left_alone() -> None:
    """Their references may name variables that only LiteLLM's proxy has."""
    config = Config.from_mapping(
        {
            "model_list": [
                {
                    "model_name": "gpt",
                    "litellm_params": {
                        "model": "mistral/mistral-large",
                        "api_key": "os.environ/NOT_SET",
                    },
                }
            ],
            "general_settings": {"master_key": "os.environ/NOT_SET"},
            "litellm_settings": {"drop_params": True},
        },
        {},
    )
    (deployment,) = config.deployments
    assert (deployment.provider, deployment.params) == ("mistral", None)


def test_the_settings_have_the_documented_defaults() -> None:
    settings = Config.from_mapping({}, {}).settings
    assert settings.model_dump() == {
        "timeout": 20,
        "upload_timeout": None,
        "cooldown": 30,
        "omissions": "allow",
        "strict": False,
        "cache": {"ttl": 300, "max_entries": 10_000, "scope": "shared", "url": None},
        "http": {
            "max_connections": None,
            "keepalive_expiry": 30,
            "proxy": None,
            "ca_file": None,
            "client_cert": None,
            "trust_env": False,
        },
        "max_body_bytes": 32 * 1024 * 1024,
        "max_total_bytes": 128 * 1024 * 1024,
        "max_concurrency": 256,
        "end_user_headers": ("x-end-user-id", "x-litellm-customer-id", "x-litellm-end-user-id"),
        "end_user_safety_identifier": False,
        "breakdown": {"max_counts": 500, "max_concurrency": 8, "timeout": 60},
        "passthrough": {"anthropic": None},
    }


@pytest.mark.parametrize(
    ("section", "environ", "is_on"),
    [
        ({}, {}, False),
        ({}, {"ANTHROPIC_API_KEY": ""}, False),
        ({}, KEY, True),
        ({"passthrough": {}}, KEY, True),
        ({"passthrough": {"anthropic": {}}}, KEY, True),
        ({"passthrough": {"anthropic": None}}, KEY, True),
        ({"passthrough": {"anthropic": False}}, KEY, False),
        ({"passthrough": False}, KEY, False),
        ({"passthrough": None}, KEY, True),
        (None, KEY, True),
        ({"passthrough": {"anthropic": {"forward_client_credentials": "x-api-key"}}}, {}, True),
        ({"passthrough": {"anthropic": {"forward_client_credentials": False}}}, KEY, True),
    ],
)
def test_the_passthrough_is_on_where_it_is_configured_or_has_a_key(
    section: dict[str, Any] | None, environ: dict[str, str], is_on: bool
) -> None:
    config = Config.from_mapping({"count_tokens": section}, environ)
    assert (config.settings.passthrough.anthropic is not None) is is_on


ENTRY = "model_list[0] (claude): litellm_params"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (entry(api_key="os.environ/NOPE"), f"{ENTRY}.api_key: the environment variable NOPE"),
        (entry(extra_headers={"a": "os.environ/NOPE"}), f"{ENTRY}.extra_headers.a: the environm"),
        (entry(model="os.environ/NOPE"), f"{ENTRY}.model: the environment variable NOPE is not"),
        (entry(model=None), f"{ENTRY}.model: a string is required"),
        (entry(api_key=12345), f"{ENTRY}.api_key: Input should be a valid string"),
        (entry(api_key=""), f"{ENTRY}.api_key: empty"),
        (entry(api_key=f"{SECRET} x"), f"{ENTRY}.api_key: empty, or not visible ASCII"),
        (entry(api_key=SECRET, auth_token=SECRET), f"{ENTRY}: api_key and auth_token are both"),
        (entry(timeout="soon"), f"{ENTRY}.timeout: Input should be a valid number"),
        (entry(timeout=True), f"{ENTRY}.timeout: a number is required"),
        (entry(timeout=0), f"{ENTRY}.timeout: Input should be greater than 0"),
        (entry(timeout=float("inf")), f"{ENTRY}.timeout: Input should be a finite number"),
        (entry(api_base="h.example"), f"{ENTRY}.api_base: a URL is required"),
        (entry(api_base="ftp://h.example"), f"{ENTRY}.api_base: a URL is required"),
        (entry(api_base="https://[h/"), f"{ENTRY}.api_base: a URL is required"),
        (entry(api_base="https://h/a b"), f"{ENTRY}.api_base: a URL is required"),
        (entry(api_base="https://"), f"{ENTRY}.api_base: a URL is required"),
        (entry(api_base="https://h.example/#a"), f"{ENTRY}.api_base: the URL has more than"),
        (entry(api_base="https://a..b/"), f"{ENTRY}.api_base: a URL is required"),
        (entry(api_base=f"https://{'h' * 64}.example"), f"{ENTRY}.api_base: a URL is required"),
        (entry(litellm_credential_name="team"), f"{ENTRY}.litellm_credential_name: no entry of"),
        (
            {**entry(), "model_info": {"id": "passthrough/anthropic"}},
            "model_list[0] (claude): model_info.id: the pass-through has the same id; choose",
        ),
        (entry(api_base="https://h.example/?a=b"), f"{ENTRY}.api_base: the URL has more than"),
        (entry(api_base=f"https://u:{SECRET}@h/"), f"{ENTRY}.api_base: the URL has more than"),
        (entry(api_base="https://h:port/"), f"{ENTRY}.api_base: a URL is required"),
        (entry(extra_headers={"a b": "c"}), f"{ENTRY}.extra_headers: a header has invalid"),
        (entry(extra_headers={"a": "c\r\nd: e"}), f"{ENTRY}.extra_headers: a header has"),
        (entry(extra_headers={"Content-Length": "1"}), f"{ENTRY}.extra_headers: Content-Length"),
        (entry(extra_headers=["a"]), f"{ENTRY}.extra_headers: Input should be a valid"),
        ({"model_name": "claude"}, "model_list[0].litellm_params: Field required"),
        ({"litellm_params": {}}, "model_list[0].model_name: Field required"),
        ("claude", "model_list[0]: Input should be a valid dictionary"),
    ],
)
def test_a_problem_of_an_entry_names_the_entry_and_the_key(data: Any, problem: str) -> None:
    (actual,) = problems_of({"model_list": [data]})
    assert actual.startswith(problem)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"tiemout": 5}, "count_tokens.tiemout: unknown key; did you mean timeout?"),
        ({"timeout": "os.environ/NOPE"}, "count_tokens.timeout: the environment variable NOPE"),
        ({"timeout": -1}, "count_tokens.timeout: Input should be greater than 0"),
        ({"max_body_bytes": 0}, "count_tokens.max_body_bytes: Input should be greater than 0"),
        ({"max_concurrency": False}, "count_tokens.max_concurrency: a number is required"),
        ({"end_user_headers": "x"}, "count_tokens.end_user_headers: Input should be a valid"),
        ({"end_user_headers": ["a b"]}, "count_tokens.end_user_headers.0: not a header name"),
        ({"passthrough": []}, "count_tokens.passthrough: Input should be a valid dictionary"),
        ({"passthrough": "on"}, "count_tokens.passthrough: Input should be a valid dictionary"),
        (
            {"passthrough": {"openai": {}}},
            "count_tokens.passthrough.openai: unknown key",
        ),
        (
            {"passthrough": {"anthropic": {"api_bse": "https://h"}}},
            "count_tokens.passthrough.anthropic.api_bse: unknown key",
        ),
        (
            {
                "passthrough": {
                    "anthropic": {"api_key": SECRET, "forward_client_credentials": "x-api-key"}
                }
            },
            "count_tokens.passthrough.anthropic: forward_client_credentials excludes a credential",
        ),
        (
            {
                "passthrough": {
                    "anthropic": {
                        "extra_headers": {"X-Api-Key": SECRET},
                        "forward_client_credentials": "authorization",
                    }
                }
            },
            "count_tokens.passthrough.anthropic: forward_client_credentials excludes a credential",
        ),
        ([], "count_tokens: Input should be a valid dictionary"),
        (False, "count_tokens: Input should be a valid dictionary"),
        ("fast", "count_tokens: Input should be a valid dictionary"),
    ],
)
def test_our_own_section_is_strict(section: Any, problem: str) -> None:
    (actual,) = problems_of({"count_tokens": section})
    assert actual.startswith(problem)


@pytest.mark.parametrize(
    "value", [True, "true", "yes", "cookie", 1, 0, {}, [True], ["authorization", "cookie"], [[]]]
)
def test_what_is_forwarded_has_to_be_named_by_its_header(value: Any) -> None:
    passthrough = {"anthropic": {"forward_client_credentials": value}}
    (problem,) = problems_of({"count_tokens": {"passthrough": passthrough}}, {})
    place = "count_tokens.passthrough.anthropic.forward_client_credentials"
    assert problem.startswith(
        f"{place}: not a header in which callers may send their own credential "
    )
    assert "authorization, x-api-key, or a list of both" in problem


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        ("authorization", ("authorization",)),
        ("X-Api-Key", ("x-api-key",)),
        (["x-api-key", "Authorization", "X-API-KEY"], ("x-api-key", "authorization")),
        ("os.environ/WHICH", ("authorization",)),
        ([], ()),
        (False, ()),
        (None, ()),
    ],
)
def test_what_is_forwarded_may_be_one_header_or_both(value: Any, headers: tuple[str, ...]) -> None:
    passthrough = {"anthropic": {"forward_client_credentials": value}}
    environ = {**KEY, "WHICH": "Authorization"}
    config = Config.from_mapping({"count_tokens": {"passthrough": passthrough}}, environ)
    params = config.settings.passthrough.anthropic
    assert params is not None
    assert params.forward_client_credentials == headers
    assert (params.api_key is None) is bool(headers)


def test_without_any_key_the_entry_and_the_passthrough_say_so() -> None:
    data = {"model_list": [entry()], "count_tokens": {"passthrough": {"anthropic": {}}}}
    assert problems_of(data, {}) == (
        "count_tokens.passthrough.anthropic: api_key is missing; set it or ANTHROPIC_API_KEY",
        f"{ENTRY}: api_key is missing; set it or ANTHROPIC_API_KEY",
    )


SAME_ID = "model_list[2] (b) has the same id; choose another"
NO_NUMBER = "Input should be a valid number, unable to parse string as a number"


def test_all_problems_of_a_file_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        """
        model_list:
          - {model_name: a, litellm_params: {model: anthropic/x, api_key: os.environ/A, timeout: 0}}
          - {model_name: b, litellm_params: {model: anthropic/x, timeout: soon}}
          - {model_name: b, litellm_params: {model: anthropic/x}, model_info: {id: i}}
          - {model_name: c, litellm_params: {model: anthropic/x}, model_info: {id: i}}
        count_tokens: {retries: 3, timeout: os.environ/T}
        """
    )
    with pytest.raises(ConfigError) as raised:
        CountTokens.from_yaml(path, environ=KEY)
    assert str(raised.value).splitlines() == [
        f"{path}: count_tokens.timeout: the environment variable T is not set",
        f"{path}: count_tokens.retries: unknown key",
        f"{path}: model_list[0] (a): litellm_params.api_key: the environment variable A is not set",
        f"{path}: model_list[0] (a): litellm_params.timeout: Input should be greater than 0",
        f"{path}: model_list[1] (b): litellm_params.timeout: {NO_NUMBER}",
        f"{path}: model_list[3] (c): model_info.id: {SAME_ID}",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a mapping with model_list is required"),
        ("- a", "a mapping with model_list is required"),
        ("model_list: {a: b}", "model_list: a list is required"),
        (f"a: b\nkey: @{SECRET}\nc: d", "cannot be read as YAML at line 2"),
        ("a: \x00", "cannot be read as YAML"),
        ("general_settings: {start: 2026-02-30}", "cannot be read as YAML"),
        (f"a: !!int {SECRET}", "cannot be read as YAML"),
        (f"a: !!timestamp {SECRET}", "cannot be read as YAML"),
        ("model_list: []\ncount_tokens: &a {passthrough: *a}", f"count_tokens: {ENDLESS}"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        Config.from_yaml(path, KEY)
    assert str(raised.value) == f"{path}: {problem}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        Config.from_yaml(tmp_path / "nowhere.yaml")


def test_without_an_environment_the_processs_own_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-from-the-process")
    (deployment,) = Config.from_mapping({"model_list": [entry()]}).deployments
    assert isinstance(deployment.params, AnthropicParams)
    assert deployment.params.api_key is not None
    assert deployment.params.api_key.get_secret_value() == "sk-from-the-process"
