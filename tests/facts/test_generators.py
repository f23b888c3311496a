"""The generators of facts, by the installed SDK, invented types and invented wheels."""

import json
import zipfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Required

import pytest
from typing_extensions import TypedDict

from tests.facts import (
    ANTHROPIC,
    FOLDER,
    LITELLM_BETAS,
    LITELLM_MODELS,
    LITELLM_PARAMS,
    LITELLM_PAYLOAD,
    LITELLM_PROVIDERS,
    Facts,
    as_text,
    read_facts,
    write_facts,
)
from tests.facts.__main__ import main
from tests.facts.anthropic_sdk import describe_types, generate
from tests.facts.litellm_wheel import (
    COLUMNS,
    generate_betas,
    generate_models,
    generate_params,
    generate_payload,
    generate_providers,
)

TABLE = "litellm/anthropic_beta_headers_config.json"
PRICES = "litellm/model_prices_and_context_window_backup.json"
TYPED_DICT: Any = TypedDict  # by a call, for types that no source names
ROUTER = "litellm/types/router.py"
UTILS = "litellm/types/utils.py"
MORE_PROVIDERS = "litellm/llms/openai_like/providers.json"
SOURCES = {
    ROUTER: """
class Credentials(BaseModel):
    api_key: str | None = None
    model_config = ConfigDict()

class GenericLiteLLMParams(Credentials, Pricing):
    rpm: int | None = None

class Unrelated:
    other: int

class LiteLLMParamsTypedDict(TypedDict, total=False):
    model: str
    tpm: int
""",
    UTILS: """
class Pricing:
    input_cost: float

class Audit(TypedDict, total=False):
    audited: bool
    auditor: Required[str]

class StandardLoggingPayload(Audit):
    id: str
    cost: ReadOnly[NotRequired[float]]
    tags: NotRequired[ReadOnly[list]]
    kept = 1

class StandardLoggingHiddenParams(TypedDict): ...
class StandardLoggingMetadata(TypedDict): ...
class StandardLoggingModelInformation(TypedDict): ...
class StandardLoggingPayloadErrorInformation(TypedDict): ...
class StandardLoggingPayloadStatusFields(TypedDict): ...

class LlmProviders(str, Enum):
    \"\"\"All of them.\"\"\"
    OPENAI = "openai"
    LLAMA = "meta_llama"  # the API

    def __str__(self): ...
""",
    "litellm/llms/vertex_ai/common_utils.py": "class VertexAITokenCounter(BaseTokenCounter):\n",
    "litellm/llms/openai/a/b.py": "class OpenAITokenCounter(BaseTokenCounter):\n",
    "litellm/llms/groq/chat.py": "import BaseTokenCounter\n",
    MORE_PROVIDERS: '{"openai": {}, "poe": {"base_url": "https://api.poe.com/v1"}}',
}
METADATA = "litellm-1.2.3.dist-info/METADATA"


class Leaf(TypedDict, total=False):
    type: Required[Literal["leaf"]]
    text: Annotated[str, "the text of no literal"]


class Branch(TypedDict, total=False):
    type: Literal["branch", "twig"] | None
    items: "Iterable[Leaf | Branch | dict[str, Leaf]]"


class Named(TypedDict):
    role: Literal["user"]
    content: str | Iterable[Branch]


class Derived(Named, total=False):
    limit: Optional[int]  # noqa: UP045 - as the SDK writes it


