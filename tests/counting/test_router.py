"""Routing from a model name to its deployments, in the order to try them."""

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from count_tokens_mw import Config, Deployment, NotFound
from count_tokens_mw.counting.router import Router, _match


class Known(Router):
    """A router that keeps its list of deployments."""

    def __init__(self, deployments: Sequence[Deployment]) -> None:
        super().__init__(deployments)
        self.deployments = deployments


def router(**names: str) -> Known:
    """Return a router with an Anthropic entry for each `name=upstream_model`."""
    entries = [
        {"model_name": name, "litellm_params": {"model": f"anthropic/{model}"}}
        for name, model in names.items()
    ]
    environ = {"ANTHROPIC_API_KEY": "key"}
    return Known(Config.from_mapping({"model_list": entries}, environ).deployments)


@pytest.mark.parametrize(
    ("model", "upstream_model"),
    [
        ("claude", "exact"),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-20241022"),
        ("claude-opus-4-8", "claude-opus-4-8"),
        ("claude-opus-", "claude-opus-"),
        ("anthropic/claude-opus-4-8", "claude-opus-4-8"),
        ("team/a/prod/b", "a-then-b"),
        ("eu.haiku", "fixed"),
        ("anything\nat all", "any/anything\nat all"),
    ],
)
def test_exact_then_the_most_specific_star_and_the_star_is_carried_over(
    model: str, upstream_model: str
) -> None:
    names = {
        "*": "any/*",
        "claude": "exact",
        "claude-*": "claude-*",
        "anthropic/*": "*",
        "team/*/prod/*": "*-then-*",
        "*.haiku": "fixed",
    }
    (deployment,) = router(**names).find(model)
    assert deployment.upstream_model == upstream_model


@pytest.mark.parametrize(
    "model",
    ["nobody", "claude", "xclaude-3", "claude-" + "x" * 300, "claude-*", "*", "", "*laude-x"],
)
def test_a_name_that_no_entry_has_is_not_found(model: str) -> None:
    with pytest.raises(NotFound) as raised:
        router(**{"claude-*": "claude-*", "opus": "opus"}).find(model)
    assert raised.value.message == f"model: {model}"[:263]


def test_entries_of_one_name_are_tried_in_the_files_order() -> None:
    entries = [
        {"model_name": name, "litellm_params": {"model": f"anthropic/{model}"}}
        for name, model in [("a", "1"), ("b*", "2-*"), ("a", "3"), ("b*", "4")]
    ]
    config = Config.from_mapping({"model_list": entries}, {"ANTHROPIC_API_KEY": "key"})
    find = Router(config.deployments).find
    assert [deployment.upstream_model for deployment in find("a")] == ["1", "3"]
    assert [deployment.upstream_model for deployment in find("bc")] == ["2-c", "4"]


def group(*routing: dict[str, Any]) -> Router:
    """Return a router with one name, `m`, whose upstream models are their indexes."""
    entries = [
        {"model_name": "m", "litellm_params": {"model": f"anthropic/{n}", **params}}
        for n, params in enumerate(routing)
    ]
    config = Config.from_mapping({"model_list": entries}, {"ANTHROPIC_API_KEY": "key"})
    return Router(config.deployments, chance=random.Random(7))


def tried(router: Router) -> str:
    return "".join(deployment.upstream_model for deployment in router.find("m"))


@pytest.mark.parametrize(
    ("routing", "order"),
    [
        ([{}, {}, {}], "012"),
        ([{"order": 2}, {"order": 1}], "10"),
        ([{"order": 1}, {}, {"order": 0}, {"order": 1}, {}], "20314"),
        ([{"weight": 0}, {"weight": 1}], "10"),
        ([{}, {"weight": 1}, {"order": 1}], "210"),
        ([{"order": 2, "weight": 100}, {"order": 1, "weight": 0}], "10"),
    ],
)
def test_order_comes_first_then_weight_then_the_files_order(
    routing: list[dict[str, Any]], order: str
) -> None:
    assert tried(group(*routing)) == order


