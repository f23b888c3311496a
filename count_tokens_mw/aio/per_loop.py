"""One value for each event loop, for what belongs to a loop: locks, tasks and connections."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Values by event loop, created on first use; values of closed loops are dropped.

    A host may run several loops, each in a thread of its own.

    Args:
        create: returns the value of the running loop.
    """

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._values: dict[asyncio.AbstractEventLoop, T] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of loops that are not closed and have a value."""
        with self._lock:
            return sum(not loop.is_closed() for loop in self._values)

    def get(self) -> T:
        """Return the running loop's value."""
        loop = asyncio.get_running_loop()
        try:
            return self._values[loop]
        except KeyError:
            return self.set(self._create())

    def peek(self) -> T | None:
        """Return the running loop's value, or None if there is none."""
        return self._values.get(asyncio.get_running_loop())

    def set(self, value: T) -> T:
        """Replace the running loop's value, and return the new one."""
        with self._lock:
            for loop in [loop for loop in self._values if loop.is_closed()]:
                del self._values[loop]
            self._values[asyncio.get_running_loop()] = value
        return value

    def pop(self) -> T | None:
        """Remove and return the running loop's value, or return None if there is none."""
        with self._lock:
            return self._values.pop(asyncio.get_running_loop(), None)
