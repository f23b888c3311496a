"""The page about OpenAI: each row of its table is translated, and its snippet is loaded."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
import yaml

from count_tokens_mw import Config
from count_tokens_mw.config.params.openai import OpenAIParams
from count_tokens_mw.errors import CannotCount
from tests.support.openai import MODEL, encode, translate
from tests.support.openai_judge import openai_judge
from tests.support.provider_page import PAGE, names_in, occurrences, part, rows_of
from tests.support.requests import DOCUMENT, IMAGE, IMAGE_URL, WEATHER
from tests.support.translated_cases import (
    CASES,
    WEB_SEARCH,
    Body,
    Case,
    answer,
    block,
    choice,
    field,
    in_history,
)

HEAD, *ROWS = rows_of(part("openai translation: "))
TRANSLATED: Final = [row for row in ROWS if not row[0].startswith("**")]
PDF_SOURCE: Final[Any] = DOCUMENT["source"]
PLAIN_PDF: Final = {"type": "document", "source": PDF_SOURCE}
PDF_URL: Final = {"type": "document", "source": {"type": "url", "url": "https://example.com/a"}}
LIMITED: Final = {
    **WEB_SEARCH,
    "allowed_domains": ["a.example"],
    "user_location": {"type": "approximate", "city": "Bern"},
}
# Rows of Gemini's table that OpenAI's has in another form, or not at all.
OTHERS: Final = {
    "`image`, source `base64`",
    "the same with `thought_signatures: placeholder`",
    "`tool_result`, file by `base64`",
    "`tool_result`, file by `url`",
}
OWN: Final[Mapping[str, tuple[Case, ...]]] = {
    "`image`, source `base64`": (block(IMAGE),),
    "`image` or `document` with a file in an assistant message": (
        in_history(IMAGE),
        in_history(PLAIN_PDF),
        in_history(PDF_URL),
    ),
    "`tool_result`, image by `base64` or `url`": (answer(IMAGE), answer(IMAGE_URL)),
    "`tool_result`, `document` by `base64`": (answer(PLAIN_PDF),),
    "`tool_result`, `document` by `url`": (answer(PDF_URL),),
    "`allowed_domains` and `user_location` of web search": (
        Case(field("tools", [LIMITED]).body, field("tools", [WEB_SEARCH]).body),
    ),
    "`disable_parallel_tool_use` beside tools": (
        Case(
            choice("auto", WEATHER, disable_parallel_tool_use=True).body,
            choice("auto", WEATHER).body,
        ),
    ),
}
ALL: Final = {**{name: cases for name, cases in CASES.items() if name not in OTHERS}, **OWN}


def read(body: Body) -> tuple[Any, tuple[str, ...]]:
    """Return the JSON that is sent for a body, which the SDK's types accept, and the places."""
    raw, omitted = encode(json.dumps(body).encode())
    return json.loads(raw), omitted


def check(cell: str, case: Case) -> None:
    """Check a cell: its verdict, or each of its names."""
    if cell == "501":
        with pytest.raises(CannotCount):
            translate(case.body)
        return
    plain, nothing = read(case.plain)
    assert nothing == (), "the plain request is translated whole"
    sent, omitted = read(case.body)
    assert bool(omitted) == (cell == "left out, named")
    match cell:
        case "no input" | "left out, named":
            assert sent == plain
        case "an item of its own":
            assert len(sent["input"]) == len(plain["input"]) + 1
        case _:
            assert re.fullmatch(r"`[^`]+`(?:, `[^`]+`)*", cell), "a cell has a verdict or names"
    for name in names_in(cell):
        assert occurrences(sent, name) > occurrences(plain, name), name


@pytest.mark.parametrize("row", TRANSLATED, ids=lambda row: row[0])
def test_a_row_is_true_of_the_translation(row: list[str]) -> None:
    assert ALL[row[0]]
    for case in ALL[row[0]]:
        check(row[1], case)


@pytest.mark.parametrize("label", [row[0] for row in TRANSLATED if row[1] != "501"])
def test_the_sdks_own_types_accept_the_requests_of_a_row(label: str) -> None:
    if label == "`tool_result` without its `tool_use`":  # which OpenAI refuses by itself
        return
    for case in ALL[label]:
        openai_judge({"model": MODEL, **translate(case.body)})


def test_a_false_row_would_be_found() -> None:
    case = answer(IMAGE)
    check("`output.image_url`", case)
    for cell in ("`output.file_data`", "no input", "left out, named", "an item of its own", "any"):
        with pytest.raises(AssertionError):
            check(cell, case)
    with pytest.raises(pytest.fail.Exception):
        check("501", case)


def test_every_case_has_a_row_and_every_row_has_litellms_column() -> None:
    assert HEAD[1] == "OpenAI"
    assert sorted(row[0] for row in TRANSLATED) == sorted(ALL)
    assert all(row[-1] for row in TRANSLATED)
    gemini = [row[0] for row in rows_of(part("translation: "))[1:] if not row[0].startswith("**")]
    shared = [label for label in gemini if label in ALL and label not in OWN]
    assert [row[0] for row in TRANSLATED if row[0] in shared] == shared


def test_the_snippet_has_one_entry_of_each_kind() -> None:
    (found,) = re.findall(
        r"^```yaml\n(# config.yaml\n[^`]*?openai/gpt.*?)^```", PAGE, re.DOTALL | re.MULTILINE
    )
    environ = {"OPENAI_API_KEY": "a", "OPENAI_EU_KEY": "b", "AZURE_API_KEY": "c"}
    config = Config.from_mapping(yaml.safe_load(found), environ)
    assert config.warnings == ()
    params = [deployment.params for deployment in config.deployments]
    assert all(isinstance(one, OpenAIParams) for one in params)
    assert [one.endpoint for one in params if one] == [
        "https://api.openai.com/v1",
        "https://eu.api.openai.com/v1",
        "https://our-resource.openai.azure.com/openai/v1",
    ]
