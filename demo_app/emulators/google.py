"""An emulated Google: its token endpoint, Claude and Gemini on Vertex AI, and the Gemini API.

Claude: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/count-tokens
Gemini on Vertex: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens
Gemini on Vertex by API key: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview
Gemini API: https://ai.google.dev/api/tokens
"""

import hmac
import re
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from demo_app.emulators.answers import Refused, anthropic_error, json_answer, new_request_id
from demo_app.emulators.bodies import (
    BETA_FIELDS,
    CLOUD_BETAS,
    FIELDS,
    check_body,
    read_betas,
    refuse_remote_content,
    refuse_tool_fields,
    refuse_tool_search,
)
from demo_app.emulators.counting import billable_characters, count, count_gemini, gemini_details
from demo_app.emulators.gemini import read_gemini_api_request, read_vertex_request
from demo_app.emulators.google_oauth import TokenEndpoint

__all__ = ["EMULATED_EXPRESS_KEY", "EMULATED_GEMINI_KEY", "EmulatedGoogle"]

EMULATED_EXPRESS_KEY: Final = "AQ.emulated"
EMULATED_GEMINI_KEY: Final = "AIza-emulated"

_MAX_BODY: Final = 30 * 1024 * 1024
_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
}
_CLAUDE: Final = re.compile(r"claude-(?!does-not-exist)[a-z0-9-]+").fullmatch
# Names with a version, of which the documentation of counting lists none any more.
_UNCOUNTED: Final = re.compile(r"claude-[a-z0-9-]+@.*").fullmatch
_GEMINI: Final = re.compile(r"gemini-(?!does-not-exist)[a-z0-9.-]+").fullmatch
_OF_GEMINI_API: Final = re.compile(
    r"models/gem(?:ini|ma)-(?!does-not-exist)[a-z0-9.-]+|tunedModels/(?!does-not-exist)[a-z0-9-]+"
).fullmatch
_ENDPOINT: Final = re.compile(r"[0-9]+").fullmatch
_LOCATION: Final = re.compile(r"us|eu|[a-z]+-[a-z]+[0-9]+").fullmatch
_VERSIONS: Final = {"vertex-2023-10-16", "2026-10-21"}
# By a gateway's recorded answers, Vertex's counting accepts fewer betas than Bedrock's.
_BETAS: Final = (CLOUD_BETAS | {"effort-2025-11-24"}) - {
    "tool-search-tool-2025-10-19",
    "web-search-2025-03-05",
}
_LOCATED: Final = "/v1/projects/{project}/locations/{location}"
_MODEL: Final = "publishers/google/models/{model}:countTokens"
_SERVICES: Final = {
    EMULATED_EXPRESS_KEY: "aiplatform.googleapis.com",
    EMULATED_GEMINI_KEY: "generativelanguage.googleapis.com",
}
_PRINCIPAL: Final = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential."
)


