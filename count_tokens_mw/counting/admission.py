"""Admission: the places of counts in flight, and the bytes of bodies, shared fairly by callers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.aio.fair_semaphore import FairSemaphore, QueueFull
from count_tokens_mw.config.models import Settings
from count_tokens_mw.errors import TooManyRequests
from count_tokens_mw.types import Caller

__all__ = ["Admission", "Place"]

_WAITING_PER_PLACE: Final = 8
_SHARE_OF_TIMEOUT: Final = 1 / 4  # a count has to fit into the rest
_BREAKDOWNS: Final = 4  # the places to each of theirs
_SHARE_OF_BYTES: Final = 1 / 2  # so that one caller's slow uploads leave room for others
_BUSY: Final = "This gateway has too many counts in flight; try again."


class Admission:
    """Admission of requests by `max_concurrency` and `max_total_bytes`, by turns between callers.

    A refused count costs its caller more than a short wait: Claude Code starts many at once, and
    may pay for a generation in place of each that is refused.

    Args:
        settings: the first settings.
        changed: called when the number of places in use may have changed.
    """

    def __init__(self, settings: Settings, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.places = FairSemaphore(0)
        self.breakdowns = FairSemaphore(0)
        self.bytes = FairSemaphore(0, _SHARE_OF_BYTES)
        self._kinds = {False: (self.places,), True: (self.breakdowns, self.places)}
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Admit by other settings from now on; what is taken stays taken."""
        self.settings = settings
        self.places.resize(settings.max_concurrency)
        self.breakdowns.resize(max(1, settings.max_concurrency // _BREAKDOWNS))
        self.bytes.resize(max(settings.max_total_bytes, settings.max_body_bytes))

    def place(self, caller: Caller | None, *, is_breakdown: bool = False) -> Place:
        """Return a place for a request, which is not taken yet."""
        return Place(self, self._kinds[is_breakdown], caller.id if caller else None)


class Place:
    """A place among the counts in flight, and the bytes that the body has reserved.

    A breakdown has a place among the breakdowns too.
    """

    __slots__ = ("_admission", "_kinds", "_owner", "_size", "_taken")

    def __init__(
        self, admission: Admission, kinds: Sequence[FairSemaphore], owner: str | None
    ) -> None:
        self._admission = admission
        self._kinds = kinds
        self._owner = owner
        self._taken = self._size = 0

    def try_reserve(self, size: int) -> bool:
        """Reserve the bytes of a body if they are free; return whether they were."""
        if size and not self._admission.bytes.try_acquire(self._owner, size):
            return False
        self._size = size
        return True

    async def reserve(self, size: int) -> None:
        """Reserve the bytes of a body, and wait for them within `upload_timeout`.

        Raises:
            TooManyRequests: they were not free within that time, or too many requests wait.
        """
        settings = self._admission.settings
        seconds = settings.upload_timeout or settings.timeout
        await self._acquire(self._admission.bytes, size, seconds)
        self._size = size

    def shrink(self, size: int) -> None:
        """Give back the bytes that a body did not need."""
        surplus = self._size - size
        if surplus > 0:
            self._size = size
            self._admission.bytes.release(self._owner, surplus)

    def try_take(self) -> bool:
        """Take the place if it is free; return whether it was."""
        for kind in self._kinds:
            if not kind.try_acquire(self._owner):
                self.release()
                return False
            self._taken += 1
        self._admission.changed()
        return True

    async def take(self, deadline: Deadline) -> None:
        """Take the place, and wait for it a quarter of `timeout` at most.

        Raises:
            TooManyRequests: none was free within that time, or too many requests wait.
        """
        if self.try_take():
            return
        timeout = self._admission.settings.timeout
        seconds = min(timeout * _SHARE_OF_TIMEOUT, deadline.seconds_left())
        try:
            for kind in self._kinds:
                await self._acquire(kind, 1, seconds)
                self._taken += 1
        except BaseException:
            self.release()
            raise
        self._admission.changed()

    def release(self) -> None:
        """Give the place back, if it is taken; the bytes stay reserved."""
        if self._taken:
            for kind in self._kinds[: self._taken]:
                kind.release(self._owner)
            self._taken = 0
            self._admission.changed()

    def leave(self) -> None:
        """Give back all that is taken and reserved."""
        self.release()
        self.shrink(0)

    def another(self) -> Place:
        """Return a further place of the same kind and caller, which is not taken yet."""
        return Place(self._admission, self._kinds, self._owner)

    async def _acquire(self, units: FairSemaphore, number: int, seconds: float) -> None:
        max_waiting = _WAITING_PER_PLACE * self._admission.settings.max_concurrency
        try:
            await units.acquire(
                self._owner, number, seconds=max(0, seconds), max_waiting=max_waiting
            )
        except (QueueFull, TimeoutError):
            raise TooManyRequests(_BUSY) from None
