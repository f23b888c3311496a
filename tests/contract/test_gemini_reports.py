"""Requests that public reports showed to be miscounted or refused on their way to Gemini.

They run through a host, and Google's schemas validate each request to the upstream.
"""

from typing import Any, Final

import pytest

from tests.support.gemini_host import (
    ASKED,
    CALL,
    DECLARED,
    PNG,
    PNG_PART,
    TOOL,
    Q,
    ask,
    content,
)

HI: Final = {"messages": [{"role": "user", "content": "hi"}]}
HI_SENT: Final = {"contents": [content("user", "hi")]}
ANSWER_SCHEMA: Final = {"type": "object", "properties": {"answer": {"type": "string"}}}


def result_with(*blocks: Any, after: Any = ()) -> dict[str, Any]:
    """Return a conversation with a result of the tool, and what follows it in its message."""
    result = {"type": "tool_result", "tool_use_id": "t1", "content": list(blocks)}
    return {"messages": [Q, CALL, {"role": "user", "content": [result, *after]}], "tools": [TOOL]}


def response(output: str, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": "f", "response": {"output": output}, **more}}


TEXT_R: Final = {"type": "text", "text": "R"}
IMAGE: Final = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
}

# The name of the report: the model, the body and what is sent.
REPORTS: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "an older schema beside output_config without a format": (
        "g2",
        {
            **HI,
            "output_config": {"effort": "high"},
            "output_format": {"type": "json_schema", "schema": ANSWER_SCHEMA},
        },
        {
            **HI_SENT,
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": ANSWER_SCHEMA,
            },
        },
    ),
    "an image in a result, which Gemini 2 takes only after it": (
        "g2",
        result_with(TEXT_R, IMAGE),
        {"contents": [*ASKED, content("user", response("R"), PNG_PART)], "tools": [DECLARED]},
    ),
    "a text after a result, which Gemini 3 takes only in a turn of its own": (
        "g3",
        result_with(TEXT_R, after=[{"type": "text", "text": "AFTER"}]),
        {
            "contents": [*ASKED, content("user", response("R")), content("user", "AFTER")],
            "tools": [DECLARED],
        },
    ),
    "a system message that a later message of the user has cleared": (
        "g2",
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "system", "content": "REMINDER", "clear_at": "next_user_message"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"},
            ]
        },
        {"contents": [content("user", "a"), content("model", "b"), content("user", "c")]},
    ),
    "a system message without content": (
        "g2",
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "system", "output_config": {"effort": "low"}},
            ]
        },
        {"contents": [content("user", "a")]},
    ),
    "a fallback block": (
        "g2",
        {
            "messages": [
                {"role": "user", "content": "a"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "fallback", "from": {"model": "m1"}, "to": {"model": "m2"}},
                        {"type": "text", "text": "b"},
                    ],
                },
                {"role": "user", "content": "c"},
            ]
        },
        {"contents": [content("user", "a"), content("model", "b"), content("user", "c")]},
    ),
    "null fields of creating a message": (
        "g2",
        {**HI, "container": None, "fallbacks": None, "diagnostics": None},
        HI_SENT,
    ),
    "a web search beside a function": (
        "g3",
        {**HI, "tools": [{"type": "web_search_20250305", "name": "web_search"}, TOOL]},
        {
            **HI_SENT,
            "tools": [DECLARED, {"googleSearch": {}}],
            "toolConfig": {"includeServerSideToolInvocations": True},
        },
    ),
    "a web fetch": (
        "g2",
        {**HI, "tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
        {**HI_SENT, "tools": [{"urlContext": {}}]},
    ),
    "a tool_reference in a result": (
        "g2",
        result_with({"type": "tool_reference", "tool_name": "f"}),
        {"contents": [*ASKED, content("user", response(""))], "tools": [DECLARED]},
    ),
    "an image in a result, which Gemini 3 takes within it": (
        "g3",
        result_with(TEXT_R, IMAGE),
        {
            "contents": [*ASKED, content("user", response("R", parts=[PNG_PART]))],
            "tools": [DECLARED],
        },
    ),
    "a system message that is not cleared yet": (
        "g2",
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "system", "content": "NOW", "clear_at": "next_user_message"},
            ]
        },
        {"contents": [content("user", "a", "NOW")]},
    ),
    "a choice of functions without a built-in tool": (
        "g2",
        {**HI, "tools": [TOOL], "tool_choice": {"type": "any"}},
        {
            **HI_SENT,
            "tools": [DECLARED],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        },
    ),
}


@pytest.mark.parametrize("name", REPORTS)
async def test_a_reported_request_is_counted_as_a_whole(name: str) -> None:
    model, body, sent = REPORTS[name]
    answer = await ask(model, body)
    assert (answer.status, answer.message) == (200, "")
    assert answer.sent == sent
    assert answer.omitted is None


async def test_an_unknown_block_stays_a_501() -> None:
    unknown = {"role": "assistant", "content": [{"type": "hologram", "x": 1}]}
    answer = await ask("g2", {"messages": [Q, unknown, Q]})
    assert answer.status == 501
    assert answer.message == (
        "messages.1.content.0: Gemini has no counterpart of a block of type hologram."
    )