class EmulatedGoogle:
    """Google's APIs as one ASGI app, `app`, with a service account, a Gemini API key and Vertex's.

    Vertex accepts any project, and the number of any endpoint. `issued` is the number of access
    tokens issued so far.

    Args:
        token_lifetime: the seconds for which an access token is valid.
    """

    def __init__(self, *, token_lifetime: int = 3600) -> None:
        self._tokens = TokenEndpoint(token_lifetime)
        claude = f"{_LOCATED}/publishers/anthropic/models/count-tokens:rawPredict"
        endpoint = f"{_LOCATED}/endpoints/{{endpoint}}:countTokens"
        self.app = Starlette(
            routes=[
                Route("/token", self._issue_token, methods=["POST"]),
                Route(claude, self._count_vertex_claude, methods=["POST"]),
                Route(f"{_LOCATED}/{_MODEL}", self._count_vertex_gemini, methods=["POST"]),
                Route(endpoint, self._count_vertex_endpoint, methods=["POST"]),
                Route(f"/v1/{_MODEL}", _count_vertex_express, methods=["POST"]),
                Route("/v1beta/{kind}/{model}:countTokens", _count_gemini_api, methods=["POST"]),
            ]
        )

    @property
    def issued(self) -> int:
        """The number of access tokens issued so far."""
        return self._tokens.issued

    def service_account(self, token_uri: str) -> dict[str, str]:
        """Return a key file for `vertex_credentials`; the URI is this app's `/token`."""
        return self._tokens.service_account(token_uri)

    def revoke_all(self) -> None:
        """Revoke every access token issued so far; each is answered with a 401 from now on."""
        self._tokens.revoke_all()

    async def _issue_token(self, request: Request) -> Response:
        host = request.headers.get("host", "")
        url = f"{request.scope['scheme']}://{host}{request.scope['path']}"
        try:
            return json_answer(self._tokens.issue(await request.body(), url), 200, {})
        except Refused as error:
            answer = {"error": error.kind, "error_description": str(error)}
            return json_answer(answer, error.status, {})

    async def _count_vertex_claude(self, request: Request) -> Response:
        try:
            raw = await request.body()
            self._authenticate(request)
            location = request.path_params["location"]
            if not _LOCATION(location):
                message = f"Publisher Model `count-tokens` was not found in location {location}."
                raise Refused(404, message)
        except Refused as error:
            return _google_error(error)
        headers = {"request-id": new_request_id("req_vrtx_emulated_")}
        try:
            tokens = count(_read_claude_body(raw, request))
            return json_answer({"input_tokens": tokens}, 200, headers)
        except Refused as error:
            return anthropic_error(error, headers)

    async def _count_vertex_gemini(self, request: Request) -> Response:
        try:
            raw = await request.body()
            self._authenticate(request)
            model = _publisher_model(request)
            return _vertex_count(read_vertex_request(raw, model))
        except Refused as error:
            return _google_error(error)

    async def _count_vertex_endpoint(self, request: Request) -> Response:
        try:
            raw = await request.body()
            self._authenticate(request)
            endpoint = request.path_params["endpoint"]
            if not _ENDPOINT(endpoint):
                name = "projects/{project}/locations/{location}/endpoints/{endpoint}"
                name = name.format(**request.path_params)
                raise Refused(404, f"Endpoint `{name}` not found.")
            return _vertex_count(read_vertex_request(raw, endpoint))
        except Refused as error:
            return _google_error(error)

    def _authenticate(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not token and "x-goog-api-key" in request.headers:
            raise _unauthenticated(
                "API keys are not supported by this API. Expected OAuth2 access token or other "
                "authentication credentials that assert a principal."
            )
        if not token:
            message = "Request is missing required authentication credential."
            raise _unauthenticated(f"{message} {_PRINCIPAL}")
        if scheme.lower() != "bearer" or not self._tokens.is_valid(token):
            message = "Request had invalid authentication credentials."
            raise _unauthenticated(f"{message} {_PRINCIPAL}", "ACCESS_TOKEN_EXPIRED")


async def _count_vertex_express(request: Request) -> Response:
    try:
        raw = await request.body()
        if "x-goog-api-key" not in request.headers:
            message = "Request is missing required authentication credential."
            raise _unauthenticated(f"{message} {_PRINCIPAL}")
        _check_key(request, EMULATED_EXPRESS_KEY)
        model = _publisher_model(request)
        return _vertex_count(read_vertex_request(raw, model))
    except Refused as error:
        return _google_error(error)


async def _count_gemini_api(request: Request) -> Response:
    try:
        raw = await request.body()
        _check_key(request, EMULATED_GEMINI_KEY)
        model = "{kind}/{model}".format(**request.path_params)
        if not _OF_GEMINI_API(model):
            text = f"{model} is not found for API version v1beta, or is not supported for "
            raise Refused(404, f"{text}countTokens. Call ListModels to see what is.")
        body = read_gemini_api_request(raw, model)
    except Refused as error:
        return _google_error(error)
    answer = {"totalTokens": count_gemini(body), "promptTokensDetails": gemini_details(body)}
    return json_answer(answer, 200, {})


def _publisher_model(request: Request) -> str:
    """Return the model of the path, which may name a project and a location before it.

    Raises:
        Refused: with a 404; the model is none of Gemini's.
    """
    model: str = request.path_params["model"]
    if not _GEMINI(model):
        name = request.scope["path"].removeprefix("/v1/").removesuffix(":countTokens")
        message = "was not found or your project does not have access to it."
        raise Refused(404, f"Publisher Model `{name}` {message}")
    return model


def _vertex_count(body: dict[str, Any]) -> Response:
    answer = {
        "totalTokens": count_gemini(body),
        "totalBillableCharacters": billable_characters(body),
        "promptTokensDetails": gemini_details(body),
    }
    return json_answer(answer, 200, {})


def _unauthenticated(message: str, reason: str = "CREDENTIALS_MISSING") -> Refused:
    return Refused(401, message, details=[_error_info(reason)])


def _check_key(request: Request, key: str) -> None:
    if "key" in request.query_params:
        # Google accepts it, but a key in a URL ends up in logs and exception messages.
        raise Refused(400, "This emulator takes the key in the x-goog-api-key header only.")
    sent = request.headers.get("x-goog-api-key", "")
    if not hmac.compare_digest(sent.encode(), key.encode()):
        info = _error_info("API_KEY_INVALID", _SERVICES[key])
        raise Refused(400, "API key not valid. Please pass a valid API key.", details=[info])


def _read_claude_body(raw: bytes, request: Request) -> dict[str, Any]:
    betas = read_betas(",".join(request.headers.getlist("anthropic-beta")), _BETAS)
    known = FIELDS | (BETA_FIELDS if betas else set()) | {"anthropic_version"}
    body = check_body(raw, known, required=("model", "messages"), most=_MAX_BODY)
    model = body["model"]
    if not _CLAUDE(model):
        if _UNCOUNTED(model):
            raise Refused(400, f"{model} is not supported for token counting")
        raise Refused(404, f"model: {model}")
    version = body.get("anthropic_version", "vertex-2023-10-16")
    if not isinstance(version, str) or version not in _VERSIONS:
        raise Refused(400, "anthropic_version: Input should be 'vertex-2023-10-16'")
    refuse_tool_fields(body, ("defer_loading",))
    refuse_tool_search(body)
    refuse_remote_content(body)
    return body


def _error_info(reason: str, service: str = "aiplatform.googleapis.com") -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": service},
    }


def _google_error(error: Refused) -> Response:
    answer: dict[str, Any] = {
        "code": error.status,
        "message": str(error),
        "status": _STATUSES[error.status],
    }
    if error.details:
        answer["details"] = list(error.details)
    return json_answer({"error": answer}, error.status, {})
