"""The counting engine: from a request to its provider's count, without HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.cache.counts import CountCache
from count_tokens_mw.cache.memo import RequestMemo
from count_tokens_mw.config import Config
from count_tokens_mw.counting.failover import Failover
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import DeadlineExceeded, NotFound, TooManyRequests
from count_tokens_mw.host.callbacks import Resolver, call_resolve
from count_tokens_mw.providers.pool import Providers
from count_tokens_mw.types import CountRequest, TokenCount

if TYPE_CHECKING:
    import httpx

    from count_tokens_mw.config.models import Deployment

__all__ = ["CountingEngine"]


class CountingEngine:
    """Engine that counts requests by the deployments of a configuration, which can be reloaded.

    `snapshot` is the configuration in force. A request reads it once, at its start. `memo` is None
    if the cache is off. `fairness` bounds the time for which large bodies hold the event loop.

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
        self._pause = pause
        self._resolve = resolve
        self.fairness = LoopFairness()
        self._providers = Providers(http_client, config.settings.http, self.fairness)
        self._slots = _Slots()
        self._closing: set[asyncio.Task[None]] = set()
        self._former_caches: list[CountCache] = []
        self.snapshot = ConfigSnapshot(config, clock)
        self._create_cache()

    @property
    def in_flight(self) -> int:
        """The number of slots in use."""
        return self._slots.in_use

    @property
    def free(self) -> int:
        """The number of free slots."""
        return max(0, self.snapshot.settings.max_concurrency - self._slots.in_use)

    @property
    def cache_size(self) -> int:
        """The number of counts in the cache."""
        return 0 if self._cache is None else len(self._cache)

    def slot(self) -> AbstractContextManager[None]:
        """Acquire one of the `max_concurrency` slots; the caller enters it before it reads a body.

        Raises:
            TooManyRequests: no slot is free.
        """
        if self._slots.in_use >= self.snapshot.settings.max_concurrency:
            raise TooManyRequests("This gateway has too many counts in flight; try again.")
        return self._slots

    async def count(
        self, request: CountRequest, snapshot: ConfigSnapshot, record: RequestRecord
    ) -> TokenCount:
        """Count a request by the deployments of its model, in turn within one deadline.

        Raises:
            NotFound: the model is not configured.
            CountError: no deployment counted; see `Failover.first_count`.
        """
        if self._resolve is None:
            deployments = snapshot.router.find(request.model)
            known = self._known_count(deployments, request, snapshot, record)
            if known is not None:  # a cache hit needs no deadline
                return known
            deadline = _deadline(snapshot)
        else:
            deadline = _deadline(snapshot)
            deployments = await self._resolve_deployments(
                self._resolve, request.model, snapshot, record, deadline
            )
            known = self._known_count(deployments, request, snapshot, record)
        return known or await self._first_count(deployments, request, snapshot, record, deadline)

    async def count_by(
        self,
        deployment: Deployment,
        request: CountRequest,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
    ) -> TokenCount:
        """Count a request by one deployment, whatever the request's model is.

        Raises:
            CountError: the deployment did not count.
        """
        deadline = _deadline(snapshot)
        return await self._first_count([deployment], request, snapshot, record, deadline)

    async def pass_through(
        self, request: CountRequest, snapshot: ConfigSnapshot, record: RequestRecord
    ) -> TokenCount:
        """Count a request by the Anthropic pass-through, with the model that the request names.

        Raises:
            NotFound: no pass-through is configured.
            CountError: Anthropic did not count.
        """
        if snapshot.passthrough is None:
            raise NotFound("The Anthropic pass-through is not configured on this gateway.")
        deadline = _deadline(snapshot)
        deployment = snapshot.passthrough.model_copy(update={"upstream_model": request.model})
        known = self._known_count([deployment], request, snapshot, record)
        return known or await self._first_count([deployment], request, snapshot, record, deadline)

    def reload(self, config: Config) -> None:
        """Replace the configuration for all requests that start from now on.

        A request in flight keeps the configuration that it started with. A client that the new
        configuration does not need is closed when its last request ends.
        """
        snapshot = ConfigSnapshot(config, self._clock)
        self._providers.retain(snapshot.identities)
        before, self.snapshot = self.snapshot.settings.cache, snapshot
        if config.settings.cache != before:
            if self._cache is not None:
                self._cache.retire()
                self._former_caches.append(self._cache)
            self._create_cache()
        self._schedule_closing()

    async def aclose(self) -> None:
        """Close all connections to providers and to Redis."""
        await self._providers.aclose()
        if self._cache is not None:
            await self._cache.aclose()
        await self._close_former_caches()

    def _create_cache(self) -> None:
        settings = self.snapshot.settings.cache
        self._cache = CountCache(settings, self._clock) if settings.ttl else None
        self.memo = RequestMemo(settings.max_entries) if settings.ttl else None

    async def _resolve_deployments(
        self,
        resolve: Resolver,
        model: str,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
        deadline: float,
    ) -> Sequence[Deployment]:
        try:
            async with asyncio.timeout_at(deadline):
                resolved = await call_resolve(resolve, model, record.caller)
        except TimeoutError:
            raise DeadlineExceeded("The gateway did not find the model in time.") from None
        if resolved is None:
            return snapshot.router.find(model)
        return snapshot.router.arrange(resolved, model)

    async def _first_count(
        self,
        deployments: Sequence[Deployment],
        request: CountRequest,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
        deadline: float,
    ) -> TokenCount:
        failover = Failover(
            snapshot,
            self._providers,
            self._cache,
            request,
            record,
            deadline,
            self._pause,
            self.memo,
            self.fairness,
        )
        try:
            return await failover.first_count(deployments)
        finally:
            if snapshot is not self.snapshot:  # it may have reopened a closed client
                self._providers.retain(self.snapshot.identities)
                self._schedule_closing()

    def _known_count(
        self,
        deployments: Sequence[Deployment],
        request: CountRequest,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
    ) -> TokenCount | None:
        """Return the cached count of a byte-identical body, by the first deployment, or None."""
        cache = self._cache
        if cache is None or not request.known_calls:
            return None
        started = time.perf_counter()
        first = snapshot.cooldown.healthy_first(deployments)[0]
        target = first.params and (first.params.account, first.upstream_model)
        for account, model, fingerprint in request.known_calls:
            if (account, model) == target:
                count = cache.get(fingerprint)
                if count is not None:
                    record.add_attempt(first, count, started)
                return count
        return None

    def _schedule_closing(self) -> None:
        try:
            closing = asyncio.get_running_loop().create_task(self._close_unneeded())
        except RuntimeError:  # no event loop runs: the next count or `aclose` closes them
            return
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_unneeded(self) -> None:
        await self._close_former_caches()
        await self._providers.close_unneeded()

    async def _close_former_caches(self) -> None:
        for cache in list(self._former_caches):
            await cache.aclose()
        self._former_caches = [cache for cache in self._former_caches if cache.is_open]


def _deadline(snapshot: ConfigSnapshot) -> float:
    """Return the deadline of a count that starts now, by the event loop's clock."""
    return asyncio.get_running_loop().time() + snapshot.settings.timeout


class _Slots:
    """Counter of the slots in use; a `with` block uses one."""

    def __init__(self) -> None:
        self.in_use = 0

    def __enter__(self) -> None:
        self.in_use += 1

    def __exit__(self, *_: object) -> None:
        self.in_use -= 1
