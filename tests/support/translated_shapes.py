"""Requests of every kind that Gemini counts."""

from collections.abc import Mapping
from typing import Any

from tests.support.gemini_blocks import (
    ASSISTANT_BLOCKS,
    CODE_EXECUTION,
    RESULTS,
    USER_BLOCKS,
    WEB_SEARCH,
    assistant,
    result,
    system,
    tool_use,
)
from tests.support.requests import (
    DOCUMENT,
    HELLO,
    IMAGE,
    IMAGE_URL,
    STANDARD,
    THINKING,
    TOOL_RESULT,
    TOOL_USE,
    WEATHER,
    text,
    user,
)

__all__ = [
    "CALLED_TWICE",
    "FULL",
    "MANY_TOOLS",
    "NOT_COUNTED",
    "OWN",
    "REMOVABLE",
    "SHAPES",
    "in_block",
    "in_call",
    "in_message",
    "in_result",
    "in_source",
    "in_tool",
]


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
    "own: a search of the server": {
        "messages": [
            *HELLO,
            assistant(
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                text("So."),
            ),
        ],
    },
    "own: built-in tools alone": {"messages": HELLO, "tools": [WEB_SEARCH, CODE_EXECUTION]},
    "own: parallel results and more": {
        "messages": [*CALLED_TWICE, system("Now."), user(text("Go on."), IMAGE_URL)]
    },
    "own: tool_choice none": {
        "messages": HELLO,
        "tools": MANY_TOOLS,
        "tool_choice": {"type": "none"},
    },
}
# The plain API's types lack these.
BETA: dict[str, dict[str, Any]] = {
    "beta: a compaction": {
        "messages": [
            *HELLO,
            assistant({"type": "compaction", "content": "So far."}, TOOL_USE),
            user(TOOL_RESULT, text("Go on.")),
        ],
    },
    "beta: a system message that ends": {
        "messages": [*HELLO, {**system("Now."), "clear_at": "next_user_message"}, user(text("So."))]
    },
    "beta: a system message without content": {
        "messages": [*HELLO, {"role": "system", "output_config": {"effort": "low"}}]
    },
    "beta: a fallback": {
        "messages": [
            *HELLO,
            assistant({"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}),
        ]
    },
}
NOT_COUNTED = {"built-in tools"}
SHAPES = {
    name: body for name, body in {**STANDARD, **OWN, **BETA}.items() if name not in NOT_COUNTED
}
FULL: dict[str, Any] = {
    "system": "Be brief.",
    "messages": [user(text("What is this?"), IMAGE), *CALLED_TWICE[1:]],
    "tools": MANY_TOOLS,
}
REMOVABLE: list[tuple[str | int, ...]] = [
    ("system",),
    ("tools",),
    ("tools", 1),
    ("messages", 0, "content", 1),
    ("messages", 2, "content", 0),
    ("messages", 2, "content", 0, "content", 1),
    ("messages", 2, "content", 0, "content", 2),
]
"""Paths of parts of `FULL` without which a translation differs."""
