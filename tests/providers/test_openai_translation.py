"""Translation of Anthropic requests to OpenAI's, as a table."""

import json
from typing import Any, Final

import msgspec
import pytest

from count_tokens_mw.errors import CannotCount, InvalidRequest
from tests.support.gemini_blocks import (
    BASH,
    CODE_EXECUTION,
    WEB_SEARCH,
    assistant,
    document,
    image_by,
    result,
    system,
    tool_use,
)
from tests.support.openai import (
    CALL,
    HELLO_ITEM,
    encode,
    input_of,
    item,
    omitted_from,
    output,
    translate,
)
from tests.support.requests import (
    CONTENT_DOCUMENT,
    DOCUMENT,
    HELLO,
    IMAGE,
    IMAGE_URL,
    PDF,
    PLAIN_DOCUMENT,
    PNG,
    SEARCH_RESULT,
    THINKING,
    TOOL_ERROR,
    TOOL_RESULT,
    TOOL_USE,
    WEATHER,
    text,
    user,
)

PNG_PART: Final = {
    "type": "input_image",
    "image_url": f"data:image/png;base64,{PNG}",
    "detail": "auto",
}
PDF_PART: Final = {
    "type": "input_file",
    "filename": "document.pdf",
    "file_data": f"data:application/pdf;base64,{PDF}",
}
PNG_SOURCE: Final = {"type": "base64", "media_type": "image/png", "data": PNG}
SCHEMA: Final = {"type": "object", "properties": {"a": {"const": 1}}, "$defs": {}}
FUNCTION: Final = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place.",
    "parameters": WEATHER["input_schema"],
    "strict": False,
}
SEARCHED: Final = [
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
]
PARTS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "text": (text("Hi.", cache_control={"type": "ephemeral"}, citations=[]), ["Hi."]),
    "empty text": (text(""), []),
    "image": (IMAGE, [PNG_PART]),
    "image by URL": (
        IMAGE_URL,
        [{"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"}],
    ),
    "image by URL without an extension": (
        image_by("https://example.com/a"),
        [{"type": "input_image", "image_url": "https://example.com/a", "detail": "auto"}],
    ),
    "PDF": (document("base64", media_type="application/pdf", data=PDF), [PDF_PART]),
    "PDF with title and context": (DOCUMENT, ["Contract", "Signed", PDF_PART]),
    "PDF by URL": (
        document("url", url="https://example.com/contract"),
        [{"type": "input_file", "file_url": "https://example.com/contract"}],
    ),
    "plain document": (PLAIN_DOCUMENT, ["Plain words."]),
    "plain document with a title": ({**PLAIN_DOCUMENT, "title": "T"}, ["T", "Plain words."]),
    "document of blocks": (CONTENT_DOCUMENT, ["Chunk."]),
    "document of a string": (document("content", content="Chunk."), ["Chunk."]),
    "search result": (SEARCH_RESULT, ["A page", "https://example.com", "Found."]),
}
RESULTS: Final[dict[str, tuple[Any, Any]]] = {
    "a string": (result("Rain."), "Rain."),
    "nothing": (result(), ""),
    "an empty list": (result([]), ""),
    "a text": (result([text("Rain.")]), "Rain."),
    "several texts": (result([text("Rain."), text("Wind.")]), "Rain.\nWind."),
    "texts of escapes": (result([text('"a"\n\\'), text("😀")]), '"a"\n\\\n😀'),
    "an error": (TOOL_ERROR, "No such place."),
    "a search result": (result([SEARCH_RESULT]), "A page\nhttps://example.com\nFound."),
    "a plain document": (result([PLAIN_DOCUMENT]), "Plain words."),
    "a reference to a tool": (result([{"type": "tool_reference", "tool_name": "now"}]), ""),
    "a text and an image": (TOOL_RESULT, [{"type": "input_text", "text": "Rain."}, PNG_PART]),
    "an image": (result([IMAGE]), [PNG_PART]),
    "a PDF": (
        result([DOCUMENT]),
        [
            {"type": "input_text", "text": "Contract"},
            {"type": "input_text", "text": "Signed"},
            PDF_PART,
        ],
    ),
}


@pytest.mark.parametrize(("block", "parts"), PARTS.values(), ids=PARTS)
def test_a_block_of_the_user_becomes_these_parts(block: Any, parts: list[Any]) -> None:
    assert input_of(user(text("See:"), block)) == [item("user", "See:", *parts)]


