"""Cache and single flight of counts: identical upstream calls have identical answers.

https://cachetools.readthedocs.io
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from anyio import CancelScope

from count_tokens_mw.errors import UpstreamUnreachable
from count_tokens_mw.types import TokenCount

if TYPE_CHECKING:
    from cachetools import LRUCache

    from count_tokens_mw.cache.redis import SharedCounts
    from count_tokens_mw.config.models import CacheSettings

__all__ = ["CountCache"]


@dataclass(slots=True, eq=False)
class _Flight:
    """A call in flight, and the number of its waiters."""

    task: asyncio.Task[TokenCount]
    waiting: int = 0


class _Entry(NamedTuple):
    """A cached count and its expiry time.

    `TTLCache` does not fit: it gives every entry one TTL, and a count from Redis has less left.
    """

    tokens: TokenCount
    expires_at: float


class CountCache:
    """Cache of counts by key, with single flight: concurrent requests for a key share one call.

    Cancelling a waiter cancels the call only if it was the last one. A request that comes after
    any cancellation starts a new call, because the old one may hang. An error is raised to every
    waiter, and is not cached.

    With a `url` in the settings, a miss is looked up in a shared Redis. After `aclose` the next
    count opens connections again; after `retire` it does not.
    """

    def __init__(
        self, settings: CacheSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # Imported here, because only a count needs it: it would slow down the start.
        from cachetools import LRUCache

        self._ttl = settings.ttl
        self._clock = clock
        self._stored: LRUCache[bytes, _Entry] = LRUCache(settings.max_entries)
        self._shared = _create_shared(settings, clock)
        self._lock = threading.Lock()  # another thread may read the size for metrics
        self._in_flight: dict[tuple[asyncio.AbstractEventLoop, bytes], _Flight] = {}

    def __len__(self) -> int:
        """Return the number of entries, expired ones included: they are evicted lazily."""
        with self._lock:
            return len(self._stored)

    def get(self, key: bytes) -> TokenCount | None:
        """Return the count of a key, or None if it is not cached or has expired."""
        with self._lock:
            if key not in self._stored:
                return None
            entry = self._stored[key]
            if entry.expires_at <= self._clock():
                del self._stored[key]
                return None
        return entry.tokens

    async def count(self, key: bytes, call: Callable[[], Awaitable[TokenCount]]) -> TokenCount:
        """Return the count of a key: from the cache, from a call in flight, or from a new call."""
        stored = self.get(key)
        if stored is not None:
            return stored
        loop = asyncio.get_running_loop()
        flight_key = (loop, key)
        flight = self._in_flight.get(flight_key)
        is_first = flight is None
        if flight is None:
            flight = _Flight(loop.create_task(self._fetch(key, call)))
            flight.task.add_done_callback(_retrieve_error)
            self._in_flight[flight_key] = flight
        count = await self._wait(flight, flight_key)
        return count if is_first else _strip_headers(count)

    @property
    def is_open(self) -> bool:
        """Whether the cache has open connections."""
        return self._shared is not None and self._shared.is_open

    def retire(self) -> None:
        """Stop using Redis; calls in flight continue."""
        if self._shared is not None:
            self._shared.retire()

    async def aclose(self) -> None:
        """Close the Redis connections of the running event loop."""
        if self._shared is not None:
            await self._shared.aclose()

    async def _wait(
        self, flight: _Flight, flight_key: tuple[asyncio.AbstractEventLoop, bytes]
    ) -> TokenCount:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            # If this waiter was not cancelled itself, the host cancelled the task of the call.
            task = asyncio.current_task()
            if flight.task.cancelled() and task is not None and not task.cancelling():
                raise UpstreamUnreachable("The call to the provider was interrupted.") from None
            raise
        finally:
            flight.waiting -= 1
            if self._in_flight.get(flight_key) is flight:
                del self._in_flight[flight_key]
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
                with CancelScope(shield=True):  # the caller's exit may close the provider
                    await asyncio.wait([flight.task])

    async def _fetch(self, key: bytes, call: Callable[[], Awaitable[TokenCount]]) -> TokenCount:
        shared = None if self._shared is None else await self._shared.get(key)
        if shared is not None:
            self._store(key, *shared)
            return shared[0]
        count = await call()
        self._store(key, _strip_headers(count), self._ttl)
        if self._shared is not None:
            self._shared.set(key, count)
        return count

    def _store(self, key: bytes, count: TokenCount, seconds: float) -> None:
        with self._lock:
            self._stored[key] = _Entry(count, self._clock() + seconds)


def _create_shared(settings: CacheSettings, clock: Callable[[], float]) -> SharedCounts | None:
    if settings.url is None:
        return None
    # Imported at start, and only with a URL: redis-py takes long to import.
    from count_tokens_mw.cache.redis import SharedCounts

    return SharedCounts(settings.url.get_secret_value(), settings.ttl, clock)


def _strip_headers(count: TokenCount) -> TokenCount:
    """Return a count without its headers, which concern only the caller that made the call."""
    return TokenCount(count.input_tokens, "cache", count.body)


def _retrieve_error(task: asyncio.Task[TokenCount]) -> None:
    # asyncio logs an exception that no waiter retrieved, with its text, which may hold a secret.
    if not task.cancelled():
        task.exception()
