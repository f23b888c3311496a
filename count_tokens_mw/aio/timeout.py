"""A timeout that costs nothing where a coroutine does not have to wait.

`asyncio.timeout` sets a timer and cancels it, which takes longer than a cache hit. Most bodies have
arrived when they are read, and most hosts authorise a caller without waiting.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

__all__ = ["fast_timeout"]

T = TypeVar("T")


async def fast_timeout(seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, and return its result.

    Raises:
        TimeoutError: the coroutine waited for longer than `seconds`; None is no limit.
    """
    try:
        awaited = work.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    async with asyncio.timeout(seconds):
        return await _resume(work, awaited)


@coroutine
def _resume(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
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
