"""Faults of single entries: the file loads, the entry's callers learn it, and all others count."""

import json
import logging
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from count_tokens_mw import Config, ConfigError, CountTokens
from count_tokens_mw.__main__ import main
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with, mounted
from tests.support.work import counted

SECRET: Final = "sk-ant-api03-canary"
CLAUDE: Final = "anthropic/claude-sonnet-4-5"
BEDROCK: Final = "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"
SOUND: Final = {"model": CLAUDE, "api_key": "k", "order": 2}
NOT_CONFIGURED: Final = "This gateway is not configured for this model."


def broken(
    model: str = CLAUDE, *, model_info: dict[str, Any] | None = None, **params: Any
) -> dict[str, Any]:
    """Return an entry that is tried before the sound one."""
    entry = {"model_name": "broken", "litellm_params": {"model": model, "order": 1, **params}}
    return entry if model_info is None else {**entry, "model_info": model_info}


ENDLESS: Final[dict[str, Any]] = {}
ENDLESS["x"] = ENDLESS

# Each: an entry with a fault, and what its problem says.
FAULTS: Final[dict[str, tuple[Any, str]]] = {
    "unset key": (broken(api_key="os.environ/UNSET"), "variable UNSET is not set"),
    "unset URL": (broken(api_key="k", api_base="os.environ/UNSET"), "UNSET is not set"),
    "unset timeout": (broken(api_key="k", timeout="os.environ/UNSET"), "UNSET is not set"),
    "unset order": (broken(api_key="k", order="os.environ/UNSET"), "UNSET is not set"),
    "unset model": (broken("os.environ/UNSET", api_key="k"), "UNSET is not set"),
    "unset provider": (
        broken("claude-x", api_key="k", custom_llm_provider="os.environ/UNSET"),
        "UNSET is not set",
    ),
    "unset header": (
        broken(api_key="k", extra_headers={"x-team": "os.environ/UNSET"}),
        "extra_headers.x-team: the environment variable UNSET is not set",
    ),
    "unset region": (broken(BEDROCK, aws_region_name="os.environ/UNSET"), "UNSET is not set"),
    "unset id": (broken(api_key="k", model_info={"id": "os.environ/UNSET"}), "UNSET is not set"),
    "unset key of a credential": (
        broken(litellm_credential_name="unset"),
        "credential_list[0] (unset).credential_values.api_key: the environment variable UNSET",
    ),
    "no region": (broken(BEDROCK), "aws_region_name is missing"),
    "no location": (broken("vertex_ai/claude-x", vertex_project="p"), "vertex_location is missing"),
    "no key": (broken(), "api_key is missing"),
    "no key of Gemini": (broken("gemini/gemini-3-pro"), "api_key is missing"),
    "no key of Foundry": (
        broken("azure_ai/claude-x", api_base="https://r.services.ai.azure.com"),
        "api_key is missing",
    ),
    "no resource of Foundry": (broken("azure_ai/claude-x", api_key="k"), "api_base is missing"),
    "half a pair": (
        broken(BEDROCK, aws_region_name="us-east-1", aws_access_key_id=SECRET),
        "are a pair; set both",
    ),
    "no key file": (
        broken(
            "vertex_ai/claude-x",
            vertex_project="p",
            vertex_location="us-east5",
            vertex_credentials="/nowhere/key.json",
        ),
        "vertex_credentials: the file cannot be read: No such file or directory",
    ),
    "key file of another kind": (
        broken("vertex_ai/claude-x", vertex_location="us-east5", vertex_credentials="{" + SECRET),
        "neither JSON nor the path of a JSON file",
    ),
    "unknown credential": (
        broken(litellm_credential_name="unste"),
        "no entry of credential_list has this name; did you mean unset?",
    ),
    "empty key": (broken(api_key=""), "api_key: empty, or not visible ASCII"),
    "blank key": (broken(api_key=" \n"), "api_key: empty, or not visible ASCII"),
    "empty variable": (broken(api_key="os.environ/EMPTY"), "api_key: empty, or not visible"),
    "key in two words": (broken(api_key=f"{SECRET} x"), "api_key: empty, or not visible"),
    "duplicate id": (
        broken(api_key="k", model_info={"id": "sound"}),
        "model_info.id: model_list[0] (sound) has the same id; choose another",
    ),
    "id of the pass-through": (
        broken(api_key="k", model_info={"id": "passthrough/anthropic"}),
        "model_info.id: the pass-through has the same id; choose another",
    ),
    "number for a name": (
        {**broken(api_key="k"), "model_name": 4.5},
        "model_name: Input should be a valid string",
    ),
    "no params": ({"model_name": "broken"}, "litellm_params: Field required"),
    "params that are a list": ({"model_name": "broken", "litellm_params": [CLAUDE]}, "dictionary"),
    "no model": ({"model_name": "broken", "litellm_params": {"api_key": "k"}}, "a string is"),
    "model that is a number": (broken(4, api_key="k"), "a string is required"),  # type: ignore[arg-type]
    "timeout of 0": (broken(api_key="k", timeout=0), "timeout: Input should be greater than 0"),
    "weight in words": (broken(api_key="k", weight="heavy"), "weight: Input should be a valid"),
    "URL that is none": (broken(api_key="k", api_base=SECRET), "api_base: a URL is required"),
    "info that is a list": (
        {**broken(api_key="k"), "model_info": [SECRET]},
        "model_info: Input should be a valid dictionary",
    ),
    "endless": (broken(api_key="k", extra_headers=ENDLESS), "refers to itself"),
}
CREDENTIALS: Final = [
    {"credential_name": "unset", "credential_values": {"api_key": "os.environ/UNSET"}}
]


