"""Large bodies take turns, so that what is small is answered in between."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["YIELD_ABOVE_BYTES", "LoopFairness"]

YIELD_ABOVE_BYTES: Final = 256 * 1024
"""So many bytes are worked on without waiting for a turn: in a millisecond or two at most."""

T = TypeVar("T")


class LoopFairness:
    """One piece of long work in every other round of an event loop, and one in a thread beside it.

    Each of a hundred large bodies may hold the loop for some milliseconds; all in one round of the
    loop, they would hold it for a second. Many threads would each take their time from the loop.
    """

    def __init__(self) -> None:
        self._on_loop = _Locks()
        self._in_thread = _Locks()

    async def checkpoint(self) -> None:
        """Wait for a turn, which lasts until something is awaited."""
        async with self._on_loop.of_this_loop():
            await asyncio.sleep(0)

    async def run_sync(self, work: Callable[[], T]) -> T:
        """What a function returns that takes longer than a loop can be held."""
        async with self._in_thread.of_this_loop():
            return await asyncio.to_thread(work)


class _Locks(dict[asyncio.AbstractEventLoop, asyncio.Lock]):
    """One for each event loop, to which it belongs."""

    def of_this_loop(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if loop not in self:
            for closed in [each for each in self if each.is_closed()]:
                del self[closed]
            self[loop] = asyncio.Lock()
        return self[loop]
