"""Translation by API and generation: media of results, tools, signatures, and what is left out."""

from typing import Any

import pytest

from count_tokens_mw.errors import CannotCount, InvalidRequest
from count_tokens_mw.providers.google.dialect import Dialect, dialect_of
from tests.support.gemini import (
    DIALECTS,
    GEMINI_2,
    GEMINI_3,
    VERTEX_2,
    VERTEX_3,
    contents_of,
    omitted_from,
    translate,
)
from tests.support.gemini_blocks import (
    CALL_PART,
    CODE_EXECUTION,
    DECLARATION,
    HELLO_TURN,
    PNG_FILE,
    PNG_PART,
    WEB_SEARCH,
    assistant,
    response,
    result,
    system,
    tool_use,
)
from tests.support.requests import (
    HELLO,
    IMAGE,
    IMAGE_URL,
    THINKING,
    TOOL_RESULT,
    TOOL_USE,
    WEATHER,
    text,
    user,
)

SEE = response("See.")
WITH_IMAGE = response("See.", PNG_PART)
WITH_FILE = response("See.", PNG_FILE)
MORE = {"text": "Go on."}
FETCH: Any = {"type": "web_fetch_20260318", "name": "web_fetch", "max_content_tokens": 9}


def turn(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


@pytest.mark.parametrize(
    ("name", "generation"),
    [
        ("gemini-1.5-pro", 1),
        ("gemini-2.0-flash-001", 2),
        ("gemini-2.5-flash", 2),
        ("models/gemini-2.5-flash", 2),
        ("tunedModels/gemini-2.5-mine", 2),
        ("gemini-3-pro-preview", 3),
        ("gemini-3.8-flash", 3),
        ("gemini-4-argon", 3),
        ("gemini-20.1", 3),
        ("gemini-flash-latest", 3),
        ("gemma-4-31b-it", 3),
        ("endpoints/123", 3),
    ],
)
def test_the_generation_is_in_the_name_and_an_unknown_one_is_newest(
    name: str, generation: int
) -> None:
    assert dialect_of("vertex", name).generation == generation


RESULTS: dict[str, tuple[list[Any], dict[Dialect, list[Any]]]] = {
    "an image": (
        [user(result([text("See."), IMAGE]))],
        {
            GEMINI_2: [turn(SEE, PNG_PART)],
            VERTEX_2: [turn(SEE, PNG_PART)],
            GEMINI_3: [turn(WITH_IMAGE)],
            VERTEX_3: [turn(WITH_IMAGE)],
        },
    ),
    "a file": (
        [user(result([text("See."), IMAGE_URL]))],
        {
            GEMINI_2: [turn(SEE, PNG_FILE)],
            VERTEX_2: [turn(SEE, PNG_FILE)],
            GEMINI_3: [turn(SEE), turn(PNG_FILE)],
            VERTEX_3: [turn(WITH_FILE)],
        },
    ),
    "a text after it": (
        [user(result("See."), text("Go on."))],
        {
            GEMINI_2: [turn(SEE, MORE)],
            VERTEX_2: [turn(SEE, MORE)],
            GEMINI_3: [turn(SEE), turn(MORE)],
            VERTEX_3: [turn(SEE), turn(MORE)],
        },
    ),
    "a text before it": (
        [user(text("Go on."), result("See."))],
        {GEMINI_2: [turn(SEE, MORE)], GEMINI_3: [turn(SEE), turn(MORE)]},
    ),
    "an instruction after it": (
        [user(result("See.")), system("Go on.")],
        {GEMINI_2: [turn(SEE, MORE)], VERTEX_3: [turn(SEE), turn(MORE)]},
    ),
}


@pytest.mark.parametrize(
    ("messages", "dialect", "contents"),
    [
        pytest.param(messages, dialect, contents, id=f"{name}, {dialect}")
        for name, (messages, by_dialect) in RESULTS.items()
        for dialect, contents in by_dialect.items()
    ],
)
def test_media_and_text_stand_where_the_generation_takes_them(
    messages: list[Any], dialect: Dialect, contents: list[Any]
) -> None:
    assert contents_of(*HELLO, assistant(TOOL_USE), *messages, dialect=dialect)[2:] == contents


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_nothing_stands_beside_parallel_results(dialect: Dialect) -> None:
    turns = contents_of(
        *HELLO,
        assistant(tool_use(1), tool_use(2)),
        user(text("Go on."), result([text("See."), IMAGE_URL], "toolu_1")),
        user(result([text("See.")], "toolu_2")),
        dialect=dialect,
    )
    responses = [WITH_FILE, SEE] if dialect == VERTEX_3 else [SEE, SEE]
    beside = [MORE] if dialect == VERTEX_3 else [MORE, PNG_FILE]
    assert turns[2:] == [turn(*responses), turn(*beside)]


@pytest.mark.parametrize(
    ("url", "backends"),
    [
        ("https://h/a.png", {"gemini_api", "vertex"}),
        ("HTTPS://h/a.png", {"gemini_api", "vertex"}),
        ("gs://bucket/a.png", {"vertex"}),
        ("http://169.254.169.254/a.png", set()),
        ("file:///etc/a.png", set()),
        ("ftp://h/a.png", set()),
        ("//h/a.png", set()),
        (" https://h/a.png", set()),
        ("data:image/png;base64,eA==.png", set()),
    ],
)
def test_only_https_and_on_vertex_gs_reaches_gemini(url: str, backends: set[str]) -> None:
    image = {"type": "image", "source": {"type": "url", "url": url}}
    pdf = {"type": "document", "source": {"type": "url", "url": url}}
    for dialect in DIALECTS.values():
        for block in (image, pdf, {**TOOL_RESULT, "content": [image]}):
            messages = [*HELLO, assistant(TOOL_USE), user(block)]
            if dialect.backend in backends:
                assert url in str(contents_of(*messages, dialect=dialect))
            else:
                with pytest.raises(CannotCount, match=r"^messages\.2\.content\.0") as refused:
                    contents_of(*messages, dialect=dialect)
                assert url not in refused.value.message


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        (WEB_SEARCH, "googleSearch"),
        (FETCH, "urlContext"),
        ({"type": "web_fetch_20991231"}, "urlContext"),
        (CODE_EXECUTION, "codeExecution"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_built_in_tool_beside_a_function_is_announced_where_it_has_to_be(
    dialect: Dialect, tool: dict[str, Any], sent: str
) -> None:
    if dialect.generation == 1 and sent == "googleSearch":
        sent = "googleSearchRetrieval"
    alone = translate({"messages": HELLO, "tools": [tool]}, dialect)
    assert alone == {"contents": [HELLO_TURN], "tools": [{sent: {}}]}
    both = translate({"messages": HELLO, "tools": [tool, WEATHER]}, dialect)
    assert both["tools"] == [{"functionDeclarations": [DECLARATION]}, {sent: {}}]
    flag = {"includeServerSideToolInvocations": True}
    assert both.get("toolConfig") == (flag if dialect == GEMINI_3 else None)


@pytest.mark.parametrize(
    ("choice", "omitted"),
    [
        ({"type": "auto"}, ()),
        ({"type": "any"}, ("tool_choice",)),
        ({"type": "none"}, ("tool_choice",)),
        ({"type": "tool", "name": "get_weather"}, ("tool_choice",)),
    ],
)
def test_vertex_takes_no_tool_choice_so_it_is_named(choice: Any, omitted: tuple[str, ...]) -> None:
    body = {"messages": HELLO, "tools": [WEATHER], "tool_choice": choice}
    assert "toolConfig" not in translate(body, VERTEX_3)
    assert omitted_from(body, VERTEX_3) == omitted
    assert omitted_from(body, GEMINI_3) == ()


@pytest.mark.parametrize(
    ("tools", "choice", "omitted"),
    [
        ([WEB_SEARCH], {"type": "auto"}, ()),
        ([WEB_SEARCH], {"type": "any"}, ("tool_choice",)),
        ([WEB_SEARCH], {"type": "tool", "name": "web_search"}, ("tool_choice",)),
        ([], {"type": "none"}, ()),
    ],
)
def test_a_choice_of_a_built_in_tool_is_named(
    tools: Any, choice: Any, omitted: tuple[str, ...]
) -> None:
    body = {"messages": HELLO, "tools": tools, "tool_choice": choice}
    for dialect in DIALECTS.values():
        assert "toolConfig" not in translate(body, dialect)
        assert omitted_from(body, dialect) == omitted


# ---- signatures


def test_the_first_call_of_each_step_has_the_placeholder_if_it_is_asked_for() -> None:
    steps = [
        *HELLO,
        assistant(THINKING, tool_use(1)),
        assistant(tool_use(2)),
        user(result("See.", "toolu_1"), result("See.", "toolu_2")),
        assistant(tool_use(3)),
    ]
    for backend in ("gemini_api", "vertex"):
        dialect = dialect_of(backend, "gemini-3.6-flash", signs_calls=True)
        turns = contents_of(*steps, dialect=dialect)
        signatures = [
            [part.get("thoughtSignature") for part in turn["parts"] if "functionCall" in part]
            for turn in turns
            if turn["role"] == "model"
        ]
        placeholder = "skip_thought_signature_validator"
        assert signatures == [[placeholder, None], [placeholder]]


@pytest.mark.parametrize("name", ["gemini-1.5-pro", "gemini-2.5-flash"])
def test_earlier_generations_verify_no_signatures(name: str) -> None:
    dialect = dialect_of("gemini_api", name, signs_calls=True)
    assert contents_of(*HELLO, assistant(TOOL_USE), dialect=dialect)[1]["parts"] == [CALL_PART]


# ---- compaction, and messages that say nothing


@pytest.mark.parametrize(
    "before",
    [
        [],
        HELLO,
        [system("Leading."), *HELLO, assistant(TOOL_USE), user(TOOL_RESULT)],
        [*HELLO, assistant({"type": "compaction", "content": "Earlier."}), user(text("x"))],
    ],
)
def test_nothing_before_a_compaction_is_seen(before: list[Any]) -> None:
    summary = {"type": "compaction", "content": "So far.", "encrypted_content": "e"}
    turns = contents_of(
        *before, assistant(text("unseen"), summary, text("Then.")), user(text("And?"))
    )
    assert turns == [
        turn({"text": "So far."}),
        {"role": "model", "parts": [{"text": "Then."}]},
        turn({"text": "And?"}),
    ]


SUMMARY: Any = {"type": "compaction", "content": "So far."}


@pytest.mark.parametrize(
    "unseen",
    [
        {"type": "hologram_2027"},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "text", "text": "a", "x_future_field": 1},
        {"type": "text", "text": 5},
        {"type": "tool_result", "tool_use_id": "nobody", "content": "x"},
        {"type": "compaction", "content": "Earlier.", "tool_changes": [{}]},
    ],
)
def test_content_before_a_compaction_is_neither_refused_nor_named(unseen: Any) -> None:
    after = assistant(text("unseen"), unseen, SUMMARY, text("Then.", x_future_field=1))
    body = {"messages": [user(unseen), after, user(text("And?"))]}
    assert translate(body)["contents"] == [
        turn({"text": "So far."}),
        {"role": "model", "parts": [{"text": "Then."}]},
        turn({"text": "And?"}),
    ]
    assert omitted_from(body) == ("messages.1.content.3.x_future_field",)


@pytest.mark.parametrize("content", [[text("Now.", x_future_field=1)], [{"type": "hologram"}], 5])
def test_an_instruction_that_has_ended_is_neither_refused_nor_named(content: Any) -> None:
    ended = {"role": "system", "content": content, "clear_at": "next_user_message"}
    body = {"messages": [*HELLO, ended, user(text("And?"))]}
    assert contents_of(*body["messages"]) == [turn({"text": "Hello, Claude"}, {"text": "And?"})]
    assert omitted_from(body) == ()
    with pytest.raises((CannotCount, InvalidRequest)):
        contents_of(*HELLO, {**ended, "content": [{"type": "hologram"}]})


@pytest.mark.parametrize(
    "odd",
    [
        {"role": "system"},
        {**system("x"), "clear_at": "next_full_moon"},
        user({"type": "hologram"}),
    ],
)
@pytest.mark.parametrize("more", [{}, {"x_future_field": 1}])
def test_a_message_before_a_compaction_is_not_seen_whatever_comes_later(
    odd: dict[str, Any], more: dict[str, Any]
) -> None:
    messages = [odd, *HELLO, assistant(SUMMARY), {**user(text("And?")), **more}]
    assert contents_of(*messages) == [turn({"text": "So far."}, {"text": "And?"})]


@pytest.mark.parametrize(
    "messages",
    [
        [user({"type": "hologram"}), assistant({"type": "compaction", "content": None}), user()],
        [user(SUMMARY, {"type": "hologram"})],
        [user(SUMMARY), user({"type": "hologram"})],
        [assistant({"type": "hologram"}, {"type": "text", "text": '"compaction"'})],
    ],
)
def test_content_that_is_seen_is_refused_beside_a_compaction(messages: list[Any]) -> None:
    with pytest.raises(CannotCount, match="hologram"):
        contents_of(*messages)


@pytest.mark.parametrize(
    "silent",
    [
        {"type": "compaction", "content": None},
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}},
    ],
)
def test_a_block_that_says_nothing_does_not_end_the_tool_loop(silent: Any) -> None:
    turns = contents_of(*HELLO, assistant(THINKING, TOOL_USE), user(result("See."), silent))
    assert turns[1]["parts"][0] == {"text": "Let me see.", "thought": True}


