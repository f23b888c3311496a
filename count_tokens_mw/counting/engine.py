"""The counting engine: from a request to its provider's count, without HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.aio.guard import notify
from count_tokens_mw.cache.sender import CachedSender
from count_tokens_mw.config import Config
from count_tokens_mw.config.models import Deployment
from count_tokens_mw.counting.admission import Admission
from count_tokens_mw.counting.failover import Failover
from count_tokens_mw.counting.job import Job
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import NotFound
from count_tokens_mw.host.callbacks import Resolver, call_resolve
from count_tokens_mw.providers.pool import Providers
from count_tokens_mw.types import TokenCount

if TYPE_CHECKING:
    import httpx

__all__ = ["CountingEngine"]


class CountingEngine:
    """Engine that counts requests by the deployments of a configuration, which can be reloaded.

    `snapshot` is the configuration in force. A request reads it once, at its start. `sender` keeps
    the caches. `admission` has the places of counts in flight. `fairness` bounds the time for which
    large bodies hold the event loop. `observers` are called when `in_flight` or the number of
    cached counts changes; an exception of theirs is logged and suppressed.

    Args:
        config: the first configuration.
        http_client: the host's own client for upstream calls.
        resolve: the host's callable that returns its own deployments of a model.
        clock: the monotonic time in seconds, for cooldowns and caches.
        pause: the sleep before a retry.
    """

    def __init__(
        self,
        config: Config,
        http_client: httpx.AsyncClient | None = None,
        resolve: Resolver | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._resolve = resolve
        self.snapshot = ConfigSnapshot(config, clock)
        self.fairness = LoopFairness()
        self.sender = CachedSender(config.settings.cache, self.fairness, clock, self._notify)
        self._providers = Providers(http_client, config.settings.http, self.fairness)
        self._failover = Failover(self._providers, self.sender, self.fairness, pause, clock)
        self.admission = Admission(config.settings, self._notify)
        self.observers: list[Callable[[], object]] = []
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """The number of places in use."""
        return self.admission.places.in_use

    async def count(self, job: Job) -> TokenCount:
        """Count a request by the deployments of its model, in turn.

        Raises:
            NotFound: the model is not configured.
            CountError: no deployment counted; see `Failover.first_count`.
        """
        router, model, resolved = job.snapshot.router, job.request.model, None
        if self._resolve is not None:
            resolved = await call_resolve(self._resolve, model, job.record.caller, job.deadline)
        deployments = router.find(model) if resolved is None else router.arrange(resolved, model)
        return await self.count_by(deployments, job)

    async def pass_through(self, job: Job) -> TokenCount:
        """Count a request by the Anthropic pass-through, with the model that the request names.

        Raises:
            NotFound: no pass-through is configured.
            CountError: Anthropic did not count.
        """
        if job.snapshot.passthrough is None:
            raise NotFound("The Anthropic pass-through is not configured on this gateway.")
        update = {"upstream_model": job.request.model}
        return await self.count_by([job.snapshot.passthrough.model_copy(update=update)], job)

    async def count_by(self, deployments: Sequence[Deployment], job: Job) -> TokenCount:
        """Count a request by these deployments, whatever the request's model is.

        Raises:
            CountError: no deployment counted; see `Failover.first_count`.
        """
        try:
            return await self._failover.first_count(job, deployments)
        finally:
            if job.snapshot is not self.snapshot:  # it may have reopened a closed client
                self._providers.retain(self.snapshot.identities)
                self._schedule_closing()

    def reload(self, config: Config) -> None:
        """Replace the configuration for all requests that start from now on.

        A request in flight keeps the configuration that it started with. A client that the new
        configuration does not need is closed when its last request ends.
        """
        before, self.snapshot = self.snapshot, ConfigSnapshot(config, self._clock)
        self._providers.retain(self.snapshot.identities)
        self.admission.reload(config.settings)
        if config.settings.cache != before.settings.cache:
            self.sender.reload(config.settings.cache)
        self._schedule_closing()

    async def aclose(self) -> None:
        """Close all connections to providers and to Redis."""
        await self._providers.aclose()
        await self.sender.aclose()

    def _notify(self) -> None:
        for observer in self.observers:
            notify(observer)

    def _schedule_closing(self) -> None:
        try:
            closing = asyncio.get_running_loop().create_task(self._close_unneeded())
        except RuntimeError:  # no event loop runs: the next count or `aclose` closes them
            return
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_unneeded(self) -> None:
        await self.sender.close_former()
        await self._providers.close_unneeded()
