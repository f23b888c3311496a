"""Renewals: one run of the work for all concurrent callers."""

import asyncio
import logging
from typing import Any

import pytest

from count_tokens_mw.aio.renewal import Renewal


class Work:
    """Work that blocks until `go` is set, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.runs += 1
        self.begun.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return self.runs


async def settle(renewal: Renewal) -> None:
    """Wait for the runs in renewal to end."""
    flights = renewal._runs._flights.get().values()
    await asyncio.gather(*(flight.task for flight in flights), return_exceptions=True)


async def test_all_who_wait_share_one_run_and_the_next_one_starts_anew() -> None:
    work = Work()
    renewal = Renewal(work, 10, "work")
    waiting = [asyncio.ensure_future(renewal.run()) for _ in range(10)]
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*waiting) == [1] * 10
    assert await renewal.run() == 2


async def test_a_waiter_that_leaves_does_not_end_it_for_the_others() -> None:
    work = Work()
    renewal = Renewal(work, 10, "work")
    first, second = (asyncio.ensure_future(renewal.run()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    work.go.set()
    assert await second == 1


async def test_an_error_goes_to_all_and_is_not_kept() -> None:
    work = Work()
    work.go.set()
    work.error = OSError("down")
    renewal = Renewal(work, 10, "work")
    both: list[Any] = [renewal.run(), renewal.run()]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert results == [work.error, work.error]
    work.error = None
    assert await renewal.run() == 2


async def test_an_error_that_nobody_waited_for_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    work = Work()
    work.error = OSError("canary")
    renewal = Renewal(work, 10, "work")
    only = asyncio.ensure_future(renewal.run())
    await asyncio.sleep(0)
    only.cancel()
    await asyncio.wait([only])
    work.go.set()
    await settle(renewal)
    del renewal
    assert "canary" not in caplog.text


def test_a_run_that_its_loop_cancelled_does_not_spoil_the_next_loops() -> None:
    work_of: list[Work] = []

    async def delegate() -> int:
        return await work_of[-1]()

    renewal = Renewal(delegate, 10, "work")

    async def leave_early() -> None:
        work_of.append(Work())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await renewal.run()

    async def stay() -> int:
        work_of.append(Work())
        work_of[-1].go.set()
        return int(await renewal.run())

    asyncio.run(leave_early())
    assert asyncio.run(stay()) == 1


async def test_work_that_hangs_is_abandoned_for_all_and_the_next_one_starts_anew() -> None:
    work = Work()
    renewal = Renewal(work, 0.01, "work")
    both: list[Any] = [renewal.run(), renewal.run()]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError, TimeoutError]
    assert work.runs == 1
    work.go.set()
    assert await renewal.run() == 2


async def test_it_may_begin_without_anybody_who_waits() -> None:
    work = Work()
    renewal = Renewal(work, 10, "work")
    renewal.start()
    renewal.start()
    waiting = asyncio.ensure_future(renewal.run())
    await asyncio.sleep(0)
    work.go.set()
    assert await waiting == 1
    assert work.runs == 1


async def test_cancelling_it_ends_it_for_those_who_wait_and_is_no_cancellation_of_theirs() -> None:
    work = Work()
    renewal = Renewal(work, 10, "work")
    waiting = asyncio.ensure_future(renewal.run())
    await work.begun.wait()
    await renewal.cancel()
    with pytest.raises(TimeoutError):
        await waiting
    work.go.set()
    assert await renewal.run() == 2


async def test_there_is_nothing_to_cancel_where_nothing_is_under_way() -> None:
    work = Work()
    renewal = Renewal(work, 10, "work")
    await renewal.cancel()
    assert work.runs == 0


async def test_a_failure_in_the_background_is_logged_once_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The next start is skipped for some seconds."""
    work = Work()
    work.go.set()
    work.error = OSError("canary")
    renewal = Renewal(work, 10, "renewing")
    for _ in range(5):
        renewal.start()
        await settle(renewal)
    assert work.runs == 1
    assert [record.getMessage() for record in caplog.records] == ["renewing: failed with OSError"]
    renewal._next_start -= 10
    renewal.start()
    await settle(renewal)
    assert work.runs == 2
