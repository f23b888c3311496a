"""The rest of a LiteLLM file beside its entries: credentials, aliases, includes, variables."""

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from count_tokens_mw import Config, ConfigError, Deployment
from count_tokens_mw.config.files import Document
from count_tokens_mw.config.params.anthropic import AnthropicParams, AzureParams
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.params.google import VertexParams
from count_tokens_mw.config.reader import read

SECRET = "sk-ant-api03-canary"
FACTS = Path(__file__).parents[1] / "facts"
LITELLM_PARAMS = (FACTS / "litellm_params.txt").read_text().split()


def entry(name: str = "claude", model: str = "anthropic/claude-x", **more: Any) -> dict[str, Any]:
    info = more.pop("model_info", None)
    return {
        "model_name": name,
        "litellm_params": {"model": model, **more},
        **({"model_info": info} if info else {}),
    }


def config_of(
    *entries: dict[str, Any], environ: dict[str, str] | None = None, **more: Any
) -> Config:
    return Config.from_mapping({"model_list": list(entries), **more}, environ or {})


def only(config: Config) -> Deployment:
    (deployment,) = config.deployments
    return deployment


def problems_of(data: dict[str, Any], environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        Config.from_mapping({**data, "count_tokens": {"strict": True}}, environ or {})
    assert SECRET not in str(raised.value)
    return raised.value.problems


# credential_list

CREDENTIALS = [
    {
        "credential_name": "team",
        "credential_values": {"api_key": "os.environ/TEAM_KEY", "api_base": "https://h.example"},
        "credential_info": {"description": "of the team"},
    },
    {"credential_name": "gpt", "credential_values": {"api_key": "os.environ/NOT_SET"}},
]


def test_an_entry_takes_the_values_of_its_credential_where_it_has_none_of_its_own() -> None:
    named = entry(litellm_credential_name="team", api_base="https://own.example")
    config = config_of(named, environ={"TEAM_KEY": SECRET}, credential_list=CREDENTIALS)
    params = only(config).params
    assert isinstance(params, AnthropicParams)
    assert params.api_key is not None
    assert params.api_key.get_secret_value() == SECRET
    assert params.api_base == "https://own.example"
    assert only(config).credential_source == "credential_list (team)"
    assert SECRET not in repr(config)


def test_a_credential_that_only_other_providers_use_is_not_resolved() -> None:
    gpt = entry("gpt", "mistral/mistral-large", litellm_credential_name="gpt")
    assert only(config_of(gpt, credential_list=CREDENTIALS)).params is None


def test_an_unset_variable_of_a_credential_is_told_once_at_its_place() -> None:
    entries = [entry(litellm_credential_name="gpt"), entry(litellm_credential_name="gpt")]
    place = "credential_list[1] (gpt).credential_values.api_key"
    assert problems_of({"model_list": entries, "credential_list": CREDENTIALS}) == (
        f"{place}: the environment variable NOT_SET is not set",
    )


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("taem", "; did you mean team?"),
        ("nobody at all", ""),
        (7, ""),
        (["team"], "; did you mean team?"),
    ],
)
def test_a_credential_that_is_not_there_is_a_problem_with_the_nearest_name(
    name: object, suggestion: str
) -> None:
    data = {"model_list": [entry(api_key="k", litellm_credential_name=name)]}
    place = "model_list[0] (claude): litellm_params.litellm_credential_name"
    assert problems_of({**data, "credential_list": CREDENTIALS}) == (
        f"{place}: no entry of credential_list has this name{suggestion}",
    )


