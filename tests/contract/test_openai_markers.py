"""No string of a request is lost on its way to OpenAI, and none arrives in a wrong place.

The requests are full instances of the Anthropic SDK's own types; every string in them has a marker.
"""

import json
import re
from typing import Any, Final

import pytest

from count_tokens_mw.errors import CannotCount
from tests.support.marked import find_markers
from tests.support.marked_requests import LABELS, REQUESTS, TEXT, compare, rows_for
from tests.support.openai import MODEL, encode
from tests.support.openai_judge import openai_judge

# The title of a request that OpenAI has no counterpart of: the place of what it has none of.
REFUSED: Final = {
    r"Beta(ImageBlock|RequestDocumentBlock)Param of the assistant": r"messages\.1\.content\.0",
    r"BetaWebFetchTool\d+Param": r"tools\.0",
}
COUNTED: Final = [
    title for title in REQUESTS if not any(re.fullmatch(pattern, title) for pattern in REFUSED)
]

# The label of a string: the reason why it is no input.
NO_INPUT: Final = {
    r".*\.citations\.(?!.*citations).*": "cited text, which Anthropic does not count",
    r".*\.compaction\.(encrypted_content|signature)": "state of Anthropic's",
    r".*\.fallback\..*": "not rendered into the prompt",
    r".*\.tool_use\.caller\.tool_id": "a tool is known by its name",
    r".*\.tool_(use|result|error)\.toolset_name": "a tool is known by its name",
    r".*\.tool_reference\.tool_name": "every tool is sent anyway",
    r"tools\.web_search_\d+\.blocked_domains\.\*": "a limit of the tool",
    r"betas\.\*": "a header of the request",
    r"compaction\.instructions": "Anthropic's counter ignores it too",
    r"context_management\..*": "OpenAI gets the whole context",
    r"model": "the model is named by the deployment",
    r"(user_profile|workspace)_id": "a header of the request",
}

CONTENT: Final = "input.*.content.*"
OUTPUT: Final = "input.*.output.*"
IMAGE: Final = r"(image|document\.source:content\.content\.image)\.source:"
BLOCK: Final = r"messages\.(user|system)\.content\."
OF_ASSISTANT: Final = r"messages\.assistant\.content\."
RESULT: Final = r"messages\.user\.content\.tool_(result|error)\.content"

# The label of a string: the places where it arrives; the groups of `rest` are the same in both.
ARRIVES: Final[dict[str, str]] = {
    r"system(\.text\.text)?": "instructions",
    r"messages\.(leading|system|user)\.content": f"{CONTENT}.text",
    r"messages\.leading\.content\.text\.text": f"{CONTENT}.text",
    r"messages\.assistant\.content": "input.*.content",
    BLOCK + TEXT: f"{CONTENT}.text",
    OF_ASSISTANT + TEXT: "input.*.content",
    BLOCK + r"compaction\.content": f"{CONTENT}.text",
    BLOCK + IMAGE + r"(base64\.data|url\.url)": f"{CONTENT}.image_url",
    BLOCK + r"document\.source:base64\.data": f"{CONTENT}.file_data",
    BLOCK + r"document\.source:url\.url": f"{CONTENT}.file_url",
    OF_ASSISTANT + r"tool_use\.id": "input.*.call_id",
    r"messages\.user\.content\.tool_result\.tool_use_id": "input.*.call_id",
    OF_ASSISTANT + r"tool_use\.name": "input.*.name",
    OF_ASSISTANT + r"tool_use\.input\..*": "input.*.arguments",
    RESULT: "input.*.output",
    RESULT + r"\." + TEXT: f"{OUTPUT}.text",
    RESULT + r"\." + IMAGE + r"(base64\.data|url\.url)": f"{OUTPUT}.image_url",
    RESULT + r"\.document\.source:base64\.data": f"{OUTPUT}.file_data",
    RESULT + r"\.document\.source:url\.url": f"{OUTPUT}.file_url",
    r"tools\.custom\.(?P<rest>name|description)": "tools.*.(rest)",
    r"tools\.custom\.input_schema\.(?P<rest>.*)": "tools.*.parameters.(rest)",
    r"tools\.web_search_\d+\.allowed_domains\.\*": "tools.*.filters.allowed_domains.*",
    r"tools\.web_search_\d+\.user_location\.(?P<rest>.*)": "tools.*.user_location.(rest)",
    r"tool_choice\.name": "tool_choice.name",
    r"output_config\.format\.schema\.(?P<rest>.*)": "text.format.schema.(rest)",
}
NAMED: Final = {
    *("redacted_thinking", "server_tool_use", "thinking"),
    *("web_fetch_tool_result", "web_search_tool_result"),
}
"""Types of blocks that are left out although they are input, so that the count names them."""