class TestAnthropicsFile:
    def test_it_is_generated_from_the_version_that_it_names(self) -> None:
        """A release newer than the file breaks no build: `make drift` reports it."""
        facts = read_facts(ANTHROPIC)
        installed = version("anthropic")
        if installed != facts["version"]:
            pytest.skip(f"anthropic {installed} is installed, {facts['version']} is in the file")
        assert as_text(generate()) == (FOLDER / ANTHROPIC).read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("name", "discriminator", "fields"),
        [
            ("MessageCountTokensParams", {}, {"messages", "system", "tools", "mcp_servers"}),
            ("BetaUserMessageParam", {"role": ["user"]}, {"content"}),
            ("BetaTextBlockParam", {"type": ["text"]}, {"text", "citations", "cache_control"}),
            ("BetaBase64ImageSourceParam", {"type": ["base64"]}, {"data", "media_type"}),
            ("BetaToolParam", {"type": ["custom"]}, {"input_schema", "defer_loading"}),
            ("BetaToolChoiceToolParam", {"type": ["tool"]}, {"name"}),
            ("BetaOutputConfigParam", {}, {"effort", "format"}),
            ("BetaThinkingConfigEnabledParam", {"type": ["enabled"]}, {"budget_tokens"}),
            ("BetaRequestMCPServerURLDefinitionParam", {"type": ["url"]}, {"url"}),
        ],
    )
    def test_it_has_the_types_of_every_depth(
        self, name: str, discriminator: dict[str, list[str]], fields: set[str]
    ) -> None:
        kind = read_facts(ANTHROPIC)["types"][name]
        assert kind["discriminator"] == discriminator
        assert fields <= kind["fields"].keys()

    def test_every_type_that_a_field_may_hold_is_described(self) -> None:
        types = read_facts(ANTHROPIC)["types"]
        held = {
            name for kind in types.values() for names in kind["fields"].values() for name in names
        }
        assert held == types.keys() - {"MessageCountTokensParams"}

    def test_creating_and_counting_differ_by_what_is_only_creatings(self) -> None:
        facts = read_facts(ANTHROPIC)
        creating = set().union(*facts["creating"].values())
        counting = set().union(*facts["counting"].values())
        assert set(facts["only_creating"]) == creating - counting
        assert {"max_tokens", "stream", "stop_sequences"} <= set(facts["only_creating"])
        assert {"messages", "system", "tools"} <= counting
        assert "mcp_servers" in set(facts["counting"]["beta"]) - set(facts["counting"]["plain"])

    def test_it_names_betas_models_and_the_ends_of_models(self) -> None:
        facts = read_facts(ANTHROPIC)
        assert "token-counting-2024-11-01" in facts["betas"]
        assert facts["deprecated_models"].keys() <= set(facts["models"])
        assert all(model.startswith("claude-") for model in facts["models"])


class TestDescribedTypes:
    def test_a_recursive_type_is_described_once_with_all_below_it(self) -> None:
        assert describe_types(Derived) == {
            "Derived": {
                "discriminator": {"role": ["user"]},
                "fields": {"role": [], "content": ["Branch"], "limit": []},
            },
            "Branch": {
                "discriminator": {"type": ["branch", "twig"]},
                "fields": {"type": [], "items": ["Branch", "Leaf"]},
            },
            "Leaf": {"discriminator": {"type": ["leaf"]}, "fields": {"type": [], "text": []}},
        }

    def test_types_of_one_name_have_their_modules_names(self) -> None:
        leaves = [TYPED_DICT("Leaf", {"type": Literal["other"]}) for _ in range(2)]
        leaves[0].__module__, leaves[1].__module__ = "sdk.first", "sdk.second"
        root = TYPED_DICT("Root", {"a": leaves[0], "b": leaves[1]})
        types = describe_types(root)
        assert types.keys() == {"Root", "first.Leaf", "second.Leaf"}
        assert types["Root"]["fields"] == {"a": ["first.Leaf"], "b": ["second.Leaf"]}


