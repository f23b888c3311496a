"""The deadline of a request, which costs nothing where a coroutine does not have to wait.

`asyncio.timeout` sets a timer and cancels it, which takes longer than a cache hit. Most bodies have
arrived when they are read, and most hosts authorise a caller without waiting.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

from count_tokens_mw.errors import DeadlineExceeded

__all__ = ["Deadline"]

T = TypeVar("T")


class Deadline:
    """A point in time by the running event loop's clock, `seconds` from now."""

    _paused_at: float | None = None
    _timer: asyncio.Timeout | None = None

    def __init__(self, seconds: float) -> None:
        self._at = asyncio.get_running_loop().time() + seconds

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, which are negative after it."""
        return self._at - _now()

    def pause(self) -> None:
        """Stop the clock, for a `run` in progress too."""
        self._paused_at = _now()
        if self._timer is not None:
            self._timer.reschedule(None)

    def resume(self) -> None:
        """Let the paused clock go on, which moves the deadline by the time in between."""
        if self._paused_at is not None:
            self._at += _now() - self._paused_at
            self._paused_at = None
        if self._timer is not None:
            self._timer.reschedule(self._at)

    async def run(
        self, work: Coroutine[Any, Any, T], message: str, *, pauses: "Deadline | None" = None
    ) -> T:
        """Run a coroutine, one at a time for each deadline, and return its result.

        Another deadline, which it `pauses`, stands still while the coroutine waits.

        Raises:
            DeadlineExceeded: the coroutine still waited at the deadline; it was cancelled.
        """
        try:
            awaited = work.send(None)
        except StopIteration as finished:
            result: T = finished.value
            return result
        if pauses is None:
            return await self.wait(_continue(work, awaited), message)
        pauses.pause()
        try:
            return await self.wait(_continue(work, awaited), message)
        finally:
            pauses.resume()

    async def wait(self, work: Awaitable[T], message: str) -> T:
        """Await the work like `run`, at less cost if it has to wait, and more if it has not."""
        timer = asyncio.timeout_at(self._at if self._paused_at is None else None)
        try:
            async with timer:
                self._timer = timer
                try:
                    return await work
                finally:
                    self._timer = None
        except TimeoutError:
            if timer.expired():
                raise DeadlineExceeded(message) from None
            raise


def _now() -> float:
    return asyncio.get_running_loop().time()


@coroutine
def _continue(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Run the rest of a coroutine after its first step: `yield from` cannot start in the middle."""
    while True:
        try:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - passed on to the coroutine
                awaited = work.throw(error)
            else:
                awaited = work.send(sent)
        except StopIteration as finished:
            result: T = finished.value
            return result
