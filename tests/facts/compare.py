"""The differences between two generations of facts, each with the decision that it asks for."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from tests.facts import Facts
from tests.facts.litellm_wheel import COLUMNS

__all__ = [
    "compare_anthropic",
    "compare_betas",
    "compare_models",
    "compare_params",
    "compare_payload",
    "compare_providers",
]

_FIELDS: Final = "count_tokens_mw/providers/claude/fields.py"
_BETAS: Final = "count_tokens_mw/providers/claude/betas.py"
_KEYS: Final = "count_tokens_mw/config/litellm_keys.py"
_ARGUMENTS: Final = "count_tokens_mw/telemetry/litellm_arguments.py"
_PROVIDERS: Final = "docs/providers.md"
_TYPES: Final = "count_tokens_mw/providers/translation/"
_NAMES: Final = "count_tokens_mw/config/params/"
_UPSTREAM_OF: Final = {
    "bedrock": "runtime",
    "bedrock_mantle": "mantle",
    "vertex_ai": "vertex",
    "vertex_ai_header_only": "vertex",
}


def compare_anthropic(old: Facts, new: Facts) -> list[str]:
    """Return a line for each difference between two versions of the SDK; none if they agree."""
    parts = (
        _compare_fields(old, new),
        _compare_types(old["types"], new["types"]),
        _compare_betas(old["betas"], new["betas"]),
        _compare_own_models(old, new),
    )
    return [f"anthropic {new['version']}: {line}" for part in parts for line in part]


def compare_betas(old: Facts, new: Facts) -> list[str]:
    """Return a line for each difference between two versions of LiteLLM's table of betas."""
    lines = [
        *_compare_columns(old, new),
        *(
            line
            for name in COLUMNS
            if name in old["columns"] and name in new["columns"]
            for line in _compare_column(name, old["columns"][name], new["columns"][name])
        ),
    ]
    return [f"litellm {new['version']}: {line}" for line in lines]


def compare_models(old: Facts, new: Facts) -> list[str]:
    """Return a line for each name of Claude that LiteLLM's price map adds.

    A name that left it asks for nothing, because files may still have it.
    """
    added = [
        f"new name `{name}` of {provider}: which model is asked? Let {_NAMES} resolve it, and "
        "tests/contract/test_model_keys.py show that."
        for provider, names in sorted(new["models"].items())
        for name in _added(old["models"].get(provider, ()), names)
    ]
    others = [
        f"new provider `{name}` has Claude: do we count by it? If so, add it to _COUNTED in "
        "tests/facts/litellm_wheel.py."
        for name in _added(old["other_providers"], new["other_providers"])
    ]
    return [f"litellm {new['version']}: {line}" for line in [*added, *others]]


def compare_params(old: Facts, new: Facts) -> list[str]:
    """Return a line for each difference between two versions of LiteLLM's parameters."""
    added = [
        f"new parameter `{name}`: does counting depend on it? If so, add it to its provider's "
        f"params; if not, to {_KEYS}. Until then it is a warning as an unknown key."
        for name in _added(old["params"], new["params"])
    ]
    removed = [
        f"parameter `{name}` left LiteLLM's types: do files still have it? If not, drop it from "
        f"{_KEYS}."
        for name in _added(new["params"], old["params"])
    ]
    return [f"litellm {new['version']}: {line}" for line in [*added, *removed]]


def compare_payload(old: Facts, new: Facts) -> list[str]:
    """Return a line for each difference between two versions of what LiteLLM's loggers receive."""
    lines = [
        line
        for name in sorted(old["types"].keys() & new["types"].keys())
        for line in _compare_payload_type(name, old["types"][name], new["types"][name])
    ]
    return [f"litellm {new['version']}: {line}" for line in lines]