def translate(body: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    raw, omitted = encode(json.dumps(body).encode())
    sent: dict[str, Any] = json.loads(raw)
    assert sent.pop("model") == MODEL
    return sent, omitted


def places_of(label: str) -> set[str]:
    """Return the places where the string of a label arrives; it is none if it is no input."""
    if rows_for(label, NO_INPUT):
        return set()
    for pattern, target in ARRIVES.items():
        if match := re.fullmatch(pattern, label):
            return {target.replace("(rest)", match.groupdict().get("rest", ""))}
    raise AssertionError(f"a new string {label}: where does it arrive, or why is it no input?")


@pytest.mark.parametrize("title", COUNTED)
def test_a_string_arrives_in_its_place_or_is_no_input_or_named(title: str) -> None:
    body = REQUESTS[title]
    sent, omitted = translate(body)
    assert compare(body, sent, omitted, places_of) == []
    openai_judge({"model": MODEL, **sent})


@pytest.mark.parametrize("title", COUNTED)
def test_exactly_the_places_that_openai_cannot_read_are_named(title: str) -> None:
    body = REQUESTS[title]
    unreadable = set()
    for index, message in enumerate(body["messages"]):
        for at, block in enumerate(message.get("content", ())):
            place = f"messages.{index}.content.{at}"
            if isinstance(block, dict) and block["type"] in NAMED:
                unreadable.add(place)
            if isinstance(block, dict) and block.get("is_error"):
                unreadable.add(f"{place}.is_error")
    assert set(translate(body)[1]) == unreadable


@pytest.mark.parametrize("title", sorted(REQUESTS.keys() - set(COUNTED)))
def test_what_has_no_counterpart_is_a_501_of_its_place(title: str) -> None:
    (place,) = (place for pattern, place in REFUSED.items() if re.fullmatch(pattern, title))
    with pytest.raises(CannotCount, match=rf"\A{place}: "):
        translate(REQUESTS[title])


def test_a_lost_a_misplaced_and_a_superfluous_string_are_found() -> None:
    body = REQUESTS["BetaToolUseBlockParam"]
    sent, omitted = translate(body)
    assert compare(body, sent, omitted, places_of) == []
    name = sent["input"][1].pop("name")
    label = "messages.assistant.content.tool_use.name"
    lost = f"{label} is in [], not in ['input.*.name']"
    assert compare(body, sent, omitted, places_of) == [lost]
    sent["instructions"] = name
    misplaced = f"{label} is in ['instructions'], not in ['input.*.name']"
    assert compare(body, sent, omitted, places_of) == [misplaced]
    sent["input"][1]["name"] = name
    superfluous = f"{label} is in ['input.*.name', 'instructions'], not in ['input.*.name']"
    assert compare(body, sent, omitted, places_of) == [superfluous]


def test_every_row_applies_to_a_string_and_no_string_has_two_rows() -> None:
    labels = {mark.label for title in COUNTED for mark in find_markers(REQUESTS[title], typed=True)}
    rows = [*NO_INPUT, *ARRIVES]
    assert set(rows) == {row for label in labels for row in rows_for(label, rows)}
    assert {label for label in labels if len(rows_for(label, rows)) > 1} == set()
    assert labels <= LABELS