def file_with(*entries: Any) -> dict[str, Any]:
    sound = {"model_name": "sound", "litellm_params": SOUND, "model_info": {"id": "sound"}}
    return {"model_list": [sound, *entries], "credential_list": CREDENTIALS}


def loaded(
    upstream: FakeUpstream, data: dict[str, Any], **environ: str
) -> tuple[Config, CountTokens]:
    environ = {"EMPTY": "", **environ}
    return Config.from_mapping(data, environ), count_tokens_with(upstream, data, environ=environ)


async def ask(count_tokens: CountTokens, model: str) -> tuple[int, dict[str, Any]]:
    """Return status and body of a count; a refusal must not be retried and must not disclose."""
    async with mounted(count_tokens) as client:
        answer = await client.post("/v1/messages/count_tokens", json={**HELLO, "model": model})
    if answer.status_code == 500:
        assert answer.headers["x-should-retry"] == "false"
        assert answer.json()["error"] == {"type": "api_error", "message": NOT_CONFIGURED}
    body: dict[str, Any] = answer.json()
    return answer.status_code, body


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_an_entry_is_that_entrys(
    fault: str, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    entry, problem = FAULTS[fault]
    name = str(entry["model_name"])
    # Keys of the process's must not take the place of the entry's.
    environ = {"ANTHROPIC_API_KEY": "k"} if "no key" not in fault else {}
    config, count_tokens = loaded(upstream, file_with(entry), **environ)
    assert await ask(count_tokens, "sound") == (200, {"input_tokens": 14})
    assert (await ask(count_tokens, name))[0] == 500
    assert len(upstream.requests) == 1
    deployment = config.deployments[1]
    assert problem in (deployment.problem or "")
    assert deployment.params is None
    warnings = config.warnings
    assert any(problem in warning for warning in warnings)
    assert SECRET not in caplog.text
    assert SECRET not in repr(config)
    assert all(warning in caplog.text for warning in warnings)


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_next_deployment_of_the_name_takes_over(
    fault: str, upstream: FakeUpstream
) -> None:
    entry, _ = FAULTS[fault]
    name = str(entry["model_name"])
    second = {"model_name": name, "litellm_params": SOUND}
    _, count_tokens = loaded(upstream, file_with(entry, second))
    assert (await ask(count_tokens, name))[0] == 200
    assert upstream.request.headers["x-api-key"] == "k"


@pytest.mark.parametrize("fault", FAULTS)
def test_strict_refuses_the_whole_file(fault: str) -> None:
    entry, problem = FAULTS[fault]
    data = {**file_with(entry), "count_tokens": {"strict": True}}
    with pytest.raises(ConfigError) as raised:
        Config.from_mapping(data, {"EMPTY": ""})
    assert problem in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"endless"}))
