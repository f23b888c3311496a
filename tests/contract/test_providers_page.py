"""The page about providers: each row of its table is translated, each list compared with types."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_type_hints

import httpx
import msgspec
import pytest
import yaml

from count_tokens_mw import Config
from count_tokens_mw.config.params.google import GeminiParams, VertexParams
from count_tokens_mw.errors import CannotCount, InvalidRequest
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.google.dialect import Backend, Dialect, dialect_of
from count_tokens_mw.providers.google.gemini import Gemini
from count_tokens_mw.providers.google.translation import generate_content_request
from count_tokens_mw.providers.google.vertex import Vertex
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.translation.no_input import NO_INPUT_OF_REQUEST
from count_tokens_mw.providers.translation.request import READERS
from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import CountRequest, UpstreamCall
from tests.support.fakes import FakeUpstream
from tests.support.gemini import TYPES
from tests.support.provider_page import PAGE, names_in, occurrences, part, rows_of
from tests.support.requests import HELLO, IMAGE
from tests.support.translated_cases import (
    CASES,
    WEB_SEARCH,
    Body,
    Case,
    answer,
    message,
    source,
    system,
    tool,
)

ROOT: Final = Path(__file__).parents[2]
SNIPPETS: Final = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ENVIRON: Final = {"GEMINI_API_KEY": "key", "VERTEX_API_KEY": "key"}
MODELS: Final[Mapping[str, tuple[Backend, str]]] = {
    "Gemini API, 2.x": ("gemini_api", "gemini-2.5-flash"),
    "Gemini API, 3 and newer": ("gemini_api", "gemini-3.6-flash"),
    "Vertex AI": ("vertex", "gemini-3.6-flash"),
}

BACKENDS: Final[tuple[Backend, ...]] = ("gemini_api", "vertex")

# ---- the page

HEAD, *ROWS = rows_of(part("translation: "))
TRANSLATED: Final = [row for row in ROWS if not row[0].startswith("**")]


def dialect_of_column(column: str, *, signs_calls: bool = False) -> Dialect:
    backend, model = MODELS[column]
    return dialect_of(backend, model, signs_calls=signs_calls)


def translate(body: Body, dialect: Dialect) -> tuple[Any, tuple[str, ...]]:
    """Return the JSON that is sent for a body, and the places that are named."""
    request = JsonObject.parse(json.dumps(body).encode())
    content, omitted = generate_content_request(request, dialect)
    return msgspec.json.decode(msgspec.json.encode(content)), omitted


def check(cell: str, others: set[str], case: Case, column: str) -> None:
    """Check the cell of a column: its verdict, or each of its names and none of the other ones."""
    dialect = dialect_of_column(column, signs_calls=case.signs_calls)
    if cell in {"400", "501"}:
        with pytest.raises(InvalidRequest if cell == "400" else CannotCount):
            translate(case.body, dialect)
        return
    plain, nothing = translate(case.plain, dialect_of_column(column))
    assert nothing == (), "the plain request is translated whole"
    sent, omitted = translate(case.body, dialect)
    assert bool(omitted) == (cell in {"left out, named", "not sent, named"})
    names = names_in(cell)
    match cell:
        case "no input" | "left out, named":
            assert sent == plain
            assert not differs_at_gemini_api(case, dialect)
        case "not sent" | "not sent, named":
            assert sent == plain
            assert differs_at_gemini_api(case, dialect)
        case "the same content":
            assert sent != plain
            assert len(sent["contents"]) == len(plain["contents"])
        case "a content of its own":
            assert len(sent["contents"]) == len(plain["contents"]) + 1
        case _:
            assert re.fullmatch(r"`[^`]+`(?:, `[^`]+`)*", cell), "a cell has a verdict or names"
    for name in names:
        assert occurrences(sent, name) > occurrences(plain, name), name
    for name in others.difference(names):
        assert occurrences(sent, name) == occurrences(plain, name), name


def differs_at_gemini_api(case: Case, dialect: Dialect) -> bool:
    """Return whether the Gemini API's counter gets the subject, for the same generation."""
    there = replace(dialect, backend="gemini_api")
    unsigned = replace(there, signs_calls=False)
    return bool(translate(case.body, there)[0] != translate(case.plain, unsigned)[0])


