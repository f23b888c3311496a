"""An emulated OpenAI: the wire contract of `responses/input_tokens`, and invented counts.

https://developers.openai.com/api/reference/resources/responses/subresources/input_tokens
"""

import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from demo_app.emulators.answers import Refused, json_answer, new_request_id, object_of
from demo_app.emulators.counting import count_openai
from demo_app.emulators.openai_fields import check_request, refuse

__all__ = ["EMULATED_OPENAI_KEY", "emulated_openai"]

EMULATED_OPENAI_KEY: Final = "sk-emulated"

_MODELS: Final = re.compile(r"(?:chatgpt|gpt|o\d)(?!-does-not-exist)[a-z0-9.-]*").fullmatch
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}").fullmatch
_DATA_URL: Final = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}").fullmatch
_URL: Final = re.compile(r"https?://.+").fullmatch
_ROLES: Final = {"assistant", "developer", "system", "user"}


def emulated_openai() -> Starlette:
    """Return the API as an ASGI app, whose only key is `EMULATED_OPENAI_KEY`."""
    return Starlette(routes=[Route("/v1/responses/input_tokens", _count, methods=["POST"])])


async def _count(request: Request) -> Response:
    headers = {"x-request-id": new_request_id()}
    try:
        raw = await request.body()
        _check_key(request.headers)
        body = object_of(raw)
        check_request(body)
        _check_values(body)
    except Refused as error:
        return _openai_error(error, headers)
    answer = {"object": "response.input_tokens", "input_tokens": count_openai(body)}
    return json_answer(answer, 200, headers)


def _openai_error(error: Refused, headers: Mapping[str, str]) -> Response:
    details: Mapping[str, Any] = error.details[0] if error.details else {}
    inner = {
        "message": str(error),
        "type": "invalid_request_error",
        "param": details.get("param"),
        "code": details.get("code"),
    }
    return json_answer({"error": inner}, error.status, headers)


def _check_key(headers: Mapping[str, str]) -> None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        message = (
            "You didn't provide an API key. You need to provide it in an Authorization header."
        )
        raise Refused(401, message)
    if not hmac.compare_digest(key.encode(), EMULATED_OPENAI_KEY.encode()):
        shown = f"{key[:3]}{'*' * 8}{key[-4:]}"
        message = f"Incorrect API key provided: {shown}. You can find your API key at "
        url = "https://platform.openai.com/account/api-keys."
        raise refuse(f"{message}{url}", None, "invalid_api_key", 401)


def _check_values(body: Mapping[str, Any]) -> None:
    model = body.get("model")
    if model is None:
        raise refuse("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    if not _MODELS(model):
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise refuse(message, None, "model_not_found", 404)
    if not body.get("input"):
        raise refuse("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    if "parallel_tool_calls" in body and not body.get("tools"):
        message = "parallel_tool_calls is only allowed when tools are specified."
        raise refuse(message, "parallel_tool_calls", "invalid_value")
    _check_tools(body)
    calls: set[object] = set()
    for index, item in enumerate(body["input"] if isinstance(body["input"], list) else ()):
        _check_item(item, f"input[{index}]", calls)


def _check_tools(body: Mapping[str, Any]) -> None:
    names = set()
    for index, tool in enumerate(body.get("tools") or ()):
        names.add(tool.get("name"))
        if tool["type"] == "function" and not _NAME(tool["name"]):
            place = f"tools[{index}].name"
            message = f"Invalid '{place}': string does not match pattern."
            raise refuse(message, place, "invalid_value")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "function" and choice["name"] not in names:
        message = f"Tool choice '{choice['name']}' not found in 'tools' parameter."
        raise refuse(message, "tool_choice", "invalid_value")


def _check_item(item: Mapping[str, Any], place: str, calls: set[object]) -> None:
    match item:
        case {"type": "function_call", "call_id": call_id, "arguments": arguments}:
            calls.add(call_id)
            _check_arguments(arguments, f"{place}.arguments")
        case {"type": "function_call_output", "output": output}:
            if item.get("call_id") not in calls:
                message = (
                    f"No tool call found for function call output with call_id {item['call_id']}."
                )
                raise refuse(message, "input", "invalid_value")
            _check_parts(output, f"{place}.output")
        case {"role": role, "content": content}:
            if role not in _ROLES:
                raise refuse(f"Invalid value: '{role}'.", f"{place}.role", "invalid_value")
            if role == "assistant" and isinstance(content, list):
                values = "Supported values are: 'output_text' and 'refusal'."
                raise refuse(f"Invalid value: 'input_text'. {values}", place, "invalid_value")
            _check_parts(content, f"{place}.content")


def _check_arguments(arguments: str, place: str) -> None:
    try:
        is_object = isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise refuse(f"Invalid '{place}': expected a JSON object.", place, "invalid_value")


def _check_parts(parts: object, place: str) -> None:
    for index, part in enumerate(parts if isinstance(parts, list) else ()):
        at = f"{place}[{index}]"
        match part:
            case {"type": "input_image"}:
                _check_url(part.get("image_url"), f"{at}.image_url")
            case {"type": "input_file", "file_data": data}:
                if "filename" not in part or not _DATA_URL(data):
                    message = f"Invalid '{at}.file_data': expected a data URL, with a filename."
                    raise refuse(message, at, "invalid_value")
            case {"type": "input_file"}:
                _check_url(part.get("file_url"), f"{at}.file_url")


def _check_url(url: object, place: str) -> None:
    if not isinstance(url, str) or not (_URL(url) or _DATA_URL(url)):
        message = (
            f"Invalid '{place}'. Expected a valid URL, but got a value with an invalid format."
        )
        raise refuse(message, place, "invalid_image_url")
