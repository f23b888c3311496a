"""Large bodies take turns, so that what is small is answered in between."""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

__all__ = ["LARGE", "Turns"]

LARGE: Final = 256 * 1024
"""So many bytes are worked on without waiting for a turn: in a millisecond or two at most."""


class Turns:
    """One piece of long work in every other round of an event loop.

    Each of a hundred large bodies may hold the loop for some milliseconds; all in one round of the
    loop, they would hold it for a second.
    """

    def __init__(self) -> None:
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )

    async def next(self) -> None:
        """Wait for a turn, which lasts until something is awaited."""
        lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:
            await asyncio.sleep(0)