def test_the_check_fails_and_names_the_fault(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "")
    entry, problem = FAULTS[fault]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(file_with(entry)))
    assert main(["check", str(path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert any(problem in text for text in report["problems"])
    (row,) = (row for row in report["deployments"] if row["model_name"] != "sound")
    assert row["state"] == "problem"
    assert problem in row["words"]


# Entries that have no name, or are none


@pytest.mark.parametrize("item", [None, [], "anthropic/claude-x", 7, {}, {"litellm_params": SOUND}])
async def test_an_entry_that_is_no_mapping_or_has_no_name_is_a_warning(
    item: Any, upstream: FakeUpstream
) -> None:
    config, count_tokens = loaded(upstream, file_with(item))
    assert await ask(count_tokens, "sound") == (200, {"input_tokens": 14})
    assert len(config.deployments) == 1
    (warning, *_) = config.warnings
    assert warning.startswith("model_list[1]")


# Aliases and settings


@pytest.mark.parametrize("target", [None, [], ["sound"], {}, {"hidden": True}, 7, "", [SECRET]])
async def test_an_alias_to_no_name_is_that_aliass_fault(
    target: Any, upstream: FakeUpstream
) -> None:
    aliases = {"model_group_alias": {"fast": target, "slow": "sound"}}
    star = {"model_name": "*", "litellm_params": SOUND}
    config, count_tokens = loaded(upstream, {**file_with(star), "router_settings": aliases})
    assert (await ask(count_tokens, "slow"))[0] == 200
    assert (await ask(count_tokens, "fast"))[0] == 500
    (warning,) = config.warnings
    assert warning.startswith("router_settings.model_group_alias.fast")
    assert SECRET not in warning


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"timeout": 0}, "router_settings.timeout: Input should be greater than 0"),
        ({"timeout": "soon"}, "router_settings.timeout: Input should be a valid number"),
        ({"timeout": "os.environ/UNSET"}, "router_settings.timeout: the environment variable"),
        ({"num_retries": -1}, "router_settings.num_retries: Input should be greater than"),
        ({"model_group_alias": ["sound"]}, "router_settings.model_group_alias: Input should be"),
        (["timeout"], "router_settings: a mapping is required"),
    ],
)
async def test_a_setting_of_the_router_with_a_fault_has_its_default(
    settings: Any, warning: str, upstream: FakeUpstream
) -> None:
    config, count_tokens = loaded(upstream, {**file_with(), "router_settings": settings})
    assert (await ask(count_tokens, "sound"))[0] == 200
    assert [text for text in config.warnings if text.startswith(warning)]
    assert config.router_settings.timeout is None


@pytest.mark.parametrize("section", ["credential_list", "environment_variables"])
def test_another_section_of_the_wrong_type_is_a_warning(section: str) -> None:
    config = Config.from_mapping({**file_with(), section: "text"}, {})
    assert [text for text in config.warnings if text.startswith(section)]


async def test_a_default_key_that_cannot_be_sent_turns_no_pass_through_on(
    upstream: FakeUpstream,
) -> None:
    config, count_tokens = loaded(upstream, file_with(broken()), ANTHROPIC_API_KEY=f"{SECRET} x")
    assert (await ask(count_tokens, "sound"))[0] == 200
    assert (await ask(count_tokens, "broken"))[0] == 500
    assert config.settings.passthrough.anthropic is None
    assert config.warnings[0].startswith("ANTHROPIC_API_KEY.api_key: empty, or not visible ASCII")


# Faults of the whole file


@pytest.mark.parametrize(
    "data",
    [
        {"model_list": {"model_name": "m"}},
        {"model_list": "text"},
        {"count_tokens": {"tiemout": 5}},
        {"count_tokens": {"strict": "perhaps"}},
        ["model_list"],
    ],
)
def test_the_whole_file_is_refused(data: Any) -> None:
    with pytest.raises(ConfigError):
        Config.from_mapping(data, {})


@pytest.mark.parametrize("text", ["{", "a: b: c", "include: [nowhere.yaml]"])
def test_a_file_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        Config.from_yaml(path, {})


# The name of a fault is no one else's


