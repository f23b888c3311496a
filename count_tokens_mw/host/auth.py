"""The types of the host's authentication and authorisation, and two ready-made callables."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request

from count_tokens_mw.errors import Unauthenticated
from count_tokens_mw.types import Caller

__all__ = ["Authenticator", "Authorizer", "anyone", "host_user"]

Authenticator: TypeAlias = Callable[[Request], Caller | Awaitable[Caller]]
"""A callable that returns the caller of a request from its headers and scope.

The body has not been read. To refuse, it raises `Unauthenticated`, or any Starlette or FastAPI
`HTTPException`. It runs on the event loop, so it has to be async if it does I/O.
"""

Authorizer: TypeAlias = Callable[[Caller, str], bool | Awaitable[bool | None] | None]
"""A callable, sync or async, that decides whether a caller may count for a model.

The model is the name that is looked up and that the event reports. A model or alias configured
exactly as sent is kept. Any other name loses each `[1m]` at its end, by which Claude Code requests
a longer context. An alias is then resolved to its model. On the pass-through, the model is the
name as sent, which is also the name that Anthropic receives.

To refuse, it raises `PermissionDenied` or any `HTTPException`, or returns False.
"""


def host_user(request: Request) -> Caller:
    """Trust the host's `AuthenticationMiddleware`: `scope["user"]`, if it is authenticated.

    Its `identity` becomes the caller's id (`display_name` where the host defines no identity),
    and the scopes are those of `scope["auth"]`.

    Raises:
        Unauthenticated: there is no authenticated user, or the middleware is missing.
    """
    user: Any = request.scope.get("user")
    # `is True`, because a method of that name would be truthy.
    if getattr(user, "is_authenticated", False) is not True:
        raise Unauthenticated("Authentication is required.")
    try:
        identity = user.identity
    except (AttributeError, NotImplementedError):  # Starlette's BaseUser leaves it open
        identity = user.display_name
    scopes = getattr(request.scope.get("auth"), "scopes", ())
    return Caller(str(identity), frozenset(scopes))


def anyone(request: Request) -> Caller:
    """Let every client count, under the gateway's credentials; never the default."""
    return Caller("anyone")
