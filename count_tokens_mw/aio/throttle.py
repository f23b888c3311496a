"""Throttle of a log line that could be written for every request."""

import time
from collections.abc import Callable

__all__ = ["LogThrottle"]


class LogThrottle:
    """Throttle that admits one line in so many seconds, and counts the occurrences in between.

    Args:
        seconds: the time between two lines; with 0 every line is admitted.
        clock: the monotonic time in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._count = 0
        self._next_at = float("-inf")

    def admit(self, occurrences: int = 1) -> int:
        """Return the number of occurrences since the last line, or 0 if none is due."""
        self._count += occurrences
        now = self._clock()
        if now < self._next_at:
            return 0
        count, self._count = self._count, 0
        self._next_at = now + self._seconds
        return count