def test_a_system_prompt_stays_before_a_compaction() -> None:
    messages = [assistant({"type": "compaction", "content": "So far."}), user(text("And?"))]
    assert translate({"messages": messages, "system": "Be brief."}) == {
        "contents": [turn({"text": "So far."}, {"text": "And?"})],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }


def test_thinking_after_a_compaction_belongs_to_the_loop_under_way() -> None:
    summary = {"type": "compaction", "content": "So far."}
    turns = contents_of(assistant(summary, THINKING, TOOL_USE), user(TOOL_RESULT))
    assert turns[1]["parts"][0] == {"text": "Let me see.", "thought": True}


@pytest.mark.parametrize("more", [{}, {"content": None}, {"content": None, "tool_changes": []}])
def test_a_compaction_that_failed_says_nothing(more: dict[str, Any]) -> None:
    turns = contents_of(*HELLO, assistant({"type": "compaction", **more}, text("So.")))
    assert turns == [HELLO_TURN, {"role": "model", "parts": [{"text": "So."}]}]


@pytest.mark.parametrize(
    ("clear_at", "after", "is_seen"),
    [
        ("next_user_message", [], True),
        ("next_user_message", [assistant(text("b"))], True),
        ("next_user_message", [assistant(text("b")), user(text("c"))], False),
        ("next_user_message", [assistant(TOOL_USE), user(TOOL_RESULT)], False),
        ("next_user_message", [user()], False),
        ("never", [user(text("c"))], True),
        (None, [user(text("c"))], True),
    ],
)
def test_an_instruction_ends_at_the_next_message_of_the_user(
    clear_at: str | None, after: list[Any], is_seen: bool
) -> None:
    for instruction in (system("NOW"), system([text("NOW")])):
        messages = [*HELLO, {**instruction, "clear_at": clear_at}, *after]
        assert ("NOW" in str(contents_of(*messages))) is is_seen


