"""An emulated Anthropic upstream: the token counting API's wire contract, and invented counts.

It is as strict as the API about credentials, headers and fields, and as open about the types of
blocks and tools: https://docs.claude.com/en/api/messages-count-tokens. The counts are
deterministic and grow with every part of a request, but they are not Claude's.
"""

import hmac
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["EMULATED_KEY", "count", "emulated_anthropic"]

EMULATED_KEY: Final = "sk-ant-emulated"

_MAX_BODY: Final = 32 * 1024 * 1024
_MODELS: Final = re.compile(r"claude-(?!does-not-exist)[a-z0-9.@-]+").fullmatch
_VERSIONS: Final = {"2023-06-01", "2026-10-21"}
_FIELDS: Final = {
    "cache_control",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
}
_BETA_FIELDS: Final = {"billing_policy", "compaction", "context_management", "mcp_servers"}
_ROLES: Final = {"user", "assistant", "system"}
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_EMULATED: Final = {str(status): status for status in _ERROR_TYPES}
_PIECE: Final = re.compile(r"\w{1,6}|[^\w\s]")


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def emulated_anthropic() -> Starlette:
    """The API as an ASGI app. Its only key is `EMULATED_KEY`.

    A request with the header `anthropic-emulate-status: 429` (or the status of another error of the
    API) is answered with that error, so that a client's handling of it can be tried.
    """
    return Starlette(routes=[Route("/v1/messages/count_tokens", _count_tokens, methods=["POST"])])


async def _count_tokens(request: Request) -> Response:
    request_id = f"req_emulated_{uuid.uuid4().hex}"
    headers = {"request-id": request_id, "anthropic-organization-id": "emulated"}
    try:
        _check_headers(request.headers)
        body = _checked_body(await request.body(), request.headers)
    except _Refused as error:
        if error.status == 429:
            headers |= {"retry-after": "7", "anthropic-ratelimit-requests-remaining": "0"}
        envelope = {
            "type": "error",
            "error": {"type": _ERROR_TYPES[error.status], "message": str(error)},
            "request_id": request_id,
        }
        return _json(envelope, error.status, headers)
    headers |= {
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "3999",
    }
    answer: dict[str, Any] = {"input_tokens": count(body)}
    if "context_management" in body:
        answer["context_management"] = {"original_input_tokens": answer["input_tokens"]}
    return _json(answer, 200, headers)


def _json(value: object, status: int, headers: Mapping[str, str]) -> Response:
    # Not JSONResponse: a model's name may have half of a surrogate pair, which is no UTF-8.
    body = json.dumps(value, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


def _check_headers(headers: Mapping[str, str]) -> None:
    key, bearer = headers.get("x-api-key"), headers.get("authorization")
    if key is not None and bearer is not None:
        raise _Refused(400, "Send exactly one of x-api-key and authorization.")
    given = key if key is not None else (bearer or "").removeprefix("Bearer ")
    if not given:
        raise _Refused(401, "x-api-key header is required")
    if not hmac.compare_digest(given.encode(), EMULATED_KEY.encode()):
        raise _Refused(401, "invalid x-api-key")
    version = headers.get("anthropic-version")
    if version not in _VERSIONS:
        raise _Refused(400, f"anthropic-version: {json.dumps(version)} is not a valid version.")
    status = headers.get("anthropic-emulate-status")
    if status in _EMULATED:
        raise _Refused(_EMULATED[status], f"This error is emulated, as you asked: {status}.")
    if status is not None:
        raise _Refused(400, f"anthropic-emulate-status: one of {', '.join(_EMULATED)} is required")


def _checked_body(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
    if len(raw) > _MAX_BODY:
        raise _Refused(413, "Request exceeds the maximum size")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise _Refused(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise _Refused(400, "The request body has to be an object.")
    known = _FIELDS | (_BETA_FIELDS if "anthropic-beta" in headers else set())
    for field in body.keys() - known:
        raise _Refused(400, f"{field}: Extra inputs are not permitted")
    for field in ("model", "messages"):
        if field not in body:
            raise _Refused(400, f"{field}: Field required")
    if not isinstance(body["model"], str) or not _MODELS(body["model"]):
        raise _Refused(404, f"model: {body['model']}")
    _check_messages(body["messages"])
    return body


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise _Refused(400, "messages: at least one message is required")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or str(message.get("role")) not in _ROLES:
            raise _Refused(400, f"messages.{index}.role: Input should be 'user' or 'assistant'")
        content = message.get("content")
        if not isinstance(content, str | list):
            raise _Refused(400, f"messages.{index}.content: Input should be a valid list")
        for place, block in enumerate(content if isinstance(content, list) else []):
            if not isinstance(block, dict) or not isinstance(block.get("type"), str):
                raise _Refused(400, f"messages.{index}.content.{place}.type: Field required")
    if messages[0]["role"] == "system":
        raise _Refused(400, "messages.0: a system message may not come first; use system")


def count(body: Mapping[str, Any]) -> int:
    """The invented count: 7 for a request, 1 for a message, and what its parts hold."""
    parts = 7 + _weight(body.get("system", ""))
    for message in body["messages"]:
        parts += 1 + _weight(message["content"])
    for name in ("tools", "mcp_servers", "output_config", "thinking", "tool_choice"):
        parts += _weight(body[name]) if body.get(name) else 0
    return parts


def _weight(value: object) -> int:
    """Words for text, size for what is in base64, and keys and values for anything else."""
    if isinstance(value, str):
        return len(_PIECE.findall(value))
    if isinstance(value, list):
        return sum(map(_weight, value))
    if isinstance(value, dict):
        if value.get("type") == "text" and isinstance(value.get("text"), str):
            return _weight(value["text"])
        if value.get("type") == "base64":
            return 85 + len(str(value.get("data"))) // 750
        return sum(_weight(key) + _weight(item) for key, item in value.items())
    return 1