@pytest.mark.parametrize(
    ("model", "shared", "own", "field", "value"),
    [
        ("anthropic/c", {"api_base": "http://a"}, {"base_url": "http://b"}, "api_base", "http://b"),
        ("anthropic/c", {"base_url": "http://a"}, {"api_base": "http://b"}, "api_base", "http://b"),
        (
            "bedrock/anthropic.c",
            {"api_base": "http://a", "aws_region_name": "us-east-1"},
            {"aws_bedrock_runtime_endpoint": "http://b"},
            "endpoint",
            "http://b",
        ),
        (
            "vertex_ai/claude",
            {"vertex_location": "eu"},
            {"vertex_ai_location": "us"},
            "location",
            "us",
        ),
        (
            "anthropic/c",
            {},
            {"api_base": "http://a", "base_url": "http://b"},
            "api_base",
            "http://b",
        ),
    ],
)
def test_an_entrys_own_value_wins_by_whatever_name_it_is_called(
    model: str, shared: dict[str, str], own: dict[str, str], field: str, value: str
) -> None:
    credential = {"credential_name": "c", "credential_values": {"api_key": "k", **shared}}
    named = entry("m", model, litellm_credential_name="c", **own)
    assert getattr(only(config_of(named, credential_list=[credential])).params, field) == value


def test_all_entries_of_a_credential_that_is_broken_have_a_problem() -> None:
    """Otherwise a check would send the text of the reference as the key."""
    named = [entry(litellm_credential_name="gpt"), entry(litellm_credential_name="gpt")]
    documents = [Document("", {"model_list": named, "credential_list": CREDENTIALS})]
    first, second = read(documents, {}).deployments
    assert first.problem is not None
    assert second.problem == "credential_list (gpt): the credential has a problem; see its entry"
    assert (first.params, second.params) == (None, None)


def test_a_broken_credential_does_not_hide_what_else_is_wrong_with_its_entries() -> None:
    broken = {
        "credential_name": "c",
        "credential_values": {"api_base": "os.environ/NO_BASE", "api_key": "os.environ/NO_KEY"},
    }
    entries = [entry(n, litellm_credential_name="c", timeout=0) for n in ("a", "b")]
    place = "credential_list[0] (c).credential_values"
    problems = problems_of({"model_list": entries, "credential_list": [broken]})
    assert sorted(problems) == [
        f"{place}.api_base: the environment variable NO_BASE is not set",
        f"{place}.api_key: the environment variable NO_KEY is not set",
        "model_list[0] (a): litellm_params.timeout: Input should be greater than 0",
        "model_list[1] (b): litellm_params.timeout: Input should be greater than 0",
    ]


def test_an_unset_provider_is_told_at_its_own_place_and_once() -> None:
    named = entry(custom_llm_provider="os.environ/P", api_key="k")
    place = "model_list[0] (claude): litellm_params.custom_llm_provider"
    assert problems_of({"model_list": [named]}) == (
        f"{place}: the environment variable P is not set",
    )


def test_a_key_that_a_credential_leaves_empty_is_not_there() -> None:
    credential = {"credential_name": "a", "credential_values": {"api_key": "k", "api_base": None}}
    named = entry(litellm_credential_name="a", timeout=None)
    params = only(config_of(named, credential_list=[credential])).params
    assert isinstance(params, AnthropicParams)
    assert params.api_base == "https://api.anthropic.com"


def test_a_reference_that_is_read_twice_is_told_once() -> None:
    data = {"model_list": [entry(api_key="k", weight="os.environ/W", order="os.environ/O")]}
    place = "model_list[0] (claude): litellm_params"
    assert problems_of(data) == (
        f"{place}.order: the environment variable O is not set",
        f"{place}.weight: the environment variable W is not set",
    )


@pytest.mark.parametrize(
    ("listed", "problem"),
    [
        ({"a": "b"}, "credential_list: a list is required"),
        (["a"], "credential_list[0]: Input should be a valid dictionary or instance of Credential"),
        ([{"credential_values": {}}], "credential_list[0].credential_name: Field required"),
        ([{"credential_name": "a"}], "credential_list[0].credential_values: Field required"),
    ],
)
def test_a_credential_list_that_is_none_is_a_problem(listed: Any, problem: str) -> None:
    assert problems_of({"credential_list": listed}) == (problem,)


# router_settings


