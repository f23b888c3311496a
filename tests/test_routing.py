"""From a name to its deployments."""

import pytest

from count_tokens_mw import Config, NotFound
from count_tokens_mw.routing import Router


def router(**names: str) -> Router:
    """A router whose entries `name=upstream_model` are all Anthropic's; `_` stands for `/`."""
    entries = [
        {"model_name": name, "litellm_params": {"model": f"anthropic/{model}"}}
        for name, model in names.items()
    ]
    environ = {"ANTHROPIC_API_KEY": "key"}
    return Router(Config.from_mapping({"model_list": entries}, environ).deployments)


@pytest.mark.parametrize(
    ("model", "upstream_model"),
    [
        ("claude", "exact"),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-20241022"),
        ("claude-opus-4-8", "claude-opus-4-8"),
        ("claude-opus-", "claude-opus-"),
        ("anthropic/claude-opus-4-8", "claude-opus-4-8"),
        ("team/a/prod/b", "a-then-b"),
        ("team/*/prod/*", "*-then-*"),
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


@pytest.mark.parametrize("model", ["nobody", "claude", "xclaude-3", "claude-" + "x" * 300])
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
    found = Router(config.deployments).find
    assert [deployment.upstream_model for deployment in found("a")] == ["1", "3"]
    assert [deployment.upstream_model for deployment in found("bc")] == ["2-c", "4"]
