"""Who may count: the host's own authentication and authorisation, called from here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request

from count_tokens_mw.errors import PermissionDenied, Refused, Unauthenticated
from count_tokens_mw.types import Caller

__all__ = [
    "Authenticator",
    "Authorizer",
    "anyone",
    "authenticate_caller",
    "authorize_caller",
    "host_user",
    "to_refused",
]

Authenticator: TypeAlias = Callable[[Request], Caller | Awaitable[Caller]]
"""Says who sent a request, from its headers and scope; the body has not been read.

It raises `Unauthenticated`, or any Starlette or FastAPI `HTTPException`, to refuse. It runs on the
event loop, so one that waits has to be async.
"""

Authorizer: TypeAlias = Callable[[Caller, str], bool | Awaitable[bool | None] | None]
"""Says whether a caller may count for a model, sync or async.

The model is the name that is then looked up, and that the event reports. A name or an alias that is
configured exactly as the caller sent it is taken; any other name loses each `[1m]` at its end, by
which Claude Code asks for a longer context; then an alias is resolved to the name that it leads to.
On the pass-through it is the name as it was sent, which is what Anthropic gets.

It raises `PermissionDenied` or any `HTTPException` to refuse, or returns False.
"""


def host_user(request: Request) -> Caller:
    """Trust the host's `AuthenticationMiddleware`: `scope["user"]`, if it is authenticated.

    Its `identity` becomes the caller's id (`display_name` where the host defines no identity),
    and the scopes are those of `scope["auth"]`.

    Raises:
        Unauthenticated: there is no such user, so also where the host forgot the middleware.
    """
    user: Any = request.scope.get("user")
    # Nothing else that is true: a method of that name would be.
    if getattr(user, "is_authenticated", False) is not True:
        raise Unauthenticated("Authentication is required.")
    try:
        identity = user.identity
    except (AttributeError, NotImplementedError):  # Starlette's BaseUser leaves it open
        identity = user.display_name
    scopes = getattr(request.scope.get("auth"), "scopes", ())
    return Caller(str(identity), frozenset(scopes))


def anyone(request: Request) -> Caller:
    """Let everybody count. To be chosen on purpose: the counts go out under your credentials."""
    return Caller("anyone")


async def authenticate_caller(authenticate: Authenticator, request: Request) -> Caller:
    """Call the host's `authenticate`.

    Raises:
        CountError: it refused.
        TypeError: it returned something that is no `Caller`; nobody is let in by accident.
    """
    try:
        caller: object = authenticate(request)
        if not isinstance(caller, Caller) and isinstance(caller, Awaitable):
            caller = await caller
    except HTTPException as refusal:
        raise to_refused(refusal) from None
    if isinstance(caller, Caller) and caller.id:
        return caller
    raise TypeError("authenticate has to return a Caller with an id")


async def authorize_caller(
    authorize: Authorizer, caller: Caller, model: str, seconds: float
) -> None:
    """Call the host's `authorize`.

    Raises:
        CountError: it refused.
        TimeoutError: it is async, and takes more than so many seconds.
    """
    try:
        allowed = authorize(caller, model)
        if allowed is not True and isinstance(allowed, Awaitable):
            async with asyncio.timeout(seconds):
                allowed = await allowed
    except HTTPException as refusal:
        raise to_refused(refusal) from None
    if allowed is False:
        raise PermissionDenied("You may not count tokens for this model.")


def to_refused(refusal: HTTPException) -> Refused | Unauthenticated:
    """A refusal of the host's, with its status, words and headers, to be told in our envelope."""
    if refusal.status_code < 400:  # a redirect to a login page helps no API client
        return Unauthenticated("Authentication is required.")
    detail: object = refusal.detail  # FastAPI allows any JSON here; only words are shown
    words = detail if isinstance(detail, str) else "The gateway refused."
    return Refused(refusal.status_code, words, headers=refusal.headers or {})