def test_aliases_timeout_and_retries_are_read_and_the_rest_is_litellms() -> None:
    settings = {
        "model_group_alias": {"sonnet": "claude", "hidden": {"model": "claude", "hidden": True}},
        "num_retries": 0,
        "timeout": "os.environ/TIMEOUT",
        "routing_strategy": "simple-shuffle",
        "redis_password": "os.environ/NOT_SET",
    }
    config = config_of(entry(api_key="k"), environ={"TIMEOUT": "7"}, router_settings=settings)
    assert config.router_settings.model_dump() == {
        "model_group_alias": {"sonnet": "claude", "hidden": "claude"},
        "num_retries": 0,
        "timeout": 7,
    }
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["a"], "router_settings: a mapping is required"),
        ({"timeout": 0}, "router_settings.timeout: Input should be greater than 0"),
        ({"num_retries": -1}, "router_settings.num_retries: Input should be greater than or equal"),
        ({"model_group_alias": {"a": 1}}, "router_settings.model_group_alias.a: Input should be a"),
        ({"model_group_alias": {"a": {}}}, "router_settings.model_group_alias.a: Input should be"),
        ({"model_group_alias": ["a"]}, "router_settings.model_group_alias: Input should be a val"),
    ],
)
def test_router_settings_that_cannot_be_used_are_a_problem(settings: Any, problem: str) -> None:
    (actual,) = problems_of({"router_settings": settings})
    assert actual.startswith(problem)


@pytest.mark.parametrize(
    ("alias", "warning"),
    [
        ({"claude": "other"}, "claude: an entry of this name takes precedence; rename the alias"),
        ({"a": "claud"}, "a: no entry is named claud; did you mean claude?"),
        ({"a": "nobody at all"}, "a: no entry is named nobody at all"),
        ({"a": "b", "b": "claude"}, "a: b is an alias too; name a model_name of model_list"),
    ],
)
def test_an_alias_that_leads_nowhere_is_a_warning(alias: dict[str, str], warning: str) -> None:
    config = config_of(entry(api_key="k"), router_settings={"model_group_alias": alias})
    assert config.warnings == (f"router_settings.model_group_alias.{warning}",)


# environment_variables


def test_the_files_own_variables_come_before_the_environments() -> None:
    variables = {"ANTHROPIC_API_KEY": SECRET, "BASE": "os.environ/OTHER", "NUMBER": 7}
    config = config_of(
        entry(api_base="os.environ/BASE", timeout="os.environ/NUMBER"),
        environ={"OTHER": "https://h.example", "ANTHROPIC_API_KEY": "not this"},
        environment_variables=variables,
    )
    params = only(config).params
    assert isinstance(params, AnthropicParams)
    assert params.api_key is not None
    assert params.api_key.get_secret_value() == SECRET
    assert (params.api_base, params.timeout) == ("https://h.example", 7)


def test_the_files_own_aws_keys_are_used_and_not_those_of_the_process() -> None:
    bedrock = entry("m", "bedrock/anthropic.claude-x")
    variables = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}
    deployment = only(config_of(bedrock, environment_variables=variables))
    assert isinstance(deployment.params, BedrockParams)
    assert deployment.params.aws_access_key_id is not None
    assert deployment.params.aws_access_key_id.get_secret_value() == "a"
    assert deployment.credential_source == "AWS_ACCESS_KEY_ID"


@pytest.mark.parametrize("name", ["VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"])
def test_the_files_own_google_credentials_are_used(name: str) -> None:
    config = config_of(
        entry("m", "vertex_ai/claude-x", vertex_location="eu"),
        environment_variables={name: '{"project_id": "p"}'},
    )
    params = only(config).params
    assert isinstance(params, VertexParams)
    assert params.vertex_credentials == {"project_id": "p"}
    assert config.warnings == ()


@pytest.mark.parametrize("name", ["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"])
def test_a_server_that_the_files_own_variables_name_is_the_one_that_is_asked(name: str) -> None:
    variables = {name: "https://private.example", "ANTHROPIC_API_KEY": "k"}
    config = config_of(entry(), environment_variables=variables)
    params = only(config).params
    assert isinstance(params, AnthropicParams)
    assert params.api_base == "https://private.example"
    passthrough = config.settings.passthrough.anthropic
    assert passthrough is not None
    assert passthrough.api_base == "https://private.example"


