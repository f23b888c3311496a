"""The gateway's API keys: their owners, and the models that they may use."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from count_tokens_mw import Caller, PermissionDenied


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


def callers_of(keys: Sequence[ApiKey]) -> dict[str, Caller]:
    """Return the callers by key, with the patterns of their models as scopes."""
    return {key.secret: Caller(key.owner, frozenset(key.models)) for key in keys}


def may_use(caller: Caller, model: str) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in caller.scopes)


def authorize(caller: Caller, model: str) -> None:
    """Refuse a model outside the key's patterns; `CountTokens` calls this before each count."""
    if not may_use(caller, model):
        models = ", ".join(sorted(caller.scopes))
        raise PermissionDenied(f"{caller.id} may not use {model[:256]}, only {models}.")