class TestLiteLLMsFile:
    def test_it_has_a_version_and_every_column(self) -> None:
        facts = read_facts(LITELLM_BETAS)
        assert facts["package"] == "litellm"
        assert facts["version"][0].isdigit()
        assert facts["columns"].keys() == set(COLUMNS)
        assert set(facts["other_columns"]).isdisjoint(COLUMNS)

    def test_it_has_the_keys_of_an_entry(self) -> None:
        facts = read_facts(LITELLM_PARAMS)
        assert facts["version"] == read_facts(LITELLM_BETAS)["version"]
        assert {"api_key", "api_base", "vertex_project", "aws_region_name", "rpm"} <= set(
            facts["params"]
        )

    def test_it_has_the_names_of_claude_at_every_provider_that_counts(self) -> None:
        facts = read_facts(LITELLM_MODELS)
        assert facts["version"] == read_facts(LITELLM_BETAS)["version"]
        assert {"anthropic", "azure_ai", "bedrock", "bedrock_converse", "bedrock_mantle"} < set(
            facts["models"]
        )
        assert "bedrock/claude_platform/claude-sonnet-5" in facts["models"]["bedrock"]
        assert set(facts["other_providers"]).isdisjoint(facts["models"])

    def test_it_has_the_fields_that_loggers_get(self) -> None:
        facts = read_facts(LITELLM_PAYLOAD)
        assert facts["version"] == read_facts(LITELLM_BETAS)["version"]
        assert {"id", "status", "end_user", "request_tags"} <= set(
            facts["types"]["StandardLoggingPayload"]["required"]
        )

    def test_it_has_the_prefixes_of_all_providers(self) -> None:
        facts = read_facts(LITELLM_PROVIDERS)
        assert facts["version"] == read_facts(LITELLM_BETAS)["version"]
        assert {"anthropic", "hosted_vllm", "meta_llama", "poe"} <= set(facts["providers"])
        assert facts["providers"] == sorted(set(facts["providers"]))

    @pytest.mark.parametrize(
        "name",
        [LITELLM_BETAS, LITELLM_MODELS, LITELLM_PARAMS, LITELLM_PAYLOAD, LITELLM_PROVIDERS],
    )
    def test_it_is_written_as_the_generator_writes(self, name: str) -> None:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert text == as_text(read_facts(name))


@pytest.fixture
def table() -> dict[str, Any]:
    column = {"b-beta": None, "a-beta": "a-beta", "old": "new"}
    return {"description": "a table", "databricks": {}, **dict.fromkeys(COLUMNS[:2], column)}


