"""The page about providers: each row of its table is translated, each list compared with types."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, get_type_hints

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
from count_tokens_mw.providers.google.no_input import NO_INPUT_OF_REQUEST
from count_tokens_mw.providers.google.translation import READERS, generate_content_request
from count_tokens_mw.providers.google.vertex import Vertex
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import CountRequest, UpstreamCall
from tests.support.fakes import FakeUpstream
from tests.support.gemini import TYPES
from tests.support.requests import (
    DOCUMENT,
    HELLO,
    IMAGE,
    IMAGE_URL,
    PLAIN_DOCUMENT,
    SEARCH_RESULT,
    THINKING,
    TOOL_ERROR,
    TOOL_USE,
    WEATHER,
    text,
    user,
)

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs"
PAGE: Final = (FOLDER / "providers.md").read_text(encoding="utf-8")
SNIPPETS: Final = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ENVIRON: Final = {"GEMINI_API_KEY": "key", "VERTEX_API_KEY": "key"}
MODELS: Final[Mapping[str, tuple[Backend, str]]] = {
    "Gemini API, 2.x": ("gemini_api", "gemini-2.5-flash"),
    "Gemini API, 3 and newer": ("gemini_api", "gemini-3.6-flash"),
    "Vertex AI": ("vertex", "gemini-3.6-flash"),
}

BACKENDS: Final[tuple[Backend, ...]] = ("gemini_api", "vertex")

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A request with the subject of a row, and the same request without it."""

    body: Body
    plain: Body
    signs_calls: bool = False


# ---- the requests

TOOL_TURN: Final = {"role": "assistant", "content": [TOOL_USE]}
IMAGE_SOURCE: Final[Any] = IMAGE["source"]
PLAIN_PDF: Final = {"type": "document", "source": DOCUMENT["source"]}
PDF_URL: Final = {"type": "document", "source": {"type": "url", "url": "https://example.com/a"}}
REDACTED: Final = {"type": "redacted_thinking", "data": "c2VjcmV0"}
QUERY: Final = {"query": "weather"}
SCHEMA: Final = {"type": "json_schema", "schema": {"type": "object", "title": "new"}}
OLDER: Final = {"type": "json_schema", "schema": {"type": "object", "title": "old"}}
WEB_SEARCH: Final = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


def assistant(*content: Any) -> Body:
    return {"role": "assistant", "content": list(content)}


def conversation(*messages: Any) -> Body:
    return {"messages": list(messages)}


def message(*added: Any, before: Any = HELLO, after: Any = ()) -> Case:
    """Return the case of messages that are added to a conversation."""
    return Case(conversation(*before, *added, *after), conversation(*before, *after))


def block(added: Any) -> Case:
    """Return the case of a block in the user's message."""
    return Case(conversation(user(text("Hi."), added)), conversation(user(text("Hi."))))


def in_history(added: Any) -> Case:
    """Return the case of a block in an assistant's earlier message."""
    rest, after = [text("Hello.")], user(text("And?"))
    return Case(
        conversation(*HELLO, assistant(added, *rest), after),
        conversation(*HELLO, assistant(*rest), after),
    )


def in_loop(added: Any) -> Case:
    """Return the case of a block in the tool loop under way."""
    after = user(result("Rain."))
    return Case(
        conversation(*HELLO, assistant(added, TOOL_USE), after),
        conversation(*HELLO, assistant(TOOL_USE), after),
    )


def result(content: Any, number: int = 1) -> Body:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content}


def answer(*blocks: Any, plain: Any = "") -> Case:
    """Return the case of blocks in a tool's result; the plain request has the `plain` result."""
    before = [*HELLO, TOOL_TURN]
    return Case(
        conversation(*before, user(result(list(blocks)))),
        conversation(*before, user(result(plain))),
    )


def field(name: str, value: Any, **other: Any) -> Case:
    """Return the case of a field at the top of a request that has these other ones."""
    plain = {"messages": HELLO, **other}
    return Case({**plain, name: value}, plain)


def tool(**fields: Any) -> Case:
    """Return the case of a tool."""
    return field("tools", [fields])


