"""The judges of Google's bodies: for every rule, what they accept and what they refuse."""

from typing import Any, Final

import pytest

from tests.support.google_judges.rules import generation_of
from tests.support.judges import Refused, gemini_judge, vertex_judge

PLACEHOLDER: Final = "skip_thought_signature_validator"
FLASH_2, FLASH_3 = "models/gemini-2.5-flash", "models/gemini-3.6-flash"
HI: Final[dict[str, Any]] = {"role": "user", "parts": [{"text": "hi"}]}
BLOB: Final = {"inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}}
FILE: Final = {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/b.png"}}
FUNCTIONS: Final = {
    "functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object", "$id": "i"}}]
}
SERVER_SIDE: Final = {"includeServerSideToolInvocations": True}
ANY: Final = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}


def call(**more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": "f", "args": {"deep": [{"a": None}]}}, **more}


def answer(*media: dict[str, Any]) -> dict[str, Any]:
    parts = {"parts": list(media)} if media else {}
    return {"functionResponse": {"name": "f", "response": {"output": "done"}, **parts}}


def turn(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def talk(*contents: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"contents": [HI, *contents], **more}


ANSWERED: Final = (turn("model", call()), turn("user", answer()))
WITH_MEDIA: Final = (turn("model", call()), turn("user", answer(BLOB)))
WITH_FILE: Final = (turn("model", call()), turn("user", answer(FILE)))


def gemini_api(body: dict[str, Any], model: str = FLASH_3) -> None:
    gemini_judge({"model": model, **body})


def both(body: dict[str, Any], name: str) -> None:
    gemini_judge({"model": f"models/{name}", **body})
    vertex_judge(body, model=name)


def assert_both_refuse(body: dict[str, Any], name: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        gemini_judge({"model": f"models/{name}", **body})
    with pytest.raises(Refused, match=reason):
        vertex_judge(body, model=name)


# ---- names


@pytest.mark.parametrize(
    ("model", "generation"),
    [
        ("models/gemini-1.5-pro", 1),
        ("gemini-2.0-flash", 2),
        ("models/gemini-2.5-flash", 2),
        ("gemini-3.6-flash", 3),
        ("models/gemini-4-argon", 3),
        ("models/gemini-20", 3),
        ("models/gemma-4-31b-it", 3),
        ("tunedModels/mine", 3),
        ("1234567890", 3),
    ],
)
def test_an_unknown_name_is_of_the_newest_generation(model: str, generation: int) -> None:
    assert generation_of(model) == generation


@pytest.mark.parametrize("model", [FLASH_3, "models/gemma-4-31b-it", "tunedModels/mine-1a"])
def test_models_have_their_collection_before_their_name(model: str) -> None:
    gemini_api(talk(), model)
    for wrong in (model.partition("/")[2], f"more/{model}", f"{model}/", "tuned/mine"):
        with pytest.raises(Refused, match="model"):
            gemini_api(talk(), wrong)


# ---- media in function responses


def test_media_in_function_responses_are_generation_3s() -> None:
    both(talk(*WITH_MEDIA), "gemini-3.6-flash")
    for name in ("gemini-2.5-flash", "gemini-1.5-pro"):
        both(talk(*ANSWERED, turn("user", BLOB)), name)
        assert_both_refuse(talk(*WITH_MEDIA), name, "Multimodal function responses")
        empty = {"functionResponse": {**answer()["functionResponse"], "parts": []}}
        wrong = talk(turn("model", call()), turn("user", empty))
        assert_both_refuse(wrong, name, "Multimodal function responses")


def test_files_in_function_responses_are_vertexs() -> None:
    vertex_judge(talk(*WITH_FILE))
    both(talk(*ANSWERED, turn("user", FILE)), "gemini-3.6-flash")
    with pytest.raises(Refused, match="fileData"):
        gemini_api(talk(*WITH_FILE))
    with pytest.raises(Refused, match="Multimodal function responses"):
        vertex_judge(talk(*WITH_FILE), model="gemini-2.5-flash")


# ---- turns


@pytest.mark.parametrize("beside", [{"text": "a"}, BLOB, FILE])
def test_other_parts_stand_beside_one_response_before_generation_3(beside: dict[str, Any]) -> None:
    contents = (turn("model", call()), turn("user", answer(), beside))
    for name in ("gemini-1.5-pro", "gemini-2.5-flash"):
        both(talk(*contents), name)
    assert_both_refuse(talk(*contents), "gemini-3.6-flash", "the only parts")


@pytest.mark.parametrize("name", ["gemini-1.5-pro", "gemini-2.5-flash", "gemini-3.6-flash"])
@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (ANSWERED, None),
        ((turn("model", {"text": "a"}, call(), call()), turn("user", answer(), answer())), None),
        ((*ANSWERED, HI, HI, turn("model", {"text": "a"})), None),
        ((*ANSWERED, *ANSWERED), None),
        (
            (turn("model", call(), call()), turn("user", answer(), answer(), FILE)),
            "the only parts",
        ),
        ((turn("model", call()), HI, turn("user", answer())), "must follow"),
        ((turn("user", call()), turn("user", answer())), "must follow"),
        ((turn("model", call()), turn("model", answer())), "the user's"),
        ((turn("user", answer()),), "must follow"),
        ((turn("model", {"text": "a"}), turn("user", answer())), "number of function response"),
        ((turn("model", call(), call()), turn("user", answer())), "number of function response"),
        (
            (turn("model", call(), call()), turn("user", answer()), turn("user", answer())),
            "number of function response",
        ),
        ((turn("model", call()), turn("user", answer(), answer())), "number of function response"),
    ],
)
def test_function_responses_stand_alone_after_as_many_calls(
    name: str, contents: tuple[dict[str, Any], ...], reason: str | None
) -> None:
    body = talk(*contents)
    if reason is None:
        both(body, name)
    else:
        assert_both_refuse(body, name, reason)


def test_a_conversation_begins_with_no_function_response() -> None:
    assert_both_refuse({"contents": [turn("user", answer())]}, "gemini-3.6-flash", "must follow")


def test_the_placeholder_of_a_signature_is_not_encoded() -> None:
    signed = turn("model", call(thoughtSignature=PLACEHOLDER), call())
    both(talk(signed, turn("user", answer(), answer())), "gemini-3.6-flash")
    both(talk(turn("model", call(thoughtSignature="aGVsbG8="))), "gemini-2.5-flash")
    encoded = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
    wrong = talk(turn("model", call(thoughtSignature=encoded)))
    assert_both_refuse(wrong, "gemini-3.6-flash", "Thought signature is not valid")
    for value in ("?", "YQ=", 1):
        with pytest.raises(Refused):
            vertex_judge(talk(turn("model", call(thoughtSignature=value))))
        with pytest.raises(Refused):
            gemini_api(talk(turn("model", call(thoughtSignature=value))))


# ---- tools


@pytest.mark.parametrize("kind", ["googleSearch", "urlContext", "codeExecution"])
def test_a_built_in_tool_beside_functions_needs_the_gemini_apis_consent(kind: str) -> None:
    for tools in ([FUNCTIONS, {kind: {}}], [{**FUNCTIONS, kind: {}}]):
        gemini_api(talk(tools=tools, toolConfig=SERVER_SIDE))
        gemini_api(talk(tools=tools, toolConfig={**SERVER_SIDE, **ANY}))
        gemini_api(talk(tools=tools), FLASH_2)
        vertex_judge(talk(tools=tools))
        for config in ({}, ANY, {"includeServerSideToolInvocations": False}):
            with pytest.raises(Refused, match="Please enable tool_config"):
                gemini_api(talk(tools=tools, toolConfig=config))
        with pytest.raises(Refused, match="Please enable tool_config"):
            gemini_api(talk(tools=tools))
        with pytest.raises(Refused, match="without a built-in tool beside functions"):
            gemini_api(talk(tools=tools, toolConfig=SERVER_SIDE), FLASH_2)
        with pytest.raises(Refused, match='Unknown name "toolConfig"'):
            vertex_judge(talk(tools=tools, toolConfig=SERVER_SIDE))


def test_the_consent_is_absent_without_such_a_pair() -> None:
    gemini_api(talk(tools=[FUNCTIONS], toolConfig=ANY))
    gemini_api(talk(tools=[{"googleSearch": {}}, {"urlContext": {}}]))
    for config in (SERVER_SIDE, {**ANY, "includeServerSideToolInvocations": False}):
        with pytest.raises(Refused, match="without a built-in tool beside functions"):
            gemini_api(talk(tools=[FUNCTIONS], toolConfig=config))
    no_functions: list[dict[str, Any]] = [{"functionDeclarations": []}, {"urlContext": {}}]
    for tools in (no_functions, no_functions[1:]):
        with pytest.raises(Refused, match="without function_declarations"):
            gemini_api(talk(tools=tools, toolConfig=SERVER_SIDE))
    text = {"includeServerSideToolInvocations": "true"}
    with pytest.raises(Refused, match="another type"):
        gemini_api(talk(tools=[FUNCTIONS, {"googleSearch": {}}], toolConfig=text))


def test_generation_1_searches_by_another_name() -> None:
    retrieval, search = (
        talk(tools=[{"googleSearchRetrieval": {}}]),
        talk(tools=[{"googleSearch": {}}]),
    )
    both(retrieval, "gemini-1.5-pro")
    assert_both_refuse(search, "gemini-1.5-pro", "googleSearch is not supported")
    for name in ("gemini-2.5-flash", "gemini-3.6-flash"):
        both(search, name)
        assert_both_refuse(retrieval, name, "googleSearchRetrieval is not supported")
