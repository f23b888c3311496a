"""Translation of Anthropic requests to Gemini's: a table, and Google's own schemas."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from count_tokens_mw.errors import CannotCount, CountError, InvalidRequest
from count_tokens_mw.providers.google.translation import generate_content_request
from tests.support.judges import Refused, gemini_judge, vertex_judge
from tests.support.requests import (
    CONTENT_DOCUMENT,
    DOCUMENT,
    HELLO,
    IMAGE,
    IMAGE_URL,
    INVENTED_BLOCK,
    PDF,
    PLAIN_DOCUMENT,
    PNG,
    SEARCH_RESULT,
    STANDARD,
    THINKING,
    TOOL_ERROR,
    TOOL_RESULT,
    TOOL_USE,
    WEATHER,
    text,
    user,
)

HELLO_TURN = {"role": "user", "parts": [{"text": "Hello, Claude"}]}
PNG_PART = {"inlineData": {"mimeType": "image/png", "data": PNG}}
PDF_PART = {"inlineData": {"mimeType": "application/pdf", "data": PDF}}
PNG_FILE = {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}}
CALL_PART = {"functionCall": {"name": "get_weather", "args": {"place": "Bern"}}}
DECLARATION = {
    "name": "get_weather",
    "description": "The weather at a place.",
    "parametersJsonSchema": WEATHER["input_schema"],
}
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
CODE_EXECUTION = {"type": "code_execution_20260521", "name": "code_execution"}
BASH = {"type": "bash_20250124", "name": "bash"}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def image_by(url: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


def document(source_type: str, **source: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": source_type, **source}}


def result(content: Any = None, tool_use_id: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content, **more}


def tool_use(number: int, name: str = "get_weather") -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}


def response(output: str, *media: Any, key: str = "output", name: str = "get_weather") -> Any:
    parts = {"parts": list(media)} if media else {}
    return {"functionResponse": {"name": name, "response": {key: output}, **parts}}


def contents_of(*messages: Any) -> Any:
    return generate_content_request({"messages": list(messages)})["contents"]


# ---- the table

USER_BLOCKS: dict[str, tuple[Any, list[Any]]] = {
    "text": (text("Hi.", cache_control={"type": "ephemeral"}, citations=[]), [{"text": "Hi."}]),
    "empty text": (text(""), []),
    "image": (IMAGE, [PNG_PART]),
    "image by URL": (IMAGE_URL, [PNG_FILE]),
    "image by URL with a query": (
        image_by("gs://b/a.b/C.JPG?x=.png#y"),
        [{"fileData": {"mimeType": "image/jpeg", "fileUri": "gs://b/a.b/C.JPG?x=.png#y"}}],
    ),
    "PDF with title and context": (DOCUMENT, [{"text": "Contract"}, {"text": "Signed"}, PDF_PART]),
    "PDF": (document("base64", media_type="application/pdf", data=PDF), [PDF_PART]),
    "plain document": (PLAIN_DOCUMENT, [{"text": "Plain words."}]),
    "plain document with a title": (
        {**PLAIN_DOCUMENT, "title": "T", "context": None},
        [{"text": "T"}, {"text": "Plain words."}],
    ),
    "document of blocks": (CONTENT_DOCUMENT, [{"text": "Chunk."}]),
    "document of a text and an image": (
        document("content", content=[text("Chunk."), IMAGE, text("")]),
        [{"text": "Chunk."}, PNG_PART],
    ),
    "document of a string": (document("content", content="Chunk."), [{"text": "Chunk."}]),
    "document by URL": (
        document("url", url="https://example.com/contract"),
        [{"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/contract"}}],
    ),
    "search result": (
        SEARCH_RESULT,
        [{"text": "A page"}, {"text": "https://example.com"}, {"text": "Found."}],
    ),
}
RESULTS: dict[str, tuple[Any, list[Any]]] = {
    "text and image": (TOOL_RESULT, [response("Rain.", PNG_PART)]),
    "error": (TOOL_ERROR, [response("No such place.", key="error")]),
    "not an error": (result("Rain.", is_error=False), [response("Rain.")]),
    "several texts": (result([text("Rain."), text("Wind.")]), [response("Rain.\nWind.")]),
    "nothing": (result(), [response("")]),
    "an empty string": (result(""), [response("")]),
    "a PDF": (result([DOCUMENT]), [response("Contract\nSigned", PDF_PART)]),
    "a search result": (result([SEARCH_RESULT]), [response("A page\nhttps://example.com\nFound.")]),
    "an image by URL": (result([text("See."), IMAGE_URL]), [response("See."), PNG_FILE]),
}
ASSISTANT_BLOCKS: dict[str, tuple[Any, list[Any]]] = {
    "text": (text("Hi."), [{"text": "Hi."}]),
    "tool_use": (TOOL_USE, [CALL_PART]),
    "thinking": (THINKING, [{"text": "Let me see.", "thought": True}]),
    "thinking that is not shown": ({**THINKING, "thinking": ""}, []),
    "redacted_thinking": ({"type": "redacted_thinking", "data": "eA=="}, []),
}


@pytest.mark.parametrize(("block", "parts"), USER_BLOCKS.values(), ids=USER_BLOCKS)
def test_a_block_of_the_user_becomes_these_parts(block: Any, parts: list[Any]) -> None:
    assert contents_of(user(text("See:"), block)) == [
        {"role": "user", "parts": [{"text": "See:"}, *parts]}
    ]


@pytest.mark.parametrize(("block", "parts"), RESULTS.values(), ids=RESULTS)
def test_a_tool_result_becomes_these_parts(block: Any, parts: list[Any]) -> None:
    assert contents_of(*HELLO, assistant(TOOL_USE), user(block))[2:] == [
        {"role": "user", "parts": parts}
    ]


@pytest.mark.parametrize(("block", "parts"), ASSISTANT_BLOCKS.values(), ids=ASSISTANT_BLOCKS)
def test_a_block_of_the_assistant_becomes_these_parts(block: Any, parts: list[Any]) -> None:
    assert contents_of(*HELLO, assistant(block, text("So."))) == [
        HELLO_TURN,
        {"role": "model", "parts": [*parts, {"text": "So."}]},
    ]


@pytest.mark.parametrize(
    ("system_prompt", "parts"),
    [
        ("Be brief.", [{"text": "Be brief."}]),
        (
            [text("Be brief."), text(""), text("Be kind.")],
            [{"text": "Be brief."}, {"text": "Be kind."}],
        ),
        ("", None),
        ([], None),
        (None, None),
    ],
)
def test_the_system_prompt_becomes_one_part_for_each_block(system_prompt: Any, parts: Any) -> None:
    sent = generate_content_request({"messages": HELLO, "system": system_prompt})
    assert sent.get("systemInstruction") == (parts and {"parts": parts})


def test_leading_system_messages_are_added_to_the_system_prompt() -> None:
    messages = [system("Be kind."), system([text("Be wise.")]), *HELLO]
    assert generate_content_request({"messages": messages, "system": "Be brief."}) == {
        "contents": [HELLO_TURN],
        "systemInstruction": {
            "parts": [{"text": "Be brief."}, {"text": "Be kind."}, {"text": "Be wise."}]
        },
    }


def test_a_later_system_message_stands_in_a_turn_of_the_user_at_its_place() -> None:
    sent = contents_of(
        *HELLO, system("Now."), assistant(text("A")), system("Then."), assistant(text("B"))
    )
    assert sent == [
        {"role": "user", "parts": [{"text": "Hello, Claude"}, {"text": "Now."}]},
        {"role": "model", "parts": [{"text": "A"}]},
        {"role": "user", "parts": [{"text": "Then."}]},
        {"role": "model", "parts": [{"text": "B"}]},
    ]


def test_messages_of_one_role_are_merged_also_over_an_empty_one() -> None:
    sent = contents_of(*HELLO, assistant(), assistant(text("")), user(), user(text("There?")))
    assert sent == [{"role": "user", "parts": [{"text": "Hello, Claude"}, {"text": "There?"}]}]


def test_results_in_several_messages_stand_in_one_turn_like_their_calls() -> None:
    sent = contents_of(
        *HELLO,
        assistant(tool_use(1, "a")),
        assistant(tool_use(2, "b")),
        user(result("2", "toolu_2")),
        user(result("1", "toolu_1"), text("Go on.")),
    )
    assert sent[1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "a", "args": {}}},
                {"functionCall": {"name": "b", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [response("2", name="b"), response("1", name="a"), {"text": "Go on."}],
        },
    ]


def test_thinking_is_kept_only_in_the_tool_loop_under_way() -> None:
    loop = [assistant(THINKING, TOOL_USE), user(TOOL_RESULT)]
    thoughts = [
        ["thought" in part for part in turn["parts"]] for turn in contents_of(*HELLO, *loop, *loop)
    ]
    assert thoughts == [[False], [True, False], [False], [True, False], [False]]
    over = contents_of(*HELLO, *loop, user(text("Thanks.")), assistant(THINKING, text("Bye.")))
    assert [len(turn["parts"]) for turn in over] == [1, 1, 2, 2]
    assert over[-1]["parts"][0] == {"text": "Let me see.", "thought": True}


def test_a_file_in_a_tool_result_does_not_end_the_tool_loop() -> None:
    sent = contents_of(*HELLO, assistant(THINKING, TOOL_USE), user(result([IMAGE_URL])))
    assert sent[1]["parts"][0] == {"text": "Let me see.", "thought": True}


@pytest.mark.parametrize("sort", [{}, {"type": None}, {"type": "custom"}])
def test_custom_tools_share_one_entry_and_keep_their_json_schema(sort: Any) -> None:
    other: Any = {"name": "now", "input_schema": {"type": "object", "$defs": {}}, "strict": True}
    first: Any = {**WEATHER, **sort}
    sent = generate_content_request({"messages": HELLO, "tools": [first, other]})
    now = {"name": "now", "parametersJsonSchema": {"type": "object", "$defs": {}}}
    assert sent["tools"] == [{"functionDeclarations": [DECLARATION, now]}]


def test_built_in_tools_are_further_entries() -> None:
    tools: Any = [
        WEB_SEARCH,
        WEATHER,
        CODE_EXECUTION,
        {**WEB_SEARCH, "type": "web_search_20260318"},
    ]
    assert generate_content_request({"messages": HELLO, "tools": tools})["tools"] == [
        {"functionDeclarations": [DECLARATION]},
        {"googleSearch": {}},
        {"codeExecution": {}},
    ]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ({"type": "auto", "disable_parallel_tool_use": True}, {"mode": "AUTO"}),
        ({"type": "any"}, {"mode": "ANY"}),
        (
            {"type": "tool", "name": "get_weather"},
            {"mode": "ANY", "allowedFunctionNames": ["get_weather"]},
        ),
        ({"type": "none"}, {"mode": "NONE"}),
    ],
)
def test_tool_choice_becomes_a_mode(choice: Any, config: Any) -> None:
    body = {"messages": HELLO, "tools": [WEATHER], "tool_choice": choice}
    assert generate_content_request(body)["toolConfig"] == {"functionCallingConfig": config}


@pytest.mark.parametrize("tools", [None, [], [WEB_SEARCH]])
def test_tool_choice_is_left_out_where_there_is_no_function(tools: Any) -> None:
    """The Gemini API rejects it: https://github.com/pydantic/pydantic-ai/pull/5791."""
    body = {"messages": HELLO, "tools": tools, "tool_choice": {"type": "auto"}}
    assert "toolConfig" not in generate_content_request(body)