def choice(kind: str, *tools: Any, **more: Any) -> Case:
    """Return the case of a tool choice."""
    return field("tool_choice", {"type": kind, **more}, tools=list(tools))


def source(kind: str, source_type: str, **more: Any) -> Case:
    """Return the case of a block with a source."""
    return block({"type": kind, "source": {"type": source_type, **more}})


def system(content: Any, **more: Any) -> Body:
    return {"role": "system", "content": content, **more}


PARALLEL: Final = assistant(TOOL_USE, {**TOOL_USE, "id": "toolu_2"})
RESULTS: Final = user(result("Rain."), result("Sun.", 2))
COMPACTION: Final = {"type": "compaction", "content": "All so far."}
SERVED: Final = {"type": "server_tool_use", "id": "srvtoolu_1", "input": QUERY}
CASES: Final[Mapping[str, tuple[Case, ...]]] = {
    "`system`": (field("system", "Be brief."), field("system", [text("Be brief."), text("Or")])),
    "system message before all others": (
        message(system("Be brief."), before=(), after=HELLO),
        message(system([text("Be brief.")]), before=(), after=HELLO),
    ),
    "later system message": (message(system("Be brief.")),),
    "system message that has ended (`clear_at`)": (
        message(system("Be brief.", clear_at="next_user_message"), after=[user(text("And?"))]),
    ),
    "system message with `output_config` alone": (
        message({"role": "system", "output_config": {"effort": "low"}}),
    ),
    "user message": (message(*HELLO, before=[assistant(text("Hi."))]),),
    "assistant message": (message(assistant(text("Hi."))),),
    "messages of one role in a row": (
        message(user(text("And?"))),
        message(assistant(text("b")), before=[*HELLO, assistant(text("a"))]),
    ),
    "`text`": (block(text("Marked.")),),
    "empty `text`": (block(text("")), in_history(text(""))),
    "`image`, source `base64`": (block(IMAGE), in_history(IMAGE)),
    "`image`, source `url` with an extension": (block(IMAGE_URL),),
    "`image`, source `url` without an extension": (source("image", "url", url="https://a.b/c"),),
    "`image`, source `file`": (source("image", "file", file_id="file_1"),),
    "`document`, source `base64`": (block(PLAIN_PDF),),
    "`document`, source `url`": (block(PDF_URL),),
    "`document`, source `text`": (block(PLAIN_DOCUMENT),),
    "`document`, source `content`": (source("document", "content", content=[text("A"), IMAGE]),),
    "`document`, source `file`": (source("document", "file", file_id="file_1"),),
    "`title` and `context`, before their document": (
        Case(conversation(user({**PLAIN_PDF, "title": "Contract"})), conversation(user(PLAIN_PDF))),
        Case(conversation(user({**PLAIN_PDF, "context": "Signed"})), conversation(user(PLAIN_PDF))),
    ),
    "`search_result`: title, source and texts": (block(SEARCH_RESULT),),
    "`thinking` of the current tool loop": (in_loop(THINKING),),
    "`thinking` of an earlier turn": (in_history(THINKING),),
    "`redacted_thinking` of the current tool loop": (in_loop(REDACTED),),
    "`redacted_thinking` of an earlier turn": (in_history(REDACTED),),
    "`tool_use`": (in_history(TOOL_USE),),
    "the same with `thought_signatures: placeholder`": (
        Case(conversation(*HELLO, TOOL_TURN), conversation(*HELLO, TOOL_TURN), signs_calls=True),
    ),
    "`tool_result`, text": (message(user(result("Rain.")), before=[*HELLO, TOOL_TURN]),),
    "`tool_result` with `is_error`": (
        Case(
            conversation(*HELLO, TOOL_TURN, user(TOOL_ERROR)),
            conversation(*HELLO, TOOL_TURN, user({**TOOL_ERROR, "is_error": False})),
        ),
    ),
    "`tool_result`, file by `base64`": (answer(IMAGE), answer(PLAIN_PDF)),
    "`tool_result`, file by `url`": (answer(IMAGE_URL), answer(PDF_URL)),
    "`tool_result`, `document` with text": (
        message(user(result([PLAIN_DOCUMENT])), before=[*HELLO, TOOL_TURN]),
    ),
    "`tool_result`, `search_result`": (
        message(user(result([SEARCH_RESULT])), before=[*HELLO, TOOL_TURN]),
    ),
    "`tool_result`, `tool_reference`": (
        answer({"type": "tool_reference", "tool_name": "get_weather"}),
    ),
    "`tool_result` without its `tool_use`": (message(user(result("Rain."))),),
    "text beside one `tool_result`": (
        Case(
            conversation(*HELLO, TOOL_TURN, user(result("Rain."), text("And?"))),
            conversation(*HELLO, TOOL_TURN, user(result("Rain."))),
        ),
    ),
    "text beside parallel `tool_result`s": (
        message(user(text("And?")), before=[*HELLO, PARALLEL, RESULTS]),
    ),
    "`compaction` with `content`": (message(assistant(COMPACTION), before=(), after=HELLO),),
    "messages before a `compaction` with `content`": (
        Case(
            conversation(user(text("Earlier.")), assistant(text("So."), COMPACTION, text("Hi."))),
            conversation(assistant(COMPACTION, text("Hi."))),
        ),
    ),
    "`compaction` without `content`": (in_history({"type": "compaction", "content": None}),),
    "`compaction` with `tool_changes`": (
        in_history({**COMPACTION, "tool_changes": [{"type": "tool_added"}]}),
    ),
    "`fallback`": (in_history({"type": "fallback", "from": {"model": "a"}}),),
    "`server_tool_use` of web search or web fetch": (
        in_history({**SERVED, "name": "web_search"}),
        in_history({**SERVED, "name": "web_fetch"}),
    ),
    "`web_search_tool_result`": (
        in_history({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
    ),
    "`web_fetch_tool_result`": (
        in_history({"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content": {}}),
    ),
    "`server_tool_use` of another tool": (
        in_history({**SERVED, "name": "code_execution"}),
        in_history({**SERVED, "name": "tool_search_tool_regex"}),
    ),
    "`code_execution_tool_result`, `mcp_tool_use`, `container_upload`, any other block": tuple(
        in_history({"type": kind, "id": "1"})
        for kind in ("code_execution_tool_result", "mcp_tool_use", "container_upload", "hologram")
    ),
    "unknown field of a known block or source": (
        Case(conversation(user(text("Hi.", x_future_field=1))), conversation(user(text("Hi.")))),
        Case(
            conversation(user({**IMAGE, "source": {**IMAGE_SOURCE, "x_future_field": [1]}})),
            conversation(user(IMAGE)),
        ),
    ),
    "custom tool": (tool(**WEATHER), tool(type="custom", **WEATHER)),
    "custom tool with `input_examples`": (tool(**WEATHER, input_examples=[{"place": "Bern"}]),),
    "unknown field of a tool": (
        Case(
            {"messages": HELLO, "tools": [{**WEATHER, "x_future_field": True}]},
            {"messages": HELLO, "tools": [WEATHER]},
        ),
        Case(
            {"messages": HELLO, "tools": [{**WEB_SEARCH, "x_future_field": True}]},
            {"messages": HELLO, "tools": [WEB_SEARCH]},
        ),
    ),
    "`web_search_*`": (tool(**WEB_SEARCH), tool(type="web_search_20260209", name="web_search")),
    "`web_fetch_*`": (tool(type="web_fetch_20250910", name="web_fetch"),),
    "`code_execution_*`": (tool(type="code_execution_20250825", name="code_execution"),),
    "a built-in tool beside functions": (field("tools", [WEATHER, WEB_SEARCH]),),
    "`bash_*`, `text_editor_*`, `computer_*`, `memory_*`, `tool_search_tool_*`, any other type": (
        tool(type="bash_20250124", name="bash"),
        tool(type="text_editor_20250728", name="str_replace_based_edit_tool"),
        tool(type="computer_20251124", name="computer"),
        tool(type="memory_20250818", name="memory"),
        tool(type="tool_search_tool_bm25_20251119", name="tool_search_tool_bm25"),
        tool(type="hologram_20270101", name="hologram"),
    ),
    "`mcp_toolset`": (tool(type="mcp_toolset", mcp_server_name="docs"),),
    "`tool_choice` `auto`": (choice("auto", WEATHER),),
    "`tool_choice` `any`": (choice("any", WEATHER),),
    "`tool_choice` `none`": (choice("none", WEATHER),),
    "`tool_choice` `tool`, a function": (choice("tool", WEATHER, name="get_weather"),),
    "`tool_choice` `tool`, another tool": (choice("tool", WEATHER, WEB_SEARCH, name="web_search"),),
    "`tool_choice` of built-in tools alone": (
        choice("any", WEB_SEARCH),
        choice("none", WEB_SEARCH),
    ),
    "`output_config.format`": (field("output_config", {"format": SCHEMA, "effort": "low"}),),
    "`output_format`": (
        field("output_format", SCHEMA),
        field("output_format", SCHEMA, output_config={"effort": "low"}),
    ),
    "`output_format` beside `output_config.format`": (
        field("output_format", OLDER, output_config={"format": SCHEMA}),
    ),
    "`thinking`": (field("thinking", {"type": "adaptive"}),),
    "`context_management`": (field("context_management", {"edits": []}),),
    "`mcp_servers`": (field("mcp_servers", [{"type": "url", "url": "https://a", "name": "a"}]),),
    "`container`, `thread`, any other field": (
        field("container", "container_1"),
        field("thread", {"id": "thread_1"}),
        field("x_future_field", 1),
    ),
}


# ---- the page


def part(marker: str) -> str:
    """Return what stands between a comment of the page and the comment of its end."""
    (found,) = re.findall(
        rf"^<!-- {marker}\b.*? -->\n(.*?)^<!-- end", PAGE, re.DOTALL | re.MULTILINE
    )
    return str(found)


def rows_of(table: str) -> list[list[str]]:
    """Return the cells of a table, its head included."""
    head, _, *rows = table.strip().splitlines()
    # A cell has no escaped bar.
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows)]