def test_equals_are_drawn_by_their_weights_to_the_last_place() -> None:
    router = group({"weight": 6}, {"weight": 3}, {"weight": 1})
    draws = Counter(tried(router) for _ in range(20_000))
    first = {n: sum(count for order, count in draws.items() if order[0] == n) for n in "012"}
    assert first["0"] == pytest.approx(12_000, rel=0.05)
    assert first["1"] == pytest.approx(6_000, rel=0.05)
    assert first["2"] == pytest.approx(2_000, rel=0.1)
    # With the heaviest first, the second of weights 3 and 1 comes next in three of four draws.
    assert draws["012"] == pytest.approx(3 * draws["021"], rel=0.1)


ALIASES = {
    "sonnet": "claude",
    "opus": "claude-opus",
    "claude": "hidden",
    "gone": "nobody",
    "far": "claude-far[1m]",
}


@pytest.mark.parametrize(
    ("model", "upstream_model"),
    [
        ("sonnet", "exact"),
        ("sonnet[1m]", "exact"),
        ("claude", "exact"),
        ("opus", "claude-opus"),
        ("claude[1m]", "exact"),
        ("claude[1M]", "exact"),
        ("claude-opus[1m]", "claude-opus"),
        ("long[1m]", "long"),
        ("long[1m][1m]", "long-without"),
        ("far", "claude-far"),
        ("far[1m]", "claude-far"),
    ],
)
def test_a_name_is_looked_up_exactly_then_as_an_alias_then_by_stars(
    model: str, upstream_model: str
) -> None:
    names = {
        "claude": "exact",
        "claude-*": "claude-*",
        "long[1m]": "long",
        "long": "long-without",
    }
    known = Router(router(**names).deployments, ALIASES)
    (deployment,) = known.find(known.name_of(model))
    assert deployment.upstream_model == upstream_model


def test_an_alias_that_leads_nowhere_is_not_found_by_the_name_it_leads_to() -> None:
    known = Router(router(**{"claude-*": "claude-*"}).deployments, ALIASES)
    with pytest.raises(NotFound, match="model: nobody"):
        known.find(known.name_of("gone"))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("x", "x"),
        ("x[1m]", "x"),
        ("x[1m][1M][1m]", "x"),
        ("x[1m]y", "x[1m]y"),
        ("x[200k]", "x[200k]"),
        ("x[1m]\u0130[1m]", "x[1m]\u0130"),
        ("claude", "claude"),
        ("CLAUDE", "CLAUDE"),
        ("claude[1m]", "claude"),
        ("long[1m]", "long[1m]"),
        ("long[1M]", "long"),
        ("long[1m][1m]", "long"),
        ("sonnet", "claude"),
        ("sonnet[1M][1m]", "claude"),
        ("spelt[1m]", "claude"),
        ("chained", "sonnet"),
        ("[1m]", "[1m]"),
        ("[1m][1m]", "[1m][1m]"),
        ("", ""),
        (f"{'a' * 1020}[1m]", "a" * 1020),
        (f"{'a' * 1021}[1m]", f"{'a' * 1021}[1m]"),
    ],
)
def test_a_name_is_normalised_once(model: str, name: str) -> None:
    known = router(**{"claude": "exact", "long[1m]": "long"})
    aliases = {**ALIASES, "spelt[1m]": "claude", "chained": "sonnet"}
    assert Router(known.deployments, aliases).name_of(model) == name


def test_finding_normalises_nothing() -> None:
    known = Router(router(**{"claude": "exact", "claude-*": "claude-*"}).deployments, ALIASES)
    for model in ("sonnet", "claude[1m]"):
        with pytest.raises(NotFound):
            known.find(model)
    (deployment,) = known.find("claude-x[1m]")
    assert deployment.upstream_model == "claude-x[1m]"


ANY = {"model_name": "*", "litellm_params": {"model": "*"}}
KEYS = {"ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g"}


def find_by_any(model: str) -> Deployment:
    config = Config.from_mapping({"model_list": [ANY]}, KEYS)
    (deployment,) = Router(config.deployments).find(model)
    return deployment


