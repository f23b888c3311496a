"""Rate limits of providers: the time until which a deployment has asked to be left alone."""

import threading
import time
from collections.abc import Callable
from typing import Final

from cachetools import TTLCache

from count_tokens_mw.config.models import Deployment
from count_tokens_mw.types import hash_names

__all__ = ["RateLimits"]

_MOST_REMEMBERED: Final = 1000
_LONGEST_SECONDS: Final = 600  # no count waits that long


class RateLimits:
    """The ends of rate limits by deployment and upstream model.

    Args:
        clock: the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Bounded and hashed, because callers choose the model names that a wildcard matches.
        self._ends: TTLCache[bytes, float] = TTLCache(_MOST_REMEMBERED, _LONGEST_SECONDS, clock)
        self._lock = threading.Lock()  # a host may run several event loops
        self._last_end = 0.0

    def start(self, deployment: Deployment, seconds: float) -> None:
        """Record that a deployment has asked to be left alone for a time."""
        end = self._clock() + seconds
        with self._lock:
            self._ends[_key(deployment)] = end
            self._last_end = max(self._last_end, end)

    def seconds_left(self, deployment: Deployment) -> float:
        """Return the seconds for which a deployment still is to be left alone, or 0."""
        now = self._clock()
        if now >= self._last_end:  # most of the time there is none
            return 0
        with self._lock:
            return max(0, self._ends.get(_key(deployment), now) - now)


def _key(deployment: Deployment) -> bytes:
    return hash_names(deployment.id, deployment.upstream_model)
