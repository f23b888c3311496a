"""An emulated Anthropic upstream: the token counting API's wire contract, and invented counts.

It is as strict as the API about credentials, headers and fields, and as open about the types of
blocks and tools: https://docs.claude.com/en/api/messages-count-tokens. The counts are
deterministic and grow with every part of a request, but they are not Claude's.
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

from demo_app.emulators.answers import (
    ERROR_TYPES,
    Refused,
    anthropic_error,
    json_answer,
    new_request_id,
)
from demo_app.emulators.bodies import BETA_FIELDS, FIELDS, check_body
from demo_app.emulators.counting import count

__all__ = ["EMULATED_KEY", "emulated_anthropic"]

EMULATED_KEY: Final = "sk-ant-emulated"

_MAX_BODY: Final = 32 * 1024 * 1024
_MODELS: Final = re.compile(r"claude-(?!does-not-exist)[a-z0-9.@-]+").fullmatch
_VERSIONS: Final = {"2023-06-01", "2026-10-21"}
_EMULATED: Final = {str(status): status for status in ERROR_TYPES}


def emulated_anthropic() -> Starlette:
    """Return the API as an ASGI app, whose only key is `EMULATED_KEY`.

    A request with the header `anthropic-emulate-status: 429` (or the status of another error of the
    API) is answered with that error, so that a client's handling of it can be tried.
    """
    return Starlette(routes=[Route("/v1/messages/count_tokens", _count_tokens, methods=["POST"])])


async def _count_tokens(request: Request) -> Response:
    headers = {"request-id": new_request_id(), "anthropic-organization-id": "emulated"}
    try:
        _check_headers(request.headers)
        body = _read_body(await request.body(), request.headers)
    except Refused as error:
        if error.status == 429:
            headers |= {"retry-after": "17", "anthropic-ratelimit-requests-remaining": "0"}
        return anthropic_error(error, headers)
    headers |= {
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "3999",
    }
    answer: dict[str, Any] = {"input_tokens": count(body)}
    if "context_management" in body:
        answer["context_management"] = {"original_input_tokens": answer["input_tokens"]}
    return json_answer(answer, 200, headers)


def _check_headers(headers: Mapping[str, str]) -> None:
    key, bearer = headers.get("x-api-key"), headers.get("authorization")
    if key is not None and bearer is not None:
        raise Refused(400, "Send exactly one of x-api-key and authorization.")
    credential = key if key is not None else (bearer or "").removeprefix("Bearer ")
    if not credential:
        raise Refused(401, "x-api-key header is required")
    if not hmac.compare_digest(credential.encode(), EMULATED_KEY.encode()):
        raise Refused(401, "invalid x-api-key")
    version = headers.get("anthropic-version")
    if version not in _VERSIONS:
        raise Refused(400, f"anthropic-version: {json.dumps(version)} is not a valid version.")
    status = headers.get("anthropic-emulate-status")
    if status in _EMULATED:
        raise Refused(_EMULATED[status], f"This error is emulated, as you asked: {status}.")
    if status is not None:
        raise Refused(400, f"anthropic-emulate-status: one of {', '.join(_EMULATED)} is required")


def _read_body(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
    known = FIELDS | (BETA_FIELDS if "anthropic-beta" in headers else set())
    body = check_body(raw, known, required=("model", "messages"), most=_MAX_BODY)
    if not _MODELS(body["model"]):
        raise Refused(404, f"model: {body['model']}")
    return body
