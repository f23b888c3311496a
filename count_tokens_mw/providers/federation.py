"""Anthropic's workload identity federation: an identity token in exchange for an access token.

https://platform.claude.com/docs/en/manage-claude/workload-identity-federation
"""

import json
import time
from functools import partial
from typing import Final

from count_tokens_mw.aio.threads import DaemonThreads
from count_tokens_mw.config.params.anthropic import AnthropicParams
from count_tokens_mw.config.secret_files import read_secret_file
from count_tokens_mw.errors import CredentialsUnavailable, UpstreamUnusable
from count_tokens_mw.providers.bearer import AccessToken, BearerTokens
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import unusable_answer
from count_tokens_mw.types import UpstreamAnswer, UpstreamCall

__all__ = ["federated_tokens"]

_SERVER: Final = "anthropic: the token server"
_PATH: Final = "/v1/oauth/token"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HEADERS: Final = (
    ("accept", "application/json"),
    ("anthropic-beta", "oauth-2025-04-20,oidc-federation-2026-04-01"),
    ("content-type", "application/json"),
)
_MOST_ASSERTION_BYTES: Final = 16 * 1024
_TRANSIENT: Final = frozenset({408, 429})


def federated_tokens(params: AnthropicParams, http: HttpClient) -> BearerTokens:
    """Return the access tokens of a deployment's identity."""
    return BearerTokens(_Exchange(params, http).fetch, _SERVER)


class _Exchange:
    """Exchange of an identity token, which is read anew each time, because others rotate it."""

    def __init__(self, params: AnthropicParams, http: HttpClient) -> None:
        self._params = params
        self._http = http
        _ = http.network  # opened here, in a thread, because it reads certificates
        self._threads = DaemonThreads()

    async def fetch(self) -> AccessToken:
        """Return a new access token.

        Raises:
            CredentialsUnavailable: no identity token, or Anthropic refuses it.
            UpstreamUnusable: no connection, or no token in the answer.
        """
        body = json.dumps(self._members(await self._identity_token())).encode()
        call = UpstreamCall("anthropic", self._params.api_base + _PATH, _HEADERS, body)
        now = time.time()
        return _parse(await self._http.post_to_token_server(call), now)

    def _members(self, identity_token: str) -> dict[str, str]:
        params = self._params
        members = {
            "grant_type": _GRANT,
            "assertion": identity_token,
            "federation_rule_id": params.anthropic_federation_rule_id,
            "organization_id": params.anthropic_organization_id,
            "service_account_id": params.anthropic_service_account_id,
            "workspace_id": params.anthropic_federation_workspace_id,
        }
        return {name: value for name, value in members.items() if value is not None}

    async def _identity_token(self) -> str:
        path = self._params.anthropic_identity_token_file
        text = self._params.anthropic_identity_token
        token = text.get_secret_value() if text else ""
        if path is not None:
            try:
                token = await self._threads.run(partial(read_secret_file, path))
            except (OSError, ValueError):  # not chained: it quotes the path
                raise CredentialsUnavailable(
                    "anthropic: the identity token file cannot be read."
                ) from None
        if not token or len(token.encode()) > _MOST_ASSERTION_BYTES:
            raise CredentialsUnavailable(
                "anthropic: the identity token is empty, or too long to be one."
            )
        return token


def _parse(answer: UpstreamAnswer, now: float) -> AccessToken:
    if 400 <= answer.status < 500 and answer.status not in _TRANSIENT:
        raise CredentialsUnavailable(
            f"{_SERVER} refused the identity token with the status {answer.status}."
        )
    if answer.status != 200:
        raise unusable_answer(_SERVER, answer, "instead of a token")
    try:
        members = json.loads(answer.body)
        token, seconds = members["access_token"], float(members["expires_in"])
        is_bearer = str(members.get("token_type") or "bearer").lower() == "bearer"
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError):
        raise UpstreamUnusable(f"{_SERVER} answered without a token.") from None
    is_token = isinstance(token, str) and token.isascii() and token.isprintable() and token
    if not is_token or not is_bearer or not 0 < seconds < float("inf"):
        raise UpstreamUnusable(f"{_SERVER} answered without a token.")
    return AccessToken(token, now + seconds)
