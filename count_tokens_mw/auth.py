"""Who may count: the host's own authentication and authorisation, called from here."""

import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
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
    "host_refusals",
    "host_user",
]

Authenticator: TypeAlias = Callable[[Request], Caller | Awaitable[Caller]]
"""Says who sent a request, from its headers and scope; the body has not been read.

It raises `Unauthenticated`, or any Starlette or FastAPI `HTTPException`, to refuse. It runs on the
event loop, so one that waits has to be async.
"""

Authorizer: TypeAlias = Callable[[Caller, str], bool | Awaitable[bool | None] | None]
"""Says whether a caller may count for a model, sync or async.

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
    owner_of = partial(_owner_in, lookup) if isinstance(lookup, Mapping) else lookup

    async def authenticate(request: Request) -> Caller:
        some = False
        for key in _keys(request):
            some = True
            owner = owner_of(key)
            if not isinstance(owner, str | Caller | None):
                owner = await owner
            if owner:
                return Caller(owner) if isinstance(owner, str) else owner
        words = "Unknown API key." if some else "Send an API key as x-api-key or as bearer."
        raise Unauthenticated(words, headers={"www-authenticate": "Bearer"})

    return authenticate


def _keys(request: Request) -> Iterator[str]:
    # Of several lines of one name the first one counts, as in Starlette.
    headers: dict[bytes, bytes] = dict(reversed(request.scope["headers"]))
    key = headers.get(b"x-api-key")
    if key:
        yield key.decode("latin-1")
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        yield token.strip()


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
    with host_refusals():
        caller: object = authenticate(request)
        if not isinstance(caller, Caller) and isinstance(caller, Awaitable):
            caller = await caller
    if isinstance(caller, Caller) and caller.id:
        return caller
    raise TypeError("authenticate has to return a Caller with an id")


async def authorize_caller(authorize: Authorizer, caller: Caller, model: str) -> None:
    """Call the host's `authorize`.

    Raises:
        CountError: it refused.
    """
    with host_refusals():
        allowed = authorize(caller, model)
        if allowed is not True and isinstance(allowed, Awaitable):
            allowed = await allowed
    if allowed is False:
        raise PermissionDenied("You may not count tokens for this model.")


class host_refusals:  # noqa: N801 - used as a function; a generator would take thrice the time
    """Turn an `HTTPException` of the host into an error that can be told in Anthropic's envelope.

    Raises:
        Refused: with its status, its words and its headers.
    """

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, HTTPException):
            raise _refused(error) from None


def _refused(refusal: HTTPException) -> Refused | Unauthenticated:
    if refusal.status_code < 400:  # a redirect to a login page helps no API client
        return Unauthenticated("Authentication is required.")
    detail: object = refusal.detail  # FastAPI allows any JSON here; only words are shown
    words = detail if isinstance(detail, str) else "The gateway refused."
    return Refused(refusal.status_code, words, headers=refusal.headers or {})
