"""The gateway's API keys: their owners, and the models that they may use."""

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


# These keys are public. A real gateway has a table of its own.
DEMO_KEYS: Final = (
    ApiKey("sk-demo", "demo"),
    ApiKey("sk-demo-claude", "claude-team", ("claude-*", "anthropic/*")),
)


def public_key(keys: Sequence[ApiKey]) -> str | None:
    """Return the public demo key if it is accepted; no other key may be shown."""
    known = {key.secret for key in DEMO_KEYS}
    return next((key.secret for key in keys if key.secret in known), None)


def caller_by(keys: Sequence[ApiKey]) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency that authenticates callers by `x-api-key` or by bearer token."""
    known = api_key({key.secret: Caller(key.owner, frozenset(key.models)) for key in keys})

    async def known_caller(request: Request, key: _Header, bearer: _Bearer) -> Caller:
        try:
            return known(request)  # the other two parameters put the headers into /docs
        except Unauthenticated as error:
            raise HTTPException(error.status, error.message, dict(error.headers)) from None

    return known_caller


def may_use(caller: Caller, model: str) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in caller.scopes)


def authorize(caller: Caller, model: str) -> None:
    """Refuse a model outside the key's patterns; `CountTokens` calls this before each count."""
    if not may_use(caller, model):
        models = ", ".join(sorted(caller.scopes))
        raise PermissionDenied(f"{caller.id} may not use {model[:256]}, only {models}.")