def _compare_payload_type(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[str]:
    known = {*old["required"], *old["optional"]}
    for field in _added(known, {*new["required"], *new["optional"]}):
        yield (
            f"new field `{field}` of `{name}`: does the event of a count know it? If so, set it in "
            f"{_ARGUMENTS}; if not, it is None there, unless it is optional."
        )
    for field in _added({*new["required"], *new["optional"]}, known):
        yield f"field `{field}` left `{name}`: drop it from {_ARGUMENTS}."


def compare_providers(old: Facts, new: Facts) -> list[str]:
    """Return a line for each difference between two versions of LiteLLM's providers."""
    added = [
        f"new provider `{name}`: has it a counting API? If so, give it a row in the code; in any "
        f"case name it in {_PROVIDERS}."
        for name in _added(old["providers"], new["providers"])
    ]
    counted = [
        f"LiteLLM counts for `{name}`: by which API? Give it a row in the code, or say in "
        f"{_PROVIDERS} why it has none."
        for name in _added(old["counters"], new["counters"])
    ]
    removed = [
        f"provider `{name}` left LiteLLM: drop it from {_PROVIDERS}."
        for name in _added(new["providers"], old["providers"])
    ]
    return [f"litellm {new['version']}: {line}" for line in [*added, *counted, *removed]]


def _compare_fields(old: Facts, new: Facts) -> Iterator[str]:
    """Compare the top-level fields, plain and beta together."""
    only_creating = set(new["only_creating"])
    for name in _added(_fields(old, "creating"), _fields(new, "creating") & only_creating):
        yield (
            f"new field `{name}` of MessageCreateParams, not of MessageCountTokensParams: is it "
            f"input? If not, leave it out in {_FIELDS}. If it is, let the upstream refuse it there."
        )
    for name in _added(_fields(old, "counting"), _fields(new, "counting")):
        yield (
            f"new field `{name}` of MessageCountTokensParams: is it input? In Anthropic's format "
            f"it passes unless {_FIELDS} leaves it out; {_TYPES} refuses it until it has a rule."
        )
    for name in _added(_fields(new, "counting"), _fields(old, "counting")):
        yield (
            f"field `{name}` left MessageCountTokensParams: do upstreams still take it? If not, "
            f"leave it out in {_FIELDS} or let the upstream refuse it."
        )
    for name in _added(only_creating | _fields(new, "counting"), old["only_creating"]):
        yield (
            f"field `{name}` left MessageCreateParams: do clients still send it? If they do, "
            f"list it by hand in {_FIELDS} and tests/contract/test_facts.py."
        )


def _compare_types(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in _added(old, new):
        yield (
            f"new type `{name}`{_discriminator(new[name])}: does it hold input? {_TYPES} refuses "
            "an unknown block, source or tool: translate it, or leave that so."
        )
    for name in _added(new, old):
        yield (
            f"type `{name}`{_discriminator(old[name])} left the SDK: do clients still send it? "
            f"If not, drop its rule in {_TYPES}."
        )
    for name in sorted(old.keys() & new.keys()):
        yield from _compare_type(name, old[name], new[name])


def _compare_type(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["discriminator"] != new["discriminator"]:
        yield (
            f"type `{name}`{_discriminator(old)} is now{_discriminator(new) or ' untagged'}: "
            f"does {_TYPES} know the new values?"
        )
    for field in _added(old["fields"], new["fields"]):
        yield (
            f"new field `{field}` of `{name}`{_discriminator(new)}: is it input? If so, "
            f"translate it in {_TYPES}; if not, list it there as none."
        )
    for field in _added(new["fields"], old["fields"]):
        yield (
            f"field `{field}` left `{name}`{_discriminator(old)}: do clients still send it? If "
            f"not, drop its rule in {_TYPES} or {_FIELDS}."
        )
    for field in sorted(old["fields"].keys() & new["fields"].keys()):
        for kind in _added(old["fields"][field], new["fields"][field]):
            yield (f"`{name}.{field}` may now hold `{kind}`: does {_TYPES} translate it there?")
        for kind in _added(new["fields"][field], old["fields"][field]):
            yield (
                f"`{name}.{field}` no longer holds `{kind}`: do clients still send it? If not, "
                f"drop its rule in {_TYPES}."
            )


def _compare_betas(old: Collection[str], new: Collection[str]) -> Iterator[str]:
    for beta in _added(old, new):
        yield (
            f"new beta `{beta}`: do Bedrock's runtime, mantle and Vertex AI take it for counting? "
            f"Add what is known to {_BETAS}; which fields need it goes into {_FIELDS}."
        )
    for beta in _added(new, old):
        yield (
            f"beta `{beta}` left the SDK: is it now taken without a header? If so, drop its rows "
            f"in {_BETAS} and {_FIELDS} once clients no longer send it."
        )


def _compare_own_models(old: Facts, new: Facts) -> Iterator[str]:
    for model in _added(old["models"], new["models"]):
        yield f"new model `{model}`: should the README's or the demo's examples name it?"
    for model in _added(new["models"], old["models"]):
        yield f"model `{model}` left the SDK: do the README's or the demo's examples still name it?"
    for model, end in sorted(new["deprecated_models"].items()):
        if old["deprecated_models"].get(model) != end:
            yield (
                f"model `{model}` ends on {end}: replace it in the README's and the demo's "
                "examples before that."
            )
    for model in _added(new["deprecated_models"], old["deprecated_models"]):
        yield (
            f"model `{model}` is no longer listed as deprecated: has it been retired? If so, "
            "no example may name it."
        )


def _compare_columns(old: Facts, new: Facts) -> Iterator[str]:
    for name in _added(new["columns"], old["columns"]):
        yield f"column `{name}` left the table: which column is its upstream's source in {_BETAS}?"
    for name in _added(old["columns"], new["columns"]):
        yield f"new column `{name}`: compare it with {_BETAS}."
    for name in _added(old["other_columns"], new["other_columns"]):
        yield (
            f"new column `{name}`: do we count by that upstream? If so, add it to COLUMNS in "
            "tests/facts/litellm_wheel.py."
        )


def _compare_column(
    name: str, old: Mapping[str, str | None], new: Mapping[str, str | None]
) -> Iterator[str]:
    upstream = _UPSTREAM_OF.get(name)
    where = f"{upstream} in {_BETAS}" if upstream else f"a rule in {_BETAS}"
    for beta, sent in sorted(new.items()):
        if beta in old and old[beta] == sent:
            continue
        before = f"was {_sent_as(old[beta])}" if beta in old else "is new"
        question = (
            f"does counting refuse it too? Add it to the refused betas of {where}, or to the "
            "taken ones with the source of that."
            if sent is None
            else f"does counting take it too? Compare with {where}."
        )
        yield f"beta `{beta}` {before} in column {name} and is now {_sent_as(sent)}: {question}"
    for beta in _added(new, old):
        yield f"beta `{beta}` left column {name}: does {where} still need it?"


def _sent_as(name: str | None) -> str:
    return "dropped (null)" if name is None else f"sent as `{name}`"


def _discriminator(kind: Mapping[str, Any]) -> str:
    """Return a type's discriminators in parentheses, or nothing if it has none."""
    values = ", ".join(
        f"{name}: {' or '.join(literals)}"
        for name, literals in sorted(kind["discriminator"].items())
        if literals
    )
    return f" ({values})" if values else ""


def _fields(facts: Facts, purpose: str) -> set[str]:
    return set().union(*facts[purpose].values())


def _added(old: Collection[str], new: Collection[str]) -> list[str]:
    return sorted(set(new) - set(old))