# ---- omissions


HISTORY: Any = [
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": [{"type": "web_search_result", "url": "u", "title": "t"}],
    },
    {"type": "server_tool_use", "id": "f", "name": "web_fetch", "input": {"url": "u"}},
    {"type": "web_fetch_tool_result", "tool_use_id": "f", "content": {"x": [1]}, "caller": {}},
]
SOURCE: Any = IMAGE["source"]
REDACTED = {"type": "redacted_thinking", "data": "eA=="}
OMITTED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "history of searches": (
        {"messages": [*HELLO, assistant(*HISTORY, text("So."))]},
        tuple(f"messages.1.content.{index}" for index in range(4)),
    ),
    "thinking that Gemini cannot read": (
        {"messages": [*HELLO, assistant(REDACTED, TOOL_USE), user(TOOL_RESULT)]},
        ("messages.1.content.0",),
    ),
    "thinking whose text is hidden": (
        {
            "messages": [
                *HELLO,
                assistant({**THINKING, "thinking": ""}, TOOL_USE),
                user(TOOL_RESULT),
            ]
        },
        ("messages.1.content.0",),
    ),
    "hidden thinking of an earlier turn": (
        {
            "messages": [
                *HELLO,
                assistant({**THINKING, "thinking": ""}, text("So.")),
                user(text("?")),
            ]
        },
        (),
    ),
    "thinking without a text": (
        {"messages": [*HELLO, assistant({"type": "thinking", "thinking": "", "signature": ""})]},
        (),
    ),
    "thinking of an earlier turn": (
        {"messages": [*HELLO, assistant(REDACTED, text("So.")), user(text("And?"))]},
        (),
    ),
    "both output schemas": (
        {
            "messages": HELLO,
            "output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}},
            "output_format": {"type": "json_schema", "schema": {"b": 1}},
        },
        ("output_format",),
    ),
    "unknown fields": (
        {
            "messages": [
                {"role": "user", "content": [text("a", x=1)], "name": "n", "id": None},
                assistant({**TOOL_USE, "x": {"deep": [1]}}),
                user({**TOOL_RESULT, "content": [{**IMAGE, "x": 0}, text("b", y=False)]}),
                {**system("c"), "output_config": {"effort": "low", "verbosity": 1}},
                user({**IMAGE, "source": {**SOURCE, "x": "y"}}),
            ],
            "system": [text("d", x=1)],
            "tools": [{**WEATHER, "x_future_field": True, "max_uses": 1}, {**FETCH, "x": 1}],
            "tool_choice": {"type": "auto", "x": 1},
            "output_config": {"x": 1, "format": {"type": "json_schema", "schema": {}, "x": 1}},
        },
        (
            *("messages.0.content.0.x", "messages.0.name", "messages.1.content.0.x"),
            *("messages.2.content.0.content.0.x", "messages.2.content.0.content.1.y"),
            *("messages.3.output_config.verbosity", "messages.4.content.0.source.x", "system.0.x"),
            *("tools.0.x_future_field", "tools.0.max_uses", "tools.1.x", "tool_choice.x"),
            *("output_config.x", "output_config.format.x"),
        ),
    ),
    "many unknown fields": (
        {"messages": [{**HELLO[0], **{f"x{number}": 1 for number in range(20)}}]},
        (*(f"messages.0.x{number}" for number in range(16)), "+4"),
    ),
    "a long unknown field": (
        {"messages": [{**HELLO[0], "x" * 1000: 1}]},
        (f"messages.0.{'x' * 245}",),
    ),
}


