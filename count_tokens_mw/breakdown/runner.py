"""Runner of a breakdown: its counts, several at once, without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

from anyio import CancelScope

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.aio.fairness import YIELD_ABOVE_BYTES
from count_tokens_mw.breakdown.result import Breakdown, Progress
from count_tokens_mw.breakdown.variants import Counts, Variants
from count_tokens_mw.config.models import Settings
from count_tokens_mw.counting.admission import Place
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.counting.job import Job
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.errors import CountError, DeadlineExceeded, InvalidRequest, NotFound
from count_tokens_mw.types import CountRequest

__all__ = ["break_down"]

# Statuses that concern the request itself, and neither a passing condition nor credentials.
_REQUEST_STATUSES: Final = frozenset({400, 413, 422, 501})
_BYTES_AT_ONCE: Final = 16 * 1024 * 1024
_MAX_BODIES: Final = 32


async def break_down(engine: CountingEngine, job: Job, progress: Progress) -> Breakdown:
    """Count a request and its variants, and return the tokens of its parts.

    One deployment makes all the counts, because another one may count differently. They have
    `breakdown.timeout` together, and each at most `timeout`.

    Raises:
        NotFound: breakdowns are turned off, or the model is not configured.
        InvalidRequest: the breakdown would take too many counts, or too large ones.
        DeadlineExceeded: the counts took too long.
        CountError: the whole request was not counted, or a variant was not, for a reason that does
            not concern the request.
    """
    job.will_wait()
    settings = job.snapshot.settings
    deadline = Deadline(settings.breakdown.timeout)
    splitting = engine.fairness.run_sync(partial(Variants, job.request))
    variants = await deadline.run(splitting, _late(settings))
    _check_limits(variants, settings)
    job.deadline = _deadline_of_count(settings, deadline)
    whole = await engine.count(job)
    run = _Run(engine, variants, job, deadline, progress)
    with ExitStack() as places:
        own = [job.place]
        while job.place is not None and len(own) < _concurrency(variants, settings):
            place = job.place.another()
            if not place.try_take():
                break
            places.callback(place.release)
            own.append(place)
        await _wait_for_all([asyncio.ensure_future(run.work(place)) for place in own])
    return variants.breakdown(whole, run.counts)


def _deadline_of_count(settings: Settings, deadline: Deadline) -> Deadline:
    """Return the deadline of a count that starts now.

    Raises:
        DeadlineExceeded: there is no time left.
    """
    seconds = deadline.seconds_left()
    if seconds <= 0:
        raise DeadlineExceeded(_late(settings))
    return Deadline(min(settings.timeout, seconds))


def _late(settings: Settings) -> str:
    return f"The breakdown took longer than {settings.breakdown.timeout:g} seconds."


def _check_limits(variants: Variants, settings: Settings) -> None:
    max_counts = settings.breakdown.max_counts
    if not max_counts:
        raise NotFound("Breakdowns are turned off on this gateway.")
    number = 1 + variants.number
    if number > max_counts:
        raise InvalidRequest(
            f"The breakdown of this request takes {number} counts; "
            f"this gateway makes {max_counts} for one at most."
        )
    if number * variants.size > _MAX_BODIES * settings.max_body_bytes:
        raise InvalidRequest(
            f"The breakdown of this request takes {number} counts of up to {variants.size} bytes, "
            f"which is more than {_MAX_BODIES} of the largest requests."
        )


def _concurrency(variants: Variants, settings: Settings) -> int:
    by_size = max(1, _BYTES_AT_ONCE // variants.size)
    return min(variants.number, by_size, settings.breakdown.max_concurrency)


class _Run:
    """State that the workers of one breakdown share."""

    def __init__(
        self,
        engine: CountingEngine,
        variants: Variants,
        job: Job,
        deadline: Deadline,
        progress: Progress,
    ) -> None:
        self.counts = Counts()
        self._engine = engine
        self._variants = variants
        self._remaining = variants.requests()
        self._job = job
        self._deadline = deadline
        self._deployments = [job.record.deployment]
        self._progress = progress
        self._report()

    async def work(self, place: Place | None) -> None:
        """Count the remaining variants in a place, one after another."""
        while (variant := await self._next()) is not None:
            await self._count(*variant, place)
            self._report()

    async def _next(self) -> tuple[str, CountRequest] | None:
        make = partial(next, self._remaining, None)
        return (
            await self._engine.fairness.run_sync(make)
            if self._variants.size > YIELD_ABOVE_BYTES
            else make()
        )

    async def _count(self, name: str, request: CountRequest, place: Place | None) -> None:
        record = self._job.record
        own = RequestRecord("breakdown", caller=record.caller, request_id=record.request_id)
        deadline = _deadline_of_count(self._job.snapshot.settings, self._deadline)
        is_fatal = False
        try:
            part = Job(request, self._job.snapshot, own, deadline, place)
            count = await self._engine.count_by(self._deployments, part)
            self.counts.tokens[name] = count.input_tokens
        except CountError as error:
            if error.status not in _REQUEST_STATUSES:
                is_fatal = True
                raise
            self.counts.errors[name] = error
        finally:
            record.include(own, answers=is_fatal)

    def _report(self) -> None:
        counted = len(self.counts.tokens) + len(self.counts.errors)
        self._progress(1 + counted, 1 + self._variants.number)


async def _wait_for_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until all tasks are done; a failure cancels the others."""
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        with CancelScope(shield=True):  # their places are released when they have ended
            await asyncio.wait(tasks)
