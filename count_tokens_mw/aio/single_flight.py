"""Single flight: concurrent callers for one key share one run of the work."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from anyio import CancelScope

from count_tokens_mw.aio.per_loop import PerLoop

__all__ = ["RunCancelled", "SingleFlight"]

T = TypeVar("T")
W = TypeVar("W")


class RunCancelled(TimeoutError):
    """A run that was cancelled by another than its waiters."""


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    """A run in flight, and the number of its waiters."""

    task: asyncio.Task[T]
    waiters: int = 0


class SingleFlight(Generic[T]):
    """Runs by key, one at a time for each key and event loop.

    Every waiter of a run that failed raises its error. Cancelling the last waiter cancels the run,
    and a caller that comes after any cancellation starts a new one, because the old one may hang.
    With `keeps_running` no waiter's cancellation concerns the run, which needs its own time limit.
    """

    def __init__(self, *, keeps_running: bool = False) -> None:
        self._keeps_running = keeps_running
        self._flights: PerLoop[dict[Hashable, _Flight[T]]] = PerLoop(dict)

    async def run(
        self,
        key: Hashable,
        work: Callable[[], Coroutine[Any, Any, T]],
        to_joiner: Callable[[BaseException], BaseException | None] = lambda error: None,
    ) -> tuple[T, bool]:
        """Return the result of the run, and whether this waiter joined it in flight.

        The error of a run is raised as it is to the waiter that started it. A waiter that joined
        raises what `to_joiner` returns for the error, or the error itself for None.

        Raises:
            RunCancelled: the run was cancelled by another than its waiters.
        """
        flights = self._flights.get()
        in_flight = flights.get(key)
        flight = _join(flights, key, work)
        if flight is not in_flight:
            return await self._wait(flights, key, flight, asyncio.shield(flight.task)), False
        # `wait` does not raise the error, so its traceback does not get the frames of this waiter.
        await self._wait(flights, key, flight, asyncio.wait([flight.task]))
        if flight.task.cancelled():
            raise RunCancelled
        error = flight.task.exception()
        own_error = None if error is None else to_joiner(error)
        if own_error is not None:
            raise own_error
        return flight.task.result(), True

    async def _wait(
        self,
        flights: dict[Hashable, _Flight[T]],
        key: Hashable,
        flight: _Flight[T],
        done: Awaitable[W],
    ) -> W:
        """Wait until the flight is done; the last waiter that is cancelled cancels its run."""
        flight.waiters += 1
        try:
            return await done
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if flight.task.cancelled() and waiter is not None and not waiter.cancelling():
                raise RunCancelled from None
            if not self._keeps_running:
                _remove(flights, key, flight)
            raise
        finally:
            flight.waiters -= 1
            if not (flight.waiters or self._keeps_running or flight.task.done()):
                await _cancel(flight.task)

    def start(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> _Flight[T]:
        """Start a run and return it, or return the one in flight."""
        return _join(self._flights.get(), key, work)

    async def cancel(self, key: Hashable) -> None:
        """Cancel the run in flight on this event loop, and wait until it has ended."""
        flight = self._flights.get().pop(key, None)
        if flight is not None:
            await _cancel(flight.task)


def _join(
    flights: dict[Hashable, _Flight[T]], key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]
) -> _Flight[T]:
    flight = flights.get(key)
    if flight is None or flight.task.done():
        flight = flights[key] = _Flight(asyncio.get_running_loop().create_task(work()))
        flight.task.add_done_callback(partial(_finish, flights, key, flight))
    return flight


async def _cancel(task: asyncio.Task[T]) -> None:
    task.cancel()
    with CancelScope(shield=True):  # the waiter's exit may close a resource of the run
        await asyncio.wait([task])


def _finish(
    flights: dict[Hashable, _Flight[T]], key: Hashable, flight: _Flight[T], task: asyncio.Task[T]
) -> None:
    _remove(flights, key, flight)
    # asyncio logs an exception that no waiter retrieved, with its text, which may hold a secret.
    if not task.cancelled():
        task.exception()


def _remove(flights: dict[Hashable, _Flight[T]], key: Hashable, flight: _Flight[T]) -> None:
    if flights.get(key) is flight:
        del flights[key]
