"""Single flight: the waiter that started a run, and those that joined it."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from count_tokens_mw.aio.single_flight import RunCancelled, SingleFlight


class Run:
    """Work that waits for its gate, and then raises its error, if it has one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.gate = anyio.Event()
        self.error = error

    async def __call__(self) -> int:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return 7


async def outcomes(
    run: Run, flights: SingleFlight[int], to_joiner: Callable[[BaseException], BaseException | None]
) -> list[object]:
    """Return the results or errors of three waiters, in the order in which they came."""

    async def wait() -> object:
        try:
            return await flights.run("key", run, to_joiner)
        except Exception as error:  # noqa: BLE001 - the test compares it
            return error

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    run.gate.set()
    return await asyncio.gather(*tasks)


def frames_of(error: object) -> list[str]:
    assert isinstance(error, BaseException)
    names, traceback = [], error.__traceback__
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    return names


async def test_the_result_goes_to_all_and_they_know_who_joined() -> None:
    assert await outcomes(Run(), SingleFlight(), LookupError) == [
        (7, False),
        (7, True),
        (7, True),
    ]


async def test_a_joiner_raises_an_error_of_its_own() -> None:
    error = LookupError("first")
    first, *joined = await outcomes(Run(error), SingleFlight(), lambda _: LookupError("joined"))
    assert first is error
    assert [str(error) for error in joined] == ["joined", "joined"]
    assert joined[0] is not joined[1]
    for raised in (first, *joined):
        assert isinstance(raised, LookupError)
        assert frames_of(raised).count("wait") == 1
        assert (raised.__context__, raised.__cause__) == (None, None)
    assert "__call__" not in frames_of(joined[0])


async def test_without_another_error_a_joiner_raises_that_of_the_run() -> None:
    error = LookupError("first")
    assert await outcomes(Run(error), SingleFlight(), lambda _: None) == [error] * 3
    assert frames_of(error).count("wait") == 1, "the frames of one waiter, not of all"


@pytest.mark.parametrize("leaver", [0, 1, 2])
async def test_a_joiner_stays_one_when_another_waiter_leaves(leaver: int) -> None:
    run, flights = Run(LookupError("first")), SingleFlight[int]()
    waiting: Callable[[], Awaitable[object]] = lambda: flights.run(  # noqa: E731
        "key", run, lambda _: LookupError("joined")
    )
    tasks = [asyncio.ensure_future(waiting()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[leaver].cancel()
    await asyncio.sleep(0)
    run.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[leaver], asyncio.CancelledError)
    expected = [text for n, text in enumerate(["first", "joined", "joined"]) if n != leaver]
    assert [str(error) for n, error in enumerate(results) if n != leaver] == expected


async def test_a_run_that_another_cancels_raises_to_all_that_it_was_cancelled() -> None:
    run, flights = Run(), SingleFlight[int]()
    tasks = [asyncio.create_task(flights.run("key", run)) for _ in range(3)]
    await asyncio.sleep(0)
    await flights.cancel("key")
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [RunCancelled] * 3