HEAD, *ROWS = rows_of(part("translation: "))
TRANSLATED: Final = [row for row in ROWS if not row[0].startswith("**")]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def dialect_of_column(column: str, *, signs_calls: bool = False) -> Dialect:
    backend, model = MODELS[column]
    return dialect_of(backend, model, signs_calls=signs_calls)


def translate(body: Body, dialect: Dialect) -> tuple[Any, tuple[str, ...]]:
    """Return the JSON that is sent for a body, and the places that are named."""
    request = JsonObject.parse(json.dumps(body).encode())
    content, omitted = generate_content_request(request, dialect)
    return msgspec.json.decode(msgspec.json.encode(content)), omitted


def values_at(value: Any, path: list[str]) -> Iterator[Any]:
    """Yield the values at a path from here, through lists."""
    if isinstance(value, list):
        for item in value:
            yield from values_at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:])


def occurrences(value: Any, name: str) -> int:
    """Return how often `path` or `path: value` occurs, from any object."""
    path, colon, expected = name.partition(": ")
    here = [
        found
        for found in values_at(value, path.split("."))
        if not colon or (found if isinstance(found, str) else json.dumps(found)) == expected
    ]
    inner = value.values() if isinstance(value, dict) else value
    rest = inner if isinstance(value, dict | list) else ()
    nested = sum(occurrences(item, name) for item in rest)
    return nested + (len(here) if isinstance(value, dict) else 0)


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
    assert [language for language, _ in SNIPPETS] == ["bash", *["yaml"] * 4]


def test_every_message_of_gemini_has_a_report_and_a_remedy() -> None:
    head, *rows = rows_of(part("messages: "))
    assert head == ["message", "what to do"]
    for message_cell, remedy in rows:
        assert re.search(r"`.+` \(\[report\]\(https://github\.com/\S+/\d+\)\)$", message_cell)
        assert remedy.endswith(".")


def test_the_readme_leads_to_the_page() -> None:
    assert "(docs/providers.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
