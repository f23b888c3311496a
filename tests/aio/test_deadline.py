"""The deadline of a request, and the fast path of work that does not wait."""

import asyncio

import pytest

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.errors import DeadlineExceeded


class Waiting:
    """Work that awaits a future, and the exception that ended it."""

    def __init__(self) -> None:
        self.future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ended_by: BaseException | None = None

    async def work(self, times: int = 1) -> str:
        result = ""
        try:
            for _ in range(times):
                result = await asyncio.shield(self.future)
                await asyncio.sleep(0)
        except BaseException as error:
            self.ended_by = error
            raise
        return result


async def test_what_does_not_wait_returns_without_a_round_of_the_loop() -> None:
    rounds: list[int] = []
    asyncio.get_running_loop().call_soon(rounds.append, 1)

    async def at_once() -> str:
        return "result"

    assert await Deadline(0).run(at_once(), "late") == "result"
    assert not rounds


async def test_what_waits_returns_what_it_was_told() -> None:
    waiting = Waiting()
    asyncio.get_running_loop().call_soon(waiting.future.set_result, "result")
    assert await Deadline(60).run(waiting.work(3), "late") == "result"


async def test_what_waits_too_long_is_cancelled_where_it_waits() -> None:
    waiting = Waiting()
    with pytest.raises(DeadlineExceeded, match="late"):
        await Deadline(0.01).run(waiting.work(), "late")
    assert isinstance(waiting.ended_by, asyncio.CancelledError)


async def test_who_waits_can_be_cancelled_and_so_is_the_work() -> None:
    waiting = Waiting()
    task = asyncio.create_task(Deadline(60).run(waiting.work(), "late"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(waiting.ended_by, asyncio.CancelledError)


@pytest.mark.parametrize("waits", [False, True])
async def test_an_error_of_the_work_is_raised(waits: bool) -> None:
    async def fail() -> None:
        if waits:
            await asyncio.sleep(0)
        raise LookupError("of the work")

    with pytest.raises(LookupError, match="of the work"):
        await Deadline(60).run(fail(), "late")


async def test_work_may_have_time_limits_of_its_own() -> None:
    waiting = Waiting()

    async def work() -> str:
        try:
            async with asyncio.timeout(0.01):
                return await waiting.work()
        except TimeoutError:
            return "its own limit"

    assert await Deadline(60).run(work(), "late") == "its own limit"


async def test_a_timeout_of_the_work_itself_is_its_own() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise TimeoutError("of a database")

    with pytest.raises(TimeoutError, match="of a database"):
        await Deadline(60).run(work(), "late")


async def test_a_paused_clock_stands_still_for_the_work_in_progress() -> None:
    deadline = Deadline(0.05)

    async def read_slowly() -> str:
        deadline.pause()
        await asyncio.sleep(0.1)
        deadline.resume()
        await asyncio.sleep(0)
        return "body"

    assert await deadline.run(read_slowly(), "late") == "body"
    assert 0 < deadline.seconds_left() <= 0.05
    with pytest.raises(DeadlineExceeded):
        await deadline.run(asyncio.sleep(60), "late")


async def test_work_may_begin_with_the_pause_and_end_by_the_deadline() -> None:
    deadline = Deadline(0.02)

    async def hang_after_reading() -> None:
        deadline.pause()
        await asyncio.sleep(0.03)
        deadline.resume()
        await asyncio.sleep(60)

    with pytest.raises(DeadlineExceeded):
        await deadline.run(hang_after_reading(), "late")
    deadline.resume()
    assert -0.1 < deadline.seconds_left() <= 0
