"""This gateway's API keys: whose each is, and for which models."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Final

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from count_tokens_mw import Caller, PermissionDenied, Unauthenticated, api_key

_Header = Annotated[str | None, Security(APIKeyHeader(name="x-api-key", auto_error=False))]
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, its owner, and patterns of the models that it may use."""

    secret: str = field(repr=False)
    owner: str
    models: tuple[str, ...] = ("*",)


# Everybody knows these. A real gateway has a table of its own.
DEMO_KEYS: Final = (
    ApiKey("sk-demo", "demo"),
    ApiKey("sk-demo-claude", "claude-team", ("claude-*", "anthropic/*")),
)


def public_key(keys: Sequence[ApiKey]) -> str | None:
    """The key that everybody knows, if it is in place; no other one may be shown."""
    known = {key.secret for key in DEMO_KEYS}
    return next((key.secret for key in keys if key.secret in known), None)


def caller_by(keys: Sequence[ApiKey]) -> Callable[..., Awaitable[Caller]]:
    """Return the dependency that knows a caller by `x-api-key` or as bearer, and refuses others."""
    known = api_key({key.secret: Caller(key.owner, frozenset(key.models)) for key in keys})

    async def known_caller(request: Request, key: _Header, bearer: _Bearer) -> Caller:
        try:
            return known(request)  # the other two put the headers into /docs
        except Unauthenticated as error:
            raise HTTPException(error.status, error.message, dict(error.headers)) from None

    return known_caller


def may_use(caller: Caller, model: str) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in caller.scopes)


def authorize(caller: Caller, model: str) -> None:
    """For `CountTokens`, which asks before each count."""
    if not may_use(caller, model):
        models = ", ".join(sorted(caller.scopes))
        raise PermissionDenied(f"{caller.id} may not use {model[:256]}, only {models}.")
