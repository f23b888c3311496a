"""The code's lists of fields and betas agree with the facts that vendors publish."""

from typing import Final

import pytest

from count_tokens_mw.providers.claude.betas import BETAS
from count_tokens_mw.providers.claude.fields import NOT_INPUT, RULES
from tests.facts import ANTHROPIC, LITELLM_BETAS, Facts, read_facts

SDK: Final[Facts] = read_facts(ANTHROPIC)
TABLE: Final[Facts] = read_facts(LITELLM_BETAS)

# Only creating takes them, and they are input: skills, and messages that the server keeps.
INPUT_OF_CREATING: Final = {"container", "thread"}
# Left out without a difference between the SDK's parameters, each for its reason.
BY_HAND: Final = {
    "anthropic_beta": "Bedrock's and Vertex AI's place for betas, which the header has here",
    "anthropic_version": "Bedrock's and Vertex AI's place for the version, set by their providers",
    "litellm_metadata": "a parameter of LiteLLM's proxy",
    "safety_identifier": "OpenAI's name for the end user",
    "temperature": "left the SDK's types, and clients still send it",
    "top_k": "left the SDK's types, and clients still send it",
    "top_p": "left the SDK's types, and clients still send it",
    "user": "OpenAI's name for the end user",
    "user_profile_id": "a header, though the SDK's parameters have it",
    "workspace_id": "a header, though the SDK's parameters have it",
}
HEADERS_AMONG_PARAMETERS: Final = {"user_profile_id", "workspace_id"}
# LiteLLM's columns by upstream. A later one overrides: a count sends betas as a header.
COLUMNS: Final = {
    "runtime": ("bedrock",),
    "mantle": ("bedrock_mantle",),
    "vertex": ("vertex_ai", "vertex_ai_header_only"),
}


def column_of(upstream: str) -> dict[str, str | None]:
    """Return the name under which LiteLLM sends each beta to an upstream, or None."""
    column: dict[str, str | None] = {}
    for name in COLUMNS[upstream]:
        column |= TABLE["columns"][name]
    return column


def counting_fields() -> set[str]:
    return set().union(*SDK["counting"].values())


def holders_of(path: list[str]) -> set[str]:
    """Return the types that have a rule's last field, by walking the types along its path.

    A name leads to the types that the field may hold, `*` is each item of a list, and `**` is any
    depth.
    """
    types = SDK["types"]
    held = set(types) if path[0] == "**" else {"MessageCountTokensParams"}
    for name in path[:-1]:
        if not name.startswith("*"):
            held = {kind for holder in held for kind in types[holder]["fields"].get(name, ())}
    return {holder for holder in held if path[-1] in types[holder]["fields"]}


class TestFields:
    def test_a_field_that_only_creating_takes_is_left_out_unless_it_is_input(self) -> None:
        assert set(SDK["only_creating"]) - NOT_INPUT == INPUT_OF_CREATING

    def test_a_field_is_left_out_by_the_sdks_difference_or_for_a_reason(self) -> None:
        assert NOT_INPUT - set(SDK["only_creating"]) == BY_HAND.keys()

    def test_no_field_of_counting_is_left_out_but_those_that_are_headers(self) -> None:
        assert NOT_INPUT & counting_fields() == HEADERS_AMONG_PARAMETERS

    def test_a_rule_is_of_a_field_that_the_sdk_knows_or_has_a_reason(self) -> None:
        known = counting_fields() | set(SDK["only_creating"]) | BY_HAND.keys()
        assert {rule.field for rule in RULES if "." not in rule.field} <= known

    def test_a_nested_rule_leads_to_a_field_of_the_sdks_types(self) -> None:
        """A cache's scope has a beta, and no type in the SDK."""
        paths = {rule.field for rule in RULES if "." in rule.field}
        unknown = {path for path in paths if not holders_of(path.split("."))}
        assert unknown == {"**.cache_control.scope"}
        assert holders_of(["**", "cache_control", "ttl"]) == {"BetaCacheControlEphemeralParam"}

    def test_a_rules_beta_is_one_that_a_vendor_names(self) -> None:
        named = {*SDK["betas"], *TABLE["columns"]["anthropic"]}
        betas = {rule.beta for rule in RULES if rule.beta}
        assert betas
        assert betas <= named


def test_every_upstream_with_a_table_of_betas_is_compared() -> None:
    assert BETAS.keys() == COLUMNS.keys()


@pytest.mark.parametrize("upstream", COLUMNS)
class TestBetas:
    def test_a_beta_that_litellm_drops_is_refused_or_was_probed_as_taken(
        self, upstream: str
    ) -> None:
        dropped = {beta for beta, sent in column_of(upstream).items() if sent is None}
        kept = dropped - BETAS[upstream].refused.keys()
        sources = {beta: BETAS[upstream].taken.get(beta, "no row") for beta in kept}
        unfounded = {beta: why for beta, why in sources.items() if not why.startswith("probed")}
        assert dropped
        assert unfounded == {}

    def test_a_row_by_litellm_says_what_its_column_says(self, upstream: str) -> None:
        column = column_of(upstream)
        table = BETAS[upstream]
        taken = {beta for beta, why in table.taken.items() if why.startswith("LiteLLM")}
        refused = {beta for beta, why in table.refused.items() if why.startswith("LiteLLM")}
        assert taken <= {sent for sent in column.values() if sent is not None}
        assert refused <= {beta for beta, sent in column.items() if sent is None}

    def test_a_beta_is_taken_or_refused_with_a_source(self, upstream: str) -> None:
        table = BETAS[upstream]
        assert table.taken.keys().isdisjoint(table.refused)
        assert all([*table.taken.values(), *table.refused.values()])

    def test_an_alias_is_litellms(self, upstream: str) -> None:
        renamed = {
            beta: sent
            for beta, sent in column_of(upstream).items()
            if sent is not None and sent != beta
        }
        assert BETAS[upstream].aliases == renamed

    def test_a_source_names_the_version_of_the_file(self, upstream: str) -> None:
        release = ".".join(TABLE["version"].split(".")[:2])
        table = BETAS[upstream]
        sources = {*table.taken.values(), *table.refused.values()}
        litellms = {source for source in sources if source.startswith("LiteLLM")}
        assert litellms
        assert all(source.startswith(f"LiteLLM {release}") for source in litellms)