async def test_a_broken_exact_entry_is_never_replaced_by_a_star(upstream: FakeUpstream) -> None:
    stars = [
        {"model_name": name, "litellm_params": {"model": "anthropic/*", "api_key": "k"}}
        for name in ("*", "broken*", "anthropic/*")
    ]
    _, count_tokens = loaded(upstream, file_with(*stars, broken(api_key="os.environ/UNSET")))
    assert (await ask(count_tokens, "broken"))[0] == 500
    assert (await ask(count_tokens, "broken-too"))[0] == 200
    assert len(upstream.requests) == 1


async def test_a_broken_star_is_not_replaced_by_a_wider_one(upstream: FakeUpstream) -> None:
    stars = [
        {"model_name": "*", "litellm_params": {"model": "anthropic/*", "api_key": "k"}},
        {"model_name": "eu-*", "litellm_params": {"model": "anthropic/*", "api_key": ""}},
        {"model_name": "any-*", "litellm_params": {"model": "*", "api_key": "os.environ/UNSET"}},
    ]
    _, count_tokens = loaded(upstream, file_with(*stars))
    assert (await ask(count_tokens, "eu-claude"))[0] == 500
    assert (await ask(count_tokens, "any-claude-x"))[0] == 500
    assert (await ask(count_tokens, "us-claude"))[0] == 200


async def test_a_name_without_any_that_counts_says_that_it_is_not_configured(
    upstream: FakeUpstream,
) -> None:
    """Not that it cannot be counted, which the other deployment would say."""
    other = {"model_name": "broken", "litellm_params": {"model": "mistral/mistral-large"}}
    _, count_tokens = loaded(upstream, file_with(other, broken(api_key="")))
    assert (await ask(count_tokens, "broken"))[0] == 500


@pytest.mark.parametrize(
    ("model", "variables"),
    [
        (CLAUDE, {"ANTHROPIC_API_KEY": "default"}),
        ("gemini/gemini-3-pro", {"GEMINI_API_KEY": "default", "GOOGLE_API_KEY": "default"}),
        (BEDROCK, {"AWS_BEARER_TOKEN_BEDROCK": "default", "AWS_REGION": "us-east-1"}),
    ],
)
@pytest.mark.parametrize("value", ["os.environ/UNSET", "os.environ/EMPTY", ""])
async def test_an_unset_key_is_not_replaced_by_the_providers_default(
    model: str, variables: dict[str, str], value: str, upstream: FakeUpstream
) -> None:
    _, count_tokens = loaded(upstream, file_with(broken(model, api_key=value)), **variables)
    assert (await ask(count_tokens, "broken"))[0] == 500
    assert upstream.requests == []


def test_white_space_around_a_key_is_stripped(upstream: FakeUpstream) -> None:
    entries = [
        broken(api_key=f" {SECRET}\n"),
        broken("gemini/gemini-3-pro", api_key="os.environ/KEY"),
        broken(BEDROCK, aws_region_name="us-east-1", api_key=f"\t{SECRET}\r\n"),
    ]
    config, _ = loaded(upstream, file_with(*entries), KEY=f"{SECRET}\n")
    keys = [deployment.params.api_key for deployment in config.deployments[1:]]  # type: ignore[union-attr]
    assert [key.get_secret_value() for key in keys] == [SECRET] * 3
    assert config.warnings == ()


# The log


def test_the_log_has_the_first_twenty_warnings_and_a_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entries = [{**broken(api_key=""), "model_name": f"m{n}"} for n in range(31)]
    caplog.set_level(logging.WARNING)
    config = Config.from_mapping({"model_list": entries}, {}, source="config.yaml")
    assert len(config.warnings) == 31
    *first, last = caplog.messages
    assert first == [f"config.yaml: {warning}" for warning in config.warnings[:20]]
    assert last == "config.yaml: 11 more warnings; count-tokens-mw check lists all"


@pytest.mark.no_cover  # it counts steps of thousands of entries
@pytest.mark.parametrize("entry", [broken(api_key="k"), broken(api_key="os.environ/UNSET"), {}])
def test_the_work_of_reading_grows_with_the_number_of_entries(
    entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    for number in (500, 1000):
        entries = [entry | {"model_name": f"m{n}"} for n in range(number)]
        with counted(monkeypatch) as work:
            config = Config.from_mapping({"model_list": entries}, {})
        assert len(config.deployments) == number
        calls.append(work.loop_calls)
    assert calls[1] < 2.1 * calls[0]
