"""Deployments that failed lately are tried last for a while, and never left out."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from count_tokens_mw.config.models import Deployment

__all__ = ["Cooldown", "retry_after"]

_MOST_REMEMBERED: Final = 1000
_NUMBER: Final = re.compile(r"\d{1,9}(?:\.\d+)?").fullmatch


class Cooldown:
    """Remembers failures for each deployment and upstream model.

    Args:
        seconds: how long one is tried last, unless the upstream asks for longer.
        clock: what time it is, in seconds.
        now: the date, for a `retry-after` that is one.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._now = now
        self._until: dict[tuple[str, str], float] = {}

    def record_failure(self, deployment: Deployment, headers: Mapping[str, str]) -> None:
        """Try it last from now on; `headers` are those of its answer, if it gave one."""
        now = self._clock()
        seconds = max(self._seconds, retry_after(headers, self._now()))
        # Bounded, since under a wildcard it is the callers who name the models.
        lasting = [item for item in self._until.items() if item[1] > now]
        self._until = dict(lasting[-_MOST_REMEMBERED:])
        self._until[_key(deployment)] = now + seconds

    def healthy_first(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """The same deployments, those that failed lately behind the others."""
        if not self._until or len(deployments) == 1:
            return deployments
        now = self._clock()
        return sorted(deployments, key=lambda each: self._until.get(_key(each), -math.inf) > now)


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """The seconds that an answer asks to wait; 0 where it does not say.

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


def _key(deployment: Deployment) -> tuple[str, str]:
    return deployment.id, deployment.upstream_model
