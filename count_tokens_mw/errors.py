"""Everything that can go wrong, as one tree.

::

    CountTokensError
    ├── ConfigError                    at start: what is wrong in the configuration
    └── CountError                     at a count: status, error.type, message, headers
        ├── InvalidRequest             400  invalid_request_error
        ├── Unauthenticated            401  authentication_error
        ├── PermissionDenied           403  permission_error
        ├── NotFound                   404  not_found_error
        ├── MethodNotAllowed           405  invalid_request_error
        ├── RequestTooLarge            413  request_too_large
        ├── TooManyRequests            429  rate_limit_error    our own cap
        ├── ClientClosedRequest        499  api_error           nobody is left to answer
        ├── InternalError              500  api_error           a fault of ours or the host's
        ├── CredentialsUnavailable     500  api_error           ours, for the provider
        ├── CannotCount                501  api_error           the provider has no count for it
        ├── UpstreamUnusable           502  api_error           cut off, or nonsense
        │   └── UpstreamUnreachable    502  api_error           no connection, or none that lasted
        ├── DeadlineExceeded           504  timeout_error
        ├── Refused                    whatever status the host's HTTPException has
        └── UpstreamError              whatever status the provider answered

The exceptions carry data. How they look over HTTP is the business of `messages`.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

__all__ = [
    "CannotCount",
    "ClientClosedRequest",
    "ConfigError",
    "CountError",
    "CountTokensError",
    "CredentialsUnavailable",
    "DeadlineExceeded",
    "ErrorType",
    "InternalError",
    "InvalidRequest",
    "MethodNotAllowed",
    "NotFound",
    "PermissionDenied",
    "Refused",
    "RequestTooLarge",
    "TooManyRequests",
    "Unauthenticated",
    "UpstreamError",
    "UpstreamUnreachable",
    "UpstreamUnusable",
    "error_type_of",
]

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
]

# https://docs.claude.com/en/api/errors
_ERROR_TYPES: Final[Mapping[int, ErrorType]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_type_of(status: int) -> ErrorType:
    """The `error.type` that Anthropic's API gives to an HTTP error status."""
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


class CountTokensError(Exception):
    """The root: whatever this package raises on purpose is one of these."""


class ConfigError(CountTokensError):
    """The configuration cannot be used; raised at start only.

    `source` names the file, and each of `problems` the entry and the key. Values are never
    quoted, since any of them may be a secret.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class CountError(CountTokensError):
    """A count that failed: what the caller is told, and nothing that it must not see.

    `headers` are response headers that belong to the answer; those that describe a body, and any
    that cannot be sent, are left out of it.
    """

    status: int = 500
    default_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers: Mapping[str, str] = {**self.default_headers, **(headers or {})}

    @property
    def type(self) -> ErrorType:
        """Anthropic's `error.type`."""
        return error_type_of(self.status)


class InvalidRequest(CountError):
    """The request is not a count request; nothing was sent upstream.

    `error_code` is Anthropic's stable code for the cause, where it has one.
    """

    status = 400

    def __init__(self, message: str, *, error_code: str | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code


class Unauthenticated(CountError):
    """The host does not know the caller. An `authenticate` callable raises it to refuse."""

    status = 401


class PermissionDenied(CountError):
    """The host knows the caller, and refuses. For `authenticate` and `authorize` to raise."""

    status = 403


class NotFound(CountError):
    """No such path here, or no such model in the configuration."""

    status = 404


class MethodNotAllowed(CountError):
    """Another method than POST."""

    status = 405
    default_headers: ClassVar = {"allow": "POST"}


class RequestTooLarge(CountError):
    """The body is over `max_body_bytes`."""

    status = 413


class TooManyRequests(CountError):
    """Our own `max_concurrency` is reached; `x-count-tokens-limit` tells it from a provider's."""

    status = 429
    default_headers: ClassVar = {"retry-after": "1", "x-count-tokens-limit": "gateway"}


class ClientClosedRequest(CountError):
    """The client left before its request was read."""

    status = 499

    @property
    def type(self) -> ErrorType:
        return "api_error"


class InternalError(CountError):
    """Unexpected, in this package or in the host's callables. The cause is in the log only."""

    status = 500


class CredentialsUnavailable(CountError):
    """The gateway's own credentials for the provider cannot be had: not found, or not renewed."""

    status = 500
    default_headers: ClassVar = {"x-should-retry": "false"}


class CannotCount(CountError):
    """The provider cannot count this model or this content: an answer of its own, never a guess."""

    status = 501
    default_headers: ClassVar = {"x-should-retry": "false"}


class UpstreamUnusable(CountError):
    """The upstream broke off its answer, or answered something that is no count."""

    status = 502


class UpstreamUnreachable(UpstreamUnusable):
    """The upstream could not be reached, or the connection broke before it answered."""


class DeadlineExceeded(CountError):
    """No answer in time."""

    status = 504


class Refused(CountError):
    """The host's `authenticate` or `authorize` raised an `HTTPException` with this status."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str]) -> None:
        super().__init__(message, headers=headers)
        self.status = status


class UpstreamError(CountError):
    """The upstream answered with an error status.

    `body` holds its bytes if they already are Anthropic's error envelope: clients match on the
    words, so these are passed on unchanged. It is None where the envelope has to be built from
    `message`. `code` is the upstream's own name for the error, for the event: Anthropic's
    `error.type`, Google's `status` or `reason`, AWS's exception.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, headers=headers)
        self.status = status
        self.body = body
        self.code = code
