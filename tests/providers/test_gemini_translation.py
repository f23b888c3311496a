"""Translation of Anthropic requests to Gemini's, as a table."""

from typing import Any

import pytest

from tests.support.gemini import (
    contents_of,
    translate,
)
from tests.support.gemini_blocks import (
    ASSISTANT_BLOCKS,
    CODE_EXECUTION,
    DECLARATION,
    HELLO_TURN,
    RESULTS,
    USER_BLOCKS,
    WEB_SEARCH,
    assistant,
    response,
    result,
    system,
    tool_use,
)
from tests.support.requests import (
    HELLO,
    IMAGE_URL,
    THINKING,
    TOOL_RESULT,
    TOOL_USE,
    WEATHER,
    text,
    user,
)


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
    sent = translate({"messages": HELLO, "system": system_prompt})
    assert sent.get("systemInstruction") == (parts and {"parts": parts})


def test_leading_system_messages_are_added_to_the_system_prompt() -> None:
    messages = [system("Be kind."), system([text("Be wise.")]), *HELLO]
    assert translate({"messages": messages, "system": "Be brief."}) == {
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
        {"role": "user", "parts": [response("2", name="b"), response("1", name="a")]},
        {"role": "user", "parts": [{"text": "Go on."}]},
    ]


def test_thinking_is_kept_only_in_the_tool_loop_under_way() -> None:
    loop = [assistant(THINKING, TOOL_USE), user(TOOL_RESULT)]
    thoughts = [
        ["thought" in part for part in turn["parts"]] for turn in contents_of(*HELLO, *loop, *loop)
    ]
    assert thoughts == [[False], [True, False], [False], [True, False], [False]]
    over = contents_of(*HELLO, *loop, user(text("Thanks.")), assistant(THINKING, text("Bye.")))
    assert [len(turn["parts"]) for turn in over] == [1, 1, 1, 1, 2]
    assert over[-1]["parts"][0] == {"text": "Let me see.", "thought": True}


def test_a_file_in_a_tool_result_does_not_end_the_tool_loop() -> None:
    sent = contents_of(*HELLO, assistant(THINKING, TOOL_USE), user(result([IMAGE_URL])))
    assert sent[1]["parts"][0] == {"text": "Let me see.", "thought": True}


@pytest.mark.parametrize("sort", [{}, {"type": None}, {"type": "custom"}])
def test_custom_tools_share_one_entry_and_keep_their_json_schema(sort: Any) -> None:
    other: Any = {"name": "now", "input_schema": {"type": "object", "$defs": {}}, "strict": True}
    first: Any = {**WEATHER, **sort}
    sent = translate({"messages": HELLO, "tools": [first, other]})
    now = {"name": "now", "parametersJsonSchema": {"type": "object", "$defs": {}}}
    assert sent["tools"] == [{"functionDeclarations": [DECLARATION, now]}]


def test_built_in_tools_are_further_entries() -> None:
    tools: Any = [
        WEB_SEARCH,
        WEATHER,
        CODE_EXECUTION,
        {**WEB_SEARCH, "type": "web_search_20260318"},
    ]
    assert translate({"messages": HELLO, "tools": tools})["tools"] == [
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
    assert translate(body)["toolConfig"] == {"functionCallingConfig": config}


@pytest.mark.parametrize("tools", [None, [], [WEB_SEARCH]])
def test_tool_choice_is_left_out_where_there_is_no_function(tools: Any) -> None:
    """The Gemini API rejects it: https://github.com/pydantic/pydantic-ai/pull/5791."""
    body = {"messages": HELLO, "tools": tools, "tool_choice": {"type": "auto"}}
    assert "toolConfig" not in translate(body)


def test_there_are_only_the_keys_that_have_something_in_them() -> None:
    body = {"messages": HELLO, "system": "", "tools": [], "tool_choice": None, "mcp_servers": []}
    assert translate({**body, "model": "m", "thinking": {"type": "adaptive"}}) == {
        "contents": [HELLO_TURN]
    }
