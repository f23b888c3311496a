"""One count without HTTP: from a request to the number that its provider gives."""

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
    """Counts requests by the deployments of a configuration, which can be replaced.

    `snapshot` is the configuration that is in force. A request reads it once, when it begins.
    `memo` is None where the cache is off; `fairness` bounds how long large bodies hold the loop.

    Args:
        config: the configuration to begin with.
        http_client: the host's own client for upstream calls.
        resolve: the host's own deployments.
        clock: what time it is, for cooldowns.
        pause: how to wait before a retry.
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
        self._remember()

    @property
    def in_flight(self) -> int:
        """How many of the places of `slot` are taken."""
        return self._slots.taken

    @property
    def free(self) -> int:
        """How many of the places of `slot` are not taken."""
        return max(0, self.snapshot.settings.max_concurrency - self._slots.taken)

    @property
    def cache_size(self) -> int:
        """How many counts are in the cache."""
        return 0 if self._cache is None else len(self._cache)

    def slot(self) -> AbstractContextManager[None]:
        """Hold one of the `max_concurrency` places, from before a body is read.

        Raises:
            TooManyRequests: all are taken.
        """
        if self._slots.taken >= self.snapshot.settings.max_concurrency:
            raise TooManyRequests("This gateway has too many counts under way; try again.")
        return self._slots

    async def count(
        self, request: CountRequest, snapshot: ConfigSnapshot, record: RequestRecord
    ) -> TokenCount:
        """Ask the deployments of the request's model in turn, all within one deadline.

        Raises:
            NotFound: the model is not configured.
            CountError: nobody counted; it is what the first deployment said.
        """
        if self._resolve is None:
            deployments = snapshot.router.find(request.model)
            known = self._known(deployments, request, snapshot, record)
            if known is not None:  # before anything is done that only a call needs
                return known
            deadline = _deadline(snapshot)
        else:
            deadline = _deadline(snapshot)
            deployments = await self._resolved(
                self._resolve, request.model, snapshot, record, deadline
            )
            known = self._known(deployments, request, snapshot, record)
        return known or await self._first_count(deployments, request, snapshot, record, deadline)

    async def count_by(
        self,
        deployment: Deployment,
        request: CountRequest,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
    ) -> TokenCount:
        """Ask one deployment, whatever the request's model is.

        Raises:
            CountError: what it said.
        """
        deadline = _deadline(snapshot)
        return await self._first_count([deployment], request, snapshot, record, deadline)

    async def pass_through(
        self, request: CountRequest, snapshot: ConfigSnapshot, record: RequestRecord
    ) -> TokenCount:
        """Ask Anthropic for whatever model the request names.

        Raises:
            NotFound: no pass-through is configured.
            CountError: what Anthropic said.
        """
        if snapshot.passthrough is None:
            raise NotFound("The Anthropic pass-through is not configured on this gateway.")
        deadline = _deadline(snapshot)
        deployment = snapshot.passthrough.model_copy(update={"upstream_model": request.model})
        known = self._known([deployment], request, snapshot, record)
        return known or await self._first_count([deployment], request, snapshot, record, deadline)

    def reload(self, config: Config) -> None:
        """Put another configuration in force for all requests that begin from now on.

        Those under way keep to theirs. A client that the new one has no use for is closed when
        nobody uses it any more.
        """
        snapshot = ConfigSnapshot(config, self._clock)
        self._providers.retain(snapshot.identities)
        before, self.snapshot = self.snapshot.settings.cache, snapshot
        if config.settings.cache != before:
            if self._cache is not None:
                self._cache.retire()
                self._former_caches.append(self._cache)
            self._remember()
        self._close_unneeded()

    async def aclose(self) -> None:
        """Close what was opened for counting."""
        await self._providers.aclose()
        if self._cache is not None:
            await self._cache.aclose()
        await self._close_former_caches()

    def _remember(self) -> None:
        settings = self.snapshot.settings.cache
        self._cache = CountCache(settings, self._clock) if settings.ttl else None
        self.memo = RequestMemo(settings.max_entries) if settings.ttl else None

    async def _resolved(
        self,
        resolve: Resolver,
        model: str,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
        deadline: float,
    ) -> Sequence[Deployment]:
        try:
            async with asyncio.timeout_at(deadline):
                found = await call_resolve(resolve, model, record.caller)
        except TimeoutError:
            raise DeadlineExceeded("The gateway did not find the model in time.") from None
        return snapshot.router.find(model) if found is None else snapshot.router.among(found, model)

    async def _first_count(
        self,
        deployments: Sequence[Deployment],
        request: CountRequest,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
        deadline: float,
    ) -> TokenCount:
        attempts = Failover(
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
            return await attempts.first_count(deployments)
        finally:
            if snapshot is not self.snapshot:  # it may have opened again what a reload had closed
                self._providers.retain(self.snapshot.identities)
                self._close_unneeded()

    def _known(
        self,
        deployments: Sequence[Deployment],
        request: CountRequest,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
    ) -> TokenCount | None:
        """The count of a body that came before byte for byte, by the deployment to ask first."""
        cache = self._cache
        if cache is None or not request.known_calls:
            return None
        started = time.perf_counter()
        first = snapshot.cooldown.healthy_first(deployments)[0]
        place = first.params and (first.params.account, first.upstream_model)
        for account, model, fingerprint in request.known_calls:
            if (account, model) == place:
                count = cache.get(fingerprint)
                if count is not None:
                    record.add_attempt(first, count, started)
                return count
        return None

    def _close_unneeded(self) -> None:
        try:
            closing = asyncio.get_running_loop().create_task(self._closed_unneeded())
        except RuntimeError:  # no loop: the next count closes them, or `aclose`
            return
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _closed_unneeded(self) -> None:
        await self._close_former_caches()
        await self._providers.close_unneeded()

    async def _close_former_caches(self) -> None:
        for cache in list(self._former_caches):
            await cache.aclose()
        self._former_caches = [cache for cache in self._former_caches if cache.is_open]


def _deadline(snapshot: ConfigSnapshot) -> float:
    """Of a count that begins now, by the event loop's clock."""
    return asyncio.get_running_loop().time() + snapshot.settings.timeout


class _Slots:
    """How many places are taken, as a `with` that takes one."""

    def __init__(self) -> None:
        self.taken = 0

    def __enter__(self) -> None:
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1
