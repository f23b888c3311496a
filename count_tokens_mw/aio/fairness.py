"""Large bodies take turns on the event loop, so that small requests are answered in between."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from count_tokens_mw.aio.per_loop import PerLoop

__all__ = ["THREAD_ABOVE_BYTES", "YIELD_ABOVE_BYTES", "LoopFairness"]

YIELD_ABOVE_BYTES: Final = 256 * 1024
"""Bodies up to this size are processed without waiting for a turn: they take 2 ms at most."""

THREAD_ABOVE_BYTES: Final = 1024 * 1024
"""Bodies up to this size are translated on the loop, in 4 ms at most: a thread takes longer."""

T = TypeVar("T")


class LoopFairness:
    """A limit of one long piece of work per two iterations of an event loop, and of one thread.

    A large body may hold the loop for some milliseconds; a hundred in one iteration would hold it
    for a second. Several threads at once would compete with the loop for the GIL.
    """

    def __init__(self) -> None:
        self._on_loop = PerLoop(asyncio.Lock)
        self._in_thread = PerLoop(asyncio.Lock)

    async def checkpoint(self) -> None:
        """Wait for a turn on the event loop; it lasts until the caller's next `await`."""
        async with self._on_loop.get():
            await asyncio.sleep(0)

    async def run_sync(self, work: Callable[[], T]) -> T:
        """Run a function in a thread, one at a time, and return its result."""
        async with self._in_thread.get():
            return await asyncio.to_thread(work)
