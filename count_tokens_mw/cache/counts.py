"""The same upstream request has the same answer: it is asked once, and remembered for a while.

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
    """A call that is under way, and how many wait for it."""

    task: asyncio.Task[TokenCount]
    waiting: int = 0


class _Kept(NamedTuple):
    """A count, and until when it is remembered; not `TTLCache`, since one from Redis has less."""

    tokens: TokenCount
    end: float


class CountCache:
    """Joins those who ask the same at the same time, and remembers what they were told.

    A waiter that leaves ends the call only if nobody else waits for it; who comes after that asks
    anew, for the call may hang. An error goes to all who waited, and is not remembered.

    With a `url` in its settings, what is not remembered here may be so in a Redis that others share
    with us. After `aclose` the next count opens its connections again, but not after `retire`.
    """

    def __init__(
        self, settings: CacheSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # Not at the top, as everything that only a count needs.
        from cachetools import LRUCache

        self._ttl = settings.ttl
        self._clock = clock
        self._stored: LRUCache[bytes, _Kept] = LRUCache(settings.max_entries)
        self._shared = _shared_counts(settings, clock)
        self._lock = threading.Lock()  # a host's metrics may be read in another thread
        self._in_flight: dict[tuple[asyncio.AbstractEventLoop, bytes], _Flight] = {}

    def __len__(self) -> int:
        """How many are held; those whose time is over go when they are asked for, or by number."""
        with self._lock:
            return len(self._stored)

    def get(self, key: bytes) -> TokenCount | None:
        """The count of this key, if it is remembered."""
        with self._lock:
            if key not in self._stored:
                return None
            kept = self._stored[key]
            if kept.end <= self._clock():
                del self._stored[key]
                return None
        return kept.tokens

    async def count(self, key: bytes, ask: Callable[[], Awaitable[TokenCount]]) -> TokenCount:
        """The count of this key: remembered, or of a call that is under way, or asked for."""
        stored = self.get(key)
        if stored is not None:
            return stored
        loop = asyncio.get_running_loop()
        place = (loop, key)
        flight = self._in_flight.get(place)
        is_first = flight is None
        if flight is None:
            flight = _Flight(loop.create_task(self._asked(key, ask)))
            flight.task.add_done_callback(_retrieve)
            self._in_flight[place] = flight
        count = await self._landed(flight, place)
        return count if is_first else _repeated(count)

    @property
    def is_open(self) -> bool:
        """Whether there are connections to close."""
        return self._shared is not None and self._shared.is_open

    def retire(self) -> None:
        """Share nothing any more; calls under way go on."""
        if self._shared is not None:
            self._shared.retire()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        if self._shared is not None:
            await self._shared.aclose()

    async def _landed(
        self, flight: _Flight, place: tuple[asyncio.AbstractEventLoop, bytes]
    ) -> TokenCount:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            # Unless it is we who were cancelled, a host has ended a task that it did not know.
            task = asyncio.current_task()
            if flight.task.cancelled() and task is not None and not task.cancelling():
                raise UpstreamUnreachable("The call to the provider was interrupted.") from None
            raise
        finally:
            flight.waiting -= 1
            if self._in_flight.get(place) is flight:
                del self._in_flight[place]
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
                with CancelScope(shield=True):  # its provider is open for as long as we are here
                    await asyncio.wait([flight.task])

    async def _asked(self, key: bytes, ask: Callable[[], Awaitable[TokenCount]]) -> TokenCount:
        found = None if self._shared is None else await self._shared.get(key)
        if found is not None:
            self._keep(key, *found)
            return found[0]
        count = await ask()
        self._keep(key, _repeated(count), self._ttl)
        if self._shared is not None:
            self._shared.set(key, count)
        return count

    def _keep(self, key: bytes, count: TokenCount, seconds: float) -> None:
        with self._lock:
            self._stored[key] = _Kept(count, self._clock() + seconds)


def _shared_counts(settings: CacheSettings, clock: Callable[[], float]) -> SharedCounts | None:
    if settings.url is None:
        return None
    # Here, where no request waits for it: redis-py takes long to import.
    from count_tokens_mw.cache.redis import SharedCounts

    return SharedCounts(settings.url.get_secret_value(), settings.ttl, clock)


def _repeated(count: TokenCount) -> TokenCount:
    """Without the headers, which concern only the one who was asked for."""
    return TokenCount(count.input_tokens, "cache", count.body)


def _retrieve(task: asyncio.Task[TokenCount]) -> None:
    # All who waited may have left; asyncio would log the exception with its text.
    if not task.cancelled():
        task.exception()
