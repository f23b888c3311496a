"""An emulated Amazon Bedrock: CountTokens of its runtime, and the count of bedrock-mantle.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
"""

import base64
import hmac
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from demo_app.emulators.answers import (
    Refused,
    anthropic_error,
    json_answer,
    new_request_id,
    object_of,
)
from demo_app.emulators.bedrock_models import check_on_mantle, check_on_runtime
from demo_app.emulators.bodies import (
    BETA_FIELDS,
    CLOUD_BETAS,
    FIELDS,
    check_body,
    read_betas,
    refuse_remote_content,
    refuse_tool_fields,
)
from demo_app.emulators.counting import count
from demo_app.emulators.sigv4 import check_signature

__all__ = [
    "EMULATED_ACCESS_KEY_ID",
    "EMULATED_BEDROCK_API_KEY",
    "EMULATED_REGION",
    "EMULATED_SECRET_ACCESS_KEY",
    "emulated_bedrock",
    "emulated_runtime",
]

EMULATED_ACCESS_KEY_ID: Final = "AKIAEMULATED00000000"
EMULATED_SECRET_ACCESS_KEY: Final = "emulated/secret/access/key"  # noqa: S105 - opens nothing
EMULATED_BEDROCK_API_KEY: Final = "ABSK-emulated"
EMULATED_REGION: Final = "us-west-2"

_MAX_BODY: Final = 20 * 1024 * 1024
_MAX_BLOB: Final = 25_000_000
_ERROR_TYPE: Final = "http://internal.amazon.com/coral/com.amazon.bedrock/"
_UNKNOWN_OPERATION: Final = "com.amazon.coral.service#UnknownOperationException"
_HOST: Final = re.compile(r"bedrock-(?:runtime|mantle)\.([a-z0-9-]+)\.").match
_VERSIONS: Final = {"2023-06-01", "2026-10-21"}
_COUNT_TOKENS: Final = "/model/{model_id:path}/count-tokens"
_MESSAGES: Final = "/anthropic/v1/messages/count_tokens"
_CLAUDE: Final = re.compile(r"anthropic\.claude-[a-z0-9.:-]+").fullmatch
_PROFILE_HEADER: Final = "anthropic-user-profile-id"
_RESERVED: Final = "x-anthropic-billing-header:"
# Mantle speaks Anthropic's API, and names the betas that it does not know.
_MANTLE_BETAS: Final = (CLOUD_BETAS | {"claude-code-20250219", "effort-2025-11-24"}) - {
    "mcp-client-2025-11-20"
}
_BODY_FIELDS: Final = {
    "anthropic_beta",
    "anthropic_version",
    "max_tokens",
    "messages",
    "output_config",
    "stop_sequences",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
}
_NEW_TOOL_FIELDS: Final = ("eager_input_streaming", "strict")
_SEARCHED_TOOL_FIELDS: Final = ("allowed_callers", "defer_loading", "input_examples")


def emulated_bedrock() -> Starlette:
    """Return the runtime and mantle as one ASGI app, with the emulated keys.

    A signature is for the region of the host, and for `EMULATED_REGION` where the host's name has
    none. Its service is `bedrock` on the runtime and `bedrock-mantle` on mantle. Both take
    `EMULATED_BEDROCK_API_KEY` as a bearer token, and mantle also as `x-api-key`.
    """
    return _serve(_count_at_mantle)


def emulated_runtime(*, messages: bool = False) -> Starlette:
    """Return the runtime alone.

    The count below its Messages API, `/anthropic`, is not documented, and unknown to the emulator
    unless `messages` is set.
    """
    return _serve(_count_at_runtimes_messages if messages else _refuse_operation)


