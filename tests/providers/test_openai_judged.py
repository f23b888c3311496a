"""The `openai` SDK's own types accept what the translation makes."""

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from count_tokens_mw.errors import CannotCount
from tests.support.gemini import GONE, replace_at
from tests.support.gemini_blocks import CODE_EXECUTION, WEB_SEARCH, assistant, result, tool_use
from tests.support.invented import INVENTED
from tests.support.openai import MODEL, omitted_from, translate, translate_and_judge
from tests.support.openai_judge import Refused, openai_judge
from tests.support.requests import (
    DOCUMENT,
    HELLO,
    IMAGE,
    IMAGE_URL,
    SEARCH_RESULT,
    STANDARD,
    TOOL_USE,
    WEATHER,
    text,
    user,
)
from tests.support.translated_shapes import (
    CALLED_TWICE,
    FULL,
    MANY_TOOLS,
    NOT_COUNTED,
    REMOVABLE,
    SHAPES,
)

LOCATION: Final = {"type": "approximate", "city": "Bern", "country": "CH", "region": "BE"}
MORE: Final[dict[str, dict[str, Any]]] = {
    "web search with a domain and a location": {
        "messages": HELLO,
        "tools": [{**WEB_SEARCH, "allowed_domains": ["a.example"], "user_location": LOCATION}],
    },
    "choice of web search": {
        "messages": HELLO,
        "tools": [WEB_SEARCH, WEATHER],
        "tool_choice": {"type": "tool", "name": "web_search"},
    },
    "choice of code execution": {
        "messages": HELLO,
        "tools": [CODE_EXECUTION],
        "tool_choice": {"type": "tool", "name": "code_execution"},
    },
    "one call at a time": {
        "messages": HELLO,
        "tools": MANY_TOOLS,
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    },
    "an older schema": {
        "messages": HELLO,
        "output_format": {"type": "json_schema", "schema": {"type": "object"}},
    },
    "files by URL in a result": {
        "messages": [
            *HELLO,
            assistant(TOOL_USE),
            user(
                result(
                    [
                        IMAGE_URL,
                        {"type": "document", "source": {"type": "url", "url": "https://a.example"}},
                    ]
                )
            ),
        ]
    },
    "everything in a result": {
        "messages": [
            *HELLO,
            assistant(TOOL_USE, tool_use(2)),
            user(
                result([text("a"), IMAGE, DOCUMENT, SEARCH_RESULT]),
                result([DOCUMENT], "toolu_2", is_error=True),
                text("b"),
                IMAGE,
            ),
        ]
    },
    "texts and calls in turn": {
        "messages": [
            *HELLO,
            assistant(text("a"), TOOL_USE, text("b"), tool_use(2), text("c")),
            user(result("1"), result("2", "toolu_2")),
        ]
    },
}
JUDGED: Final = {**SHAPES, **MORE}


@pytest.mark.parametrize("body", JUDGED.values(), ids=JUDGED)
def test_the_sdks_own_types_accept_what_is_made(body: dict[str, Any]) -> None:
    assert translate_and_judge(body)["input"]


def test_the_judged_shapes_are_many_and_only_the_built_in_tools_are_not_counted() -> None:
    assert len(JUDGED) >= 40
    for name in NOT_COUNTED:
        with pytest.raises(CannotCount):
            translate(STANDARD[name])


@settings(max_examples=100, deadline=None)
@given(INVENTED)
def test_the_sdks_own_types_accept_invented_conversations(body: dict[str, Any]) -> None:
    items = translate_and_judge(body)["input"]
    blocks = [
        (message["role"], number, at, block)
        for number, message in enumerate(body["messages"])
        for at, block in enumerate(message["content"] or ())
        if isinstance(block, dict)
    ]
    for field, kind in (("id", "function_call"), ("tool_use_id", "function_call_output")):
        ids = [block[field] for *_, block in blocks if field in block]
        assert [item["call_id"] for item in items if item.get("type") == kind] == ids
    named = {place for place in omitted_from(body) if not place.startswith("+")}
    assert named <= {f"messages.{number}.content.{at}" for _, number, at, _ in blocks}


@pytest.mark.parametrize("path", [*REMOVABLE, ("messages", 1, "content", 1)])
def test_nothing_can_be_removed_unnoticed(path: tuple[Any, ...]) -> None:
    assert translate(replace_at(FULL, path, GONE)) != translate(FULL)


# ---- the judge