@pytest.mark.parametrize(
    ("model", "name"), [("gemini/g", "GEMINI_API_BASE"), ("vertex_ai/gemini", "VERTEXAI_API_BASE")]
)
def test_a_server_of_googles_that_litellms_variables_name_is_asked(model: str, name: str) -> None:
    environ = {name: "https://private.example", "VERTEXAI_LOCATION": "eu", "GEMINI_API_KEY": "k"}
    params = only(config_of(entry("m", model), environ=environ)).params
    assert params is not None
    assert params.endpoint == "https://private.example"


@pytest.mark.parametrize("name", ["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"])
def test_a_variable_that_litellm_would_have_used_and_we_do_not_is_a_warning(name: str) -> None:
    environ = {name: "https://private.example"}
    variables = {"AWS_PROFILE": "dev", "GOOGLE_CLOUD_PROJECT": "p", "AWS_REGION": "r", "OTHER": 1}
    config = config_of(entry(api_key="k"), environ=environ, environment_variables=variables)
    no_effect = "has no effect here"
    instead = "set it in the environment of the process"
    setting = f"write api_base: os.environ/{name}"
    assert config.warnings == (
        f"environment_variables.AWS_PROFILE: {no_effect}; {instead}",
        f"environment_variables.GOOGLE_CLOUD_PROJECT: {no_effect}; {instead}",
        f"{name}: {no_effect}; {setting}",
    )
    own = entry(api_key="k", api_base="https://own.example")
    assert config_of(own, environ=environ).warnings == ()


def test_a_variable_that_refers_to_none_is_none() -> None:
    """LiteLLM ignores it; an entry that refers to the variable has a problem."""
    data = {"environment_variables": {"KEY": "os.environ/NOT_SET", "UNUSED": "os.environ/NOR_THIS"}}
    assert Config.from_mapping(data, {}).deployments == ()
    assert problems_of({**data, "model_list": [entry(api_key="os.environ/KEY")]}) == (
        "model_list[0] (claude): litellm_params.api_key: the environment variable KEY is not set",
    )


@pytest.mark.parametrize(
    ("environment", "names"),
    [("production", ["both", "production"]), ("staging", ["both"]), ("", ["both", "production"])],
)
def test_an_entry_may_be_meant_for_some_environments_only(
    environment: str, names: list[str]
) -> None:
    info: dict[str, Any] = {"supported_environments": ["production"]}
    entries = [entry("both", api_key="k"), entry("production", api_key="k", model_info=info)]
    config = config_of(*entries, environ={"LITELLM_ENVIRONMENT": environment})
    assert [deployment.model_name for deployment in config.deployments] == names


# include


def write(folder: Path, **files: Any) -> Path:
    for name, data in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(data))
    return folder / "config.yaml"


def names_in(path: Path) -> list[str]:
    config = Config.from_yaml(path, {"ANTHROPIC_API_KEY": "k"})
    return [deployment.model_name for deployment in config.deployments]


def test_included_files_add_their_entries_and_replace_other_sections(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        config={
            "include": ["a.yaml", "b.yaml"],
            "model_list": [entry("main", litellm_credential_name="of-b")],
            "count_tokens": {"timeout": 5, "cooldown": 1},
        },
        a={"model_list": [entry("of-a")], "count_tokens": {"timeout": 7}},
        b={"credential_list": [{"credential_name": "of-b", "credential_values": {"api_key": "b"}}]},
    )
    config = Config.from_yaml(path, {"ANTHROPIC_API_KEY": "k"})
    assert [deployment.model_name for deployment in config.deployments] == ["main", "of-a"]
    assert config.deployments[0].credential_source == "credential_list (of-b)"
    assert (config.settings.timeout, config.settings.cooldown) == (7, 30)