@pytest.mark.parametrize("column", MODELS)
@pytest.mark.parametrize("row", TRANSLATED, ids=lambda row: row[0])
def test_a_row_is_true_of_the_translation(row: list[str], column: str) -> None:
    cells = dict(zip(HEAD, row, strict=True))
    others = {name for other in MODELS for name in names_in(cells[other])}
    assert CASES[row[0]]
    for case in CASES[row[0]]:
        check(cells[column], others, case, column)


def test_a_false_row_would_be_found() -> None:
    column = "Gemini API, 3 and newer"
    case = answer(IMAGE)
    check("`functionResponse.parts.inlineData`", set(), case, column)
    for cell in ("`contents.parts.inlineData`", "no input", "left out, named", "anything"):
        with pytest.raises(AssertionError):
            check(cell, set(), case, column)
    with pytest.raises(pytest.fail.Exception):
        check("501", set(), case, column)
    with pytest.raises(AssertionError):
        check("`functionResponse`", {"functionResponse.parts"}, answer(IMAGE), column)


def test_every_case_has_a_row() -> None:
    assert [row[0] for row in TRANSLATED] == list(CASES)
    assert all(row[-1] for row in TRANSLATED), "LiteLLM's column is filled"


@pytest.mark.parametrize("label", CASES)
def test_vertex_differs_by_generation_as_the_gemini_api_does(label: str) -> None:
    model = "gemini-2.5-flash"
    for case in CASES[label]:
        answers: list[Any] = []
        for backend in BACKENDS:
            dialect = dialect_of(backend, model, signs_calls=case.signs_calls)
            try:
                sent, omitted = translate(case.body, dialect)
            except (CannotCount, InvalidRequest) as error:
                answers.append((type(error), error.message))
            else:
                sent.pop("toolConfig", None)
                answers.append((sent, {*omitted} - {"tool_choice"}))
        assert answers[0] == answers[1]


# ---- completeness


def test_every_type_has_a_row() -> None:
    labels = " ".join(CASES)
    tags = {
        str(kind.__struct_config__.tag)
        for kind in TYPES
        if kind.__struct_config__.tag_field == "type" and not kind.__name__.startswith("_")
    }
    assert {"tool_reference", "base64", "compaction"} <= tags
    assert [tag for tag in sorted(tags) if f"`{tag}`" not in labels] == []
    fields = [name for name in READERS if name not in {"messages", "tools"}]
    assert [name for name in fields if f"`{name}" not in labels] == []


def test_the_fields_that_are_no_input_are_those_of_the_types() -> None:
    by_reason: dict[str, set[str]] = {}
    for kind in TYPES:
        for name, hint in get_type_hints(kind, include_extras=True).items():
            for meta in getattr(hint, "__metadata__", ()):
                description = str(getattr(meta, "description", None) or "")
                if description.startswith("no input: "):
                    by_reason.setdefault(description.partition(": ")[2], set()).add(name)
    head, *rows = rows_of(part("no input: "))
    assert head == ["reason", "fields"]
    assert {reason: set(names_in(fields)) for reason, fields in rows} == by_reason


def test_the_fields_at_the_top_that_are_no_input_are_those_of_the_translation() -> None:
    names = names_in(part("no input at the top: "))
    assert len(names) == len(set(names))
    assert set(names) == NO_INPUT_OF_REQUEST


@pytest.mark.parametrize("added", [{"mcp_servers": []}, {"container": None}, {"x_future": None}])
def test_an_empty_field_says_nothing(added: Body) -> None:
    for column in MODELS:
        dialect = dialect_of_column(column)
        assert translate({"messages": HELLO, **added}, dialect) == (
            translate({"messages": HELLO}, dialect)[0],
            (),
        )


def test_an_image_by_url_has_one_of_the_extensions_of_the_page() -> None:
    (sentence,) = re.findall(r"one of the extensions (.*?),? because", PAGE, re.DOTALL)
    dialect = dialect_of_column("Vertex AI")
    for extension in names_in(sentence):
        case = source("image", "url", url=f"https://example.com/a{extension}")
        assert occurrences(translate(case.body, dialect)[0], "fileData") == 1
    assert len(names_in(sentence)) == 5


def test_an_unknown_end_of_a_system_message_is_a_501() -> None:
    for clear_at, is_known in (("never", True), ("next_user_message", True), ("tomorrow", False)):
        body = message(system("Be brief.", clear_at=clear_at)).body
        assert not is_known or f"`{clear_at}`" in PAGE
        if is_known:
            translate(body, dialect_of_column("Vertex AI"))
        else:
            with pytest.raises(CannotCount, match="clear_at"):
                translate(body, dialect_of_column("Vertex AI"))


