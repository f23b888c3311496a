"""Work that is done once for all who wait for it at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Joined"]


class Joined:
    """Joins those who ask for the same work while it is under way, on each event loop.

    A waiter that leaves, by its deadline, does not end the work for the others; an error goes to
    all who waited, and the next one to ask starts anew.
    """

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self._work = work
        self._under_way: dict[asyncio.AbstractEventLoop, asyncio.Task[Any]] = {}

    async def done(self) -> Any:
        """Do the work, or wait for the one under way."""
        loop = asyncio.get_running_loop()
        task = self._under_way.get(loop)
        if task is None or task.done():
            task = loop.create_task(self._do())
            task.add_done_callback(_retrieve)
            alive = {each: t for each, t in self._under_way.items() if not each.is_closed()}
            self._under_way = {**alive, loop: task}
        return await asyncio.shield(task)

    async def settled(self) -> None:
        """Wait until nothing is under way on this loop."""
        task = self._under_way.pop(asyncio.get_running_loop(), None)
        if task is not None:
            await asyncio.wait([task])

    async def _do(self) -> Any:
        return await self._work()


def _retrieve(task: asyncio.Task[Any]) -> None:
    # All who waited may have left; asyncio would log the exception with its text.
    if not task.cancelled():
        task.exception()
