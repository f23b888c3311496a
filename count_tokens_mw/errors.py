"""Tree of all errors that this package raises.

::

    CountTokensError
    ├── ConfigError                    at start: the problems of the configuration
    └── CountError                     at a count: status, error.type, message, headers
        ├── InvalidRequest             400  invalid_request_error
        ├── Unauthenticated            401  authentication_error
        ├── PermissionDenied           403  permission_error
        ├── NotFound                   404  not_found_error
        ├── MethodNotAllowed           405  invalid_request_error
        ├── RequestTooLarge            413  request_too_large
        ├── HeadersTooLarge            431  invalid_request_error
        ├── TooManyRequests            429  rate_limit_error    the gateway's own cap
        ├── ClientClosedRequest        499  api_error           the client disconnected
        ├── InternalError              500  api_error           a bug of the gateway or the host
        ├── CredentialsUnavailable     500  api_error           the gateway's, for the provider
        ├── CannotCount                501  api_error           the provider does not support it
        ├── UpstreamUnusable           502  api_error           incomplete or invalid answer
        │   └── UpstreamUnreachable    502  api_error           no connection, or a broken one
        ├── DeadlineExceeded           504  timeout_error
        ├── Refused                    the status of the host's HTTPException
        └── UpstreamError              the status of the provider's answer

The exceptions carry data; `protocol.response` renders them as HTTP answers.
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
    "HeadersTooLarge",
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
"""Anthropic's `error.type`; a provider's own may be newer than this list."""

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
    """Return the `error.type` that Anthropic's API gives to an HTTP error status."""
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


class CountTokensError(Exception):
    """Base class of all errors that this package raises on purpose; each can be pickled."""

    def __reduce__(self) -> tuple[object, ...]:
        """Restore the attributes without `__init__`, whose parameters are not those of `args`."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class ConfigError(CountTokensError):
    """Error of a configuration that cannot be used; raised at start and at a reload only.

    `source` names the file, and each of `problems` the entry and the key. Values are never
    quoted, because any value may be a secret.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class CountError(CountTokensError):
    """Error of a count; its message and headers go to the caller, so they hold no secret.

    `headers` are response headers of the answer. Headers that describe a body, or that are not
    valid, are not sent.
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
    """Error of a request that is not a count request; no call was made.

    `error_code` is Anthropic's stable code for the cause, if there is one.
    """

    status = 400

    def __init__(self, message: str, *, error_code: str | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code


class Unauthenticated(CountError):
    """Error for an unknown caller; the host's `authenticate` raises it."""

    status = 401


class PermissionDenied(CountError):
    """Error for a known caller without permission; `authenticate` and `authorize` raise it."""

    status = 403


class NotFound(CountError):
    """Error for an unknown path, or a model that is not configured."""

    status = 404


class MethodNotAllowed(CountError):
    """Error for a method other than POST."""

    status = 405
    default_headers: ClassVar = {"allow": "POST"}


class RequestTooLarge(CountError):
    """Error for a body whose declared, actual or decoded size exceeds `max_body_bytes`.

    `error_code` is Anthropic's stable code for the cause, if there is one.
    """

    status = 413

    def __init__(
        self,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        error_code: str | None = None,
    ) -> None:
        super().__init__(message, headers=headers)
        self.error_code = error_code


class HeadersTooLarge(CountError):
    """Error for more than 64 KB of `anthropic-*` headers."""

    status = 431


class TooManyRequests(CountError):
    """Error at `max_concurrency`; `x-count-tokens-limit` distinguishes it from a provider's 429."""

    status = 429
    default_headers: ClassVar = {"retry-after": "1", "x-count-tokens-limit": "gateway"}


class ClientClosedRequest(CountError):
    """Outcome of a request whose client disconnected, or that the server cancelled."""

    status = 499

    @property
    def type(self) -> ErrorType:
        return "api_error"


class InternalError(CountError):
    """Error for an unexpected exception of this package or the host; only the log has its cause."""

    status = 500


class CredentialsUnavailable(CountError):
    """Error for the gateway's provider credentials, which are missing or not renewable."""

    status = 500
    default_headers: ClassVar = {"x-should-retry": "false"}


class CannotCount(CountError):
    """Error for a model or content that the provider cannot count; the gateway never estimates."""

    status = 501
    default_headers: ClassVar = {"x-should-retry": "false"}


class UpstreamUnusable(CountError):
    """Error for an upstream answer that is incomplete or is not a count."""

    status = 502


class UpstreamUnreachable(UpstreamUnusable):
    """Error for an upstream without a connection, or with one that broke before the answer."""


class DeadlineExceeded(CountError):
    """Error for an exceeded deadline."""

    status = 504


class Refused(CountError):
    """Error with the status of an `HTTPException` that `authenticate` or `authorize` raised."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str]) -> None:
        super().__init__(message, headers=headers)
        self.status = status


class UpstreamError(CountError):
    """Error for an upstream answer with an error status.

    `body` holds the answer's bytes if they are Anthropic's error envelope. They are passed on
    unchanged, because clients match on the text. It is None if the envelope has to be built from
    `message`. `code` is the upstream's own code for the error, for the event: Anthropic's
    `error.type`, Google's `status` or `reason`, AWS's exception, OpenAI's `code` or `type`.
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
