"""Cooldown: the time for which a deployment that failed is tried last."""

import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from count_tokens_mw import Deployment
from count_tokens_mw.counting.cooldown import Cooldown, retry_after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Sun, 22 Nov 2026 12:01:00 GMT"}, 60),
        ({"retry-after": "Sun, 22 Nov 2026 11:59:00 GMT"}, 0),
        ({"retry-after": "Sun, 22 Nov 2026 12:01:00 +0100"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-7"}, 0),
        ({"retry-after": "1e9"}, 0),
        ({"retry-after": "9" * 400}, 0),
        ({"retry-after": ""}, 0),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2300"}, 0),
        ({"retry-after": "Sun, 22 Nov 2026 12:01:00 +99999999999999999"}, 0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "many", "retry-after": "7"}, 7),
    ],
)
def test_an_answer_says_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, NOON) == seconds


def deployment(model: str) -> Deployment:
    return Deployment(id="d", model_name="*", provider="anthropic", upstream_model=model)


def test_the_failures_of_models_that_callers_name_do_not_add_up_without_end() -> None:
    cooldown = Cooldown(30, clock=lambda: 0)
    for n in range(5000):
        cooldown.record_failure(deployment(str(n)), {})
    early, late = deployment("0"), deployment("4999")
    assert cooldown.healthy_first([late, early]) == [early, late]
    assert cooldown.healthy_first([deployment("1"), early]) == [deployment("1"), early], (
        "both forgotten"
    )
    assert len(cooldown._failed) == 1000


@pytest.mark.parametrize("letter", ["m", "\U0001f600", "\ud800"])
def test_a_long_name_of_a_model_takes_no_memory(letter: str) -> None:
    cooldown = Cooldown(30)
    failed = [f"{n}-" + letter * 100_000 for n in range(30)]
    tracemalloc.start()
    for name in failed:
        cooldown.record_failure(deployment(f"{name}."), {})
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 30 * 1000
    healthy = deployment("healthy")
    first, last = deployment(f"{failed[0]}."), deployment(f"{failed[29]}.")
    assert cooldown.healthy_first([first, healthy, last])[0] is healthy


def test_an_id_and_a_model_are_not_taken_for_another_pair() -> None:
    cooldown = Cooldown(30)
    pairs = [("a", "bc"), ("ab", "c"), ("", "abc"), ("2:a", "b"), ("2", ":ab")]
    first, *others = (
        Deployment(id=id_, model_name="*", provider="anthropic", upstream_model=model)
        for id_, model in pairs
    )
    cooldown.record_failure(first, {})
    assert cooldown.healthy_first([first, *others]) == [*others, first]


def test_a_cooldown_ends_after_its_seconds_and_the_last_failure_counts() -> None:
    now = [0.0]
    cooldown = Cooldown(30, clock=lambda: now[0])
    failed, other = deployment("a"), deployment("b")
    cooldown.record_failure(failed, {"retry-after": "60"})
    now[0] = 59.9
    assert cooldown.healthy_first([failed, other]) == [other, failed]
    now[0] = 60
    assert cooldown.healthy_first([failed, other]) == [failed, other]
    cooldown.record_failure(failed, {"retry-after": "300"})
    cooldown.record_failure(failed, {})
    now[0] = 89.9
    assert cooldown.healthy_first([failed, other]) == [other, failed]
    now[0] = 90
    assert cooldown.healthy_first([failed, other]) == [failed, other]


def test_a_cooldown_of_0_seconds_moves_nothing() -> None:
    cooldown = Cooldown(0, clock=lambda: 5)
    failed, other = deployment("a"), deployment("b")
    cooldown.record_failure(failed, {})
    assert cooldown.healthy_first([failed, other]) == [failed, other]


@pytest.fixture
def nervous_threads() -> Iterator[None]:
    """Switches between threads a million times a second."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("nervous_threads")
def test_failures_in_several_threads_are_all_recorded() -> None:
    cooldown = Cooldown(30)
    # No more than are remembered, or a thread that waits for its turn may find its own evicted.
    failed = [[deployment(f"{thread}-{n}") for n in range(125)] for thread in range(8)]

    def record(deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        for each in deployments:
            cooldown.record_failure(each, {})
        return cooldown.healthy_first([*deployments, deployment("healthy")])

    with ThreadPoolExecutor(len(failed)) as threads:
        orders = list(threads.map(record, failed))
    assert all(order[0].upstream_model == "healthy" for order in orders)
    assert len(cooldown._failed) == 1000
    record([deployment("more")])
    assert len(cooldown._failed) == 1000
