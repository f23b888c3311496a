"""A breakdown without HTTP: the counts that it takes, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from anyio import CancelScope

from count_tokens_mw.aio.fairness import YIELD_ABOVE_BYTES
from count_tokens_mw.breakdown.result import Breakdown, Progress
from count_tokens_mw.breakdown.variants import Counts, Variants
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import CountError, InvalidRequest, NotFound
from count_tokens_mw.types import CountRequest

if TYPE_CHECKING:
    from count_tokens_mw.config.models import Settings

__all__ = ["break_down"]

# What an upstream says of a request, and not of the moment or of whom it is asked by.
_OF_THE_REQUEST: Final = frozenset({400, 413, 422, 501})
_BYTES_AT_ONCE: Final = 16 * 1024 * 1024
_MOST_BODIES: Final = 32


async def break_down(
    engine: CountingEngine,
    request: CountRequest,
    snapshot: ConfigSnapshot,
    record: RequestRecord,
    progress: Progress,
) -> Breakdown:
    """Count a request, and then what tells its parts apart.

    All by the deployment that counted the whole, since another one may count otherwise.

    Raises:
        NotFound: breakdowns are turned off, or the model is not configured.
        InvalidRequest: it would take too many counts, or too large ones.
        CountError: the whole was not counted, or one of the others was not for a reason that is not
            in the part left out.
    """
    parts = await engine.fairness.run_sync(partial(Variants, request))
    _refuse_too_much(parts, snapshot.settings)
    whole = await engine.count(request, snapshot, record)
    work = _Work(engine, parts, snapshot, record, progress)
    with ExitStack() as places:
        workers = 1  # in the request's own place
        while workers < min(_at_once(parts, snapshot.settings), 1 + engine.free):
            places.enter_context(engine.slot())
            workers += 1
        await _all([asyncio.ensure_future(work.done()) for _ in range(workers)])
    return parts.breakdown(whole, work.counts)


def _refuse_too_much(parts: Variants, settings: Settings) -> None:
    most = settings.breakdown.max_counts
    if not most:
        raise NotFound("Breakdowns are turned off on this gateway.")
    number = 1 + parts.number
    if number > most:
        raise InvalidRequest(
            f"The breakdown of this request takes {number} counts; "
            f"this gateway makes {most} for one at most."
        )
    if number * parts.size > _MOST_BODIES * settings.max_body_bytes:
        raise InvalidRequest(
            f"The breakdown of this request takes {number} counts of up to {parts.size} bytes, "
            f"which is more than {_MOST_BODIES} of the largest requests."
        )


def _at_once(parts: Variants, settings: Settings) -> int:
    by_size = max(1, _BYTES_AT_ONCE // parts.size)
    return min(parts.number, by_size, settings.breakdown.max_concurrency)


class _Work:
    """What the workers of one breakdown have in common."""

    def __init__(
        self,
        engine: CountingEngine,
        parts: Variants,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
        progress: Progress,
    ) -> None:
        self.counts = Counts()
        self._engine = engine
        self._parts = parts
        self._left = parts.requests()
        self._snapshot = snapshot
        self._record = record
        self._deployment = record.deployment
        self._progress = progress
        self._tell()

    async def done(self) -> None:
        """Count what is left, one after another."""
        while (named := await self._next()) is not None:
            await self._count(*named)
            self._tell()

    async def _next(self) -> tuple[str, CountRequest] | None:
        make = partial(next, self._left, None)
        return (
            await self._engine.fairness.run_sync(make)
            if self._parts.size > YIELD_ABOVE_BYTES
            else make()
        )

    async def _count(self, name: str, request: CountRequest) -> None:
        own = RequestRecord("breakdown", caller=self._record.caller)
        ends = False
        try:
            count = await self._engine.count_by(self._deployment, request, self._snapshot, own)
            self.counts.tokens[name] = count.input_tokens
        except CountError as error:
            if error.status not in _OF_THE_REQUEST:
                ends = True
                raise
            self.counts.errors[name] = error
        finally:
            self._record.include(own, answers=ends)

    def _tell(self) -> None:
        counted = len(self.counts.tokens) + len(self.counts.errors)
        self._progress(1 + counted, 1 + self._parts.number)


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Until all are done, or one failed, which ends the others."""
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        with CancelScope(shield=True):  # their places are given back when they have ended
            await asyncio.wait(tasks)
