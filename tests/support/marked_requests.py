"""Marked requests: full instances of the Anthropic SDK's own types, for each translated type.

Every string in them has a marker. The translation's types play no part in them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from anthropic.types.beta import (
    BetaAssistantMessageParam,
    BetaSystemMessageParam,
    BetaUserMessageParam,
)
from anthropic.types.beta.message_count_tokens_params import MessageCountTokensParams
from typing_extensions import get_type_hints

from tests.support.marked import find_markers, instances_of, mark_all, members_of

__all__ = ["ASK", "BLOCKS", "LABELS", "REQUESTS", "TEXT", "compare", "rows_for", "turn"]

REQUEST: Final = get_type_hints(MessageCountTokensParams)
BLOCKS: Final = members_of(get_type_hints(BetaUserMessageParam)["content"])
TOOLS: Final = members_of(REQUEST["tools"])
ASK: Final = {"role": "user", "content": "q"}


def turn(role: str, *content: Any) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


def call(number: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "f", "input": {}}


def result(tool_use_id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": "r"}


def conversations_with(name: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield minimal conversations with the instances of a type of blocks, each with its title."""
    blocks = mark_all(instances_of(BLOCKS[name]))
    match blocks[0]["type"]:
        case "tool_use":
            answers = [result(block["id"]) for block in blocks]
            yield name, [ASK, turn("assistant", *blocks), turn("user", *answers)]
        case "tool_result":
            calls = turn("assistant", *[call(number) for number in range(len(blocks))])
            for is_error in (False, True):
                ended = [
                    {**block, "tool_use_id": f"toolu_{number}", "is_error": is_error}
                    for number, block in enumerate(blocks)
                ]
                yield f"{name} error {is_error}", [ASK, calls, turn("user", *ended)]
        case "redacted_thinking" | "thinking":
            answer = turn("user", result("toolu_0"))
            yield name, [ASK, turn("assistant", *blocks, call(0)), answer]
        case "compaction":
            yield name, [turn("user", *blocks), ASK]
        case _:
            yield f"{name} of the assistant", [ASK, turn("assistant", *blocks), ASK]
            yield f"{name} of the user", [turn("user", *blocks), ASK]


def messages_of_text() -> Iterator[tuple[str, list[Any]]]:
    """Yield conversations with messages whose content is a string, and with the system's."""
    for kind in (BetaUserMessageParam, BetaAssistantMessageParam):
        message = next(one for one in instances_of(kind) if isinstance(one["content"], str))
        yield kind.__name__, [message, ASK]
    for number, message in enumerate(instances_of(BetaSystemMessageParam)):
        yield f"system message {number}", [ASK, message]
        yield f"leading system message {number}", [{**message, "clear_at": "never"}, ASK]


def requests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a marked request for each translated type and form, with its title."""
    for name in BLOCKS:
        for title, messages in conversations_with(name):
            yield title, {"messages": messages}
    for title, messages in messages_of_text():
        yield title, mark_all({"messages": messages})
    for name, tool in TOOLS.items():
        yield name, mark_all({"messages": [ASK], "tools": instances_of(tool)})
    for choice in instances_of(REQUEST["tool_choice"]):
        # A tool is chosen by its name, so that one marker stands in two places.
        tool = {"type": "custom", "name": "mk000009", "input_schema": {}}
        named = {**choice, **({"name": tool["name"]} if "name" in choice else {})}
        title = f"tool_choice {choice['type']}"
        yield title, {"messages": [ASK], "tools": [tool], "tool_choice": named}
    for field in REQUEST.keys() - {"messages", "mcp_servers", "tools", "tool_choice"}:
        for number, value in enumerate(instances_of(REQUEST[field])):
            yield f"{field} {number}", mark_all({"messages": [ASK], field: value})


REQUESTS: Final = dict(sorted(requests(), key=lambda request: request[0]))
"""Marked requests by their titles."""

LABELS: Final = {
    mark.label for body in REQUESTS.values() for mark in find_markers(body, typed=True)
}
"""The labels of all strings in them."""


TEXT: Final = (
    r"(text\.text|search_result\.(title|source|content\.text\.text)|document\.(title|context)"
    r"|document\.source:(text\.data|content\.content(\.text\.text)?))"
)
"""The labels, below a message's content, of texts that are parts of their own."""


def rows_for(label: str, rows: Iterable[str]) -> list[str]:
    """Return the rows, which are patterns, that apply to a label."""
    return [row for row in rows if re.fullmatch(row, label)]


def compare(
    body: dict[str, Any],
    sent: dict[str, Any],
    omitted: Iterable[str],
    places_of: Callable[[str], set[str]],
) -> list[str]:
    """Return each marker that is not exactly where it should be, with its place in the request."""
    arrived: dict[str, set[str]] = {}
    for mark in find_markers(sent, typed=False):
        arrived.setdefault(mark.marker, set()).add(mark.label)
    expected: dict[str, set[str]] = {}
    labels: dict[str, str] = {}
    for mark in find_markers(body, typed=True):
        is_named = _is_within(mark.place, set(omitted))
        places = set() if is_named else places_of(mark.label)
        expected.setdefault(mark.marker, set()).update(places)
        labels[mark.marker] = mark.label
    return [
        f"{labels[marker]} is in {sorted(arrived.get(marker, ()))}, not in {sorted(places)}"
        for marker, places in expected.items()
        if arrived.get(marker, set()) != places
    ]


def _is_within(place: str, holders: set[str]) -> bool:
    return any(place == holder or place.startswith(f"{holder}.") for holder in holders)
