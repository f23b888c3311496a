"""LiteLLM as the judge of configurations: both read each shape alike, or docs/litellm.md lists it.

LiteLLM's answers are recorded by `make compare-config`.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.facts import read_facts
from tests.facts.ask_litellm import describe_request
from tests.facts.litellm_shapes import (
    LITELLM_ANSWERS,
    Difference,
    Shape,
    compare_answers,
    our_answer,
    read_shapes,
)

ROOT: Final = Path(__file__).parents[2]
SHAPES: Final = read_shapes()
FACTS: Final = read_facts(LITELLM_ANSWERS)
PAGE: Final = (ROOT / "docs" / "litellm.md").read_text(encoding="utf-8")
SECTION: Final = PAGE.partition("\n## Differences\n")[2]
FEWEST_SHAPES: Final = 60


def listed() -> list[list[str]]:
    """Return the cells of the page's table, row by row, without code marks."""
    rows = re.findall(r"^\| (.+) \|$", SECTION, flags=re.MULTILINE)[1:]
    return [[cell.strip().strip("`") for cell in row.split(" | ")] for row in rows]


DOCUMENTED: Final = {Difference(*row[:4]): row[4] for row in listed()}


def test_litellm_answered_every_shape() -> None:
    names = [shape.name for shape in SHAPES]
    assert len(names) == len(set(names)) >= FEWEST_SHAPES
    assert sorted(names) == sorted(FACTS["answers"])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_configuration_is_read_as_by_litellm_or_as_documented(
    shape: Shape, tmp_path: Path
) -> None:
    theirs = FACTS["answers"][shape.name]
    documented = [row for row in DOCUMENTED if row.shape == shape.name]
    assert compare_answers(shape, theirs, our_answer(shape, tmp_path)) == documented


def test_the_page_lists_known_shapes_once_and_with_a_reason() -> None:
    rows = listed()
    assert len(rows) == len(DOCUMENTED)
    assert {row.shape for row in DOCUMENTED} <= {shape.name for shape in SHAPES}
    assert all(DOCUMENTED.values())


def test_the_page_names_the_shapes_and_the_version() -> None:
    assert f"{len(SHAPES)} configurations" in SECTION
    assert f"LiteLLM {FACTS['version']}" in SECTION
    agreed = len(SHAPES) - len({row.shape for row in DOCUMENTED})
    assert f"{agreed} of them" in SECTION


@pytest.mark.parametrize(
    ("theirs", "ours", "fields"),
    [
        ({"key": "a"}, {}, []),
        ({"refused": "AuthenticationError"}, {"refused": "api_key is missing"}, []),
        ({"refused": "AuthenticationError"}, {}, ["outcome"]),
        ({}, {"refused": "api_key is missing"}, ["outcome"]),
        ({"key": "a", "region": "b"}, {"base": "https://a.example"}, ["region", "base", "key"]),
        ({"model": "b"}, {}, ["model"]),
    ],
)
def test_answers_are_compared_field_by_field(
    theirs: dict[str, Any], ours: dict[str, Any], fields: list[str]
) -> None:
    names = {"provider": "anthropic", "model": "a"}
    rest = dict.fromkeys(("region", "project", "base", "key"))
    full = {**names, **rest, **theirs}
    mine = {**names, **(rest if "base" in ours else {}), **ours}
    answers = [theirs if "refused" in theirs else full, ours if "refused" in ours else mine]
    shape = Shape("a shape", "a", {})
    assert [each.field for each in compare_answers(shape, *answers)] == fields


def test_a_home_directory_is_put_into_a_shape(tmp_path: Path) -> None:
    config = {"model_list": [{"litellm_params": {"vertex_credentials": "{home}/a/b.json"}}]}
    shape = Shape("a shape", "a", config, {"FILE": "{home}/c"}, {"a/b.json": "{}"})
    placed = shape.placed(tmp_path)
    assert (tmp_path / "a/b.json").read_text() == "{}"
    assert placed.environ == {"FILE": f"{tmp_path}/c"}
    assert json.dumps(placed.config) == json.dumps(config).replace("{home}", str(tmp_path))


@pytest.mark.parametrize(
    ("url", "headers", "base", "key", "region", "project"),
    [
        ("https://a.example/b/v1/messages", {"x-api-key": "k"}, "/b", "k", None, None),
        ("https://a.example/v1/messages", {"authorization": "Bearer k"}, "", "k", None, None),
        ("https://a.example/v1beta/models/gemini:x?key=k", {}, "", "k", None, None),
        (
            "https://a.example/model/us-west-2/anthropic.claude/invoke",
            {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20261126/eu-west-1/bedrock/aws4"},
            *("", "AKIA", "eu-west-1", None),
        ),
        (
            "https://a.example/v1/projects/p/locations/us-east5/publishers/a/models/b:rawPredict",
            {"authorization": "Bearer a@file"},
            *("", "a@file", "us-east5", "p"),
        ),
    ],
)
def test_a_request_of_litellm_is_described(
    url: str, headers: dict[str, str], base: str, key: str, region: str, project: str
) -> None:
    assert describe_request(httpx.Request("POST", url, headers=headers)) == {
        "base": f"https://a.example{base}",
        "key": key,
        "region": region,
        "project": project,
    }


def test_the_region_of_a_request_with_a_token_is_that_of_its_host() -> None:
    url = "https://bedrock-runtime.us-west-2.amazonaws.com/model/anthropic.claude/converse"
    answer = describe_request(httpx.Request("POST", url, headers={"authorization": "Bearer k"}))
    assert (answer["key"], answer["region"]) == ("k", "us-west-2")
