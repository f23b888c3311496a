"""Renewal of what expires, such as a token: single flight, bounded, and possibly ahead of time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from count_tokens_mw.aio.single_flight import SingleFlight

__all__ = ["Renewal"]

_MIN_INTERVAL_SECONDS: Final = 5

_logger = logging.getLogger("count_tokens_mw")


class Renewal:
    """Renewal that all concurrent callers on an event loop share.

    Cancelling a caller does not cancel it. A renewal that hangs is cancelled after `seconds`.

    Args:
        work: the async function to run.
        seconds: the time limit of one run.
        name: the name of the work in the log.
    """

    def __init__(self, work: Callable[[], Awaitable[Any]], seconds: float, name: str) -> None:
        self._work = work
        self._seconds = seconds
        self._name = name
        self._runs: SingleFlight[Any] = SingleFlight(keeps_running=True)
        self._next_start = 0.0

    async def run(self) -> Any:
        """Renew, or wait for the renewal in flight, and return its result.

        Raises:
            TimeoutError: the renewal took too long, or was cancelled by `cancel`.
        """
        result, _ = await self._runs.run("", self._run_work)
        return result

    def start(self) -> None:
        """Renew in the background, unless a renewal is in flight or was started seconds ago.

        A failure is logged, because nobody awaits the run. Its text is not: it may hold a secret.
        """
        if time.monotonic() >= self._next_start:
            self._next_start = time.monotonic() + _MIN_INTERVAL_SECONDS
            self._runs.start("", self._run_work).task.add_done_callback(self._log_failure)

    async def cancel(self) -> None:
        """Cancel the renewal in flight on this event loop, and wait until it has ended."""
        await self._runs.cancel("")

    async def _run_work(self) -> Any:
        async with asyncio.timeout(self._seconds):
            return await self._work()

    def _log_failure(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            kind = type(error.__cause__ or error).__qualname__
            _logger.warning("%s: failed with %s", self._name, kind)
