"""Threads for what vendors' libraries wait for without asyncio."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

__all__ = ["DaemonThreads"]

_MOST_ABANDONED: Final = 16


class DaemonThreads:
    """Threads of our own, for work that may hang.

    asyncio's default executor has a handful of threads, which DNS and the host share, and
    `asyncio.run` does not end before all of them have. These keep no process alive. A thread whose
    waiter has left is abandoned; so many at most are, and beyond them no work is begun. Each owner
    has its own, so that none can take another's.
    """

    def __init__(self, most_abandoned: int = _MOST_ABANDONED) -> None:
        self._most_abandoned = most_abandoned
        self._abandoned: set[Future[Any]] = set()

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return what a function returns.

        Raises:
            TimeoutError: too many threads hang in work that was abandoned.
        """
        if len(self._abandoned) >= self._most_abandoned:
            raise TimeoutError
        result: Future[Any] = Future()
        result.set_running_or_notify_cancel()  # a waiter that leaves does not cancel it
        threading.Thread(target=_do, args=(work, result), daemon=True).start()
        try:
            return await asyncio.wrap_future(result)
        except asyncio.CancelledError:
            self._abandoned.add(result)
            result.add_done_callback(self._abandoned.discard)
            raise


def _do(work: Callable[[], Any], result: Future[Any]) -> None:
    try:
        value = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where the work is awaited
        settle = partial(result.set_exception, error)
    else:
        settle = partial(result.set_result, value)
    settle()
