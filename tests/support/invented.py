"""Invented conversations of every kind that is translated, for Hypothesis."""

from itertools import chain
from typing import Any

from hypothesis import strategies as st

from tests.support.gemini_blocks import (
    CODE_EXECUTION,
    USER_BLOCKS,
    WEB_SEARCH,
    assistant,
    result,
    system,
)
from tests.support.requests import HELLO, THINKING, TOOL_USE, WEATHER, text, user

__all__ = ["INVENTED"]

_short_texts = st.text(max_size=6)
_user_blocks = st.sampled_from([block for block, _ in USER_BLOCKS.values()]) | st.builds(
    text, _short_texts
)
_json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _short_texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_short_texts, inner, max_size=2),
    max_leaves=4,
)
_objects = st.dictionaries(_short_texts, _json_values, max_size=2)


@st.composite
def _tool_rounds(draw: st.DrawFn) -> list[Any]:
    """Draw a message with calls of tools and one with their results, in any order."""
    ids = draw(
        st.lists(st.integers(0, 9).map("toolu_{}".format), min_size=1, max_size=3, unique=True)
    )
    calls = [{**TOOL_USE, "id": call_id, "input": draw(_objects)} for call_id in ids]
    contents = st.none() | _short_texts | st.lists(_user_blocks, max_size=2)
    results = [result(draw(contents), call_id) for call_id in draw(st.permutations(ids))]
    before = draw(st.lists(st.sampled_from([THINKING, text("So."), text("")]), max_size=2))
    return [assistant(*before, *calls), user(*results, *draw(st.lists(_user_blocks, max_size=1)))]


_exchanges = st.one_of(
    _tool_rounds(),
    st.lists(_user_blocks, max_size=2).map(lambda blocks: [user(*blocks)]),
    _short_texts.map(lambda content: [{"role": "assistant", "content": content}]),
    _short_texts.map(lambda content: [system(content)]),
)
_tools = st.lists(
    st.builds(lambda schema: {**WEATHER, "input_schema": schema}, _objects)
    | st.sampled_from([WEB_SEARCH, CODE_EXECUTION]),
    max_size=2,
)
INVENTED = st.fixed_dictionaries(
    {"messages": st.lists(_exchanges, max_size=4).map(lambda rounds: [*HELLO, *chain(*rounds)])},
    optional={
        "system": _short_texts | st.lists(st.builds(text, _short_texts), max_size=2),
        "tools": _tools,
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "tool", "name": "get_weather"}]),
    },
)
"""Bodies of requests without a model."""
