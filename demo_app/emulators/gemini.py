"""Google's checks of a Gemini request beyond the names and types of its fields.

Google checks the same when it generates; whether it checks all of it when it counts is unknown.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

from demo_app.emulators.answers import Refused, object_of
from demo_app.emulators.google_fields import GEMINI_API, VERTEX, clean, refuse_deep

__all__ = ["read_gemini_api_request", "read_vertex_request"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}").fullmatch
_MIME_TYPE: Final = re.compile(r"[a-z]+/[A-Za-z0-9.+-]+").fullmatch
_URI: Final = re.compile(r"(?:gs|https)://.+", re.DOTALL).fullmatch
_DATA: Final = {
    "codeExecutionResult",
    "executableCode",
    "fileData",
    "functionCall",
    "functionResponse",
    "inlineData",
    "text",
}
# Google takes the literal string as a signature, and not its base64:
# https://ai.google.dev/gemini-api/docs/thought-signatures
_ENCODED_PLACEHOLDER: Final = base64.b64encode(b"skip_thought_signature_validator").decode()
_WRONG_SEARCH: Final = {
    "googleSearch": "google_search is not supported; please use google_search_retrieval instead.",
    "googleSearchRetrieval": (
        "google_search_retrieval is not supported; please use google_search field instead."
    ),
}
_MODES: Final = {"MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"}


def read_gemini_api_request(raw: bytes, model: str) -> dict[str, Any]:
    """Read and check the request of the Gemini API to count, in camelCase.

    The request is `generateContentRequest`, or the body itself with bare `contents`. The model is
    the path's, such as `models/gemini-3.8-flash`.

    Raises:
        Refused: with a 400, and Google's message where it is known.
    """
    body = _read(raw, GEMINI_API)
    inner = body.get("generateContentRequest")
    if inner is None and not body.get("contents"):
        reason = "generate_content_request or contents to be set."
        raise Refused(400, f"* CountTokensRequest: CountTokens requires {reason}")
    if inner is not None and "contents" in body:
        raise Refused(400, "Only one of contents and generate_content_request may be set.")
    if inner is not None:
        _check_nested(inner, model)
    request: dict[str, Any] = body if inner is None else inner
    generation = _generation_of(model)
    _check(request, "* GenerateContentRequest.", generation, roles={"user", "model", ""})
    _check_mixed_tools(request, generation)
    if _has_media_in_responses(request) and generation < 3:
        raise Refused(400, "Multimodal function responses are not supported for this model.")
    return request


def read_vertex_request(raw: bytes, model: str) -> dict[str, Any]:
    """Read and check the flat request of Vertex to count, in camelCase.

    Raises:
        Refused: with a 400, and Google's message where it is known.
    """
    body = _read(raw, VERTEX)
    if not body.get("contents"):
        reason = "at least one contents field is required."
        raise Refused(400, f"Unable to submit request because {reason}")
    generation = _generation_of(model)
    _check(body, "", generation, roles={"user", "model"})
    if _has_media_in_responses(body) and generation < 3:
        reason = "`function_response.parts` is not supported for this model."
        raise Refused(400, f"Unable to submit request because {reason}")
    for content in body["contents"]:
        if any(part.get("text") == "" for part in content["parts"]):
            reason = "must have a text parameter. Add a text parameter and try again."
            raise Refused(400, f"Unable to submit request because it {reason}")
    return body


def _read(raw: bytes, schemas: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    body = object_of(raw)
    refuse_deep(body)
    request: dict[str, Any] = clean(body, "", "", schemas)
    return request


def _generation_of(model: str) -> int:
    name = model.rpartition("/")[2]
    return next((number for number in (1, 2) if name.startswith(f"gemini-{number}.")), 3)


def _check_nested(request: Mapping[str, Any], model: str) -> None:
    at = "CountTokensRequest.generate_content_request"
    missing = [
        f"* {at}.{field}: {field} is not specified"
        for field in ("contents", "model")
        if not request.get(field)
    ]
    if missing:
        raise Refused(400, "\n".join(missing))
    if request["model"] != model:
        reason = f"it has to be {model}, as in the path"
        raise Refused(400, f"* {at}.model: unexpected model name: {reason}")


def _check(request: Mapping[str, Any], at: str, generation: int, *, roles: set[str]) -> None:
    for index, content in enumerate(request["contents"]):
        if content.get("role", "") not in roles:
            raise Refused(400, "Please use a valid role: user, model.")
        _check_parts(content, f"{at}contents[{index}]")
    _check_function_turns(request["contents"], generation)
    system = request.get("systemInstruction")
    if system is not None:
        _check_parts(system, f"{at}system_instruction")
        if any("text" not in part for part in system["parts"]):
            raise Refused(400, f"{at}system_instruction: only text parts are supported")
    _check_search(request, generation)
    for index, tool in enumerate(request.get("tools", ())):
        for number, declared in enumerate(tool.get("functionDeclarations", ())):
            _check_function(declared, f"{at}tools[{index}].function_declarations[{number}]")
    _check_choice(request.get("toolConfig", {}).get("functionCallingConfig", {}), at)
    if "functionCallingConfig" in request.get("toolConfig", {}) and not _declares(request):
        raise Refused(400, "Function calling config is set without function_declarations.")


def _check_parts(content: Mapping[str, Any], at: str) -> None:
    if not content.get("parts"):
        raise Refused(400, f"{at}.parts: contents.parts must not be empty.")
    for index, part in enumerate(content["parts"]):
        place = f"{at}.parts[{index}]"
        kinds = sorted(part.keys() & _DATA)
        if not kinds:
            reason = "required oneof field 'data' must have one initialized field"
            raise Refused(400, f"{place}.data: {reason}")
        if len(kinds) > 1:
            reason = f"oneof field 'data' is already set. Cannot set '{kinds[1]}'"
            raise Refused(400, f"Invalid value at '{place}' (oneof), {reason}")
        _check_media(part, place)
        _check_function_part(part, place)


def _check_function_part(part: Mapping[str, Any], at: str) -> None:
    for kind in ("functionCall", "functionResponse"):
        if kind in part and not part[kind].get("name"):
            raise Refused(400, f"{at}.{kind}.name: Name cannot be empty.")
    for inner in part.get("functionResponse", {}).get("parts", ()):
        _check_media(inner, f"{at}.function_response")
    if part.get("thoughtSignature") == _ENCODED_PLACEHOLDER:
        raise Refused(400, "Thought signature is not valid.")


def _check_media(part: Mapping[str, Any], at: str) -> None:
    for kind in ("inlineData", "fileData"):
        if kind in part and not _MIME_TYPE(part[kind].get("mimeType", "")):
            raise Refused(400, f"{at}.{kind}: Unsupported MIME type: {part[kind].get('mimeType')}")
    if not part.get("inlineData", {"data": "set"}).get("data"):
        raise Refused(400, f"{at}.inline_data.data: required field is not set")
    if not _URI(part.get("fileData", {"fileUri": "gs://set"}).get("fileUri", "")):
        raise Refused(400, f"{at}.file_data.file_uri: Unsupported file uri")


def _check_function_turns(contents: list[dict[str, Any]], generation: int) -> None:
    """Check that each turn answers the functions of the model's turn before it, and only these.

    Before Gemini 3, a single answer may have other parts beside it.
    """
    asked = 0
    for content in contents:
        answered = _count_parts(content, "functionResponse")
        others = len(content["parts"]) - answered
        if answered and others and content is contents[-1] and generation > 2:
            # Google's words, though the turn is the user's.
            raise Refused(400, "Requests ending with a model turn are not supported.")
        is_mixed = answered and others and (generation > 2 or answered > 1)
        if answered != asked or is_mixed:
            reason = "function response parts is equal to the number of function call parts"
            reason = f"Please ensure that the number of {reason} of the function call turn."
            raise Refused(400, reason)
        asked = _count_parts(content, "functionCall") if content.get("role") == "model" else 0


def _count_parts(content: Mapping[str, Any], kind: str) -> int:
    return sum(kind in part for part in content["parts"])


def _has_media_in_responses(request: Mapping[str, Any]) -> bool:
    parts = (part for content in request["contents"] for part in content["parts"])
    return any(part.get("functionResponse", {}).get("parts") for part in parts)


def _declares(request: Mapping[str, Any]) -> bool:
    return any(tool.get("functionDeclarations") for tool in request.get("tools", ()))


def _check_search(request: Mapping[str, Any], generation: int) -> None:
    wrong = "googleSearch" if generation == 1 else "googleSearchRetrieval"
    if any(wrong in tool for tool in request.get("tools", ())):
        raise Refused(400, _WRONG_SEARCH[wrong])


def _check_mixed_tools(request: Mapping[str, Any], generation: int) -> None:
    """Check the rule of https://ai.google.dev/gemini-api/docs/tool-combination."""
    built_in = any(tool.keys() - {"functionDeclarations"} for tool in request.get("tools", ()))
    is_mixed = built_in and _declares(request)
    flag = request.get("toolConfig", {}).get("includeServerSideToolInvocations", False)
    if is_mixed and generation < 3:
        raise Refused(400, "Tool use with function calling is unsupported by the model.")
    if is_mixed and not flag:
        name = "tool_config.include_server_side_tool_invocations"
        reason = f"Please enable {name} to use Built-in tools with Function calling."
        raise Refused(400, reason)
    if flag and not is_mixed:
        reason = "include_server_side_tool_invocations needs built-in tools and functions."
        raise Refused(400, reason)


def _check_function(declared: Mapping[str, Any], at: str) -> None:
    if not _NAME(declared.get("name", "")):
        reason = "Invalid function name. Must start with a letter or an underscore. Must be "
        reason += "alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes "
        raise Refused(400, f"{at}.name: [FIELD_INVALID] {reason}(-), with a maximum length of 128.")
    if "parameters" in declared and "parametersJsonSchema" in declared:
        reason = "parameters and parameters_json_schema are mutually exclusive"
        raise Refused(400, f"{at}: {reason}")
    if not isinstance(declared.get("parametersJsonSchema", {}), dict):
        raise Refused(400, f"{at}.parameters_json_schema: an object is required")


def _check_choice(choice: Mapping[str, Any], at: str) -> None:
    mode = choice.get("mode", "MODE_UNSPECIFIED")
    if mode not in _MODES:
        place = f"{at}tool_config.function_calling_config.mode"
        raise Refused(400, f"Invalid value at '{place}' (Mode), \"{mode}\"")
    if choice.get("allowedFunctionNames") and mode not in {"ANY", "VALIDATED"}:
        reason = "allowed_function_names should be set only when mode is ANY or VALIDATED"
        raise Refused(400, f"{at}tool_config.function_calling_config: {reason}")
