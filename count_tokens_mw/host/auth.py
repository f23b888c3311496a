"""Who may count: the host's own authentication and authorisation, called from here."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request

from count_tokens_mw.errors import Unauthenticated
from count_tokens_mw.types import Caller

__all__ = ["Authenticator", "Authorizer", "anyone", "host_user"]

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
