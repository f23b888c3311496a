"""A time limit that costs nothing where there is nothing to wait for.

`asyncio.timeout` sets a timer and takes it back, which takes longer than looking up a count that is
remembered. A body mostly has arrived when it is read, and a host mostly knows the caller's rights.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

__all__ = ["fast_timeout"]

T = TypeVar("T")


async def fast_timeout(seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns.

    Raises:
        TimeoutError: it waits for longer than so many seconds; None is for ever.
    """
    try:
        awaited = work.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    async with asyncio.timeout(seconds):
        return await _rest(work, awaited)


@coroutine
def _rest(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that waits for something: `yield from`, but for its first step."""
    while True:
        try:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - the coroutine's to handle
                awaited = work.throw(error)
            else:
                awaited = work.send(sent)
        except StopIteration as finished:
            result: T = finished.value
            return result