@pytest.mark.parametrize(("block", "expected"), RESULTS.values(), ids=RESULTS)
def test_a_tool_result_becomes_this_output(block: Any, expected: Any) -> None:
    sent = input_of(*HELLO, assistant(TOOL_USE), user(block))
    assert sent == [HELLO_ITEM, CALL, output(expected)]


@pytest.mark.parametrize(
    ("blocks", "items"),
    [
        ([text("Hi.")], [{"role": "assistant", "content": "Hi."}]),
        ([text("Hi."), text(""), text("Ho.")], [{"role": "assistant", "content": "Hi.\nHo."}]),
        (
            [SEARCH_RESULT],
            [{"role": "assistant", "content": "A page\nhttps://example.com\nFound."}],
        ),
        ([TOOL_USE], [CALL]),
        ([text("A"), TOOL_USE], [{"role": "assistant", "content": "A"}, CALL]),
        (
            [text("A"), TOOL_USE, text("B"), tool_use(2), text("C")],
            [
                {"role": "assistant", "content": "A"},
                CALL,
                {"role": "assistant", "content": "B"},
                {**CALL, "call_id": "toolu_2", "arguments": "{}"},
                {"role": "assistant", "content": "C"},
            ],
        ),
        ([text("")], []),
        ([], []),
    ],
)
def test_a_message_of_the_assistant_becomes_these_items(
    blocks: list[Any], items: list[Any]
) -> None:
    assert input_of(*HELLO, assistant(*blocks)) == [HELLO_ITEM, *items]