def installed_copy(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def wheel(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "litellm-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("made", [wheel, installed_copy])
class TestLiteLLMsGenerator:
    def test_it_reads_the_table_and_the_version(
        self, made: Any, tmp_path: Path, table: dict[str, Any]
    ) -> None:
        files = {
            TABLE: json.dumps(table),
            METADATA: "Metadata-Version: 2.4\nVersion: 1.2.3\n\nVersion: 9",
            "litellm_proxy_extras-7.dist-info/METADATA": "Version: 7\n",
        }
        column = {"a-beta": "a-beta", "b-beta": None, "old": "new"}
        assert generate_betas(made(tmp_path, files)) == {
            "package": "litellm",
            "version": "1.2.3",
            "columns": {COLUMNS[0]: column, COLUMNS[1]: column},
            "other_columns": ["databricks"],
        }

    def test_it_reads_the_fields_of_the_types_with_the_inherited_ones(
        self, made: Any, tmp_path: Path
    ) -> None:
        assert generate_params(made(tmp_path, {**SOURCES, METADATA: "Version: 1.2.3\n"})) == {
            "package": "litellm",
            "version": "1.2.3",
            "params": ["api_key", "input_cost", "rpm", "tpm"],
        }

    def test_it_reads_the_names_of_claude_by_provider(self, made: Any, tmp_path: Path) -> None:
        prices = {
            "sample_spec": {"litellm_provider": "bedrock"},
            "us.anthropic.claude-b": {"litellm_provider": "bedrock_converse"},
            "anthropic.claude-a": {"litellm_provider": "bedrock_converse"},
            "bedrock/us-east-1/anthropic.claude-a": {"litellm_provider": "bedrock"},
            "vertex_ai/claude-a": {"litellm_provider": "vertex_ai-anthropic_models"},
            "heroku/claude-a": {"litellm_provider": "heroku"},
            "claude-without-a-provider": {},
        }
        files = {PRICES: json.dumps(prices), METADATA: "Version: 1.2.3\n"}
        assert generate_models(made(tmp_path, files)) == {
            "package": "litellm",
            "version": "1.2.3",
            "models": {
                "bedrock": ["bedrock/us-east-1/anthropic.claude-a"],
                "bedrock_converse": ["anthropic.claude-a", "us.anthropic.claude-b"],
                "vertex_ai-anthropic_models": ["vertex_ai/claude-a"],
            },
            "other_providers": ["heroku"],
        }

    def test_it_reads_which_fields_of_a_payload_are_required(
        self, made: Any, tmp_path: Path
    ) -> None:
        facts = generate_payload(made(tmp_path, {**SOURCES, METADATA: "Version: 1.2.3\n"}))
        assert (facts["package"], facts["version"]) == ("litellm", "1.2.3")
        assert facts["types"].pop("StandardLoggingPayload") == {
            "required": ["auditor", "id"],
            "optional": ["audited", "cost", "tags"],
        }
        assert len(facts["types"]) == 5
        assert all(kind == {"required": [], "optional": []} for kind in facts["types"].values())

    def test_it_reads_the_providers_of_the_enumeration_and_of_the_file(
        self, made: Any, tmp_path: Path
    ) -> None:
        path = made(tmp_path, {**SOURCES, METADATA: "Version: 1.2.3\n"})
        assert generate_providers(path) == {
            "package": "litellm",
            "version": "1.2.3",
            "providers": ["meta_llama", "openai", "poe"],
            "counters": ["openai", "vertex_ai"],
        }

    @pytest.mark.parametrize(
        ("source", "missing"), [(None, "no such file"), ("", "GenericLiteLLMParams")]
    )
    def test_missing_types_are_named(
        self, made: Any, tmp_path: Path, source: str | None, missing: str
    ) -> None:
        files = {METADATA: "Version: 1.2.3\n", UTILS: ""}
        if source is not None:
            files[ROUTER] = source
        with pytest.raises(LookupError, match=missing):
            generate_params(made(tmp_path, files))

    @pytest.mark.parametrize(
        ("files", "missing"),
        [({METADATA: "Version: 1.2.3\n"}, "no such file"), ({TABLE: "{}"}, "no metadata")],
    )
    def test_a_missing_part_is_named(
        self, made: Any, tmp_path: Path, files: dict[str, str], missing: str
    ) -> None:
        with pytest.raises(LookupError, match=missing):
            generate_betas(made(tmp_path, files))


def test_a_file_of_facts_reads_as_it_was_written_in_sorted_order(tmp_path: Path) -> None:
    facts: Facts = {"version": "1", "package": "p", "betas": {"b": None, "a": "a"}}
    write_facts("p.json", facts, tmp_path)
    text = (tmp_path / "p.json").read_text(encoding="utf-8")
    assert read_facts("p.json", tmp_path) == facts
    assert text.index('"a"') < text.index('"b"') < text.index('"package"')


def test_the_command_writes_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: dict[str, Any]
) -> None:
    data = {TABLE: json.dumps(table), PRICES: "{}"}
    path = wheel(tmp_path, {**SOURCES, **data, METADATA: "Version: 1.2.3\n"})
    arguments = ["facts", "--into", str(tmp_path), "--litellm", str(path)]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    assert read_facts(ANTHROPIC, tmp_path) == generate()
    assert read_facts(LITELLM_BETAS, tmp_path) == generate_betas(path)
    assert read_facts(LITELLM_MODELS, tmp_path) == generate_models(path)
    assert read_facts(LITELLM_PARAMS, tmp_path) == generate_params(path)
    assert read_facts(LITELLM_PAYLOAD, tmp_path) == generate_payload(path)
    assert read_facts(LITELLM_PROVIDERS, tmp_path) == generate_providers(path)
