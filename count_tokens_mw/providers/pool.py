"""From a deployment to its provider. A provider's module is imported when it is first needed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from anyio import CancelScope

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.aio.guard import log_and_suppress
from count_tokens_mw.errors import CannotCount, CredentialsUnavailable
from count_tokens_mw.providers.base import Provider

if TYPE_CHECKING:
    import httpx

    from count_tokens_mw.config.models import Deployment, HttpSettings
    from count_tokens_mw.config.params.base import Params
    from count_tokens_mw.providers.http import HttpClient

__all__ = ["Provider", "Providers"]

_MOST_OPEN: Final = 1000


@dataclass(slots=True, eq=False)
class _Open:
    """An open provider, and how many use it. One that is `evicted` closes after its last use.

    `used` orders them by when they were last used.
    """

    provider: Provider
    users: int = 0
    used: int = 0
    evicted: bool = False


class Providers:
    """One provider for all deployments with equal parameters, opened on first use.

    They share one HTTP client, with the settings that were in force at first. At most `most_open`
    are kept open beside those in use, since a host's `resolve` may name any number.
    """

    def __init__(
        self,
        http_client: httpx.AsyncClient | None = None,
        http_settings: HttpSettings | None = None,
        fairness: LoopFairness | None = None,
        *,
        most_open: int = _MOST_OPEN,
    ) -> None:
        self._given_client = http_client
        self._http_settings = http_settings
        self._fairness = fairness
        self._http: HttpClient | None = None
        self._most_open = most_open
        self._open: dict[Hashable, _Open] = {}
        self._done_with: list[Provider] = []
        self._opening = threading.Lock()
        self._uses = count()

    def use(
        self, deployment: Deployment, seconds: float | None = None
    ) -> AbstractAsyncContextManager[Provider]:
        """The provider of a deployment, which stays open for as long as the `with` lasts.

        Raises:
            CannotCount: there is none that counts.
            CredentialsUnavailable: it is not configured well enough to be asked.
            TimeoutError: it takes more than so many seconds to open.
        """
        return _Use(self, deployment, seconds)

    async def acquire(self, deployment: Deployment, seconds: float | None) -> _Open:
        """Begin to use it; what `use` does first."""
        params = deployment.params
        if params is None:
            raise _unusable(deployment)
        opened = self._open.get(params.identity)
        if opened is None:
            async with asyncio.timeout(seconds):
                opened = await self._newly_opened(params)
        opened.users += 1
        opened.used = next(self._uses)
        return opened

    async def release(self, opened: _Open) -> None:
        """End the use of it; what `use` does last."""
        opened.users -= 1
        if opened.evicted and not opened.users:
            self._done_with.append(opened.provider)
        if len(self._open) > self._most_open:
            self._evict_surplus()
        if self._done_with:
            await self.close_unneeded()

    def retain(self, needed: Collection[Hashable]) -> None:
        """Have no use for any but those whose parameters have one of these identities.

        The others are closed by `close_unneeded`, or when their last user is done with them.
        """
        self._evict([identity for identity in list(self._open) if identity not in needed])

    async def close_unneeded(self) -> None:
        """Close what is no longer needed by anybody. What fails in it is logged."""
        while self._done_with:
            provider = self._done_with.pop()
            with log_and_suppress("closing a provider"):
                with CancelScope(shield=True):
                    await provider.aclose()

    async def aclose(self) -> None:
        """Close all that was opened, in use or not; a later use opens it again."""
        opened, self._open = self._open, {}
        self._done_with += [each.provider for each in opened.values()]
        await self.close_unneeded()
        if self._http is not None:
            await self._http.aclose()

    def _evict_surplus(self) -> None:
        surplus = len(self._open) - self._most_open
        idle = [item for item in list(self._open.items()) if not item[1].users]
        idle.sort(key=lambda item: item[1].used)
        self._evict([identity for identity, _ in idle[:surplus]])

    def _evict(self, identities: list[Hashable]) -> None:
        for identity in identities:
            opened = self._open.pop(identity)
            opened.evicted = True
            if not opened.users:
                self._done_with.append(opened.provider)

    async def _newly_opened(self, params: Params) -> _Open:
        while (opened := self._open.get(params.identity)) is None:
            # In a thread: a vendor's library is a third of a second to import.
            await asyncio.to_thread(self._open_once, params)
        return opened

    def _open_once(self, params: Params) -> None:
        with self._opening:
            if params.identity not in self._open:
                self._open[params.identity] = _Open(self._create(params))

    def _create(self, params: Params) -> Provider:
        from count_tokens_mw.config.params.anthropic import (
            AnthropicParams,
            AzureParams,
            PassthroughParams,
        )
        from count_tokens_mw.config.params.bedrock import BedrockParams
        from count_tokens_mw.config.params.google import GeminiParams, VertexParams

        match params:
            case PassthroughParams():
                from count_tokens_mw.providers.anthropic import AnthropicPassthrough

                return AnthropicPassthrough(params, self._http_client())
            case AzureParams():
                from count_tokens_mw.providers.anthropic import Anthropic

                return Anthropic(params, self._http_client(), name="azure_ai")
            case AnthropicParams():
                from count_tokens_mw.providers.anthropic import Anthropic

                return Anthropic(params, self._http_client())
            case BedrockParams():
                from count_tokens_mw.providers.bedrock.provider import Bedrock

                return Bedrock(params, self._http_client())
            case GeminiParams():
                from count_tokens_mw.providers.google.gemini import Gemini

                return Gemini(params, self._http_client())
            case VertexParams():
                from count_tokens_mw.providers.google.credentials import GoogleTokens
                from count_tokens_mw.providers.google.vertex import Vertex

                return Vertex(params, self._http_client(), GoogleTokens(params.vertex_credentials))
            case _:
                raise TypeError(f"no provider takes {type(params).__qualname__}")

    def _http_client(self) -> HttpClient:
        from count_tokens_mw.providers.http import HttpClient

        self._http = self._http or HttpClient(
            self._given_client, self._http_settings, self._fairness
        )
        return self._http


class _Use:
    """`Providers.use`: a class, since a generator takes longer than all the rest."""

    __slots__ = ("_deployment", "_opened", "_providers", "_seconds")

    def __init__(self, providers: Providers, deployment: Deployment, seconds: float | None) -> None:
        self._providers = providers
        self._deployment = deployment
        self._seconds = seconds

    async def __aenter__(self) -> Provider:
        self._opened = await self._providers.acquire(self._deployment, self._seconds)
        return self._opened.provider

    async def __aexit__(self, *_: object) -> None:
        await self._providers.release(self._opened)


def _unusable(deployment: Deployment) -> CannotCount | CredentialsUnavailable:
    if deployment.problem:  # which is for the operator to read
        return CredentialsUnavailable(f"This gateway is not configured for {deployment.provider}.")
    star = "*" in deployment.model_name
    model = deployment.upstream_model if star else deployment.model_name
    return CannotCount(
        f"{model[:256]} cannot be counted: this gateway knows no token counting API for it at the "
        f"provider {deployment.provider}."
    )
