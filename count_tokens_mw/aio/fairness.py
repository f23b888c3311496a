"""Large bodies take turns on the event loop, so that small requests are answered in between."""

import asyncio
import re
import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any, Final, TypeVar

from count_tokens_mw.aio.per_loop import PerLoop

__all__ = [
    "SMALL_BYTES",
    "YIELD_ABOVE_BYTES",
    "LoopFairness",
    "TakesLong",
    "Unneeded",
    "leave_loop",
    "stop_if_unneeded",
    "takes_long",
]

YIELD_ABOVE_BYTES: Final = 256 * 1024
"""Bodies up to this size are processed without waiting for a turn: they take 2 ms at most."""

SMALL_BYTES: Final = 16 * 1024
"""Bodies up to this size are translated on the loop in 5 ms at most, whatever is in them."""

_ON_LOOP_BYTES: Final = 1024 * 1024
_ON_LOOP_OBJECTS: Final = 4000
_OBJECT: Final = re.compile(rb'\{[ \t\n\r]*"')

T = TypeVar("T")
_unneeded: ContextVar[threading.Event | None] = ContextVar("unneeded", default=None)
_on_loop: ContextVar[bool] = ContextVar("on_loop", default=False)


class TakesLong(Exception):
    """Signal that work would hold the event loop for long."""


class Unneeded(Exception):
    """Signal that nobody waits for the work of a thread."""


def takes_long(body: bytes) -> bool:
    """Return whether the translation of a JSON body is to run in a thread.

    Time depends on the bytes and on the objects in them, a microsecond for each. Other bodies are
    translated on the loop, which is faster than by a thread.
    """
    if len(body) <= SMALL_BYTES:
        return False
    return len(body) > _ON_LOOP_BYTES or len(_OBJECT.findall(body)) > _ON_LOOP_OBJECTS


class LoopFairness:
    """A limit of one long piece of work per two iterations of an event loop, and of one thread.

    A large body may hold the loop for some milliseconds; a hundred in one iteration would hold it
    for a second. Several threads at once would compete with the loop for the GIL.
    """

    def __init__(self) -> None:
        self._on_loop = PerLoop(asyncio.Lock)
        self._in_thread = PerLoop(asyncio.Lock)

    async def checkpoint(self) -> None:
        """Wait for a turn on the event loop; it lasts until the caller's next `await`."""
        async with self._on_loop.get():
            await asyncio.sleep(0)

    async def run_sync(self, work: Callable[[], T]) -> T:
        """Run a function in a thread, one at a time, and return its result.

        If the waiter is cancelled, as at its deadline, the function is stopped at its next
        `stop_if_unneeded`. The next one starts when it has ended.
        """
        turn, unneeded = self._in_thread.get(), threading.Event()
        await turn.acquire()
        context = copy_context()
        context.run(_unneeded.set, unneeded)
        work_done = asyncio.ensure_future(asyncio.to_thread(context.run, work))
        work_done.add_done_callback(lambda _: turn.release())
        try:
            return await asyncio.shield(work_done)
        except asyncio.CancelledError:
            unneeded.set()
            work_done.add_done_callback(_ignore)
            raise
        finally:
            del work_done  # its traceback would keep this frame, and so itself

    async def run_short(self, work: Callable[[], T]) -> T:
        """Run a function on the loop, or again in a thread if it leaves; return its result."""
        token = _on_loop.set(True)
        try:
            return work()
        except TakesLong:
            pass
        finally:
            _on_loop.reset(token)
        return await self.run_sync(work)


def leave_loop(size: int) -> None:
    """Leave the event loop before slow work on so many bytes.

    Raises:
        TakesLong: the work is to be run again in a thread.
    """
    if size > SMALL_BYTES and _on_loop.get():
        raise TakesLong


def stop_if_unneeded() -> None:
    """Stop the work of a thread whose waiter was cancelled.

    Raises:
        Unneeded: nobody waits for the work.
    """
    event = _unneeded.get()
    if event is not None and event.is_set():
        raise Unneeded


def _ignore(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
