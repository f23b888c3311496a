"""No string of a request is lost on its way to Gemini, and none arrives in a wrong place.

The requests are full instances of the Anthropic SDK's own types, for each type that is translated;
every string in them has a marker. The translation's types play no part in them.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, get_args

import msgspec
import pytest
from anthropic.types.beta import (
    BetaAssistantMessageParam,
    BetaServerToolUseBlockParam,
    BetaSystemMessageParam,
    BetaUserMessageParam,
)
from anthropic.types.beta.message_count_tokens_params import MessageCountTokensParams
from typing_extensions import get_type_hints

from count_tokens_mw.errors import CannotCount
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.translation import Translation, generate_content_request
from count_tokens_mw.rawjson.object import JsonObject
from tests.support.judges import gemini_judge, vertex_judge
from tests.support.marked import find_markers, instances_of, mark_all, members_of

DIALECTS: Final = [
    *(Dialect("gemini_api", generation) for generation in (1, 2, 3)),
    *(Dialect("vertex", generation) for generation in (2, 3)),
]
NAME_OF: Final = "{0.backend} {0.generation}".format
MODELS: Final = {1: "gemini-1.5-flash", 2: "gemini-2.5-flash", 3: "gemini-3.6-flash"}
REQUEST: Final = get_type_hints(MessageCountTokensParams)
BLOCKS: Final = members_of(get_type_hints(BetaUserMessageParam)["content"])
TOOLS: Final = members_of(REQUEST["tools"])
ASK: Final = {"role": "user", "content": "q"}
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
    r".*\.tool_use\.caller\.tool_id": "Gemini knows a tool by its name",
    r".*\.tool_(use|result|error)\.toolset_name": "Gemini knows a tool by its name",
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
TEXT: Final = (
    r"(text\.text|search_result\.(title|source|content\.text\.text)|document\.(title|context)"
    r"|document\.source:(text\.data|content\.content(\.text\.text)?))"
)
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


def is_within(place: str, holders: set[str]) -> bool:
    return any(place == holder or place.startswith(f"{holder}.") for holder in holders)


def compare(
    body: dict[str, Any], sent: dict[str, Any], omitted: Iterable[str], dialect: Dialect
) -> list[str]:
    """Return each marker that is not exactly where it should be, with its place in the request."""
    arrived: dict[str, set[str]] = {}
    for mark in find_markers(sent, typed=False):
        arrived.setdefault(mark.marker, set()).add(mark.label)
    expected: dict[str, set[str]] = {}
    labels: dict[str, str] = {}
    for mark in find_markers(body, typed=True):
        is_named = is_within(mark.place, set(omitted))
        places = set() if is_named else places_of(mark.label, dialect)
        expected.setdefault(mark.marker, set()).update(places)
        labels[mark.marker] = mark.label
    return [
        f"{labels[marker]} is in {sorted(arrived.get(marker, ()))}, not in {sorted(places)}"
        for marker, places in expected.items()
        if arrived.get(marker, set()) != places
    ]


@pytest.mark.parametrize("dialect", DIALECTS, ids=NAME_OF)
@pytest.mark.parametrize("title", REQUESTS)
def test_a_string_arrives_in_its_place_or_is_no_input_or_named(
    title: str, dialect: Dialect
) -> None:
    body = REQUESTS[title]
    content, omitted = translate(body, dialect)
    sent = json.loads(msgspec.json.encode(content))
    assert compare(body, sent, omitted, dialect) == []
    judge(sent, dialect)


def test_a_lost_a_misplaced_and_a_superfluous_string_are_found() -> None:
    body = REQUESTS["BetaThinkingBlockParam"]
    content, omitted = translate(body, DIALECTS[0])
    sent = json.loads(msgspec.json.encode(content))
    thinking, call_part = sent["contents"][1]["parts"]
    text = thinking.pop("text")
    label = "messages.assistant.content.thinking.thinking"
    lost = f"{label} is in [], not in ['{PART}.text']"
    assert compare(body, sent, omitted, DIALECTS[0]) == [lost]
    call_part["functionCall"]["name"] = text
    misplaced = f"{label} is in ['{PART}.functionCall.name'], not in ['{PART}.text']"
    assert compare(body, sent, omitted, DIALECTS[0]) == [misplaced]
    signature = body["messages"][1]["content"][0]["signature"]
    sent["contents"][1]["parts"] = [{"text": text}, {"text": signature}]
    superfluous = label.replace("thinking.thinking", "thinking.signature")
    assert compare(body, sent, omitted, DIALECTS[0]) == [
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
    labels = {mark.label for body in REQUESTS.values() for mark in find_markers(body, typed=True)}
    unused = [row for row in table if not any(re.fullmatch(row, label) for label in labels)]
    assert unused == []


def test_no_string_has_two_rows() -> None:
    labels = {mark.label for body in REQUESTS.values() for mark in find_markers(body, typed=True)}
    rows = [*NO_INPUT, *ARRIVES]
    doubled = {label for label in labels if sum(bool(re.fullmatch(row, label)) for row in rows) > 1}
    assert doubled == set()


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
