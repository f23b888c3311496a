"""The responses that emulated upstreams share: refusals, Anthropic's envelope, and JSON."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

__all__ = [
    "ERROR_TYPES",
    "Refused",
    "anthropic_error",
    "json_answer",
    "new_request_id",
    "object_of",
]

ERROR_TYPES: Final = {
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


class Refused(Exception):
    """A request that the original would not accept either.

    `kind` is the name of AWS's exception or of OAuth's error, and `details` are Google's.
    """

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "ValidationException",
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.details = details


def json_answer(value: object, status: int, headers: Mapping[str, str]) -> Response:
    """Return a response of JSON in ASCII."""
    # Not JSONResponse: a model's name may have a lone surrogate, which UTF-8 cannot encode.
    body = json.dumps(value, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


def anthropic_error(error: Refused, headers: Mapping[str, str]) -> Response:
    """Return Anthropic's error envelope, which repeats the `request-id` of the headers."""
    envelope = {
        "type": "error",
        "error": {"type": ERROR_TYPES[error.status], "message": str(error)},
        "request_id": headers["request-id"],
    }
    return json_answer(envelope, error.status, headers)


def new_request_id(prefix: str = "req_emulated_") -> str:
    """Return an id that no other answer has."""
    return f"{prefix}{uuid.uuid4().hex}"


def object_of(raw: bytes | str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        Refused: with a 400; the text is not JSON, not an object, or nested too deeply.
    """
    try:
        body = json.loads(raw)
    except RecursionError:
        raise Refused(400, "The request body is nested too deeply.") from None
    except ValueError as error:
        raise Refused(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, "The request body has to be an object.")
    return body
