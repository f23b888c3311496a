"""Work that is done once for all who wait for it at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["SingleFlight"]


class SingleFlight:
    """Joins those who ask for the same work while it is under way, on each event loop.

    A waiter that leaves, by its deadline, does not end the work for the others; an error goes to
    all who waited. The work itself is abandoned after so many `seconds`: whatever it hangs in, the
    next one to ask starts anew.
    """

    def __init__(self, work: Callable[[], Awaitable[Any]], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._in_flight: dict[asyncio.AbstractEventLoop, asyncio.Task[Any]] = {}

    async def run(self) -> Any:
        """Do the work, or wait for the one under way.

        Raises:
            TimeoutError: it took too long, or `cancel` ended it.
        """
        task = self.start()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if task.cancelled() and waiter is not None and not waiter.cancelling():
                raise TimeoutError from None
            raise

    def start(self) -> asyncio.Task[Any]:
        """Begin the work unless it is under way. Nobody has to wait for it."""
        loop = asyncio.get_running_loop()
        task = self._in_flight.get(loop)
        if task is None or task.done():
            task = loop.create_task(self._do())
            task.add_done_callback(_retrieve)
            alive = {each: t for each, t in self._in_flight.items() if not each.is_closed()}
            self._in_flight = {**alive, loop: task}
        return task

    async def cancel(self) -> None:
        """End what is under way on this loop, and wait until it has."""
        task = self._in_flight.pop(asyncio.get_running_loop(), None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _do(self) -> Any:
        async with asyncio.timeout(self._seconds):
            return await self._work()


def _retrieve(task: asyncio.Task[Any]) -> None:
    # All who waited may have left; asyncio would log the exception with its text.
    if not task.cancelled():
        task.exception()