def test_there_are_only_the_keys_that_have_something_in_them() -> None:
    body = {"messages": HELLO, "system": "", "tools": [], "tool_choice": None, "mcp_servers": []}
    assert generate_content_request({**body, "model": "m", "thinking": {"type": "adaptive"}}) == {
        "contents": [HELLO_TURN]
    }


# ---- errors, and their places

NO_WORD = [
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    {"type": "container_upload", "file_id": "f"},
    {"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "s", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "m", "content": []},
    {"type": "tool_reference", "tool_name": "n"},
    {"type": "compaction", "content": "c"},
    {"type": "hologram_2027"},
]


@pytest.mark.parametrize("block", NO_WORD, ids=lambda block: block["type"])
def test_a_block_that_gemini_has_no_word_for_is_named_with_its_place(block: Any) -> None:
    message = f"Gemini has no counterpart of a block of type {block['type']}."
    for messages, place in (
        ([*HELLO, user(text("x"), block)], "messages.1.content.1"),
        ([*HELLO, assistant(block)], "messages.1.content.0"),
        (
            [*HELLO, assistant(TOOL_USE), user(result([text("x"), block]))],
            "messages.2.content.0.content.1",
        ),
        ([user(document("content", content=[block]))], "messages.0.content.0.source.content.0"),
        ([user({**SEARCH_RESULT, "content": [block]})], "messages.0.content.0.content.0"),
        ([*HELLO, system([block])], "messages.1.content.0"),
    ):
        with pytest.raises(CannotCount) as refused:
            contents_of(*messages)
        assert refused.value.message == f"{place}: {message}"


CANNOT: dict[str, tuple[Any, str, str]] = {
    "image of the Files API": (
        {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
        "messages.0.content.0",
        "an image block with a source of type file",
    ),
    "document of the Files API": (
        {"messages": [user(document("file", file_id="f"))]},
        "messages.0.content.0",
        "a document block with a source of type file",
    ),
    "a block within a block": (
        {"messages": [*HELLO, assistant(TOOL_USE), user(result([TOOL_RESULT]))]},
        "messages.2.content.0.content.0",
        "a block of type tool_result",
    ),
    "an image in the system prompt": (
        {"messages": HELLO, "system": [text("x"), IMAGE]},
        "system.1",
        "a block of type image",
    ),
    "a built-in tool": ({"messages": HELLO, "tools": [WEATHER, BASH]}, "tools.1", "bash_20250124"),
    "input_examples": (
        {"messages": HELLO, "tools": [{**WEATHER, "input_examples": [{"place": "Bern"}]}]},
        "tools.0",
        "a tool with input_examples",
    ),
    "an unknown tool_choice": (
        {"messages": HELLO, "tool_choice": {"type": "most"}},
        "tool_choice",
        "a tool_choice of type most",
    ),
    "MCP servers": (
        {"messages": HELLO, "mcp_servers": [{"type": "url", "name": "n", "url": "https://m"}]},
        "mcp_servers",
        "the tools of MCP servers",
    ),
    "an invented block": (INVENTED_BLOCK, "messages.0.content.0", "hologram_2027"),
    "a type that is no name": (
        {"messages": [user({"type": "the whole prompt, by mistake"})]},
        "messages.0.content.0",
        "a block of type unknown",
    ),
    **{
        f"an image at {url}": ({"messages": [user(image_by(url))]}, "messages.0.content.0", ".webp")
        for url in ("https://h/a", "https://h/a.tiff", "https://h.png", "https://[/a.png", "a\0.p")
    },
}


@pytest.mark.parametrize(("body", "place", "reason"), CANNOT.values(), ids=CANNOT)
def test_what_cannot_be_said_in_gemini_is_a_501_with_its_place(
    body: Any, place: str, reason: str
) -> None:
    with pytest.raises(CannotCount) as refused:
        generate_content_request(body)
    assert refused.value.status == 501
    assert refused.value.message.startswith(f"{place}: ")
    assert reason in refused.value.message
    assert "example.com" not in refused.value.message


def in_message(*content: Any) -> dict[str, Any]:
    return {"messages": [user(*content)]}


def in_block(name: str, block: Mapping[str, Any], value: Any) -> dict[str, Any]:
    return in_message({**block, name: value})


def in_source(block: Mapping[str, Any], **source: Any) -> dict[str, Any]:
    return in_message({**block, "source": {**block["source"], **source}})


def in_call(**call: Any) -> dict[str, Any]:
    return {"messages": [*HELLO, assistant({**TOOL_USE, **call})]}


def in_result(**answer: Any) -> dict[str, Any]:
    return {"messages": [*HELLO, assistant(TOOL_USE), user({**TOOL_RESULT, **answer})]}


def in_tool(**tool: Any) -> dict[str, Any]:
    return {"messages": HELLO, "tools": [WEATHER, {**WEATHER, **tool}]}


MALFORMED: list[tuple[Any, str]] = [
    ({}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [user(), assistant(text(""))]}, "messages"),
    ({"messages": [system("Alone.")]}, "messages"),
    ({"messages": [*HELLO, "hi"]}, "messages.1"),
    ({"messages": [*HELLO, {"content": "hi"}]}, "messages.1.role"),
    ({"messages": [*HELLO, {"role": "ctx", "content": "hi"}]}, "messages.1.role"),
    ({"messages": [*HELLO, {"role": ["user"], "content": "hi"}]}, "messages.1.role"),
    ({"messages": [*HELLO, {"role": "user"}]}, "messages.1.content"),
    ({"messages": [*HELLO, {"role": "user", "content": {"type": "text"}}]}, "messages.1.content"),
    (in_message("hi"), "messages.0.content.0"),
    (in_message({"text": "hi"}), "messages.0.content.0.type"),
    (in_message({"type": 1}), "messages.0.content.0.type"),
    (in_message(text("x"), {"type": "text"}), "messages.0.content.1.text"),
    (in_block("text", text(""), ["hi"]), "messages.0.content.0.text"),
    (in_block("source", IMAGE, None), "messages.0.content.0.source"),
    (in_block("source", DOCUMENT, "x"), "messages.0.content.0.source"),
    (in_block("title", DOCUMENT, 1), "messages.0.content.0.title"),
    (in_block("context", DOCUMENT, []), "messages.0.content.0.context"),
    (in_source(IMAGE, type=None), "messages.0.content.0.source.type"),
    (in_source(IMAGE, data=None), "messages.0.content.0.source.data"),
    (in_source(IMAGE, data=""), "messages.0.content.0.source.data"),
    (in_source(IMAGE, media_type=1), "messages.0.content.0.source.media_type"),
    (in_source(IMAGE_URL, url={}), "messages.0.content.0.source.url"),
    (in_source(PLAIN_DOCUMENT, data=1), "messages.0.content.0.source.data"),
    (in_source(CONTENT_DOCUMENT, content=None), "messages.0.content.0.source.content"),
    (in_message(document("url")), "messages.0.content.0.source.url"),
    (in_block("title", SEARCH_RESULT, None), "messages.0.content.0.title"),
    (in_block("source", SEARCH_RESULT, {}), "messages.0.content.0.source"),
    (in_block("content", SEARCH_RESULT, None), "messages.0.content.0.content"),
    (in_message(TOOL_USE), "messages.0.content.0"),
    (in_message(THINKING), "messages.0.content.0"),
    (in_message(TOOL_RESULT), "messages.0.content.0.tool_use_id"),
    ({"messages": [*HELLO, assistant(TOOL_RESULT)]}, "messages.1.content.0"),
    ({"messages": [*HELLO, assistant({"type": "thinking"})]}, "messages.1.content.0.thinking"),
    (in_call(id=None), "messages.1.content.0.id"),
    (in_call(id=["x"]), "messages.1.content.0.id"),
    (in_call(name=""), "messages.1.content.0.name"),
    (in_call(input=None), "messages.1.content.0.input"),
    (in_call(input=["Bern"]), "messages.1.content.0.input"),
    (in_call(input={"n": [1.0, float("inf")]}), "messages.1.content.0.input"),
    (in_result(tool_use_id="toolu_2"), "messages.2.content.0.tool_use_id"),
    (in_result(tool_use_id=None), "messages.2.content.0.tool_use_id"),
    (in_result(content={}), "messages.2.content.0.content"),
    (in_result(content=[{"type": "text"}]), "messages.2.content.0.content.0.text"),
    (in_result(is_error="yes"), "messages.2.content.0.is_error"),
    ({"messages": HELLO, "system": {}}, "system"),
    ({"messages": HELLO, "system": ["Be brief."]}, "system.0"),
    ({"messages": HELLO, "system": [{"type": "text", "text": None}]}, "system.0.text"),
    ({"messages": HELLO, "tools": {}}, "tools"),
    ({"messages": HELLO, "tools": [WEATHER, "x"]}, "tools.1"),
    (in_tool(type=1), "tools.1.type"),
    (in_tool(name=None), "tools.1.name"),
    (in_tool(description=1), "tools.1.description"),
    (in_tool(input_schema=None), "tools.1.input_schema"),
    (in_tool(input_schema=[]), "tools.1.input_schema"),
    ({"messages": HELLO, "tool_choice": "auto"}, "tool_choice"),
    ({"messages": HELLO, "tool_choice": {}}, "tool_choice.type"),
    ({"messages": HELLO, "tool_choice": {"type": "tool"}}, "tool_choice.name"),
]


@pytest.mark.parametrize(("body", "place"), MALFORMED, ids=[place for _, place in MALFORMED])
def test_what_is_malformed_is_a_400_with_its_place(body: Any, place: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        generate_content_request(body)
    assert refused.value.message.startswith(f"{place}: ")


# ---- the judges

MANY_TOOLS = [WEATHER, {**WEATHER, "name": "now"}]
CALLED_TWICE = [
    *HELLO,
    assistant(THINKING, tool_use(1), tool_use(2)),
    user(result([text("Rain."), IMAGE, DOCUMENT]), result("No.", "toolu_2", is_error=True)),
]
OWN: dict[str, dict[str, Any]] = {
    **{f"own: {name}": in_message(text("See:"), block) for name, (block, _) in USER_BLOCKS.items()},
    **{
        f"own: result of {name}": {"messages": [*HELLO, assistant(TOOL_USE), user(block)]}
        for name, (block, _) in RESULTS.items()
    },
    **{
        f"own: assistant's {name}": {"messages": [*HELLO, assistant(block, text("So."))]}
        for name, (block, _) in ASSISTANT_BLOCKS.items()
    },
    "own: two calls": {"messages": CALLED_TWICE, "tools": MANY_TOOLS},
    "own: all tools": {"messages": HELLO, "tools": [*MANY_TOOLS, WEB_SEARCH, CODE_EXECUTION]},
    "own: system everywhere": {"messages": [system("a"), *HELLO, system("b")], "system": "c"},
    "own: tool_choice none": {
        "messages": HELLO,
        "tools": MANY_TOOLS,
        "tool_choice": {"type": "none"},
    },
}
NOT_COUNTED = {"built-in tools"}
SHAPES = {name: body for name, body in {**STANDARD, **OWN}.items() if name not in NOT_COUNTED}


def translate_and_judge(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the translation of a body, once both of Google's schemas accept it."""
    translated: dict[str, Any] = generate_content_request(body)
    gemini_judge({"model": "models/gemini-2.5-flash", **translated})
    vertex_judge({name: value for name, value in translated.items() if name != "toolConfig"})
    return translated


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_googles_own_schemas_accept_what_is_made(body: dict[str, Any]) -> None:
    assert translate_and_judge(body)["contents"]


def test_the_judged_shapes_are_many_and_only_the_built_in_tools_are_not_counted() -> None:
    assert len(SHAPES) >= 40
    for name in NOT_COUNTED:
        with pytest.raises(CannotCount):
            generate_content_request(STANDARD[name])


def replace_at(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with another value at a path, or without that path if the value is `GONE`."""
    step, *rest = path
    copy = dict(whole) if isinstance(whole, dict) else list(whole)
    if not rest and value is GONE:
        del copy[step]
    else:
        copy[step] = replace_at(copy[step], tuple(rest), value) if rest else value
    return copy


GONE = object()
GOOD = generate_content_request({**OWN["own: two calls"], "system": "Be brief."})
CALLS = ("contents", 1, "parts")
ANSWERS = ("contents", 2, "parts")
MEDIA = (*ANSWERS, 0, "functionResponse", "parts", 0, "inlineData")
DECLARED = ("tools", 0, "functionDeclarations", 0)
WRONG: dict[str, tuple[tuple[Any, ...], Any]] = {
    "an unknown name at the top": (("stream",), True),
    "an unknown name in a turn": (("contents", 0, "content"), "x"),
    "an unknown name in a part": ((*CALLS, 0, "signature"), "x"),
    "an unknown name in a call": ((*CALLS, 1, "functionCall", "input"), {}),
    "an unknown name in a response": ((*ANSWERS, 0, "functionResponse", "is_error"), True),
    "an unknown name in media": ((*MEDIA, "media_type"), "image/png"),
    "an unknown name in a function": ((*DECLARED, "input_schema"), {}),
    "an unknown tool": (("tools", 0, "bash"), {}),
    "contents as an object": (("contents",), {}),
    "no contents": (("contents",), []),
    "a text that is a number": (("contents", 0, "parts", 0, "text"), 1),
    "a text that is empty": (("contents", 0, "parts", 0, "text"), ""),
    "a thought that is a string": ((*CALLS, 0, "thought"), "true"),
    "arguments that are a string": ((*CALLS, 1, "functionCall", "args"), "{}"),
    "arguments that are a list": ((*CALLS, 1, "functionCall", "args"), []),
    "a response that is a string": ((*ANSWERS, 0, "functionResponse", "response"), "x"),
    "data that is not base64": ((*MEDIA, "data"), "not base64!"),
    "a name that is a number": ((*DECLARED, "name"), 7),
    "an assistant": (("contents", 1, "role"), "assistant"),
    "no role": (("contents", 0, "role"), GONE),
    "no parts": (("contents", 0, "parts"), []),
    "a part with two kinds of data": ((*CALLS, 1, "text"), "x"),
    "an image in the system prompt": (("systemInstruction", "parts", 0), PNG_PART),
    "a response too few": ((*ANSWERS, 1), GONE),
}


@pytest.mark.parametrize(("path", "value"), WRONG.values(), ids=WRONG)
def test_both_judges_refuse_what_google_refuses(path: tuple[Any, ...], value: Any) -> None:
    wrong = replace_at(GOOD, path, value)
    with pytest.raises(Refused):
        gemini_judge({"model": "models/gemini-2.5-flash", **wrong})
    with pytest.raises(Refused):
        vertex_judge(wrong)


@pytest.mark.parametrize(
    "more",
    [
        {"model": "gemini-2.5-flash"},
        {"model": GONE},
        {"instances": []},
        {"toolConfig": {"functionCallingConfig": {"mode": "MOST"}}},
        {"tools": GONE, "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}},
        {
            "contents": replace_at(
                GOOD["contents"], (2, "parts", 0, "functionResponse", "parts", 0), PNG_FILE
            )
        },
    ],
)
def test_the_judge_of_the_gemini_api_refuses_what_only_vertex_takes(more: dict[str, Any]) -> None:
    request = {"model": "models/gemini-2.5-flash", **GOOD}
    gemini_judge(request)
    wrong = {name: value for name, value in {**request, **more}.items() if value is not GONE}
    with pytest.raises(Refused):
        gemini_judge(wrong)


@pytest.mark.parametrize(
    "more",
    [
        {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}},
        {"generateContentRequest": {}},
        {"safetySettings": []},
        {"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_TINY"}},
        {"tools": [{"functionDeclarations": [None]}]},
    ],
)
def test_the_judge_of_vertex_refuses_what_vertex_refuses(more: dict[str, Any]) -> None:
    vertex_judge({**GOOD, "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}})
    with pytest.raises(Refused):
        vertex_judge({**GOOD, **more})


FULL: dict[str, Any] = {
    "system": "Be brief.",
    "messages": [user(text("What is this?"), IMAGE), *CALLED_TWICE[1:]],
    "tools": MANY_TOOLS,
}


@pytest.mark.parametrize(
    "path",
    [
        ("system",),
        ("tools",),
        ("tools", 1),
        ("messages", 0, "content", 1),
        ("messages", 2, "content", 0),
        ("messages", 2, "content", 0, "content", 1),
        ("messages", 2, "content", 0, "content", 2),
        ("messages", 2, "content", 1, "is_error"),
        ("messages", 1, "content", 0),
    ],
)
def test_nothing_can_be_removed_unnoticed(path: tuple[Any, ...]) -> None:
    assert generate_content_request(replace_at(FULL, path, GONE)) != translate_and_judge(FULL)


# ---- generated requests

short_texts = st.text(max_size=6)
user_blocks = st.sampled_from([block for block, _ in USER_BLOCKS.values()]) | st.builds(
    text, short_texts
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | short_texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(short_texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(short_texts, json_values, max_size=2)


@st.composite
def tool_rounds(draw: st.DrawFn) -> list[Any]:
    """Draw a message with calls of tools and one with their results, in any order."""
    ids = draw(
        st.lists(st.integers(0, 9).map("toolu_{}".format), min_size=1, max_size=3, unique=True)
    )
    calls = [{**TOOL_USE, "id": call_id, "input": draw(objects)} for call_id in ids]
    contents = st.none() | short_texts | st.lists(user_blocks, max_size=2)
    results = [result(draw(contents), call_id) for call_id in draw(st.permutations(ids))]
    before = draw(st.lists(st.sampled_from([THINKING, text("So."), text("")]), max_size=2))
    return [assistant(*before, *calls), user(*results, *draw(st.lists(user_blocks, max_size=1)))]


exchanges = st.one_of(
    tool_rounds(),
    st.lists(user_blocks, max_size=2).map(lambda blocks: [user(*blocks)]),
    short_texts.map(lambda content: [{"role": "assistant", "content": content}]),
    short_texts.map(lambda content: [system(content)]),
)
tools = st.lists(
    st.builds(lambda schema: {**WEATHER, "input_schema": schema}, objects)
    | st.sampled_from([WEB_SEARCH, CODE_EXECUTION]),
    max_size=2,
)
bodies = st.fixed_dictionaries(
    {"messages": st.lists(exchanges, max_size=4).map(lambda rounds: [*HELLO, *chain(*rounds)])},
    optional={
        "system": short_texts | st.lists(st.builds(text, short_texts), max_size=2),
        "tools": tools,
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "tool", "name": "get_weather"}]),
    },
)


@settings(max_examples=300, deadline=None)
@given(bodies)
def test_googles_own_schemas_accept_invented_conversations(body: dict[str, Any]) -> None:
    turns = translate_and_judge(body)["contents"]
    assert json.loads(json.dumps(turns)) == turns
    assert all(turn["role"] != after["role"] for turn, after in pairwise(turns))
    calls, answers = (
        [sum(name in part for part in turn["parts"]) for turn in turns]
        for name in ("functionCall", "functionResponse")
    )
    assert answers == [0, *calls[:-1]]


def paths_in(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for step, child in inner:
        yield (step,)
        if isinstance(child, dict | list):
            yield from ((step, *path) for path in paths_in(child))


def nested(depth: int) -> Any:
    deep: Any = "deep"
    for level in range(depth):
        deep = [deep] if level % 2 else {"a": deep}
    return deep


EDGES: list[tuple[Any, tuple[Any, ...]]] = [
    (body, path) for body in [FULL, *SHAPES.values()] for path in paths_in(body)
]
surrogates = st.text(st.characters(categories=["Cs", "Nd"]), max_size=4)
oddities = st.sampled_from([GONE, 1e400, nested(201), [], {}, [[]], [{}], "", 0])
trees = st.recursive(
    json_values | surrogates | st.sampled_from(["user", "assistant", "text", "image", "tool_use"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "source", "messages", "tools"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def translate_or_return_error(body: Any) -> Mapping[str, Any] | CountError:
    try:
        return generate_content_request(body)
    except CountError as refused:
        return refused


def assert_request_or_clear_error(body: Any) -> None:
    answer = translate_or_return_error(body)
    if isinstance(answer, CountError):
        assert type(answer) in {InvalidRequest, CannotCount}
        assert len(answer.message) < 250
        assert not any(value in answer.message for value in ("Hello", "example.com", "Rain", PNG))
    else:
        assert json.dumps(answer, allow_nan=False)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(EDGES), trees | oddities)
def test_a_near_miss_gives_a_request_or_a_clear_error(edge: Any, value: Any) -> None:
    body, path = edge
    assert_request_or_clear_error(replace_at(body, path, value))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "system", "tools", "tool_choice"]), trees))
def test_any_json_gives_a_request_or_a_clear_error(body: Any) -> None:
    assert_request_or_clear_error(body)


@pytest.mark.parametrize("depth", [300, 100_000])
def test_deep_nesting_is_a_clear_error_wherever_it_is(depth: int) -> None:
    deep = nested(depth)
    for body, path in EDGES:
        assert_request_or_clear_error(replace_at(body, path, deep))


def test_arguments_may_be_as_deep_as_anyone_nests_them() -> None:
    translate_and_judge(in_call(input={"a": nested(150)}))
    with pytest.raises(InvalidRequest, match=r"^messages\.1\.content\.0\.input: .* too deeply"):
        generate_content_request(in_call(input={"a": nested(200)}))