def test_a_message_of_a_string_is_like_one_of_a_text() -> None:
    sent = input_of({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    assert sent == [item("user", "a"), {"role": "assistant", "content": "b"}]


def test_blocks_keep_their_order() -> None:
    sent = input_of(
        *HELLO,
        assistant(TOOL_USE, tool_use(2)),
        user(result("2", "toolu_2"), result("1", "toolu_1"), text("And?"), IMAGE, text("Go.")),
    )
    and_parts = [{"type": "input_text", "text": word} for word in ("And?", "Go.")]
    last = {"role": "user", "content": [and_parts[0], PNG_PART, and_parts[1]]}
    assert sent[3:] == [output("2", "toolu_2"), output("1"), last]


@pytest.mark.parametrize(
    ("prompt", "instructions"),
    [
        ("Be brief.", "Be brief."),
        ([text("Be brief."), text(""), text("Be\nkind.")], "Be brief.\nBe\nkind."),
        ("", None),
        ([], None),
        (None, None),
        ([text("")], None),
    ],
)
def test_the_system_prompt_becomes_instructions(prompt: Any, instructions: str | None) -> None:
    sent = translate({"messages": HELLO, "system": prompt})
    assert sent == {"input": [HELLO_ITEM]} | (
        {} if instructions is None else {"instructions": instructions}
    )


def test_system_messages_stay_in_their_places() -> None:
    sent = input_of(
        system("First."),
        *HELLO,
        system([text("Now."), text("Here.")]),
        assistant(text("A")),
        {"role": "system", "output_config": {"effort": "low"}},
        {**system("Ended."), "clear_at": "next_user_message"},
        user(text("B")),
        {**system("Still."), "clear_at": "next_user_message"},
    )
    assert sent == [
        item("system", "First."),
        HELLO_ITEM,
        item("system", "Now.", "Here."),
        {"role": "assistant", "content": "A"},
        item("user", "B"),
        item("system", "Still."),
    ]


@pytest.mark.parametrize(
    ("json_text", "arguments"),
    [
        ('{"place": "Bern"}', '{"place":"Bern"}'),
        ('{ "a" : [ 1 , 2.50e1 ] ,\n"b": "c  d" }', '{"a":[1,2.50e1],"b":"c  d"}'),
        ('{"n": 123456789012345678901234567890, "x": 1e999}', None),
        ('{"t": "\\u00e9 \\" \\\\ 😀"}', '{"t":"\\u00e9 \\" \\\\ 😀"}'),
        ("{}", "{}"),
    ],
)
def test_arguments_are_the_callers_json_without_white_space(
    json_text: str, arguments: str | None
) -> None:
    opening, _, ending = json.dumps(
        {"messages": [*HELLO, assistant({**TOOL_USE, "input": "here"})]}
    ).partition('"here"')
    sent = json.loads(encode(f"{opening}{json_text}{ending}".encode())[0])
    assert sent["input"][1]["arguments"] == (arguments or json_text.replace(" ", ""))


def test_a_lone_surrogate_goes_up_as_it_was_written() -> None:
    content = r'"a\ud83d"'
    result_block = (
        r'{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"\ude00"},'
    )
    raw = (
        r'{"system":["%s"],"messages":[{"role":"user","content":%s},{"role":"assistant","content":'
        r'[{"type":"tool_use","id":"t","name":"f","input":{"x":"\ud83d"}}]},{"role":"user","content":'
        r'[%s{"type":"text","text":"b"}]}]}]}'
    ).replace('["%s"]', r'"s\udead"') % (content, result_block)
    sent = encode(raw.encode())[0]
    assert rb'"instructions":"s\udead"' in sent
    assert rb'"text":"a\ud83d"' in sent
    assert rb'"arguments":"{\"x\":\"\\ud83d\"}"' in sent
    assert rb'"output":"\ude00\nb"' in sent


def test_arguments_that_the_interpreter_cannot_write_are_a_400(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The writer of arguments may reach the interpreter's limit although their reader did not."""

    def too_deep(*args: object, **options: object) -> bytes:
        raise RecursionError

    monkeypatch.setattr(msgspec.json, "format", too_deep)
    with pytest.raises(InvalidRequest) as raised:
        translate({"messages": [*HELLO, assistant(TOOL_USE)]})
    assert raised.value.message == "messages.1.content.0.input: it is nested too deeply."


# ---- what is not sent


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"messages": [*HELLO, assistant(THINKING, TOOL_USE), user(TOOL_RESULT)]}, 1),
        (
            {
                "messages": [
                    *HELLO,
                    assistant({**THINKING, "thinking": ""}, TOOL_USE),
                    user(TOOL_RESULT),
                ]
            },
            1,
        ),
        (
            {
                "messages": [
                    *HELLO,
                    assistant({"type": "redacted_thinking", "data": "x"}, TOOL_USE),
                    user(TOOL_RESULT),
                ]
            },
            1,
        ),
        ({"messages": [*HELLO, assistant(*SEARCHED, text("So."))]}, 2),
        ({"messages": [*HELLO, assistant(THINKING, text("So.")), user(text("And?"))]}, 0),
        (
            {"messages": [*HELLO, assistant({"type": "thinking", "thinking": ""}, text("So."))]},
            0,
        ),
    ],
)
def test_a_block_that_openai_cannot_read_is_left_out_and_named(
    body: dict[str, Any], places: int
) -> None:
    whole = "messages.1.content.{}".format
    assert omitted_from(body) == tuple(whole(number) for number in range(places))
    kept = [
        {
            **message,
            "content": [
                block
                for block in message["content"]
                if block["type"] in {"text", "tool_use", "tool_result"}
            ],
        }
        for message in body["messages"]
    ]
    assert translate(body) == translate({**body, "messages": kept})


def test_a_failed_result_is_named_because_openai_has_no_mark_for_it() -> None:
    body = {"messages": [*HELLO, assistant(TOOL_USE), user(TOOL_ERROR)]}
    assert omitted_from(body) == ("messages.2.content.0.is_error",)
    body["messages"][2] = user({**TOOL_ERROR, "is_error": False})
    assert omitted_from(body) == ()


def test_an_unknown_field_is_left_out_and_named() -> None:
    body = {
        "messages": [user(text("a", x_new=1), {**IMAGE, "source": {**PNG_SOURCE, "y": 2}})],
        "tools": [{**WEATHER, "z": 3}],
    }
    plain = {"messages": [user(text("a"), IMAGE)], "tools": [WEATHER]}
    assert omitted_from(body) == (
        "messages.0.content.0.x_new",
        "messages.0.content.1.source.y",
        "tools.0.z",
    )
    assert translate(body) == translate(plain)


def test_a_summary_stands_for_all_before_it() -> None:
    compaction = {"type": "compaction", "content": "So far."}
    sent = input_of(user({"type": "hologram"}), assistant(compaction, text("On.")), *HELLO)
    assert sent == [item("user", "So far."), {"role": "assistant", "content": "On."}, HELLO_ITEM]