GOOD: Final = {
    "model": MODEL,
    **translate(
        {
            "messages": [user(text("a"), IMAGE, DOCUMENT), *CALLED_TWICE[1:]],
            "tools": [*MANY_TOOLS, WEB_SEARCH, CODE_EXECUTION],
            "system": "Be brief.",
            "tool_choice": {"type": "tool", "name": "get_weather"},
            "output_format": {"type": "json_schema", "schema": {}},
        }
    ),
}
PART: Final = ("input", 0, "content", 0)
PICTURE: Final = ("input", 0, "content", 1)
FILE: Final = ("input", 0, "content", 4)
OUTPUT: Final = ("input", 3)
WRONG: Final[dict[str, tuple[tuple[Any, ...], Any]]] = {
    "an unknown name at the top": (("stream",), True),
    "an unknown name of generation": (("max_output_tokens",), 9),
    "an unknown name in a message": (("input", 0, "name"), "x"),
    "an unknown name in a text": ((*PART, "cache_control"), {}),
    "an unknown name in an image": ((*PICTURE, "media_type"), "image/png"),
    "an unknown name in a file": ((*FILE, "title"), "x"),
    "an unknown name in a call": (("input", 1, "input"), {}),
    "an unknown name in an output": ((*OUTPUT, "is_error"), True),
    "an unknown name in an output's part": ((*OUTPUT, "output", 0, "source"), {}),
    "an unknown name in a function": (("tools", 0, "input_schema"), {}),
    "an unknown name in web search": (("tools", 2, "max_uses"), 3),
    "an unknown name in a choice": (("tool_choice", "disable_parallel_tool_use"), True),
    "an unknown name in a format": (("text", "format", "effort"), "low"),
    "an unknown tool": (("tools", 0, "type"), "bash"),
    "an unknown role": (("input", 0, "role"), "critic"),
    "an unknown part": ((*PART, "type"), "text"),
    "an unknown choice": (("tool_choice",), "any"),
    "a function without strict": (("tools", 0, "strict"), GONE),
    "a function without parameters": (("tools", 0, "parameters"), GONE),
    "a format without a name": (("text", "format", "name"), GONE),
    "a code interpreter without a container": (("tools", 3, "container"), GONE),
    "an image without detail": ((*PICTURE, "detail"), GONE),
    "an image without a URL": ((*PICTURE, "image_url"), GONE),
    "an image of base64 alone": ((*PICTURE, "image_url"), "iVBORw0KGgo="),
    "a file without a name": ((*FILE, "filename"), GONE),
    "a file of base64 alone": ((*FILE, "file_data"), "JVBERi0="),
    "a text that is a number": ((*PART, "text"), 1),
    "a text that is empty": ((*PART, "text"), ""),
    "arguments that are an object": (("input", 1, "arguments"), {}),
    "arguments that are a list": (("input", 1, "arguments"), "[]"),
    "a call without an id": (("input", 1, "call_id"), GONE),
    "an output without its call": ((*OUTPUT, "call_id"), "toolu_9"),
    "an output that is an object": ((*OUTPUT, "output"), {}),
    "an assistant's parts": (("input", 0, "role"), "assistant"),
    "no input": (("input",), []),
    "no model": (("model",), GONE),
    "a name of a function with a dot": (("tools", 0, "name"), "a.b"),
    "a boolean as a number": (("parallel_tool_calls",), 0),
}


@pytest.mark.parametrize(("path", "value"), WRONG.values(), ids=WRONG)
def test_the_judge_refuses_what_openai_refuses(path: tuple[Any, ...], value: Any) -> None:
    openai_judge(GOOD)
    with pytest.raises(Refused):
        openai_judge(replace_at(GOOD, path, value))


def test_the_judge_accepts_what_the_translation_does_not_make() -> None:
    openai_judge(
        {
            "model": MODEL,
            "input": [
                {"type": "message", "role": "developer", "content": "Be brief."},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "item_reference", "id": "msg_1"},
            ],
            "tools": [{"type": "mcp", "server_label": "s", "server_url": "https://a.example"}],
            "reasoning": {"effort": "low"},
            "truncation": "auto",
            "tool_choice": "required",
        }
    )


async def test_the_sdks_own_client_sends_the_same_body() -> None:
    """The SDK drops and renames nothing of what the translation makes."""
    sent: list[bytes] = []

    async def record(request: Any) -> None:
        sent.append(request.content)
        raise ConnectionRefusedError

    body: dict[str, Any] = dict(GOOD)
    http_client = DefaultAsyncHttpxClient(event_hooks={"request": [record]})
    async with AsyncOpenAI(api_key="k", max_retries=0, http_client=http_client) as client:
        with pytest.raises(ConnectionRefusedError):
            await client.responses.input_tokens.count(**body)
    assert json.loads(sent[0]) == GOOD
