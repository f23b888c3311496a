"""Google's own schemas accept what the translation makes, for every dialect."""

from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from count_tokens_mw.errors import CannotCount
from tests.support.gemini import (
    DIALECTS,
    GONE,
    replace_at,
    translate,
    translate_and_judge,
)
from tests.support.gemini_blocks import (
    CODE_EXECUTION,
    PNG_FILE,
    PNG_PART,
    USER_BLOCKS,
    WEB_SEARCH,
    assistant,
    result,
    system,
)
from tests.support.gemini_shapes import (
    CALLED_TWICE,
    FULL,
    MANY_TOOLS,
    NOT_COUNTED,
    SHAPES,
)
from tests.support.judges import (
    Refused,
    gemini_judge,
    vertex_judge,
)
from tests.support.requests import (
    HELLO,
    STANDARD,
    THINKING,
    TOOL_USE,
    WEATHER,
    text,
    user,
)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_googles_own_schemas_accept_what_is_made(body: dict[str, Any], name: str) -> None:
    assert translate_and_judge(body, name)["contents"]


def test_the_judged_shapes_are_many_and_only_the_built_in_tools_are_not_counted() -> None:
    assert len(SHAPES) >= 40
    for name in NOT_COUNTED:
        with pytest.raises(CannotCount):
            translate(STANDARD[name])


GOOD = translate({"messages": CALLED_TWICE, "tools": MANY_TOOLS, "system": "Be brief."})
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
        gemini_judge({"model": "models/gemini-3.6-flash", **wrong})
    with pytest.raises(Refused):
        vertex_judge(wrong)


@pytest.mark.parametrize(
    "more",
    [
        {"model": "gemini-3.6-flash"},
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
    request = {"model": "models/gemini-3.6-flash", **GOOD}
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
    assert translate(replace_at(FULL, path, GONE)) != translate(FULL)


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


@settings(max_examples=200, deadline=None)
@given(bodies, st.sampled_from(sorted(DIALECTS)))
def test_googles_own_schemas_accept_invented_conversations(body: dict[str, Any], name: str) -> None:
    turns = translate_and_judge(body, name)["contents"]
    assert all(
        turn["role"] != after["role"] or "functionResponse" in turn["parts"][0]
        for turn, after in pairwise(turns)
    )
    calls, answers = (
        [sum(name in part for part in turn["parts"]) for turn in turns]
        for name in ("functionCall", "functionResponse")
    )
    assert answers == [0, *calls[:-1]]
