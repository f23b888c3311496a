"""Cooldown: a deployment that failed is tried last for a while, and never skipped."""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from cachetools import TLRUCache

from count_tokens_mw.config.models import Deployment
from count_tokens_mw.types import hash_names

__all__ = ["Cooldown", "retry_after"]

_MOST_REMEMBERED: Final = 1000
_NUMBER: Final = re.compile(r"\d{1,9}(?:\.\d+)?").fullmatch


class Cooldown:
    """Recent failures by deployment and upstream model.

    Args:
        seconds: the time for which a deployment is tried last, unless `retry-after` is longer.
        clock: the monotonic time in seconds.
        now: the date, to which a `retry-after` with a date is compared.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._seconds = seconds
        self._now = now
        # Bounded and hashed, because callers choose the model names that a wildcard matches.
        self._failed: TLRUCache[bytes, float] = TLRUCache(
            _MOST_REMEMBERED, ttu=lambda _, seconds, now: now + seconds, timer=clock
        )
        self._lock = threading.Lock()  # a host may run several event loops

    def record_failure(self, deployment: Deployment, headers: Mapping[str, str]) -> None:
        """Start the cooldown of a deployment; `headers` are those of its answer, if any."""
        seconds = max(self._seconds, retry_after(headers, self._now()))
        with self._lock:
            self._failed[_key(deployment)] = seconds

    def healthy_first(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Return the deployments in their order, with those in cooldown moved to the end."""
        with self._lock:  # the length evicts what has expired
            is_empty = not self._failed
        if is_empty:
            return deployments
        return sorted(deployments, key=lambda deployment: _key(deployment) in self._failed)


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Return the seconds that an answer's headers ask to wait, or 0.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    milliseconds = headers.get("retry-after-ms", "")
    if _NUMBER(milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "")
    if _NUMBER(value):
        return float(value)
    try:
        return max(0, (parsedate_to_datetime(value).astimezone(UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return 0


def _key(deployment: Deployment) -> bytes:
    return hash_names(deployment.id, deployment.upstream_model)
