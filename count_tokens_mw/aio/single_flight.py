"""Single flight: work that runs once for all concurrent waiters."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

__all__ = ["SingleFlight"]

_MIN_INTERVAL_SECONDS: Final = 5

_logger = logging.getLogger("count_tokens_mw")


class SingleFlight:
    """Runner that lets all concurrent callers on an event loop await one run of the work.

    Cancelling a waiter does not cancel the work. An error is raised to every waiter. A run that
    hangs is cancelled after `seconds`, and the next caller starts a new one.

    Args:
        work: the async function to run.
        seconds: the time limit of one run.
        name: the name of the work in the log.
    """

    def __init__(self, work: Callable[[], Awaitable[Any]], seconds: float, name: str) -> None:
        self._work = work
        self._seconds = seconds
        self._name = name
        self._in_flight: dict[asyncio.AbstractEventLoop, asyncio.Task[Any]] = {}
        self._started_at: dict[asyncio.AbstractEventLoop, float] = {}

    async def run(self) -> Any:
        """Run the work, or wait for the run in flight, and return its result.

        Raises:
            TimeoutError: the run took too long, or was cancelled by `cancel`.
        """
        task = self._join()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if task.cancelled() and waiter is not None and not waiter.cancelling():
                raise TimeoutError from None
            raise

    def start(self) -> None:
        """Start a run in the background, unless one is in flight or was started seconds ago.

        A failure is logged, because nobody awaits the run. Its text is not: it may hold a secret.
        """
        loop = asyncio.get_running_loop()
        last_start = self._started_at.get(loop, -_MIN_INTERVAL_SECONDS)
        if loop.time() - last_start >= _MIN_INTERVAL_SECONDS:
            started = self._started_at.items()
            alive = {other: at for other, at in started if not other.is_closed()}
            self._started_at = {**alive, loop: loop.time()}
            self._join().add_done_callback(self._log_failure)

    async def cancel(self) -> None:
        """Cancel the run in flight on this event loop, and wait until it has ended."""
        task = self._in_flight.pop(asyncio.get_running_loop(), None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _join(self) -> asyncio.Task[Any]:
        loop = asyncio.get_running_loop()
        task = self._in_flight.get(loop)
        if task is None or task.done():
            task = loop.create_task(self._run_work())
            task.add_done_callback(_retrieve_error)
            in_flight = self._in_flight.items()
            alive = {other: run for other, run in in_flight if not other.is_closed()}
            self._in_flight = {**alive, loop: task}
        return task

    async def _run_work(self) -> Any:
        async with asyncio.timeout(self._seconds):
            return await self._work()

    def _log_failure(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            kind = type(error.__cause__ or error).__qualname__
            _logger.warning("%s: failed with %s", self._name, kind)


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    # asyncio logs an exception that no waiter retrieved, with its text, which may hold a secret.
    if not task.cancelled():
        task.exception()