@pytest.mark.parametrize(("body", "omitted"), OMITTED.values(), ids=OMITTED)
def test_whatever_is_left_out_and_may_be_input_is_named(
    body: dict[str, Any], omitted: tuple[str, ...]
) -> None:
    assert sorted(omitted_from(body)) == sorted(omitted)
    assert translate(body)["contents"]


def test_a_request_with_unknown_fields_is_translated_like_one_without() -> None:
    body, _ = OMITTED["unknown fields"]
    known = {
        "messages": [
            user(text("a")),
            assistant(TOOL_USE),
            user({**TOOL_RESULT, "content": [IMAGE, text("b")]}),
            system("c"),
            user(IMAGE),
        ],
        "system": "d",
        "tools": [WEATHER, FETCH],
        "tool_choice": {"type": "auto"},
        "output_config": {"format": {"type": "json_schema", "schema": {}}},
    }
    for dialect in DIALECTS.values():
        assert translate(body, dialect) == translate(known, dialect)
        assert omitted_from(known, dialect) == ()


@pytest.mark.parametrize(
    "config",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}}},
        {"output_format": {"type": "json_schema", "schema": {"a": 1}}},
        {
            "output_config": {"effort": "high"},
            "output_format": {"type": "json_schema", "schema": {"a": 1}},
        },
        {
            "output_config": {"format": None, "task_budget": {"total": 1}},
            "output_format": {"type": "json_schema", "schema": {"a": 1}},
        },
        {
            "output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}},
            "output_format": None,
        },
    ],
)
def test_an_output_schema_counts_by_either_name(config: dict[str, Any]) -> None:
    for dialect in DIALECTS.values():
        sent = translate({"messages": HELLO, **config}, dialect)["generationConfig"]
        assert sent == {"responseMimeType": "application/json", "responseJsonSchema": {"a": 1}}
        assert omitted_from({"messages": HELLO, **config}, dialect) == ()
