"""Access tokens that an OAuth token server issues, renewed ahead of their expiry.

https://www.rfc-editor.org/rfc/rfc6749#section-5.1
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from count_tokens_mw.aio.renewal import Renewal
from count_tokens_mw.errors import DeadlineExceeded, UpstreamError
from count_tokens_mw.types import TokenCount, UpstreamCall

__all__ = ["AccessToken", "BearerTokens", "send_with_token"]

_RENEWAL_SECONDS: Final = 15
# Anthropic's own SDK renews in the background and waits at these; its tokens may live ten minutes.
_STALE_SECONDS: Final = 120
_EXPIRED_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token, and the time of its end in seconds since the epoch."""

    text: str = field(repr=False)
    expires_at: float


class BearerTokens:
    """Tokens of one identity at one token server.

    Renewals are single flight. A stale token stays in use while its renewal runs in the background.

    Args:
        fetch: asks the token server for a new token, and raises a `CountError` if there is none.
        server: the name of the token server in messages, with the provider's before it.
        seconds: the time limit of a renewal. Past it the renewal is abandoned, and the next caller
            starts another.
        clock: the seconds since the epoch.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[AccessToken]],
        server: str,
        *,
        seconds: float = _RENEWAL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._server = server
        self._clock = clock
        self._token = AccessToken("", 0)
        self._renewals = Renewal(self._renew, seconds, f"{server}: renewing a token")

    async def token(self) -> str:
        """Return an unexpired token.

        Raises:
            CredentialsUnavailable: the token server refuses this identity.
            UpstreamUnusable: the token server failed, or could not be reached.
            DeadlineExceeded: the token server did not answer in time.
        """
        seconds_left = self._token.expires_at - self._clock()
        if seconds_left <= _EXPIRED_SECONDS:
            await self._wait_for_renewal()
        elif seconds_left <= _STALE_SECONDS:
            self._renewals.start()
        return self._token.text

    async def replace(self, refused: str) -> str:
        """Return a token to replace a refused one; renew it unless another caller has done so.

        Raises:
            CredentialsUnavailable, UpstreamUnusable, DeadlineExceeded: see `token`.
        """
        if self._token.text == refused:
            await self._wait_for_renewal()
        return self._token.text

    async def aclose(self) -> None:
        """Cancel a renewal in flight."""
        await self._renewals.cancel()

    async def _wait_for_renewal(self) -> None:
        try:
            await self._renewals.run()
        except TimeoutError as error:
            raise DeadlineExceeded(f"{self._server} did not issue a token in time.") from error

    async def _renew(self) -> None:
        self._token = await self._fetch()


async def send_with_token(
    tokens: BearerTokens, call: UpstreamCall, post: Callable[[UpstreamCall], Awaitable[TokenCount]]
) -> TokenCount:
    """Send a call with a token as bearer, and retry it once with a new token after a 401.

    Raises:
        CountError: as `post` does, or there is no token.
    """
    token = await tokens.token()
    try:
        return await post(_sign(call, token))
    except UpstreamError as error:
        if error.status != 401:
            raise
    return await post(_sign(call, await tokens.replace(token)))


def _sign(call: UpstreamCall, token: str) -> UpstreamCall:
    return replace(call, headers=(("authorization", f"Bearer {token}"), *call.headers))