# ---- tools


@pytest.mark.parametrize("sort", [{}, {"type": None}, {"type": "custom"}, {"strict": True}])
def test_custom_tools_are_functions_that_are_not_strict(sort: Any) -> None:
    bare = {"name": "now", "input_schema": SCHEMA}
    sent = translate({"messages": HELLO, "tools": [{**WEATHER, **sort}, bare]})
    now = {"type": "function", "name": "now", "parameters": SCHEMA, "strict": False}
    assert sent["tools"] == [FUNCTION, now]


def test_built_in_tools_are_openais_own_in_their_places() -> None:
    location = {"type": "approximate", "city": "Bern", "timezone": "Europe/Zurich"}
    limits = {"allowed_domains": ["a.example"], "blocked_domains": [], "user_location": location}
    tools = [WEB_SEARCH, WEATHER, CODE_EXECUTION, {**WEB_SEARCH, "type": "web_search_2", **limits}]
    assert translate({"messages": HELLO, "tools": tools})["tools"] == [
        {"type": "web_search"},
        FUNCTION,
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["a.example"]},
            "user_location": location,
        },
    ]


@pytest.mark.parametrize(
    ("choice", "members"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "get_weather"},
            {"tool_choice": {"type": "function", "name": "get_weather"}},
        ),
        (
            {"type": "tool", "name": "nobody"},
            {"tool_choice": {"type": "function", "name": "nobody"}},
        ),
        (
            {"type": "tool", "name": "web_search"},
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "web_search"}],
                }
            },
        ),
        (
            {"type": "tool", "name": "code_execution"},
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "code_interpreter"}],
                }
            },
        ),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
        ({"type": "auto", "disable_parallel_tool_use": False}, {"tool_choice": "auto"}),
        ({"type": "auto", "disable_parallel_tool_use": None}, {"tool_choice": "auto"}),
    ],
)
def test_tool_choice(choice: dict[str, Any], members: dict[str, Any]) -> None:
    tools = [WEATHER, WEB_SEARCH, CODE_EXECUTION]
    body = {"messages": HELLO, "tools": tools, "tool_choice": choice}
    sent = translate(body)
    del sent["input"], sent["tools"]
    assert sent == members


@pytest.mark.parametrize("name", ["web_search", "code_execution"])
def test_a_function_of_a_built_in_tools_name_is_chosen_as_a_function(name: str) -> None:
    choice = {"type": "tool", "name": name}
    for tools in ([{**WEATHER, "name": name}], [{**WEATHER, "name": name}, WEB_SEARCH], []):
        sent = translate({"messages": HELLO, "tools": tools, "tool_choice": choice})
        assert sent["tool_choice"] == {"type": "function", "name": name}


def test_parallel_calls_are_not_mentioned_without_tools() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    sent = translate({"messages": HELLO, "tool_choice": choice})
    assert sent == {"input": [HELLO_ITEM], "tool_choice": "auto"}


# ---- schemas

FORMAT: Final = {"type": "json_schema", "schema": SCHEMA}
OTHER: Final = {"type": "json_schema", "schema": {"title": "older"}}


@pytest.mark.parametrize(
    ("fields", "omitted"),
    [
        ({"output_config": {"format": FORMAT, "effort": "low"}}, ()),
        ({"output_format": FORMAT}, ()),
        ({"output_config": {"format": None}, "output_format": FORMAT}, ()),
        ({"output_config": None, "output_format": FORMAT}, ()),
        ({"output_config": {"format": FORMAT}, "output_format": OTHER}, ("output_format",)),
    ],
)
def test_both_spellings_of_a_schema_are_a_text_format(
    fields: dict[str, Any], omitted: tuple[str, ...]
) -> None:
    body = {"messages": HELLO, **fields}
    named = {"type": "json_schema", "name": "structured_output", "strict": False}
    assert translate(body)["text"] == {"format": {**named, "schema": SCHEMA}}
    assert omitted_from(body) == omitted


def test_there_are_only_the_keys_that_have_something_in_them() -> None:
    body = {
        "messages": HELLO,
        "system": "",
        "tools": [],
        "tool_choice": None,
        "mcp_servers": [],
        "output_config": {"effort": "high"},
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "max_tokens": 9,
        "context_management": {"edits": []},
    }
    assert translate(body) == {"input": [HELLO_ITEM]}