def test_an_included_file_may_include_others_beside_it_and_none_is_read_twice(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path,
        config={"include": "sub/a.yaml", "model_list": [entry("main")]},
        sub__a={"include": ["b.yaml", "../config.yaml"], "model_list": [entry("a")]},
        sub__b={"include": ["beside_main.yaml", "a.yaml"], "model_list": [entry("b")]},
        beside_main={"model_list": [entry("c")]},
    )
    assert names_in(path) == ["main", "a", "b", "c"]


def test_problems_of_all_files_are_told_together_each_with_its_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        config={"include": ["a.yaml", "nowhere.yaml", "c.yaml"], "model_list": [entry(timeout=0)]},
        a={"model_list": [entry(weight=True)], "include": 7},
        c=["no mapping"],
    )
    with pytest.raises(ConfigError) as raised:
        Config.from_yaml(path, {"ANTHROPIC_API_KEY": "k"})
    lines = str(raised.value).splitlines()
    assert [line.removeprefix(f"{path}: ") for line in lines] == [
        "a.yaml: include: a list of files is required",
        "nowhere.yaml: cannot be read: No such file or directory",
        "c.yaml: a mapping with model_list is required",
        "model_list[0] (claude): litellm_params.timeout: Input should be greater than 0",
        "a.yaml: model_list[0] (claude): litellm_params.weight: a number is required",
    ]


def test_a_path_that_is_none_is_a_problem_like_any_other(tmp_path: Path) -> None:
    path = write(tmp_path, config={"include": ["ring.yaml", "a\0b", "."]})
    (tmp_path / "ring.yaml").symlink_to(tmp_path / "ring.yaml")
    with pytest.raises(ConfigError) as raised:
        Config.from_yaml(path, {})
    assert [problem.partition(": ")[2] for problem in raised.value.problems] == [
        "cannot be read: Too many levels of symbolic links",
        "cannot be read as YAML",
        "cannot be read: Is a directory",
    ]


@pytest.mark.parametrize("tag", ['!!int ""', '!!float ""', "!!bool maybe", "!!int 1e999"])
def test_a_value_that_is_not_what_its_tag_says_is_no_yaml(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"model_list: []\nx: {tag}")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        Config.from_yaml(path, {})


def test_a_name_that_no_file_can_have_is_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path, config={"include": ["x" * 300]})
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        Config.from_yaml(path, {})


def test_an_entry_that_refers_to_itself_does_not_hide_the_problems_of_others() -> None:
    ring: dict[str, Any] = entry("ring", api_key="k")
    ring["litellm_params"]["extra_headers"] = ring["litellm_params"]
    assert problems_of({"model_list": [ring, entry("next", api_key="k", timeout=0)]}) == (
        "model_list[0] (ring): a YAML alias refers to itself",
        "model_list[1] (next): litellm_params.timeout: Input should be greater than 0",
    )


@pytest.mark.parametrize(
    "configured",
    [
        {"model_info": {"base_model": "os.environ/NOT_SET"}},
        {"model_info": {"supported_environments": "production"}},
        {"order": "first"},
        {"weight": -1},
        {"order": "os.environ/NOT_SET"},
    ],
)
def test_an_entry_that_cannot_be_counted_stops_no_file(configured: dict[str, Any]) -> None:
    assert only(config_of(entry("gpt", "mistral/mistral-large", **configured))).params is None
    named = entry("gpt", "os.environ/NOT_SET", custom_llm_provider="mistral", **configured)
    assert only(config_of(named)).params is None


def test_what_litellm_alone_uses_is_not_read() -> None:
    ring: list[Any] = []
    ring.append(ring)
    mine = entry(api_key="k", langfuse_secret="os.environ/NOT_SET", extra_body=ring)
    assert only(config_of(mine)).params is not None


