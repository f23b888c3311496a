"""Hints for an operator whose provider refuses a count."""

import re
from typing import Final

from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.errors import (
    CountError,
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamUnusable,
)

__all__ = ["hint_for", "opt_in_hint"]

_CA_HINT: Final = "set count_tokens.http.ca_file to the CA of this network"
# For every provider, after the hints of its row: status, pattern in the message, text.
_HINTS: Final = (
    (500, "certificate is not trusted", _CA_HINT),
    (502, "certificate is not trusted", _CA_HINT),
    (502, "proxy answered 407", "the proxy wants a user and a password: http://user:password@host"),
    (500, "the proxy (answered|failed)", "check count_tokens.http.proxy, or the variable of it"),
    (502, "the proxy failed", "check count_tokens.http.proxy, or the variable that names it"),
    (401, "", "the credential is refused; check its source"),
    (403, "", "the credential lacks a permission; check its role or policy"),
    (404, "", "the provider has no model of this name; check its spelling"),
    (429, "", "the provider's rate limit or quota is exhausted; retry later"),
    (501, r"answered 40[45]", "does api_base lead to a server with /v1/messages/count_tokens?"),
    (501, "source of this count", "update that LiteLLM proxy: newer ones name the source"),
    (501, "only estimates", "give that LiteLLM proxy a model whose provider counts"),
    (501, "", "set model_info.token_count_model to a model that can be counted"),
)


def hint_for(provider: str, error: CountError) -> str | None:
    """Return a hint at the likely cause, or None if the error needs none."""
    own_hints = PROVIDERS[provider].hints if provider in PROVIDERS else ()
    for status, pattern, hint in own_hints + _HINTS:
        if status == error.status and re.search(pattern, error.message, re.IGNORECASE):
            return hint
    match error:
        case CredentialsUnavailable():
            return "check the credential's source, and that it is available on this machine"
        case DeadlineExceeded():
            return "is the endpoint right, and reachable from here? or is its timeout too short?"
        case UpstreamUnusable():
            return "is the endpoint right, and reachable from here? does it need a proxy?"
    return _first_match(_own_hints(provider) + _HINTS, error.status, error.message)


def opt_in_hint(provider: str, message: str) -> str | None:
    """Return a hint at what an entry without a count lacks, or None if the provider has none."""
    return _first_match(_own_hints(provider), 501, message)


def _own_hints(provider: str) -> tuple[tuple[int, str, str], ...]:
    return PROVIDERS[provider].hints if provider in PROVIDERS else ()


def _first_match(hints: tuple[tuple[int, str, str], ...], status: int, message: str) -> str | None:
    for of_status, pattern, hint in hints:
        if of_status == status and re.search(pattern, message, re.IGNORECASE):
            return hint
    return None
