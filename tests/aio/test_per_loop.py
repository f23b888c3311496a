"""One value for each event loop."""

import asyncio
import threading

import pytest

from count_tokens_mw.aio.per_loop import PerLoop


async def value_of(values: PerLoop[object]) -> object:
    return values.get()


def test_a_loop_keeps_its_value_and_another_has_its_own() -> None:
    values = PerLoop(object)

    async def twice() -> tuple[object, object]:
        return values.get(), values.get()

    first, same = asyncio.run(twice())
    assert first is same
    assert asyncio.run(value_of(values)) is not first


def test_values_of_closed_loops_are_dropped_when_another_loop_comes() -> None:
    values = PerLoop(object)
    for _ in range(5):
        asyncio.run(value_of(values))
        assert len(values) == 0
    assert len(values._values) == 1


async def test_a_value_may_be_replaced_and_removed() -> None:
    values: PerLoop[list[int]] = PerLoop(list)
    assert values.pop() is values.peek() is None
    assert values.get() is values.peek()
    values.get().append(1)
    assert values.set([2]) == values.get() == [2]
    assert values.pop() == [2]
    assert (values.get(), len(values)) == ([], 1)


def test_outside_of_a_loop_there_is_no_value() -> None:
    with pytest.raises(RuntimeError):
        PerLoop(object).get()


def test_loops_in_several_threads_do_not_lose_each_others_values() -> None:
    values: PerLoop[list[int]] = PerLoop(list)
    together, kept = threading.Barrier(8), []

    async def use(number: int) -> bool:
        together.wait()
        values.get().append(number)
        await asyncio.sleep(0.01)
        return values.get() == [number]

    threads = [
        threading.Thread(target=lambda n=n: kept.append(asyncio.run(use(n)))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept == [True] * 8