@pytest.mark.parametrize(
    ("section", "warning"),
    [
        ({"modle_list": []}, "modle_list: unknown section; did you mean model_list?"),
        (
            {"count_token": {}},
            "count_token: unknown section; did you mean count_tokens?",
        ),
        (
            {"router_settings": {"timout": 5}},
            "router_settings.timout: unknown key; did you mean timeout?",
        ),
        (
            {"router_settings": {"num_retrie": 1}},
            "router_settings.num_retrie: unknown key; did you mean num_retries?",
        ),
    ],
)
def test_a_section_that_is_called_almost_like_ours_is_a_warning(
    section: dict[str, Any], warning: str
) -> None:
    assert config_of(**section).warnings == (warning,)


LITELLMS_OWN = {
    "sections": "general_settings litellm_settings callback_settings files_settings guardrails",
    "others": "mcp_servers mcp_aliases vector_store_registry search_tools prompts policies",
    "settings": "allowed_fails cooldown_time routing_strategy routing_strategy_args retry_after",
    "further": "stream_timeout max_retries default_fallbacks enable_pre_call_checks fallbacks",
    "more": "model_group_retry_policy allowed_fails_policy max_fallbacks redis_host debug_level",
}


def test_litellms_own_sections_and_settings_make_no_noise() -> None:
    names = " ".join(LITELLMS_OWN.values()).split()
    settings: dict[str, Any] = {name: {} for name in names}
    assert config_of(router_settings=settings, **settings).warnings == ()


def test_a_mapping_has_no_folder_to_include_from() -> None:
    assert problems_of({"include": ["a.yaml"]}) == (
        "include: a mapping cannot include files; use a file",
    )


# keys


@pytest.mark.parametrize("key", LITELLM_PARAMS)
def test_litellms_own_parameters_make_no_noise(key: str) -> None:
    """A parameter in use may have a problem with the value, but none has a warning."""
    own: dict[str, Any] = {"model": "anthropic/claude-x", "api_key": "k", key: ["any"]}
    documents = [Document("", {"model_list": [{"model_name": "m", "litellm_params": own}]})]
    assert read(documents, {}).warnings == ()


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("vertex_projet", "vertex_project"),
        ("api_bse", "api_base"),
        ("apikey", "api_key"),
        ("litellm_credential_nam", "litellm_credential_name"),
        ("aws_region", "aws_region_name"),
        ("vertex_count_token_location", "vertex_count_tokens_location"),
    ],
)
def test_a_key_that_nobody_knows_is_one_warning_with_the_nearest(
    key: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = entry(api_key="k", **{key: SECRET})
    place = f"model_list[0] (claude): litellm_params.{key}"
    warning = f"{place}: unknown key; did you mean {meant}?"
    assert config_of(data).warnings == (warning,)
    assert caplog.record_tuples == [
        ("count_tokens_mw", logging.WARNING, f"configuration: {warning}")
    ]


@pytest.mark.parametrize("key", ["zzzzzz", "temprature", "a_key_of_tomorrow"])
def test_a_key_that_is_not_like_any_of_this_package_is_ignored(key: str) -> None:
    """LiteLLM has hundreds, and more with each release."""
    params: dict[str, Any] = {"api_key": "k", key: 1}
    assert config_of(entry(**params)).warnings == ()


def test_the_same_unknown_key_in_many_places_is_one_warning() -> None:
    credential = {"credential_name": "a", "credential_values": {"api_key": "k", "api_bse": 1}}
    entries = [entry(litellm_credential_name="a", api_bse=1) for _ in range(3)]
    (warning,) = config_of(*entries, credential_list=[credential]).warnings
    assert warning.startswith("model_list[0] (claude): litellm_params.api_bse: unknown key")
    assert warning.endswith("did you mean api_base? (also in 3 more)")


def test_keys_of_entries_that_cannot_be_counted_are_not_judged() -> None:
    gpt = entry("gpt", "mistral/mistral-large", its_own_key=1, litellm_credential_name="nobody")
    assert config_of(gpt).warnings == ()


# model_info, and what names mean


@pytest.mark.parametrize(
    ("model", "counted", "upstream_model"),
    [
        ("anthropic/my-own", "claude-opus-4-8", "claude-opus-4-8"),
        ("anthropic/my-own", {"model": "anthropic/claude-opus-4-8"}, "claude-opus-4-8"),
        ("vertex_ai/claude-x", "claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("vertex_ai/claude-x", "vertex_ai/claude-y", "claude-y"),
        ("bedrock/us.anthropic.claude-x", "anthropic.claude-y", "anthropic.claude-y"),
    ],
)
def test_another_model_may_be_named_to_count_for(
    model: str, counted: Any, upstream_model: str
) -> None:
    configured = {
        "api_key": "k",
        "vertex_location": "us-east5",
        "aws_region_name": "us-east-1",
    }
    config = config_of(entry("m", model, **configured, model_info={"token_count_model": counted}))
    assert only(config).upstream_model == upstream_model
    assert only(config).params is not None


@pytest.mark.parametrize(
    ("model", "configured", "field"),
    [
        (
            "bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
            {},
            "aws_region_name",
        ),
        ("vertex_ai/claude-x", {"vertex_location": "global"}, "location"),
        ("anthropic/claude-x", {"api_key": "k"}, None),
    ],
)
def test_and_the_region_to_count_in(
    model: str, configured: dict[str, Any], field: str | None
) -> None:
    name = "anthropic.claude-y" if model.startswith("bedrock") else "claude-y"
    counted = {"model": name, "region": "us-west-2"}
    config = config_of(
        entry("m", model, **configured, model_info={"token_count_model": counted}),
        environ={"AWS_REGION": "us-east-1"},
    )
    params = only(config).params
    assert params is not None
    if field:
        assert getattr(params, field) == "us-west-2"


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        ({"token_count_model": {"region": "r"}}, "token_count_model.model: Field required"),
        ({"token_count_model": ""}, "token_count_model.model: String should have at least 1"),
        ({"base_model": 7}, "base_model: Input should be a valid string"),
        ({"id": ["a"]}, "id.str: Input should be a valid string"),
        ({"order": "first"}, "order: Input should be a valid integer"),
    ],
)
def test_a_model_info_that_cannot_be_used_is_a_problem(info: Any, problem: str) -> None:
    problems = problems_of({"model_list": [entry(api_key="k", model_info=info)]})
    assert problems[0].startswith(f"model_list[0] (claude): model_info.{problem}")


