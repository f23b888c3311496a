"""The emulated OpenAI: as strict as the `openai` SDK's own types, over a real socket."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Required, get_args, get_origin

import httpx
import openai
import pytest
from openai.types import responses
from openai.types.responses.function_tool_param import FunctionToolParam
from openai.types.responses.input_token_count_params import Text
from openai.types.responses.response_input_item_param import FunctionCallOutput
from openai.types.responses.tool_param import CodeInterpreter
from openai.types.responses.web_search_tool_param import Filters, UserLocation
from typing_extensions import get_type_hints

from demo_app.emulators import EMULATED_OPENAI_KEY, count_openai, emulated_openai
from demo_app.emulators.openai_fields import OBJECTS
from demo_app.loopback import serving
from tests.support.gemini import GONE, replace_at
from tests.support.openai import MODEL, translate
from tests.support.openai_judge import Refused, openai_judge
from tests.support.requests import DOCUMENT, IMAGE, text, user
from tests.support.translated_shapes import CALLED_TWICE, MANY_TOOLS, SHAPES

PATH: Final = "/v1/responses/input_tokens"
KEY: Final = {"authorization": f"Bearer {EMULATED_OPENAI_KEY}"}
SDK_TYPES: Final[Mapping[str, Any]] = {
    "request": responses.InputTokenCountParams,
    "text": Text,
    "message": responses.EasyInputMessageParam,
    "function_call": responses.ResponseFunctionToolCallParam,
    "function_call_output": FunctionCallOutput,
    "input_text": responses.ResponseInputTextParam,
    "input_image": responses.ResponseInputImageParam,
    "input_file": responses.ResponseInputFileParam,
    "function": FunctionToolParam,
    "web_search": responses.WebSearchToolParam,
    "filters": Filters,
    "location": UserLocation,
    "code_interpreter": CodeInterpreter,
    "function_choice": responses.ToolChoiceFunctionParam,
    "allowed_tools": responses.ToolChoiceAllowedParam,
    "json_schema": responses.ResponseFormatTextJSONSchemaConfigParam,
}
WHOLE: Final[dict[str, Any]] = {
    "model": MODEL,
    **translate(
        {
            "system": "Be brief.",
            "messages": [user(text("What is this?"), IMAGE, DOCUMENT), *CALLED_TWICE[1:]],
            "tools": MANY_TOOLS,
            "tool_choice": {"type": "tool", "name": "get_weather"},
            "output_format": {"type": "json_schema", "schema": {"type": "object"}},
        }
    ),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(emulated_openai()) as url:
        yield url


def post(url: str, body: Any, headers: Mapping[str, str] = KEY) -> httpx.Response:
    return httpx.post(url + PATH, content=json.dumps(body), headers=headers)


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_has_the_fields_of_the_sdks_type(name: str) -> None:
    hints = get_type_hints(SDK_TYPES[name], include_extras=True)
    required: Any = Required
    needed = {field for field, hint in hints.items() if get_origin(hint) is required}
    assert OBJECTS[name].keys() == hints.keys()
    assert {field for field, kind in OBJECTS[name].items() if kind.endswith("!")} == needed
    for field, kind in OBJECTS[name].items():
        hint = get_args(hints[field])[0] if field in needed else hints[field]
        takes_null = type(None) in get_args(hint)
        assert kind.startswith("any") or kind.startswith("null") == takes_null, field


def test_all_that_is_translated_is_counted(url: str) -> None:
    with httpx.Client(headers=KEY) as client:
        for body in SHAPES.values():
            sent = {"model": MODEL, **translate(body)}
            answer = client.post(url + PATH, content=json.dumps(sent))
            assert answer.json() == {
                "object": "response.input_tokens",
                "input_tokens": count_openai(sent),
            }


def test_the_sdks_own_client_counts_and_raises_its_own_errors(url: str) -> None:
    with openai.OpenAI(api_key=EMULATED_OPENAI_KEY, base_url=f"{url}/v1", max_retries=0) as client:
        assert client.responses.input_tokens.count(**WHOLE).input_tokens == count_openai(WHOLE)
        with pytest.raises(openai.NotFoundError, match="does not exist") as missing:
            client.responses.input_tokens.count(model="gpt-does-not-exist", input="hi")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'stream'") as unknown:
            client.responses.input_tokens.count(**WHOLE, extra_body={"stream": True})
        assert (unknown.value.code, unknown.value.param) == ("unknown_parameter", "stream")
        assert unknown.value.request_id
        wrong = client.with_options(api_key="sk-wrong-key-of-somebody")
        with pytest.raises(openai.AuthenticationError) as refused:
            wrong.responses.input_tokens.count(**WHOLE)
        assert "sk-wrong" not in refused.value.message


CHANGES: Final[dict[str, tuple[tuple[Any, ...], Any]]] = {
    "an unknown part": (("input", 0, "content", 0, "type"), "text"),
    "an unknown field of a part": (("input", 0, "content", 0, "cache_control"), {}),
    "an unknown field of a tool": (("tools", 0, "input_schema"), {}),
    "a tool without strict": (("tools", 0, "strict"), GONE),
    "a tool of another type": (("tools", 0, "type"), "bash_20250124"),
    "a tool with a bad name": (("tools", 0, "name"), "a b"),
    "an unknown choice": (("tool_choice", "name"), "nobody"),
    "a choice of another type": (("tool_choice", "type"), "any"),
    "text that is a number": (("input", 0, "content", 0, "text"), 7),
    "content that is a number": (("input", 0, "content"), 7),
    "a list of content for the assistant": (("input", 0, "role"), "assistant"),
    "another role": (("input", 0, "role"), "critic"),
    "arguments that are no object": (("input", 1, "arguments"), "[]"),
    "arguments that are no JSON": (("input", 1, "arguments"), "{"),
    "an output without its call": (("input", 3, "call_id"), "toolu_9"),
    "an image without a URL": (("input", 0, "content", 1, "image_url"), "iVBORw0KGgo="),
    "a file without a name": (("input", 0, "content", 4, "filename"), GONE),
    "a file that is no data URL": (("input", 0, "content", 4, "file_data"), "JVBERi0="),
    "a format without a name": (("text", "format", "name"), GONE),
    "no input": (("input",), []),
    "no model": (("model",), GONE),
    "tools that are an object": (("tools",), {}),
    "parallel calls without tools": (("tools",), None),
}


@pytest.mark.parametrize(("path", "value"), CHANGES.values(), ids=CHANGES)
def test_a_wrong_request_is_refused_as_the_judge_refuses_it(
    path: tuple[Any, ...], value: Any, url: str
) -> None:
    body = replace_at({**WHOLE, "parallel_tool_calls": False}, path, value)
    answer = post(url, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    if value != "nobody":
        with pytest.raises(Refused):
            openai_judge(body)


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Basic x"}, {"x-api-key": "sk-emulated"}]
)
def test_a_key_is_required(headers: dict[str, str], url: str) -> None:
    answer = post(url, WHOLE, headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, None)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a":' * 100_000])
def test_a_body_that_is_no_object_is_refused(raw: bytes, url: str) -> None:
    answer = httpx.post(url + PATH, content=raw, headers=KEY)
    assert answer.status_code == 400


def test_every_part_of_a_request_makes_its_count_grow() -> None:
    whole = count_openai(WHOLE)
    for name in ("instructions", "tools", "tool_choice", "text"):
        assert count_openai({key: WHOLE[key] for key in WHOLE if key != name}) < whole
    for number in range(len(WHOLE["input"])):
        assert count_openai(replace_at(WHOLE, ("input", number), GONE)) < whole
    for number in range(len(WHOLE["input"][0]["content"])):
        assert count_openai(replace_at(WHOLE, ("input", 0, "content", number), GONE)) < whole
    assert count_openai({"input": "Hello"}) < count_openai({"input": "Hello, Claude"})
    renamed = replace_at(WHOLE, ("input", 1, "call_id"), "another_and_longer_id")
    assert count_openai(renamed) == whole
