"""The host's four callables: `authenticate`, `authorize`, `transform` and `resolve`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any, Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.config.models import Deployment
from count_tokens_mw.errors import InvalidRequest, PermissionDenied, Refused, Unauthenticated
from count_tokens_mw.host.auth import Authenticator, Authorizer
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.protocol.response import is_sendable_header, is_sendable_status
from count_tokens_mw.types import Caller, CountRequest

__all__ = [
    "DECIDED_LATE",
    "Resolver",
    "Transform",
    "UnsendableRefusal",
    "authenticate_caller",
    "authorize_caller",
    "call_host",
    "call_resolve",
    "call_transform",
    "to_refused",
]

Transform: TypeAlias = Callable[
    [dict[str, Any], Caller | None], Mapping[str, Any] | Awaitable[Mapping[str, Any]]
]
"""A callable, sync or async, that returns the body that the host will really send.

It receives the parsed body, which it may change in place and return, and the caller. The caller is
None if the host itself counts without one. It runs after `authorize`, on both paths. A model that
it puts in place of another is looked up instead: `authorize` is not called again, and the event
reports the name that `authorize` received. Any Starlette or FastAPI `HTTPException` refuses the
request; any other exception is a 500, and nothing goes upstream. The returned body is serialized
anew, so it is no longer the caller's text byte for byte.
"""

Resolver: TypeAlias = Callable[
    [str, Caller | None],
    Sequence[Deployment] | Awaitable[Sequence[Deployment] | None] | None,
]
"""A callable, sync or async, that returns a model's deployments; None for those of the file.

The model is the name that `authorize` received. The caller is None if the host itself counts
without one. Returned deployments are tried by `order`, by `weight` and in their sequence, like a
file's; an empty sequence is an unknown model. `Config.from_mapping({"model_list": [...]})` makes
deployments of entries in LiteLLM's format. Any Starlette or FastAPI `HTTPException` refuses the
request.
"""


DECIDED_LATE: Final = "The gateway did not decide in time."
"""The message to a caller whose host takes too long."""


async def call_host(
    deadline: Deadline, function: Callable[..., Any], *args: object, late: str = DECIDED_LATE
) -> Any:
    """Call a callable of the host, and await its result if it is awaitable.

    Raises:
        CountError: the callable refused, by one of these or by an `HTTPException`.
        UnsendableRefusal: it refused by an `HTTPException` that no server can send.
        DeadlineExceeded: it is async, and takes too long; `late` is the message.
    """
    try:
        result = function(*args)
        if hasattr(result, "__await__"):  # at a tenth of the cost of `isinstance`
            return await deadline.run(_await(result), late)
    except HTTPException as refusal:
        raise to_refused(refusal) from None
    return result


async def _await(result: Awaitable[Any]) -> Any:
    return await result


class UnsendableRefusal(ValueError):
    """Error of a host's `HTTPException` with a status or a header that no server can send."""


def to_refused(refusal: HTTPException) -> Refused | Unauthenticated:
    """Return the error that answers a host's refusal, with its status, detail and headers.

    Raises:
        UnsendableRefusal: the status or a header cannot be sent. The traceback is the refusal's,
            so that the log shows its place.
    """
    status: Any = refusal.status_code
    headers = refusal.headers or {}
    if isinstance(status, int) and 100 <= status < 400:
        # A redirect to a login page helps no API client.
        return Unauthenticated("Authentication is required.")
    if not is_sendable_status(status) or not all(starmap(is_sendable_header, headers.items())):
        raise UnsendableRefusal().with_traceback(refusal.__traceback__)
    detail: object = refusal.detail  # FastAPI allows any JSON here; only text is shown
    message = detail if isinstance(detail, str) else "The gateway refused."
    return Refused(status, message, headers=headers)


async def authenticate_caller(
    authenticate: Authenticator, request: Request, deadline: Deadline
) -> Caller:
    """Call the host's `authenticate`.

    Raises:
        CountError: it refused, or took too long.
        TypeError: it returned something else than a `Caller`; nobody is let in by accident.
    """
    caller = await call_host(deadline, authenticate, request)
    if isinstance(caller, Caller) and caller.id:
        return caller
    raise TypeError("authenticate has to return a Caller with an id")


async def authorize_caller(
    authorize: Authorizer, caller: Caller, model: str, deadline: Deadline
) -> None:
    """Call the host's `authorize`.

    Raises:
        CountError: it refused, or took too long.
    """
    allowed = await call_host(deadline, authorize, caller, model)
    if allowed is False:
        raise PermissionDenied("You may not count tokens for this model.")


async def call_transform(
    transform: Transform, request: CountRequest, caller: Caller | None, deadline: Deadline
) -> CountRequest:
    """Call the host's `transform`.

    Raises:
        CountError: it refused, or took too long.
        TypeError: it returned something else than a body.
        ValueError: it returned a body that is no count request.
    """
    body = await call_host(deadline, transform, request.parse(), caller)
    if not isinstance(body, Mapping):
        raise TypeError("transform has to return a body")
    try:
        changed = request_from_mapping(body, request.headers)
    except InvalidRequest:  # a fault of the host's, and not of the caller's
        raise ValueError("transform returned a body that cannot be counted") from None
    # An untouched model keeps the name that `authorize` received, which differs for an alias.
    model = request.model if changed.model == request.body.get("model") else changed.model
    return replace(request, model=model, body=changed.body, memo_key=None, known_calls=())


async def call_resolve(
    resolve: Resolver, model: str, caller: Caller | None, deadline: Deadline
) -> Sequence[Deployment] | None:
    """Call the host's `resolve`.

    Raises:
        CountError: it refused, or took too long.
        TypeError: it returned something else than deployments.
    """
    late = "The gateway did not find the model in time."
    result = await call_host(deadline, resolve, model, caller, late=late)
    if result is None:
        return None
    deployments: list[Deployment] = list(result)
    if not all(isinstance(deployment, Deployment) for deployment in deployments):
        raise TypeError("resolve has to return deployments, or None")
    return deployments