@pytest.mark.parametrize(
    ("configured", "info", "order", "weight"),
    [
        ({"order": 1, "weight": 0.5}, {"order": 9}, 1, 0.5),
        ({"weight": "os.environ/W"}, {"order": 9}, 9, 3),
        ({}, {}, None, None),
    ],
)
def test_order_and_weight_are_read_from_where_litellm_has_them(
    configured: dict[str, Any], info: dict[str, Any], order: int | None, weight: float | None
) -> None:
    deployment = only(
        config_of(entry(api_key="k", model_info=info, **configured), environ={"W": "3"})
    )
    assert (deployment.order, deployment.weight) == (order, weight)


@pytest.mark.parametrize(("key", "value"), [("order", "a"), ("weight", -1), ("weight", True)])
def test_an_order_or_weight_that_is_no_number_is_a_problem(key: str, value: Any) -> None:
    (problem,) = problems_of({"model_list": [entry(api_key="k", **{key: value})]})
    assert problem.startswith(f"model_list[0] (claude): litellm_params.{key}: ")


@pytest.mark.parametrize(
    ("model", "provider", "upstream_model"),
    [
        ("claude-opus-4-8", "anthropic", "claude-opus-4-8"),
        ("anthropic.claude-x", "bedrock", "anthropic.claude-x"),
        ("us.anthropic.claude-x", "bedrock", "us.anthropic.claude-x"),
        ("us-west-2/anthropic.claude-x", "bedrock", "us-west-2/anthropic.claude-x"),
        ("gemini-2.5-flash", "vertex_ai", "gemini-2.5-flash"),
        ("vertex_ai_beta/gemini-2.5-pro", "vertex_ai", "gemini-2.5-pro"),
        ("bedrock_mantle/anthropic.claude-x", "bedrock", "mantle/anthropic.claude-x"),
        ("openrouter/anthropic/claude-x", "openrouter", "anthropic/claude-x"),
        ("openrouter/anthropic.claude-x", "openrouter", "anthropic.claude-x"),
        ("llama-4", "unknown", "llama-4"),
        ("*", "*", "*"),
    ],
)
def test_the_provider_is_the_prefix_or_inferred(
    model: str, provider: str, upstream_model: str
) -> None:
    environ = {"ANTHROPIC_API_KEY": "k", "AWS_REGION": "us-east-1", "VERTEXAI_LOCATION": "us"}
    deployment = only(config_of(entry("m", model), environ=environ))
    assert (deployment.provider, deployment.upstream_model) == (provider, upstream_model)
    if provider not in {"openrouter", "unknown", "*"}:
        assert deployment.params is not None


