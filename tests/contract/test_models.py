"""The models that README, docs, demo and benchmark name: Anthropic has retired none of them."""

import re
from pathlib import Path
from typing import Final, get_args

import pytest
from anthropic._data import DEPRECATED_MODELS
from anthropic.types import Model

ROOT: Final = Path(__file__).parents[2]
LITERAL: Final = get_args(get_args(Model)[0])
# A family, then a version; in former names the version stands first.
NAME: Final = re.compile(r"claude-(?!code-)(?:[a-z]+-)*\d[\w.@-]*(?::\d+)?")
FIRST_PARTY: Final = re.compile(r"(claude-.+?)(?:-v\d+(?::\d+)?)?(?:@\w+)?")
FORMER_ALIASES: Final = re.compile(r"  model_group_alias:.*\n(?:    .+\n)+")
COMPARISON: Final = re.compile(r"## (?:Comparison with LiteLLM|Differences)(?:.|\n)*?(?=\n## |\Z)")
FILES: Final = sorted(
    path
    for folder, pattern in [
        ("", "README.md"),
        ("docs", "*.md"),
        ("demo_app", "**/*"),
        ("tests/bench", "*.py"),
    ]
    for path in (ROOT / folder).glob(pattern)
    if path.suffix in {".css", ".html", ".js", ".json", ".md", ".py", ".yaml"}
    # These compare with LiteLLM, which knows its own models.
    and not path.name.startswith(("compare", "litellm."))
)


def models_in(text: str) -> set[str]:
    """Return the names by which Anthropic's own API knows the models in a text."""
    text = COMPARISON.sub("", FORMER_ALIASES.sub("", text))
    found = (FIRST_PARTY.fullmatch(name.rstrip(".-")) for name in NAME.findall(text))
    return {name[1] for name in found if name}


def test_names_are_found_in_each_clouds_spelling() -> None:
    text = """claude-sonnet-5, `anthropic/claude-opus-4-8` us.anthropic.claude-haiku-5-5-v1:0
    vertex_ai/claude-fable-5@20260101 claude-3-5-sonnet-v2@20241022. claude-* claude-instant-1.2
    claude-code-20250219 (a beta)"""
    assert models_in(text) == {
        "claude-sonnet-5",
        "claude-opus-4-8",
        "claude-haiku-5-5",
        "claude-fable-5",
        "claude-3-5-sonnet",
        "claude-instant-1.2",
    }
    aliases = "  model_group_alias: # former names\n    claude-3-opus: claude-sonnet-5\n"
    assert models_in(aliases) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_model_is_one_that_anthropic_serves(path: Path) -> None:
    models = models_in(path.read_text(encoding="utf-8"))
    assert models <= set(LITERAL) - DEPRECATED_MODELS.keys()


def test_the_manual_and_the_demo_name_the_newest_models() -> None:
    for name in ("docs/configuration.md", "demo_app/config.yaml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "claude-sonnet-5" in models_in(text)
        assert "gemini-3.8-flash" in text
