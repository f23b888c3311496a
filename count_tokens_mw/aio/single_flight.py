"""Single flight: concurrent callers for one key share one run of the work."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from anyio import CancelScope

from count_tokens_mw.aio.per_loop import PerLoop

__all__ = ["RunCancelled", "SingleFlight"]

T = TypeVar("T")


class RunCancelled(TimeoutError):
    """A run that was cancelled by another than its waiters."""


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    """A run in flight, and the number of its waiters."""

    task: asyncio.Task[T]
    waiters: int = 0


class SingleFlight(Generic[T]):
    """Runs by key, one at a time for each key and event loop.

    An error is raised to every waiter. Cancelling the last waiter cancels the run, and a caller
    that comes after any cancellation starts a new one, because the old one may hang. With
    `keeps_running` no waiter's cancellation concerns the run, which needs its own time limit.
    """

    def __init__(self, *, keeps_running: bool = False) -> None:
        self._keeps_running = keeps_running
        self._flights: PerLoop[dict[Hashable, _Flight[T]]] = PerLoop(dict)

    async def run(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> tuple[T, bool]:
        """Return the result of the run, and whether it was in flight before.

        Raises:
            RunCancelled: the run was cancelled by another than its waiters.
        """
        flights = self._flights.get()
        in_flight = flights.get(key)
        flight = _join(flights, key, work)
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task), flight is in_flight
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