def test_a_deployment_in_foundry_may_be_called_anything_if_its_base_model_is_claude() -> None:
    configured: dict[str, Any] = {"api_base": "https://r.example", "azure_ad_token": "entra"}
    mine = entry("m", "azure_ai/my-deployment", **configured, model_info={"base_model": "claude-x"})
    deployment = only(config_of(mine))
    assert isinstance(deployment.params, AzureParams)
    assert deployment.params.auth_token is not None
    assert deployment.upstream_model == "my-deployment"
    assert only(config_of(entry("m", "azure_ai/my-deployment", **configured))).params is None


def test_foundry_has_variables_of_its_own() -> None:
    environ = {
        "AZURE_AI_API_KEY": "k",
        "AZURE_AI_API_BASE": "https://r.services.ai.azure.com",
        "ANTHROPIC_API_KEY": "not-this",
    }
    params = only(config_of(entry("m", "azure_ai/claude-x"), environ=environ)).params
    assert isinstance(params, AzureParams)
    assert params.endpoint == "https://r.services.ai.azure.com/anthropic"
    assert params.api_key is not None
    assert params.api_key.get_secret_value() == "k"
    own = entry("m", "azure_ai/claude-x", base_url="https://own.example", auth_token="t")
    params = only(config_of(own, environ=environ)).params
    assert isinstance(params, AzureParams)
    assert (params.api_base, params.api_key) == ("https://own.example", None)


def test_vertex_has_litellms_other_names_and_variables() -> None:
    environ = {"VERTEXAI_PROJECT": "of-env", "VERTEXAI_LOCATION": "eu", "VERTEX_LOCATION": "not"}
    params = only(config_of(entry("m", "vertex_ai/claude-x"), environ=environ)).params
    assert isinstance(params, VertexParams)
    assert (params.location, params.project) == ("eu", "of-env")
    configured = {
        "vertex_ai_location": "us-east5",
        "vertex_ai_credentials": {"project_id": "of-file"},
    }
    params = only(config_of(entry("m", "vertex_ai/claude-x", **configured), environ=environ)).params
    assert isinstance(params, VertexParams)
    assert (params.location, params.project) == ("us-east5", "of-file")


@pytest.mark.parametrize(
    ("configured", "environ"),
    [
        ({"api_base": "https://vpce.example"}, {"AWS_BEDROCK_RUNTIME_ENDPOINT": "https://not"}),
        ({"aws_bedrock_runtime_endpoint": "https://vpce.example"}, {}),
        ({}, {"AWS_BEDROCK_RUNTIME_ENDPOINT": "https://vpce.example"}),
    ],
)
def test_bedrocks_endpoint_is_where_the_operator_says(
    configured: dict[str, str], environ: dict[str, str]
) -> None:
    bedrock = entry("m", "bedrock/anthropic.claude-x", aws_region_name="us-east-1", **configured)
    params = only(config_of(bedrock, environ=environ)).params
    assert isinstance(params, BedrockParams)
    assert params.endpoint == "https://vpce.example"
    assert params.rungs("") == ("runtime",), "mantle has no configured endpoint"
