"""Units of a resource: turns between owners, shares, bounds, and no unit lost."""

import asyncio
import random
import threading
from collections import Counter

import pytest

from count_tokens_mw.aio.fair_semaphore import FairSemaphore, QueueFull


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def queue(units: FairSemaphore, order: str) -> tuple[list[str], list[asyncio.Task[None]]]:
    """Let owners wait in an order, and return the list to which each adds itself."""
    proceeded: list[str] = []

    async def wait(name: str) -> None:
        await units.acquire(name[0], 1, seconds=60, max_waiting=1000)
        proceeded.append(name)

    tasks = []
    for number, owner in enumerate(order):
        tasks.append(asyncio.ensure_future(wait(f"{owner}{number}")))
        await settle()
    return proceeded, tasks


@pytest.mark.parametrize(
    ("order", "turns"),
    [
        ("aaa", "a0 a1 a2"),
        ("aaab", "a0 b3 a1 a2"),
        ("aaabbc", "a0 b3 c5 a1 b4 a2"),
        ("abab", "a0 b1 a2 b3"),
        ("bbbba", "b0 a4 b1 b2 b3"),
    ],
)
async def test_waiters_proceed_by_turns_between_owners(order: str, turns: str) -> None:
    units = FairSemaphore(1)
    assert units.try_acquire("x")
    proceeded, tasks = await queue(units, order)
    assert not units.try_acquire("y")
    assert units.waiting == len(order)
    for owner in ["x", *(name[0] for name in turns.split())]:
        units.release(owner)
        await settle()
    assert proceeded == turns.split()
    await asyncio.gather(*tasks)
    assert (units.in_use, units.waiting) == (0, 0)


async def test_an_owner_keeps_within_the_share_and_holds_up_no_other() -> None:
    units = FairSemaphore(100, 0.5)
    assert units.try_acquire("a", 30)
    assert not units.try_acquire("a", 21)
    waiting = asyncio.ensure_future(units.acquire("a", 21, seconds=60, max_waiting=10))
    await settle()
    assert units.try_acquire("b", 50)
    assert not units.try_acquire("a", 20)  # it is behind the one that waits
    assert not waiting.done()
    units.release("a", 30)
    await waiting
    assert units.in_use == 71


async def test_one_that_holds_nothing_may_exceed_the_share() -> None:
    units = FairSemaphore(100, 0.5)
    assert units.try_acquire("a", 90)
    assert not units.try_acquire("a", 1)
    assert units.try_acquire("b", 10)


async def test_a_large_wait_is_not_overtaken_by_small_ones() -> None:
    units = FairSemaphore(10)
    assert units.try_acquire("a", 5)
    large = asyncio.ensure_future(units.acquire("b", 10, seconds=60, max_waiting=10))
    await settle()
    assert not units.try_acquire("c", 1)
    units.release("a", 5)
    await large


async def test_the_number_of_waiters_is_bounded() -> None:
    units = FairSemaphore(1)
    units.try_acquire("a")
    _, tasks = await queue(units, "aab")
    with pytest.raises(QueueFull):
        await units.acquire("b", 1, seconds=60, max_waiting=3)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert units.waiting == 0


async def test_an_owner_with_fewer_waiters_takes_the_turn_of_one_with_more() -> None:
    units = FairSemaphore(1)
    units.try_acquire("x")
    proceeded, tasks = await queue(units, "aaab")
    first = asyncio.ensure_future(units.acquire("c", 1, seconds=60, max_waiting=4))
    await settle()
    with pytest.raises(QueueFull):
        await tasks[2]
    with pytest.raises(QueueFull):
        await units.acquire("c", 1, seconds=60, max_waiting=4)  # now it has as many
    assert units.waiting == 4
    for owner in "xabc":
        units.release(owner)
        await settle()
    assert proceeded == ["a0", "b3", "a1"]
    assert first.done()


async def test_a_wait_ends_at_its_time_and_holds_up_no_other() -> None:
    units = FairSemaphore(10)
    assert units.try_acquire("a", 5)
    late = asyncio.ensure_future(units.acquire("b", 10, seconds=0.01, max_waiting=10))
    await settle()
    await units.acquire("c", 5, seconds=60, max_waiting=10)
    with pytest.raises(TimeoutError):
        await late
    assert (units.in_use, units.waiting) == (10, 0)


async def test_units_that_were_granted_to_a_cancelled_wait_go_to_the_next() -> None:
    units = FairSemaphore(1)
    units.try_acquire("a")
    proceeded, (first, second) = await queue(units, "bc")
    units.release("a")
    first.cancel()  # before it could run
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert proceeded == ["c1"]


@pytest.mark.parametrize(
    ("capacity", "turns"), [(1, ""), (2, "a0"), (3, "a0 b2"), (4, "a0 b2 a1"), (0, "")]
)
async def test_waiters_proceed_as_soon_as_there_are_more_units(capacity: int, turns: str) -> None:
    units = FairSemaphore(1)
    units.try_acquire("x")
    proceeded, tasks = await queue(units, "aab")
    units.resize(capacity)
    await settle()
    assert proceeded == turns.split()
    units.resize(4)
    await asyncio.gather(*tasks)


async def test_a_lower_capacity_takes_nothing_away() -> None:
    units = FairSemaphore(2)
    assert units.try_acquire("a")
    assert units.try_acquire("b")
    units.resize(1)
    units.release("a")
    assert not units.try_acquire("c")
    units.release("b")
    assert units.try_acquire("c")


def test_no_unit_is_lost_between_several_event_loops() -> None:
    units = FairSemaphore(3)
    most = Counter[str]()

    async def work(owner: str, chance: random.Random) -> None:
        for _ in range(50):
            try:
                await units.acquire(owner, 1, seconds=chance.choice((0, 0.001, 5)), max_waiting=50)
            except (TimeoutError, QueueFull):
                continue
            most["held"] = max(most["held"], units.in_use)
            await asyncio.sleep(chance.choice((0, 0.0005)))
            units.release(owner)

    async def run(seed: int) -> None:
        chance = random.Random(seed)
        await asyncio.gather(*(work(f"{seed}-{n % 3}", chance) for n in range(10)))

    threads = [threading.Thread(target=asyncio.run, args=(run(seed),)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (units.in_use, units.waiting) == (0, 0)
    assert most["held"] <= 3
