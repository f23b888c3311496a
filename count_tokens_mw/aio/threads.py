"""Threads for what vendors' libraries wait for without asyncio."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

__all__ = ["DaemonThreads"]

_MOST: Final = 4


class DaemonThreads:
    """A few threads of our own, for work that may hang.

    asyncio's default executor has a handful of threads, which DNS and the host share, and
    `asyncio.run` does not end before all of them have. These keep no process alive, and one whose
    waiter has left is abandoned. Each owner has its own, so that none can take another's.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._free = threading.BoundedSemaphore(most)

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return what a function returns.

        Raises:
            TimeoutError: every thread is at work, which is to say that all of them hang.
        """
        if not self._free.acquire(blocking=False):
            raise TimeoutError
        result: Future[Any] = Future()
        result.set_running_or_notify_cancel()  # a waiter that leaves does not cancel it
        try:
            threading.Thread(target=self._do, args=(work, result), daemon=True).start()
        except RuntimeError:  # the system has no more threads
            self._free.release()
            raise
        return await asyncio.wrap_future(result)

    def _do(self, work: Callable[[], Any], result: Future[Any]) -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is awaited
            settle = partial(result.set_exception, error)
        else:
            settle = partial(result.set_result, value)
        finally:
            self._free.release()
        settle()
