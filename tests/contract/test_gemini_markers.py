"""No string of a request is lost on its way to Gemini, and none arrives in a wrong place.

The requests are full instances of the Anthropic SDK's own types; every string in them has a marker.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final, get_args

import msgspec
import pytest
from anthropic.types.beta import BetaServerToolUseBlockParam
from typing_extensions import get_type_hints

from count_tokens_mw.errors import CannotCount
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.translation import generate_content_request
from count_tokens_mw.providers.translation.request import Translation
from count_tokens_mw.rawjson.object import JsonObject
from tests.support.judges import gemini_judge, vertex_judge
from tests.support.marked import find_markers, instances_of
from tests.support.marked_requests import (
    ASK,
    BLOCKS,
    LABELS,
    REQUESTS,
    TEXT,
    compare,
    rows_for,
    turn,
)

DIALECTS: Final = [
    *(Dialect("gemini_api", generation) for generation in (1, 2, 3)),
    *(Dialect("vertex", generation) for generation in (2, 3)),
]
NAME_OF: Final = "{0.backend} {0.generation}".format
MODELS: Final = {1: "gemini-1.5-flash", 2: "gemini-2.5-flash", 3: "gemini-3.6-flash"}
NAMED: Final = {
    "redacted_thinking",
    "server_tool_use",
    "web_fetch_tool_result",
    "web_search_tool_result",
}
"""Types of blocks that are left out although they are input, so that the count names them."""

# The label of a string: the reason why it is no input.
NO_INPUT: Final = {
    r".*\.citations\.(?!.*citations).*": "cited text, which Anthropic does not count",
    r".*\.thinking\.signature": "Gemini verifies signatures and refuses Anthropic's",
    r".*\.compaction\.(encrypted_content|signature)": "state of Anthropic's",
    r".*\.fallback\..*": "not rendered into the prompt",
    r".*\.tool_use\.id": "Gemini matches calls and responses by their order",
    r".*\.tool_(result|error)\.tool_use_id": "Gemini matches calls and responses by their order",
    r".*\.tool_use\.caller\.tool_id": "a tool is known by its name",
    r".*\.tool_(use|result|error)\.toolset_name": "a tool is known by its name",
    r".*\.tool_reference\.tool_name": "every tool is declared anyway",
    r"tools\.web_(fetch|search)_\d+\.(allowed|blocked)_domains\.\*": "a limit of the tool",
    r"tools\.web_search_\d+\.user_location\..*": "a limit of the tool",
    r"tools\.web_fetch_\d+\.url_sources\..*": "a limit of the tool",
    r"betas\.\*": "a header of the request",
    r"compaction\.instructions": "Anthropic's counter ignores it too",
    r"context_management\..*": "Gemini gets the whole context",
    r"model": "the model is named by the deployment",
    r"(user_profile|workspace)_id": "a header of the request",
}

PART: Final = "contents.*.parts.*"
FILE: Final = r"(image|document|document\.source:content\.content\.image)\.source:"
BLOCK: Final = r"messages\.(user|assistant|system)\.content\."
RESULT: Final = r"messages\.user\.content\.tool_(result|error)\.content"


def media_in_result(of: Callable[[Dialect], bool], place: str) -> Callable[[Dialect], str]:
    """Return how a dialect places media: within the function response, or after it."""
    return lambda dialect: (
        f"{PART}.functionResponse.parts.*.{place}" if of(dialect) else (f"{PART}.{place}")
    )


# The label of a string: the places where it arrives; the groups of `rest` are the same in both.
ARRIVES: Final[dict[str, str | Callable[[Dialect], str]]] = {
    r"messages\.leading\.content(\.text\.text)?": "systemInstruction.parts.*.text",
    r"system(\.text\.text)?": "systemInstruction.parts.*.text",
    r"messages\.(user|assistant|system)\.content": f"{PART}.text",
    BLOCK + TEXT: f"{PART}.text",
    BLOCK + r"(thinking\.thinking|compaction\.content)": f"{PART}.text",
    BLOCK + FILE + r"base64\.data": f"{PART}.inlineData.data",
    BLOCK + FILE + r"url\.url": f"{PART}.fileData.fileUri",
    BLOCK + r"tool_use\.name": f"{PART}.functionCall.name {PART}.functionResponse.name",
    BLOCK + r"tool_use\.input\.(?P<rest>.*)": f"{PART}.functionCall.args.(rest)",
    RESULT.replace("|error", "") + rf"(\.{TEXT})?": f"{PART}.functionResponse.response.output",
    RESULT.replace("result|", "") + rf"(\.{TEXT})?": f"{PART}.functionResponse.response.error",
    RESULT + r"\." + FILE + r"base64\.data": media_in_result(
        lambda dialect: dialect.generation == 3, "inlineData.data"
    ),
    RESULT + r"\." + FILE + r"url\.url": media_in_result(
        lambda dialect: dialect == Dialect("vertex", 3), "fileData.fileUri"
    ),
    r"tools\.custom\.(?P<rest>name|description)": "tools.*.functionDeclarations.*.(rest)",
    r"tools\.custom\.input_schema\.(?P<rest>.*)": (
        "tools.*.functionDeclarations.*.parametersJsonSchema.(rest)"
    ),
    r"tool_choice\.name": "toolConfig.functionCallingConfig.allowedFunctionNames.*",
    r"output_config\.format\.schema\.(?P<rest>.*)": "generationConfig.responseJsonSchema.(rest)",
}


def translate(body: dict[str, Any], dialect: Dialect) -> Translation:
    return generate_content_request(JsonObject.parse(json.dumps(body).encode()), dialect)


def places_of(label: str, dialect: Dialect) -> set[str]:
    """Return the places where the string of a label arrives; it is none if it is no input."""
    if any(re.fullmatch(pattern, label) for pattern in NO_INPUT):
        return set()
    for pattern, target in ARRIVES.items():
        if match := re.fullmatch(pattern, label):
            places = target if isinstance(target, str) else target(dialect)
            rest = match.groupdict().get("rest", "")
            return set(places.replace("(rest)", rest).split())
    raise AssertionError(f"a new string {label}: where does it arrive, or why is it no input?")


@pytest.mark.parametrize("dialect", DIALECTS, ids=NAME_OF)
@pytest.mark.parametrize("title", REQUESTS)
def test_a_string_arrives_in_its_place_or_is_no_input_or_named(
    title: str, dialect: Dialect
) -> None:
    body = REQUESTS[title]
    content, omitted = translate(body, dialect)
    sent = json.loads(msgspec.json.encode(content))
    assert compare(body, sent, omitted, partial(places_of, dialect=dialect)) == []
    judge(sent, dialect)


def test_a_lost_a_misplaced_and_a_superfluous_string_are_found() -> None:
    placed = partial(places_of, dialect=DIALECTS[0])
    body = REQUESTS["BetaThinkingBlockParam"]
    content, omitted = translate(body, DIALECTS[0])
    sent = json.loads(msgspec.json.encode(content))
    thinking, call_part = sent["contents"][1]["parts"]
    text = thinking.pop("text")
    label = "messages.assistant.content.thinking.thinking"
    lost = f"{label} is in [], not in ['{PART}.text']"
    assert compare(body, sent, omitted, placed) == [lost]
    call_part["functionCall"]["name"] = text
    misplaced = f"{label} is in ['{PART}.functionCall.name'], not in ['{PART}.text']"
    assert compare(body, sent, omitted, placed) == [misplaced]
    signature = body["messages"][1]["content"][0]["signature"]
    sent["contents"][1]["parts"] = [{"text": text}, {"text": signature}]
    superfluous = label.replace("thinking.thinking", "thinking.signature")
    assert compare(body, sent, omitted, placed) == [
        f"{superfluous} is in ['{PART}.text'], not in []"
    ]


def test_a_string_of_an_unknown_field_is_found() -> None:
    with pytest.raises(AssertionError, match=r"a new string messages\.user\.content\.text\.x_new"):
        places_of("messages.user.content.text.x_new", DIALECTS[0])


def judge(sent: dict[str, Any], dialect: Dialect) -> None:
    model = MODELS[dialect.generation]
    if dialect.backend == "vertex":
        vertex_judge(sent, model=model)
    else:
        gemini_judge({"model": f"models/{model}", **sent})


@pytest.mark.parametrize("dialect", [DIALECTS[2], DIALECTS[4]], ids=NAME_OF)
@pytest.mark.parametrize("title", REQUESTS)
def test_exactly_the_places_that_gemini_cannot_read_are_named(title: str, dialect: Dialect) -> None:
    """Vertex AI's counter takes no `toolConfig`, and `auto` is its default."""
    body = REQUESTS[title]
    choice = body.get("tool_choice", {"type": "auto"})["type"]
    unreadable = {"tool_choice"} if dialect.backend == "vertex" and choice != "auto" else set()
    unreadable |= {
        f"messages.{index}.content.{at}"
        for index, message in enumerate(body["messages"])
        for at, block in enumerate(message.get("content", ()))
        if isinstance(block, dict) and block["type"] in NAMED
    }
    assert set(translate(body, dialect).omitted) == unreadable


