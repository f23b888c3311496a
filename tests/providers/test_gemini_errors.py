"""Errors of the translation to Gemini, and their places."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from count_tokens_mw.errors import CannotCount, CountError, InvalidRequest
from tests.support.gemini import (
    DIALECTS,
    GONE,
    contents_of,
    replace_at,
    translate,
    translate_bytes,
    translate_text,
)
from tests.support.gemini_blocks import (
    BASH,
    assistant,
    document,
    image_by,
    result,
    system,
)
from tests.support.requests import (
    CONTENT_DOCUMENT,
    DOCUMENT,
    HELLO,
    IMAGE,
    IMAGE_URL,
    INVENTED_BLOCK,
    PLAIN_DOCUMENT,
    PNG,
    SEARCH_RESULT,
    THINKING,
    TOOL_RESULT,
    TOOL_USE,
    WEATHER,
    text,
    user,
)
from tests.support.translated_shapes import (
    FULL,
    SHAPES,
    in_block,
    in_call,
    in_message,
    in_result,
    in_source,
    in_tool,
)

# ---- errors, and their places

NO_WORD = [
    {"type": "container_upload", "file_id": "f"},
    {"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "s", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "m", "content": []},
    {"type": "code_execution_tool_result", "tool_use_id": "s", "content": {}},
    {"type": "tool_search_tool_result", "tool_use_id": "s", "content": {}},
    {"type": "advisor_tool_result", "tool_use_id": "s", "content": {}},
    {"type": "browser_state", "tabs": []},
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
    "a search of the server that is no web search": (
        {
            "messages": [
                *HELLO,
                assistant({"type": "server_tool_use", "id": "s", "name": "advisor", "input": {}}),
            ]
        },
        "messages.1.content.0",
        "a block of type server_tool_use",
    ),
    "a change of tools that was compacted": (
        {
            "messages": [
                assistant(
                    {
                        "type": "compaction",
                        "content": "c",
                        "tool_changes": [{"type": "tool_removal"}],
                    }
                )
            ]
        },
        "messages.0.content.0",
        "tool_changes",
    ),
    "a message that ends at an unknown event": (
        {"messages": [*HELLO, {**system("Now."), "clear_at": "next_full_moon"}]},
        "messages.1.clear_at",
        "this value",
    ),
    "an output in another format": (
        {"messages": HELLO, "output_config": {"format": {"type": "regex", "schema": {}}}},
        "output_config.format",
        "an output format of type regex",
    ),
    "an unknown field": ({"messages": HELLO, "x_future": {}}, "x_future", "this field"),
    "skills": ({"messages": HELLO, "container": {"skills": []}}, "container", "this field"),
    "messages of the server": ({"messages": HELLO, "thread": {}}, "thread", "this field"),
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
        translate(body)
    assert refused.value.status == 501
    assert refused.value.message.startswith(f"{place}: ")
    assert reason in refused.value.message
    assert "example.com" not in refused.value.message


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
        translate(body)
    assert refused.value.message.startswith(f"{place}: ")


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


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2)
    ),
    max_leaves=4,
)
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
        return translate_text(body) if isinstance(body, bytes) else translate(body)
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


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(EDGES), trees | oddities)
def test_a_near_miss_gives_a_request_or_a_clear_error(edge: Any, value: Any) -> None:
    body, path = edge
    assert_request_or_clear_error(replace_at(body, path, value))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "system", "tools", "tool_choice"]), trees))
def test_any_json_gives_a_request_or_a_clear_error(body: Any) -> None:
    assert_request_or_clear_error(body)


@pytest.mark.parametrize("depth", [300, 100_000])
def test_deep_nesting_is_a_clear_error_wherever_it_is(depth: int) -> None:
    deep = b'{"a":[' * (depth // 2) + b"]}" * (depth // 2)
    for body, path in EDGES:
        raw = json.dumps(replace_at(body, path, "here")).encode()
        assert_request_or_clear_error(raw.replace(b'"here"', deep))


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (b'{"a": -0, "b": -0.0}', b'{"a": -0, "b": -0.0}'),
        (b'{"a": 1.0e2}', b'{"a": 1.0e2}'),
        (b'{"a": 123456789012345678901234567890}', b'{"a": 123456789012345678901234567890}'),
        (b'{"a": 1e400}', b'{"a": 1e400}'),
        (b'{"a": 1, "a": 2}', b'{"a": 1, "a": 2}'),
        (rb'{"\u0061": "\ud83d\ude00\/"}', rb'{"\u0061": "\ud83d\ude00\/"}'),
        (b'{"a": %b}' % (b"[" * 400 + b"]" * 400), b'{"a": %b}' % (b"[" * 400 + b"]" * 400)),
        (rb'{"a": "\ud800"}', rb'{"a": "\ud800"}'),
        (rb'{"a": "\ud800 \ud83d\ude00 \ud55c"}', rb'{"a": "\ud800 \ud83d\ude00 \ud55c"}'),
        (rb'{"\udfff": 1}', rb'{"\udfff": 1}'),
        (b'{"a": %b}' % (b"[" * 100_000 + b"]" * 100_000), None),
        (b'{"a": NaN}', None),
        (b'{"a": 01}', None),
        (rb'{"a": "\x"}', None),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["input", "input_schema", "schema", "text"])
def test_json_text_reaches_gemini_unchanged_or_is_a_400(
    place: str, text: bytes, sent: bytes | None
) -> None:
    """Neither lone surrogates nor deep nesting can be decoded; all other notation is kept."""
    bodies: dict[str, tuple[Any, bytes]] = {
        "input": (in_call(input={"here": 1}), text),
        "input_schema": (in_tool(input_schema={"here": 1}), text),
        "schema": (
            {
                "messages": HELLO,
                "output_format": {"type": "json_schema", "schema": {"here": 1}},
            },
            text,
        ),
        "text": (in_message({"type": "text", "text": "here"}), json.dumps(text.decode()).encode()),
    }
    body, replacement = bodies[place]
    if place == "text":
        raw = json.dumps(body).encode().replace(b'"here"', replacement)
        assert translate_text(raw)["contents"][0]["parts"][0]["text"] == text.decode()
        return
    raw = json.dumps(body).encode().replace(b'{"here": 1}', replacement)
    if sent is None:
        with pytest.raises(InvalidRequest):
            translate_bytes(raw)
    else:
        assert sent in translate_bytes(raw)


HELLO_TEXT = rb'"messages": [{"role": "user", "content": "hi"}]'
LONE = [
    (rb'{"messages": [{"role": "user", "content": "cut \ud83d"}]}', rb'{"text":"cut \ud83d"}'),
    (
        rb'{"messages": [{"role": "user", "content": "\ud83d\ude00 \udc00 \ud55c"}]}',
        rb'{"text":"\ud83d\ude00 \udc00 \ud55c"}',
    ),
    (
        rb'{"messages": [{"role": "user", "content": [{"type": "text", "text": "\uDC00 x"}]}]}',
        rb'{"text":"\uDC00 x"}',
    ),
    (b"{" + HELLO_TEXT + rb', "system": "\ud83d x"}', rb'{"text":"\ud83d x"}'),
    (
        b"{" + HELLO_TEXT + rb', "tools": [{"name": "f", "input_schema": {"a": "\ud83d"}}]}',
        rb'{"a": "\ud83d"}',
    ),
    (b"{" + HELLO_TEXT + rb', "metadata": {"user_id": "\ud83d"}}', rb'{"text":"hi"}'),
]


@pytest.mark.parametrize(("raw", "sent"), LONE)
def test_a_lone_surrogate_reaches_gemini_as_it_is(raw: bytes, sent: bytes) -> None:
    """Half of an emoji, where a text was cut; Gemini decides about it."""
    for dialect in DIALECTS.values():
        assert sent in translate_bytes(raw, dialect)


@pytest.mark.parametrize("private", [rb"\ue000", rb"\uEfff", "\uec00".encode(), rb"\\ue000"])
def test_a_lone_surrogate_beside_a_private_character_is_a_400(private: bytes) -> None:
    raw = rb'{"messages": [{"role": "user", "content": "\ud800 %b"}]}' % private
    with pytest.raises(InvalidRequest, match=r"^messages: .*lone surrogate"):
        translate_bytes(raw)


def test_an_error_beside_a_lone_surrogate_has_its_own_place() -> None:
    raw = rb'{"messages": [{"role": "user", "content": "\ud800"}, {"role": "ctx", "content": ""}]}'
    with pytest.raises(InvalidRequest, match=r"^messages\.1\.role: "):
        translate_bytes(raw)
