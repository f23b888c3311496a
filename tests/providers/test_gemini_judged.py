"""Google's own schemas accept what the translation makes, for every dialect."""

from itertools import pairwise
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
    PNG_FILE,
    PNG_PART,
)
from tests.support.invented import INVENTED
from tests.support.judges import (
    Refused,
    gemini_judge,
    vertex_judge,
)
from tests.support.requests import (
    STANDARD,
)
from tests.support.translated_shapes import (
    CALLED_TWICE,
    FULL,
    MANY_TOOLS,
    NOT_COUNTED,
    REMOVABLE,
    SHAPES,
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
    "path", [*REMOVABLE, ("messages", 2, "content", 1, "is_error"), ("messages", 1, "content", 0)]
)
def test_nothing_can_be_removed_unnoticed(path: tuple[Any, ...]) -> None:
    assert translate(replace_at(FULL, path, GONE)) != translate(FULL)


# ---- generated requests


@settings(max_examples=200, deadline=None)
@given(INVENTED, st.sampled_from(sorted(DIALECTS)))
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
