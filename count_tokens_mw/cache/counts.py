"""Cache of counts, in this process and in a Redis that processes share.

https://cachetools.readthedocs.io
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cachetools import LRUCache

from count_tokens_mw.cache.bounds import is_small
from count_tokens_mw.config.models import CacheSettings
from count_tokens_mw.types import TokenCount

if TYPE_CHECKING:
    from count_tokens_mw.cache.redis import SharedCounts

__all__ = ["CountCache"]


class CountCache:
    """Counts by key, without the headers of the answer, which concern only its caller.

    A count whose answer is over 4 KB is not stored, so the memory is bounded by `max_entries`.

    With a `url` in the settings, `fetch` also looks in a shared Redis, and `put` stores there.
    After `aclose` the next use opens connections again; after `retire` it does not.
    """

    def __init__(
        self, settings: CacheSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl = settings.ttl
        self._clock = clock
        # With the time of expiry; a TLRUCache takes 3 % longer per uncached count.
        self._stored: LRUCache[bytes, tuple[TokenCount, float]] = LRUCache(settings.max_entries)
        self._shared = _create_shared(settings, clock)
        self._lock = threading.Lock()  # another thread may read the size for metrics

    def __len__(self) -> int:
        """Return the number of entries, expired ones included: they are evicted by age alone."""
        with self._lock:
            return len(self._stored)

    @property
    def is_open(self) -> bool:
        """Whether the cache has open connections."""
        return self._shared is not None and self._shared.is_open

    def get(self, key: bytes) -> TokenCount | None:
        """Return the count of a key, or None if it is not in this process or has expired."""
        with self._lock:
            count, expires_at = self._stored.get(key, (None, 0))
        return count if expires_at > self._clock() else None

    async def fetch(self, key: bytes) -> TokenCount | None:
        """Return the count of a key from Redis, which is then in this process too, or None."""
        shared = None if self._shared is None else await self._shared.get(key)
        if shared is None:
            return None
        self._store(key, *shared)
        return shared[0]

    def put(self, key: bytes, count: TokenCount) -> None:
        """Store a provider's count, unless its answer is too long."""
        if not is_small(count):
            return
        self._store(key, count.from_cache(), self._ttl)
        if self._shared is not None:
            self._shared.set(key, count)

    def retire(self) -> None:
        """Drop the counts and stop using Redis; calls in flight continue."""
        with self._lock:
            self._stored.clear()
        if self._shared is not None:
            self._shared.retire()

    async def aclose(self) -> None:
        """Close the Redis connections of the running event loop."""
        if self._shared is not None:
            await self._shared.aclose()

    def _store(self, key: bytes, count: TokenCount, seconds: float) -> None:
        with self._lock:
            self._stored[key] = (count, self._clock() + seconds)


def _create_shared(settings: CacheSettings, clock: Callable[[], float]) -> SharedCounts | None:
    if settings.url is None:
        return None
    # Imported at start, and only with a URL: redis-py takes long to import.
    from count_tokens_mw.cache.redis import SharedCounts

    return SharedCounts(settings.url.get_secret_value(), settings.ttl, clock)
