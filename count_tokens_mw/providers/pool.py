"""Pool of open providers. A provider's module is imported on first use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from itertools import count
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Final

from anyio import CancelScope

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.aio.guard import log_and_suppress
from count_tokens_mw.config.model_names import kind_of_uncounted
from count_tokens_mw.config.models import Deployment, HttpSettings
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.providers import spec_of
from count_tokens_mw.errors import CannotCount, CredentialsUnavailable
from count_tokens_mw.providers.base import Provider

if TYPE_CHECKING:
    import httpx

    from count_tokens_mw.providers.http import HttpClient

__all__ = ["OpenProvider", "Provider", "Providers"]

_MOST_OPEN: Final = 1000


@dataclass(slots=True, eq=False)
class OpenProvider:
    """Open provider and its number of users; an `evicted` one closes after its last use.

    `last_used` is a sequence number.
    """

    provider: Provider
    users: int = 0
    last_used: int = 0
    evicted: bool = False


class Providers:
    """Pool with one provider for all deployments of equal parameters, opened on first use.

    All providers share one HTTP client, whose settings are never reloaded. Idle providers above
    `most_open` are evicted, because a host's `resolve` may name any number of deployments.
    """

    def __init__(
        self,
        http_client: httpx.AsyncClient | None = None,
        http_settings: HttpSettings | None = None,
        fairness: LoopFairness | None = None,
        *,
        most_open: int = _MOST_OPEN,
    ) -> None:
        self._host_client = http_client
        self._http_settings = http_settings
        self._fairness = fairness
        self._http: HttpClient | None = None
        self._most_open = most_open
        self._open: dict[Hashable, OpenProvider] = {}
        self._done_with: list[Provider] = []
        self._opening = threading.Lock()
        self._uses = count()

    async def acquire(self, deployment: Deployment, deadline: Deadline) -> OpenProvider:
        """Open a deployment's provider if necessary, and keep it open until `release`.

        Raises:
            CannotCount: the provider has no counting API.
            CredentialsUnavailable: the deployment lacks required configuration.
            DeadlineExceeded: opening takes too long.
        """
        params = deployment.params
        if params is None:
            raise _unusable_error(deployment)
        opened = self._open.get(params.identity)
        if opened is None:
            message = f"{deployment.provider} did not answer in time."
            opened = await deadline.run(self._open_in_thread(params), message)
        opened.users += 1
        opened.last_used = next(self._uses)
        return opened

    async def release(self, opened: OpenProvider) -> None:
        """Count one user less, and close the provider if it is evicted and idle."""
        opened.users -= 1
        if opened.evicted and not opened.users:
            self._done_with.append(opened.provider)
        if len(self._open) > self._most_open:
            self._evict_surplus()
        if self._done_with:
            await self.close_unneeded()

    def retain(self, needed: Collection[Hashable]) -> None:
        """Evict every provider whose identity is not in `needed`.

        `close_unneeded` closes the idle ones, `release` the others.
        """
        self._evict([identity for identity in list(self._open) if identity not in needed])

    async def close_unneeded(self) -> None:
        """Close evicted providers without users. Failures are logged."""
        while self._done_with:
            with CancelScope(shield=True):
                await log_and_suppress("closing a provider", self._done_with.pop().aclose())

    async def aclose(self) -> None:
        """Close all providers, in use or not; a later use opens them again."""
        opened, self._open = self._open, {}
        self._done_with += [open_.provider for open_ in opened.values()]
        await self.close_unneeded()
        if self._http is not None:
            await self._http.aclose()

    def _evict_surplus(self) -> None:
        surplus = len(self._open) - self._most_open
        idle = [item for item in list(self._open.items()) if not item[1].users]
        idle.sort(key=lambda item: item[1].last_used)
        self._evict([identity for identity, _ in idle[:surplus]])

    def _evict(self, identities: list[Hashable]) -> None:
        for identity in identities:
            opened = self._open.pop(identity)
            opened.evicted = True
            if not opened.users:
                self._done_with.append(opened.provider)

    async def _open_in_thread(self, params: Params) -> OpenProvider:
        while (opened := self._open.get(params.identity)) is None:
            # In a thread, because importing a vendor's library takes a third of a second.
            await asyncio.to_thread(self._open_once, params)
        return opened

    def _open_once(self, params: Params) -> None:
        with self._opening:
            if params.identity not in self._open:
                self._open[params.identity] = OpenProvider(self._create(params))

    def _create(self, params: Params) -> Provider:
        provider: Provider = resolve_name(spec_of(params).factory)(params, self._get_http_client())
        return provider

    def _get_http_client(self) -> HttpClient:
        from count_tokens_mw.providers.http import HttpClient

        self._http = self._http or HttpClient(
            self._host_client, self._http_settings, self._fairness
        )
        return self._http


def _unusable_error(deployment: Deployment) -> CannotCount | CredentialsUnavailable:
    if deployment.problem:  # for the operator only
        return CredentialsUnavailable("This gateway is not configured for this model.")
    star = "*" in deployment.model_name
    model = deployment.upstream_model if star else deployment.model_name
    kind = kind_of_uncounted(deployment.provider, deployment.upstream_model)
    return CannotCount(
        f"{model[:256]} cannot be counted: this gateway knows no token counting API for "
        f"{kind or 'it'} at the provider {deployment.provider}."
    )