@pytest.mark.parametrize(
    ("model", "provider", "upstream_model"),
    [
        ("claude-x", "anthropic", "claude-x"),
        ("anthropic/claude-x", "anthropic", "claude-x"),
        ("gemini/gemini-x", "gemini", "gemini-x"),
    ],
)
def test_where_the_entry_leaves_it_open_the_model_tells_the_provider(
    model: str, provider: str, upstream_model: str
) -> None:
    deployment = find_by_any(model)
    assert (deployment.provider, deployment.upstream_model) == (provider, upstream_model)
    assert deployment.params is not None
    assert deployment.problem is None


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("gemini-x", "vertex_ai: vertex_location is missing"),
        (
            "bedrock/anthropic.claude-x",
            "bedrock: aws_region_name is missing; set it or AWS_REGION",
        ),
        ("azure_ai/claude-x", "azure_ai: api_base is missing; set it or AZURE_AI_API_BASE"),
        ("mistral/m", None),
        ("gpt", None),
        ("vertex_ai/mistral", None),
    ],
)
def test_a_provider_that_is_not_configured_says_so_when_it_is_asked(
    model: str, problem: str | None
) -> None:
    deployment = find_by_any(model)
    assert deployment.params is None
    assert (deployment.problem or "").startswith(problem or "")
    assert (deployment.problem is None) == (problem is None)


@pytest.mark.parametrize(
    ("upstream", "model", "upstream_model"),
    [
        ("anthropic/*", "eu/claude-x", "eu/claude-x"),
        ("anthropic/fixed", "eu/claude-x", "fixed"),
        ("anthropic/*/*/*", "eu/claude-x", "eu/x/*"),
    ],
)
def test_stars_that_cannot_be_told_apart_stand_for_the_whole_name(
    upstream: str, model: str, upstream_model: str
) -> None:
    entry = {"model_name": "*/claude-*", "litellm_params": {"model": upstream}}
    config = Config.from_mapping({"model_list": [entry]}, KEYS)
    (deployment,) = Router(config.deployments).find(model)
    assert deployment.upstream_model == upstream_model


def by_expression(pattern: str, name: str) -> list[str] | None:
    match = re.fullmatch("(.*)".join(map(re.escape, pattern.split("*"))), name, re.DOTALL)
    return list(match.groups()) if match else None


few_letters = st.text("ab*", max_size=7)


@given(few_letters.filter(lambda pattern: "*" in pattern), st.text("ab", max_size=9))
def test_stars_stand_for_what_they_do_in_a_regular_expression(pattern: str, name: str) -> None:
    assert (_match(pattern.split("*"), name) or None) == by_expression(pattern, name)


def test_a_name_that_almost_fits_many_stars_takes_no_time() -> None:
    """A regular expression would backtrack for years."""
    known = router(**{"*a" * 30 + "*b": "x"})
    with pytest.raises(NotFound):
        known.find("a" * 256)


def calls_made(do: Callable[[], object]) -> int:
    """Return the number of functions that a call enters, which is the same on every machine."""
    made = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal made
        made += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(None)
    return made


@pytest.mark.no_cover  # it would take five times as long
@pytest.mark.parametrize("model", ["claude-7", "gpt-alias", "star-x", "anthropic-x", "nobody"])
def test_finding_a_model_takes_as_many_steps_among_10_entries_as_among_10_000(model: str) -> None:
    def steps_among(many: int) -> int:
        among = router_of(many)

        def find() -> None:
            with suppress(NotFound):
                among.find(model)

        return calls_made(find)

    assert steps_among(10) == steps_among(10_000)


@cache
def router_of(many: int) -> Router:
    names = {**{f"claude-{n}": str(n) for n in range(many)}, "star-*": "star-*"}
    return Router(router(**names).deployments, {"gpt-alias": "claude-1"})


@pytest.mark.no_cover
def test_ten_thousand_entries_load_and_lead_each_to_its_own(tmp_path: Path) -> None:
    lines = ["model_list:"]
    for n in range(10_000):
        lines += [
            f"  - model_name: claude-{n}",
            "    litellm_params:",
            f"      model: anthropic/upstream-{n}",
            "      api_key: os.environ/KEY",
        ]
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(lines))
    config = Config.from_yaml(path, {"KEY": "k"})
    assert len(config.deployments) == 10_000
    (deployment,) = Router(config.deployments).find("claude-9999")
    assert deployment.upstream_model == "upstream-9999"
