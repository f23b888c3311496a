"""`make drift`: a difference between two generations of facts asks for a decision."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.facts import (
    ANTHROPIC,
    LITELLM_BETAS,
    LITELLM_MODELS,
    LITELLM_PARAMS,
    LITELLM_PAYLOAD,
    LITELLM_PROVIDERS,
    Facts,
    drift,
    read_facts,
)
from tests.facts.compare import (
    compare_anthropic,
    compare_betas,
    compare_models,
    compare_params,
    compare_payload,
    compare_providers,
)

OLD: Facts = {
    "package": "anthropic",
    "version": "2.14.0",
    "creating": {"plain": ["messages", "stream"], "beta": ["messages", "stream", "thread"]},
    "counting": {"plain": ["messages"], "beta": ["messages"]},
    "only_creating": ["stream", "thread"],
    "types": {
        "Text": {"discriminator": {"type": ["text"]}, "fields": {"type": [], "text": []}},
        "Message": {"discriminator": {"role": ["user"]}, "fields": {"content": ["Text"]}},
    },
    "betas": ["old-beta"],
    "models": ["claude-a"],
    "deprecated_models": {},
}
TABLE: Facts = {
    "package": "litellm",
    "version": "1.110.2",
    "columns": {
        "anthropic": {"a": "a"},
        "bedrock": {"a": "a", "b": None},
        "vertex_ai_header_only": {"a": "a"},
    },
    "other_columns": ["databricks"],
}


def changed(old: Facts, change: Callable[[Facts], object]) -> Facts:
    new = deepcopy(old)
    new["version"] = "3.0"
    change(new)
    return new


def add_uncounted_field(facts: Facts) -> None:
    facts["creating"]["beta"].append("foo")
    facts["only_creating"].append("foo")


def add_counted_field(facts: Facts) -> None:
    facts["creating"]["beta"].append("foo")
    facts["counting"]["beta"].append("foo")


def test_a_version_without_a_difference_asks_for_nothing() -> None:
    assert compare_anthropic(OLD, changed(OLD, lambda new: None)) == []
    assert compare_betas(TABLE, changed(TABLE, lambda new: None)) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            add_uncounted_field,
            ["`foo` of MessageCreateParams, not of", "is it input?", "claude/fields.py"],
        ),
        (
            add_counted_field,
            [
                "new field `foo` of MessageCountTokensParams",
                "is it input?",
                "/translation/",
            ],
        ),
        (
            lambda new: new["only_creating"].remove("thread"),
            ["`thread` left MessageCreateParams", "by hand"],
        ),
        (
            lambda new: new["types"].update(
                Image={"discriminator": {"type": ["image"]}, "fields": {}}
            ),
            ["new type `Image` (type: image)", "/translation/"],
        ),
        (lambda new: new["types"].pop("Text"), ["type `Text` (type: text) left the SDK"]),
        (
            lambda new: new["types"]["Text"]["fields"].update(citations=[]),
            ["new field `citations` of `Text` (type: text)", "is it input?"],
        ),
        (
            lambda new: new["types"]["Text"]["fields"].pop("text"),
            ["field `text` left `Text` (type: text)"],
        ),
        (
            lambda new: new["types"]["Message"]["fields"]["content"].append("Message"),
            ["`Message.content` may now hold `Message`"],
        ),
        (
            lambda new: new["types"]["Message"]["fields"]["content"].clear(),
            ["`Message.content` no longer holds `Text`"],
        ),
        (
            lambda new: new["types"]["Message"]["discriminator"]["role"].append("tool"),
            ["`Message` (role: user) is now (role: user or tool)"],
        ),
        (lambda new: new["types"]["Text"]["discriminator"].clear(), ["is now untagged"]),
        (lambda new: new["betas"].append("new-beta"), ["new beta `new-beta`", "claude/betas.py"]),
        (lambda new: new["betas"].remove("old-beta"), ["beta `old-beta` left the SDK"]),
        (lambda new: new["models"].append("claude-b"), ["new model `claude-b`"]),
        (lambda new: new["models"].remove("claude-a"), ["model `claude-a` left the SDK"]),
        (
            lambda new: new["deprecated_models"].update({"claude-a": "May 1st"}),
            ["model `claude-a` ends on May 1st"],
        ),
    ],
)
def test_a_difference_of_the_sdk_is_a_question(
    change: Callable[[Facts], object], named: list[str]
) -> None:
    (line,) = compare_anthropic(OLD, changed(OLD, change))
    assert line.startswith("anthropic 3.0: ")
    assert [part for part in named if part not in line] == []


def test_a_field_that_counting_takes_or_loses_is_asked_once() -> None:
    def take(new: Facts) -> None:
        new["only_creating"].remove("thread")
        new["counting"]["beta"].append("thread")

    new = changed(OLD, take)
    (taken,) = compare_anthropic(OLD, new)
    assert "new field `thread` of MessageCountTokensParams" in taken
    (lost,) = compare_anthropic(new, OLD)
    assert "field `thread` left MessageCountTokensParams" in lost


def test_a_model_that_is_no_longer_deprecated_is_a_question() -> None:
    old = changed(OLD, lambda new: new["deprecated_models"].update({"claude-a": "May 1st"}))
    (line,) = compare_anthropic(old, OLD)
    assert "`claude-a` is no longer listed as deprecated" in line


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda columns: columns["bedrock"].update(c=None),
            ["`c` is new in column bedrock", "dropped (null)", "refused betas of runtime"],
        ),
        (
            lambda columns: columns["bedrock"].update(a=None),
            ["`a` was sent as `a` in column bedrock", "refused betas of runtime"],
        ),
        (
            lambda columns: columns["bedrock"].update(b="z"),
            ["`b` was dropped (null) in column bedrock and is now sent as `z`", "take it too?"],
        ),
        (lambda columns: columns["bedrock"].pop("b"), ["`b` left column bedrock", "runtime"]),
        (
            lambda columns: columns["vertex_ai_header_only"].update(c="c"),
            ["`c` is new in column vertex_ai_header_only", "with vertex in"],
        ),
        (lambda columns: columns["anthropic"].update(c="c"), ["`c` is new in column anthropic"]),
        (lambda columns: columns.pop("bedrock"), ["column `bedrock` left the table"]),
        (lambda columns: columns.update(azure_ai={"a": "a"}), ["new column `azure_ai`"]),
    ],
)
def test_a_difference_of_litellms_table_is_a_question(
    change: Callable[[Any], object], named: list[str]
) -> None:
    (line,) = compare_betas(TABLE, changed(TABLE, lambda new: change(new["columns"])))
    assert line.startswith("litellm 3.0: ")
    assert [part for part in named if part not in line] == []


def test_a_column_of_another_upstream_is_a_question() -> None:
    new = changed(TABLE, lambda new: new["other_columns"].append("claude_platform"))
    (line,) = compare_betas(TABLE, new)
    assert "new column `claude_platform`: do we count by that upstream?" in line


def test_a_name_or_a_provider_that_the_price_map_adds_is_a_question() -> None:
    old = {
        "package": "litellm",
        "version": "1",
        "models": {"bedrock": ["anthropic.claude-v2"], "azure_ai": ["azure_ai/claude-a"]},
        "other_providers": ["heroku"],
    }
    models = {"bedrock": ["in.anthropic.claude-b"], "bedrock_next": ["bedrock_next/claude-c"]}
    new = {**old, "version": "2", "models": models, "other_providers": ["heroku", "snowflake"]}
    bedrock, following, other = compare_models(old, new)
    assert bedrock.startswith("litellm 2: new name `in.anthropic.claude-b` of bedrock: which model")
    assert "`bedrock_next/claude-c` of bedrock_next" in following
    assert "new provider `snowflake` has Claude: do we count by it?" in other
    assert compare_models(old, {**old, "version": "2"}) == []


def test_a_parameter_that_litellm_adds_or_drops_is_a_question() -> None:
    old = {"package": "litellm", "version": "1", "params": ["rpm", "tpm"]}
    added, removed = compare_params(old, {**old, "version": "2", "params": ["rpd", "rpm"]})
    assert added.startswith("litellm 2: new parameter `rpd`: does counting depend on it?")
    assert removed.startswith("litellm 2: parameter `tpm` left LiteLLM's types")
    assert compare_params(old, {**old, "version": "2"}) == []


def test_a_field_that_litellms_loggers_get_or_lose_is_a_question() -> None:
    payload = {"required": ["id", "model"], "optional": ["tags"]}
    old = {"package": "litellm", "version": "1", "types": {"Payload": payload}}
    changed = {"Payload": {"required": ["id", "tags"], "optional": ["cost"]}}
    added, removed = compare_payload(old, {**old, "version": "2", "types": changed})
    assert added.startswith("litellm 2: new field `cost` of `Payload`: does the event of a count")
    assert removed.startswith("litellm 2: field `model` left `Payload`: drop it from count_tokens")
    assert compare_payload(old, {**old, "version": "2"}) == []


def test_a_provider_that_litellm_adds_or_drops_is_a_question() -> None:
    old = {"package": "litellm", "version": "1", "providers": ["groq", "poe"], "counters": []}
    new = {**old, "version": "2", "providers": ["groq", "new"], "counters": ["groq"]}
    added, counted, removed = compare_providers(old, new)
    assert added.startswith("litellm 2: new provider `new`: has it a counting API?")
    assert counted.startswith("litellm 2: LiteLLM counts for `groq`: by which API?")
    assert removed == "litellm 2: provider `poe` left LiteLLM: drop it from docs/providers.md."
    assert compare_providers(old, {**old, "version": "2"}) == []


def newest(change: Callable[[Facts], object] = lambda new: None) -> Facts:
    return changed(read_facts(ANTHROPIC), change)


class TestReport:
    def test_the_same_facts_leave_nothing_to_decide(self) -> None:
        text, is_undecided = drift.report(ANTHROPIC, newest, compare_anthropic)
        assert text.startswith("anthropic.json: anthropic ")
        assert text.endswith(" here, 3.0 is the newest; nothing to decide")
        assert not is_undecided

    def test_a_difference_is_counted_and_listed(self) -> None:
        text, is_undecided = drift.report(
            ANTHROPIC,
            lambda: newest(lambda new: new["betas"].append("new-beta")),
            compare_anthropic,
        )
        head, line = text.splitlines()
        assert head.endswith("3.0 is the newest; to decide: 1")
        assert "new beta `new-beta`" in line
        assert is_undecided

    @pytest.mark.parametrize("new", [{}, {"version": "3.0"}])
    def test_facts_without_their_parts_are_something_to_decide(self, new: Facts) -> None:
        text, is_undecided = drift.report(LITELLM_BETAS, lambda: new, compare_betas)
        assert "the newest litellm cannot be read" in text
        assert is_undecided

    def test_a_generator_that_fails_is_something_to_decide(self) -> None:
        def fail() -> Facts:
            drift._run("sh", "-c", "echo first; echo no module of that name >&2; exit 1")
            raise AssertionError

        text, is_undecided = drift.report(ANTHROPIC, fail, compare_anthropic)
        assert "no module of that name" in text
        assert is_undecided


@pytest.mark.parametrize("is_new", [False, True])
def test_the_exit_status_is_whether_there_is_something_to_decide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_new: bool
) -> None:
    add = ["x-2030-01-01"] if is_new else []
    files = [
        (ANTHROPIC, lambda _: newest(lambda new: new["betas"].extend(add)), compare_anthropic),
        (LITELLM_PARAMS, lambda _: read_facts(LITELLM_PARAMS), compare_params),
    ]
    names = [
        ANTHROPIC,
        LITELLM_BETAS,
        LITELLM_MODELS,
        LITELLM_PARAMS,
        LITELLM_PAYLOAD,
        LITELLM_PROVIDERS,
    ]
    assert [name for name, _, _ in drift._FILES] == names
    monkeypatch.setattr(drift, "_FILES", files)
    assert drift.main() == int(is_new)
    printed = capsys.readouterr().out
    assert ("new beta `x-2030-01-01`" in printed) == is_new
    assert ("python -m tests.facts --litellm" in printed) == is_new
    assert f"{LITELLM_PARAMS}: litellm" in printed