def _serve(count_messages: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(
        routes=[
            Route(_COUNT_TOKENS, _count_at_runtime, methods=["POST"]),
            Route(_MESSAGES, count_messages, methods=["POST"]),
        ]
    )


async def _count_at_runtime(request: Request) -> Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    try:
        raw = await request.body()
        _authenticate(request, raw, "bedrock")
        check_on_runtime(request.path_params["model_id"])
        tokens = count(_read_invoke_body(raw))
    except Refused as error:
        headers["x-amzn-ErrorType"] = f"{error.kind}:{_ERROR_TYPE}"
        return json_answer({"message": str(error)}, error.status, headers)
    return json_answer({"inputTokens": tokens}, 200, headers)


async def _count_at_mantle(request: Request) -> Response:
    headers = {"request-id": new_request_id()}
    try:
        raw = await request.body()
        _authenticate_at_mantle(request, raw)
        if _PROFILE_HEADER in request.headers:
            raise Refused(400, f"{_PROFILE_HEADER}: this emulator reads user_profile_id only.")
        body = _read_messages_body(raw, request.headers, FIELDS | {"user_profile_id"})
        if not isinstance(body.get("user_profile_id", ""), str):
            raise Refused(400, "user_profile_id: Input should be a valid string")
        check_on_mantle(body["model"], _region_of(request))
        tokens = count(body)
    except Refused as error:
        return anthropic_error(error, headers)
    return json_answer({"input_tokens": tokens}, 200, headers)


async def _count_at_runtimes_messages(request: Request) -> Response:
    headers = {"request-id": new_request_id()}
    try:
        raw = await request.body()
        _authenticate(request, raw, "bedrock")
        body = _read_messages_body(raw, request.headers, FIELDS)
        if not _CLAUDE(body["model"]):
            raise Refused(404, f"model: {body['model']}")
        tokens = count(body)
    except Refused as error:
        return anthropic_error(error, headers)
    return json_answer({"input_tokens": tokens}, 200, headers)


async def _refuse_operation(request: Request) -> Response:
    return json_answer({"Output": {"__type": _UNKNOWN_OPERATION}, "Version": "1.0"}, 404, {})


def _region_of(request: Request) -> str:
    host = _HOST(request.headers.get("host", ""))
    return host[1] if host else EMULATED_REGION


def _authenticate(request: Request, raw: bytes, service: str) -> None:
    authorization = request.headers.get("authorization")
    if authorization is None:
        raise Refused(403, "Missing Authentication Token", "MissingAuthenticationTokenException")
    if not authorization.startswith("Bearer "):
        check_signature(
            request,
            raw,
            key=EMULATED_ACCESS_KEY_ID,
            secret=EMULATED_SECRET_ACCESS_KEY,
            region=_region_of(request),
            service=service,
        )
    elif not _is_key(authorization.removeprefix("Bearer ")):
        message = "Authentication failed: Please make sure your API Key is valid."
        raise Refused(403, message, "AccessDeniedException")


def _authenticate_at_mantle(request: Request, raw: bytes) -> None:
    key, authorization = (request.headers.get(name) for name in ("x-api-key", "authorization"))
    if key is None and authorization is None:
        raise Refused(401, "x-api-key header is required")
    if key is None and (authorization or "").startswith("Bearer "):
        key = (authorization or "").removeprefix("Bearer ")
    if key is None:
        _authenticate(request, raw, "bedrock-mantle")
    elif not _is_key(key):
        raise Refused(401, "invalid x-api-key")


def _is_key(key: str) -> bool:
    return hmac.compare_digest(key.encode(), EMULATED_BEDROCK_API_KEY.encode())


def _read_invoke_body(raw: bytes) -> dict[str, Any]:
    """Read the body inside `invokeModel`, and check it as InvokeModel does."""
    body = check_body(
        _read_blob(raw), _BODY_FIELDS | BETA_FIELDS, required=("messages",), most=_MAX_BLOB
    )
    betas = body.get("anthropic_beta", [])
    if not isinstance(betas, list) or not all(
        isinstance(beta, str) and beta in CLOUD_BETAS for beta in betas
    ):
        raise Refused(400, "invalid beta flag")
    for field in sorted(body.keys() & BETA_FIELDS):
        if field != "context_management" or "context-management-2025-06-27" not in betas:
            raise Refused(400, f"{field}: Extra inputs are not permitted")
    _check_scalars(body)
    has_tool_search = "tool-search-tool-2025-10-19" in betas
    refuse_tool_fields(body, _NEW_TOOL_FIELDS + (() if has_tool_search else _SEARCHED_TOOL_FIELDS))
    refuse_remote_content(body)
    return body


def _check_scalars(body: Mapping[str, Any]) -> None:
    for field in ("anthropic_version", "max_tokens"):
        if field not in body:
            raise Refused(400, f"{field}: Field required")
    if body["anthropic_version"] != "bedrock-2023-05-31":
        raise Refused(400, "anthropic_version: Input should be 'bedrock-2023-05-31'")
    most = body["max_tokens"]
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise Refused(400, "max_tokens: Input should be greater than or equal to 1")
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking.get("budget_tokens", 0) >= most:
        raise Refused(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if _RESERVED in json.dumps(body.get("system", "")):
        raise Refused(400, f"system: {_RESERVED} is a reserved keyword")


def _read_blob(raw: bytes) -> bytes:
    """Read the blob of the union's only member, which has to be `invokeModel`."""
    if len(raw) > 2 * _MAX_BLOB:
        raise Refused(400, "The request is too large.")
    body = object_of(raw)
    chosen = body.get("input")
    if body.keys() != {"input"} or not isinstance(chosen, dict) or len(chosen) != 1:
        raise Refused(400, "input: exactly one of invokeModel and converse is required.")
    if "converse" in chosen:
        # AWS's contract has it, but its counts once left out tools. The package must not send it.
        raise Refused(400, "input.converse: this emulator counts invokeModel only.")
    invoke = chosen.get("invokeModel")
    if not isinstance(invoke, dict) or invoke.keys() != {"body"}:
        raise Refused(400, "input.invokeModel.body: Field required")
    try:
        return base64.b64decode(invoke["body"], validate=True)
    except (TypeError, ValueError):
        raise Refused(400, "input.invokeModel.body: not base64", "SerializationException") from None


def _read_messages_body(
    raw: bytes, headers: Mapping[str, str], fields: frozenset[str]
) -> dict[str, Any]:
    version = headers.get("anthropic-version")
    if version not in _VERSIONS:
        raise Refused(400, f"anthropic-version: {json.dumps(version)} is not a valid version.")
    betas = read_betas(headers.get("anthropic-beta", ""), _MANTLE_BETAS)
    known = fields | (BETA_FIELDS if betas else set())
    body = check_body(raw, known, required=("model", "messages"), most=_MAX_BODY)
    refuse_tool_fields(body, ("strict",))
    refuse_remote_content(body)
    return body
