"""A semaphore whose waiters proceed by turns between their owners.

Fair queuing: https://en.wikipedia.org/wiki/Fair_queuing
"""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass

__all__ = ["FairSemaphore", "QueueFull"]


class QueueFull(Exception):
    """The number of waiters is at its limit."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """An owner's wait for units; the flags are set by whoever grants them or takes its turn."""

    units: int
    future: asyncio.Future[None]
    is_granted: bool = False
    is_dropped: bool = False

    def wake(self, error: Exception | None = None) -> None:
        """End the wait, from any thread."""
        loop = self.future.get_loop()
        if not loop.is_closed():  # else its task is gone too
            loop.call_soon_threadsafe(_settle, self.future, error)


class FairSemaphore:
    """Units of a resource, such as places or bytes, with a queue for each owner.

    Waiters proceed in order of arrival within an owner, and by turns between owners. It may be used
    on several event loops, and `resize` may be called at any time.

    Args:
        capacity: the number of units.
        share: the part of the capacity that one owner may hold, and always a single wait's; None
            is no limit.
    """

    def __init__(self, capacity: int, share: float | None = None) -> None:
        self.capacity = capacity
        self._share = share
        self._lock = threading.Lock()
        self._held: dict[Hashable, int] = {}
        self._queues: OrderedDict[Hashable, deque[_Waiter]] = OrderedDict()
        self.in_use = 0
        self.waiting = 0

    def resize(self, capacity: int) -> None:
        """Have another number of units from now on, and let waiters proceed if there are more."""
        with self._lock:
            self.capacity = capacity
        self._grant()

    def try_acquire(self, owner: Hashable, units: int = 1) -> bool:
        """Take units and return True if they are free and no waiter comes first."""
        with self._lock:
            if self.in_use + units > self.capacity:
                return False
            if self._queues and (owner in self._queues or self._next_owner() is not None):
                return False
            if self._share is None:
                self.in_use += units
                return True
            if not self._has_share(owner, units):
                return False
            self._take(owner, units)
        return True

    async def acquire(
        self, owner: Hashable, units: int, *, seconds: float, max_waiting: int
    ) -> None:
        """Take units, and wait for them if necessary.

        Raises:
            QueueFull: `max_waiting` others wait already, or one of an owner with fewer came.
            TimeoutError: the units were not free within the time.
        """
        if self.try_acquire(owner, units):
            return
        waiter = _Waiter(units, asyncio.get_running_loop().create_future())
        with self._lock:
            if self.waiting >= max_waiting:
                self._make_room(owner)
            self.waiting += 1
            self._queues.setdefault(owner, deque()).append(waiter)
        self._grant()  # units may have become free since
        try:
            async with asyncio.timeout(seconds):
                await waiter.future
        except BaseException:
            if not self._withdraw(owner, waiter):
                self.release(owner, units)
            raise

    def release(self, owner: Hashable, units: int = 1) -> None:
        """Give units back, and let the next waiters proceed."""
        with self._lock:
            self.in_use -= units
            if self._share is not None:
                left = self._held.pop(owner) - units
                if left:
                    self._held[owner] = left
        if self._queues:
            self._grant()

    def _has_share(self, owner: Hashable, units: int) -> bool:
        if self._share is None or owner not in self._held:
            return True
        return self._held[owner] + units <= self._share * self.capacity

    def _take(self, owner: Hashable, units: int) -> None:
        self.in_use += units
        if self._share is not None:
            self._held[owner] = self._held.get(owner, 0) + units

    def _grant(self) -> None:
        """Let waiters proceed for as long as the first one with a share finds its units free."""
        granted: list[_Waiter] = []
        with self._lock:
            while (owner := self._next_owner()) is not None:
                queue = self._queues[owner]
                if self.in_use + queue[0].units > self.capacity:
                    break
                waiter = queue.popleft()
                self._take(owner, waiter.units)
                waiter.is_granted = True
                self.waiting -= 1
                self._queues.move_to_end(owner)
                if not queue:
                    del self._queues[owner]
                granted.append(waiter)
        for waiter in granted:
            waiter.wake()

    def _make_room(self, owner: Hashable) -> None:
        """Drop the last waiter of the owner with most of them, unless this owner has as many.

        Raises:
            QueueFull: this owner has as many.
        """
        most = max(self._queues, key=lambda other: len(self._queues[other]), default=owner)
        own = self._queues.get(owner, ())
        if most not in self._queues or len(self._queues[most]) <= len(own) + 1:
            raise QueueFull
        dropped = self._queues[most].pop()
        dropped.is_dropped = True
        self.waiting -= 1
        dropped.wake(QueueFull())

    def _next_owner(self) -> Hashable | None:
        for owner, queue in self._queues.items():
            if self._has_share(owner, queue[0].units):
                return owner
        return None

    def _withdraw(self, owner: Hashable, waiter: _Waiter) -> bool:
        """Take a waiter out of its queue if it is there; return False if it has its units."""
        with self._lock:
            if waiter.is_granted or waiter.is_dropped:
                return waiter.is_dropped
            queue = self._queues[owner]
            queue.remove(waiter)
            self.waiting -= 1
            if not queue:
                del self._queues[owner]
        self._grant()  # it may have held up others
        return True


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
