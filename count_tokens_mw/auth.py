"""Who may count: the host's own authentication and authorisation, called from here."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request

from count_tokens_mw.errors import PermissionDenied, Refused, Unauthenticated
from count_tokens_mw.types import Caller

__all__ = [
    "Authenticator",
    "Authorizer",
    "KeyLookup",
    "anyone",
    "api_key",
    "authenticate_caller",
    "authorize_caller",
    "host_user",
    "refused",
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


KeyLookup: TypeAlias = (
    Mapping[str, Caller | str]
    | Callable[[str], Caller | str | Awaitable[Caller | str | None] | None]
)
"""Whose an API key is: a table of keys, or a callable, sync or async, that is given one.

An owner is a `Caller` or its id; None, or an empty id, is an unknown key. A table's keys are
compared in constant time; a callable that compares keys has to see to that itself, best by looking
up their hash.
"""


def api_key(lookup: KeyLookup) -> Authenticator:
    """Know callers by an API key in `x-api-key` or `Authorization: Bearer`, as SDKs send it.

    Of a request with both, either may be the one that is known.
    """
    if isinstance(lookup, Mapping):
        return partial(_by_table, lookup)
    return partial(_by_callable, lookup)


def _by_table(table: Mapping[str, Caller | str], request: Request) -> Caller:
    keys = _keys(request)
    for key in keys:
        owner = _owner_in(table, key)
        if owner:
            return Caller(owner) if isinstance(owner, str) else owner
    raise _unknown(keys)


async def _by_callable(owner_of: Callable[[str], Any], request: Request) -> Caller:
    keys = _keys(request)
    for key in keys:
        owner = owner_of(key)
        if isawaitable(owner):
            owner = await owner
        if owner:
            return Caller(owner) if isinstance(owner, str) else owner
    raise _unknown(keys)


def _unknown(keys: Sequence[str]) -> Unauthenticated:
    words = "Unknown API key." if keys else "Send an API key as x-api-key or as bearer."
    return Unauthenticated(words, headers={"www-authenticate": "Bearer"})


def _keys(request: Request) -> Sequence[str]:
    # Of several lines of one name the first one counts, as in Starlette.
    headers: dict[bytes, bytes] = dict(reversed(request.scope["headers"]))
    keys = [headers.get(b"x-api-key", b"").decode("latin-1")]
    if b"authorization" in headers:
        scheme, _, token = headers[b"authorization"].decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            keys.append(token.strip())
    return [key for key in keys if key]


def _owner_in(table: Mapping[str, Caller | str], key: str) -> Caller | str | None:
    owner = None
    for known, whose in table.items():  # to its end, whichever it is
        if hmac.compare_digest(known.encode(), key.encode()):
            owner = whose
    return owner


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
        raise refused(refusal) from None
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
        raise refused(refusal) from None
    if allowed is False:
        raise PermissionDenied("You may not count tokens for this model.")


def refused(refusal: HTTPException) -> Refused | Unauthenticated:
    """A refusal of the host's, with its status, words and headers, to be told in our envelope."""
    if refusal.status_code < 400:  # a redirect to a login page helps no API client
        return Unauthenticated("Authentication is required.")
    detail: object = refusal.detail  # FastAPI allows any JSON here; only words are shown
    words = detail if isinstance(detail, str) else "The gateway refused."
    return Refused(refusal.status_code, words, headers=refusal.headers or {})