@pytest.mark.parametrize("table", [NO_INPUT, ARRIVES], ids=["NO_INPUT", "ARRIVES"])
def test_every_row_applies_to_a_string(table: dict[str, Any]) -> None:
    used = {row for label in LABELS for row in rows_for(label, table)}
    assert table.keys() - used == set()


def test_no_string_has_two_rows() -> None:
    rows = [*NO_INPUT, *ARRIVES]
    assert {label for label in LABELS if len(rows_for(label, rows)) > 1} == set()


def test_every_type_of_blocks_has_a_marker_to_lose() -> None:
    """An instance without a marker would show nothing."""
    bare = {
        name for name in BLOCKS if not any(find_markers(instances_of(BLOCKS[name]), typed=True))
    }
    assert bare == set()


@pytest.mark.parametrize("name", get_args(get_type_hints(BetaServerToolUseBlockParam)["name"]))
def test_a_query_of_a_tool_without_a_counterpart_is_refused(name: str) -> None:
    block = {"type": "server_tool_use", "id": "s", "name": name, "input": {}}
    body = {"messages": [ASK, turn("assistant", block)]}
    if name in {"web_search", "web_fetch"}:
        assert translate(body, DIALECTS[0]).omitted == ("messages.1.content.0",)
    else:
        with pytest.raises(CannotCount, match=r"^messages\.1\.content\.0: "):
            translate(body, DIALECTS[0])
