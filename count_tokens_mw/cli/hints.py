"""Hints for an operator whose provider refuses a count."""

import re
from typing import Final

from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.errors import (
    CannotCount,
    CountError,
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamUnusable,
)

__all__ = ["hint_for"]

# For every provider, after the hints of its row: status, pattern in the message, text.
_HINTS: Final = (
    (401, "", "the credential is refused; check its source"),
    (403, "", "the credential lacks a permission; check its role or policy"),
    (404, "", "the provider has no model of this name; check its spelling"),
    (429, "", "the provider's rate limit or quota is exhausted; retry later"),
)


def hint_for(provider: str, error: CountError) -> str | None:
    """Return a hint at the likely cause, or None if the error needs none."""
    match error:
        case CredentialsUnavailable():
            return "check the credential's source, and that it is available on this machine"
        case CannotCount():
            return "set model_info.token_count_model to a model that can be counted"
        case DeadlineExceeded():
            return "is the endpoint right, and reachable from here? or is its timeout too short?"
        case UpstreamUnusable():
            return "is the endpoint right, and reachable from here? (proxies are not used)"
    own_hints = PROVIDERS[provider].hints if provider in PROVIDERS else ()
    for status, pattern, hint in own_hints + _HINTS:
        if status == error.status and re.search(pattern, error.message, re.IGNORECASE):
            return hint
    return None
