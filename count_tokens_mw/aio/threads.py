"""Daemon threads for the blocking calls of vendors' libraries."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

__all__ = ["DaemonThreads"]

_MOST_ABANDONED: Final = 16


class DaemonThreads:
    """Daemon threads for blocking work that may hang.

    asyncio's default executor has a handful of threads, which DNS lookups and the host share, and
    `asyncio.run` waits for them at its end. A daemon thread keeps no process alive. A thread whose
    waiter was cancelled is abandoned. While `most_abandoned` of them hang, no work is started. Each
    owner has its own limit, so that none exhausts another's.
    """

    def __init__(self, most_abandoned: int = _MOST_ABANDONED) -> None:
        self._most_abandoned = most_abandoned
        self._abandoned: set[Future[Any]] = set()

    async def run(self, work: Callable[[], Any]) -> Any:
        """Run a function in a new thread, and return its result.

        Raises:
            TimeoutError: too many abandoned threads still hang.
        """
        if len(self._abandoned) >= self._most_abandoned:
            raise TimeoutError
        result: Future[Any] = Future()
        result.set_running_or_notify_cancel()  # a running future cannot be cancelled by its waiter
        threading.Thread(target=_run, args=(work, result), daemon=True).start()
        try:
            return await asyncio.wrap_future(result)
        except asyncio.CancelledError:
            self._abandoned.add(result)
            result.add_done_callback(self._abandoned.discard)
            raise


def _run(work: Callable[[], Any], result: Future[Any]) -> None:
    try:
        value = work()
    except BaseException as error:  # noqa: BLE001 - raised where the work is awaited
        settle = partial(result.set_exception, error)
    else:
        settle = partial(result.set_result, value)
    settle()
