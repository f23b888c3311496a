"""Large bodies take turns on the event loop, so that small requests are answered in between."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["YIELD_ABOVE_BYTES", "LoopFairness"]

YIELD_ABOVE_BYTES: Final = 256 * 1024
"""Bodies up to this size are processed without waiting for a turn: they take 2 ms at most."""

T = TypeVar("T")


class LoopFairness:
    """A limit of one long piece of work per two iterations of an event loop, and of one thread.

    A large body may hold the loop for some milliseconds; a hundred in one iteration would hold it
    for a second. Several threads at once would compete with the loop for the GIL.
    """

    def __init__(self) -> None:
        self._on_loop = _Locks()
        self._in_thread = _Locks()

    async def checkpoint(self) -> None:
        """Wait for a turn on the event loop; it lasts until the caller's next `await`."""
        async with self._on_loop.for_running_loop():
            await asyncio.sleep(0)

    async def run_sync(self, work: Callable[[], T]) -> T:
        """Run a function in a thread, one at a time, and return its result."""
        async with self._in_thread.for_running_loop():
            return await asyncio.to_thread(work)


class _Locks(dict[asyncio.AbstractEventLoop, asyncio.Lock]):
    """Locks by event loop; an `asyncio.Lock` works on one loop only."""

    def for_running_loop(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if loop not in self:
            for closed_loop in [other for other in self if other.is_closed()]:
                del self[closed_loop]
            self[loop] = asyncio.Lock()
        return self[loop]
