"""The job of counting one request, from its authorisation to its last attempt."""

from collections.abc import Callable
from dataclasses import dataclass

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.counting.admission import Place
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.types import CountRequest

__all__ = ["Job"]


@dataclass(slots=True)
class Job:
    """A request, the configuration that it started with, its record, deadline and place.

    `request` is replaced where it is renamed or transformed. `will_wait` is called before a wait
    that may be long.
    """

    request: CountRequest
    snapshot: ConfigSnapshot
    record: RequestRecord
    deadline: Deadline
    place: Place | None = None
    will_wait: Callable[[], None] = lambda: None