# ---- names, snippets and links


def entry_of(model: str) -> Body:
    params = {"model": model, "vertex_project": "my-project", "vertex_location": "us-central1"}
    params |= {"api_key": "key"} if model.startswith("gemini/") else {}
    return {"model_list": [{"model_name": "m", "litellm_params": params}]}


def call_of(data: Body) -> UpstreamCall:
    """Return the call that the only deployment of a configuration prepares."""
    (deployment,) = Config.from_mapping(data, ENVIRON).deployments
    body = {"model": "m", "messages": HELLO}
    request: CountRequest = request_from_mapping(body).for_model(deployment.upstream_model)
    http = HttpClient(FakeUpstream().client())
    match deployment.params:
        case GeminiParams() as params:
            return Gemini(params, http).prepare(request)
        case VertexParams() as params:
            return Vertex(params, http).prepare(request)
    raise AssertionError(deployment.provider)


@pytest.mark.parametrize(
    ("model", "path"),
    re.findall(r"^\| `((?:gemini|vertex_ai)/[^`]+)` \| `(/v1[^`]+)` \|$", PAGE, re.MULTILINE),
)
def test_a_model_has_the_path_of_the_page(model: str, path: str) -> None:
    assert httpx.URL(call_of(entry_of(model)).target).path == path


@pytest.mark.parametrize(
    ("name", "generation"),
    [
        ("gemini-1.5-pro", 1),
        ("models/gemini-2.0-flash", 2),
        *(
            (name, 3)
            for name in ("gemini-flash-latest", "gemma-3-27b-it", "1234567890", "gemini-4")
        ),
    ],
)
def test_a_name_is_of_the_generation_of_the_page(name: str, generation: int) -> None:
    assert dialect_of("gemini_api", name).generation == generation


def test_the_first_generation_has_another_web_search() -> None:
    sent, _ = translate(tool(**WEB_SEARCH).body, dialect_of("gemini_api", "gemini-1.5-pro"))
    assert occurrences(sent, "tools.googleSearchRetrieval") == 1
    assert "`googleSearchRetrieval`" in PAGE


def test_gemma_on_vertex_cannot_be_counted() -> None:
    (deployment,) = Config.from_mapping(entry_of("vertex_ai/gemma-3-27b-it"), {}).deployments
    assert deployment.params is None


def snippet(having: str) -> Body:
    (found,) = [code for language, code in SNIPPETS if language == "yaml" and having in code]
    loaded: Body = yaml.safe_load(found)
    return loaded


@pytest.mark.parametrize("section", ["model_info", "litellm_params"])
def test_a_tuned_model_has_the_generation_of_its_base(section: str) -> None:
    data = snippet("base_model")
    (entry,) = data["model_list"]
    entry[section]["base_model"] = entry["model_info"].pop("base_model")
    (deployment,) = Config.from_mapping(data, ENVIRON).deployments
    assert isinstance(deployment.params, VertexParams)
    assert dialect_of("vertex", str(deployment.params.base_name)).generation == 2
    assert call_of(data).target.endswith("/endpoints/1234567890:countTokens")


def test_express_mode_has_neither_project_nor_location() -> None:
    call = call_of(snippet("VERTEX_API_KEY"))
    path = "/v1/publishers/google/models/gemini-3.6-flash:countTokens"
    assert httpx.URL(call.target).path == path
    assert dict(call.headers)["x-goog-api-key"] == "key"


def test_placeholders_are_set_by_the_snippet() -> None:
    (deployment,) = Config.from_mapping(snippet("thought_signatures"), ENVIRON).deployments
    assert isinstance(deployment.params, GeminiParams)
    assert deployment.params.signs_calls


def test_every_snippet_is_loaded_by_one_of_these_tests() -> None:
    assert [language for language, _ in SNIPPETS] == ["bash", *["yaml"] * 5]


def test_every_message_of_gemini_has_a_report_and_a_remedy() -> None:
    head, *rows = rows_of(part("messages: "))
    assert head == ["message", "what to do"]
    for message_cell, remedy in rows:
        assert re.search(r"`.+` \(\[report\]\(https://github\.com/\S+/\d+\)\)$", message_cell)
        assert remedy.endswith(".")


def test_the_readme_leads_to_the_page() -> None:
    assert "(docs/providers.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