# ---- errors


@pytest.mark.parametrize(
    ("body", "place", "what"),
    [
        ({"messages": [user({"type": "hologram"})]}, "messages.0.content.0", "a block of type"),
        (
            {"messages": [*HELLO, assistant({"type": "mcp_tool_use"})]},
            "messages.1.content.0",
            "a block of type mcp_tool_use",
        ),
        (
            {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
            "messages.0.content.0",
            "an image block with a source of type file",
        ),
        (
            {"messages": [user({"type": "document", "source": {"type": "file", "file_id": "f"}})]},
            "messages.0.content.0",
            "a document block with a source of type file",
        ),
        (
            {"messages": [*HELLO, assistant(TOOL_USE), user(result([{"type": "audio"}]))]},
            "messages.2.content.0.content.0",
            "a block of type audio",
        ),
        (
            {"messages": [*HELLO, assistant(text("a"), IMAGE)]},
            "messages.1.content.1",
            "a file in a",
        ),
        (
            {"messages": [*HELLO, assistant(DOCUMENT)]},
            "messages.1.content.0",
            "a file in a message",
        ),
        (
            {
                "messages": [
                    *HELLO,
                    assistant(document("content", content=[IMAGE, text("a")]), text("b")),
                ]
            },
            "messages.1.content.0",
            "a file in a message of the assistant",
        ),
        (
            {
                "messages": [
                    *HELLO,
                    assistant(
                        {
                            "type": "server_tool_use",
                            "id": "s",
                            "name": "code_execution",
                            "input": {},
                        }
                    ),
                ]
            },
            "messages.1.content.0",
            "a block of type server_tool_use",
        ),
        ({"messages": HELLO, "tools": [WEATHER, BASH]}, "tools.1", "a tool of type bash_20250124"),
        (
            {"messages": HELLO, "tools": [{"type": "web_fetch_20260318", "name": "web_fetch"}]},
            "tools.0",
            "a tool of type web_fetch_20260318",
        ),
        (
            {"messages": HELLO, "tools": [{**WEATHER, "input_examples": [{}]}]},
            "tools.0",
            "a tool with input_examples",
        ),
        ({"messages": HELLO, "tool_choice": {"type": "most"}}, "tool_choice", "a tool_choice of"),
        ({"messages": HELLO, "container": "c"}, "container", "this field"),
        ({"messages": HELLO, "x_future": 1}, "x_future", "this field"),
        ({"messages": HELLO, "mcp_servers": [{}]}, "mcp_servers", "the tools of MCP servers"),
        (
            {"messages": HELLO, "output_config": {"format": {"type": "regex", "schema": {}}}},
            "output_config.format",
            "an output format of type regex",
        ),
    ],
)
def test_content_without_a_counterpart_is_a_501_of_its_place(
    body: dict[str, Any], place: str, what: str
) -> None:
    with pytest.raises(CannotCount) as raised:
        translate(body)
    message = raised.value.message
    assert message.startswith(f"{place}: OpenAI's Responses API has no counterpart of {what}")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [user(text(""))]}, "messages"),
        ({"messages": [{"role": "critic", "content": "a"}]}, "messages.0.role"),
        ({"messages": [user({"type": "text", "text": 1})]}, "messages.0.content.0.text"),
        ({"messages": [*HELLO, user(TOOL_USE)]}, "messages.1.content.0"),
        ({"messages": [*HELLO, assistant(TOOL_RESULT)]}, "messages.1.content.0"),
        (
            {"messages": [*HELLO, assistant({**TOOL_USE, "input": []})]},
            "messages.1.content.0.input",
        ),
        ({"messages": HELLO, "system": [text("a"), {"type": "text"}]}, "system.1.text"),
        ({"messages": HELLO, "tools": [{**WEATHER, "input_schema": "x"}]}, "tools.0.input_schema"),
        ({"messages": HELLO, "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        (
            {"messages": [user({**IMAGE, "source": {**PNG_SOURCE, "data": ""}})]},
            "messages.0.content.0.source.data",
        ),
    ],
)
def test_a_malformed_request_is_a_400_of_its_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        translate(body)
    assert raised.value.message.startswith(f"{place}: ")
