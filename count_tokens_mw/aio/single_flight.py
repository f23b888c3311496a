"""Work that is done once for all who wait for it at the same time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

__all__ = ["SingleFlight"]

_REST_SECONDS: Final = 5

_logger = logging.getLogger("count_tokens_mw")


class SingleFlight:
    """Joins those who ask for the same work while it is under way, on each event loop.

    A waiter that leaves, by its deadline, does not end the work for the others; an error goes to
    all who waited. The work itself is abandoned after so many `seconds`: whatever it hangs in, the
    next one to ask starts anew.

    Args:
        work: what is done, for whoever asks.
        seconds: how long it may take.
        name: what the log calls it.
    """

    def __init__(self, work: Callable[[], Awaitable[Any]], seconds: float, name: str) -> None:
        self._work = work
        self._seconds = seconds
        self._name = name
        self._in_flight: dict[asyncio.AbstractEventLoop, asyncio.Task[Any]] = {}
        self._started_at: dict[asyncio.AbstractEventLoop, float] = {}

    async def run(self) -> Any:
        """Do the work, or wait for the one under way.

        Raises:
            TimeoutError: it took too long, or `cancel` ended it.
        """
        task = self._begin()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if task.cancelled() and waiter is not None and not waiter.cancelling():
                raise TimeoutError from None
            raise

    def start(self) -> None:
        """Begin the work in the background, unless it is under way or was begun a moment ago.

        A failure is logged, without its text, since nobody waits for it.
        """
        loop = asyncio.get_running_loop()
        if loop.time() - self._started_at.get(loop, -_REST_SECONDS) >= _REST_SECONDS:
            alive = {each: at for each, at in self._started_at.items() if not each.is_closed()}
            self._started_at = {**alive, loop: loop.time()}
            self._begin().add_done_callback(self._log_failure)

    async def cancel(self) -> None:
        """End what is under way on this loop, and wait until it has."""
        task = self._in_flight.pop(asyncio.get_running_loop(), None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _begin(self) -> asyncio.Task[Any]:
        loop = asyncio.get_running_loop()
        task = self._in_flight.get(loop)
        if task is None or task.done():
            task = loop.create_task(self._do())
            task.add_done_callback(_retrieve)
            alive = {each: t for each, t in self._in_flight.items() if not each.is_closed()}
            self._in_flight = {**alive, loop: task}
        return task

    async def _do(self) -> Any:
        async with asyncio.timeout(self._seconds):
            return await self._work()

    def _log_failure(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            kind = type(error.__cause__ or error).__qualname__
            _logger.warning("%s: failed with %s", self._name, kind)


def _retrieve(task: asyncio.Task[Any]) -> None:
    # All who waited may have left; asyncio would log the exception with its text.
    if not task.cancelled():
        task.exception()
