"""Observers of the counts in flight and in the cache."""

import logging
from typing import Any

import pytest

from count_tokens_mw import Config, CountError, CountTokens
from tests.support.fakes import CONFIG, ENVIRON, HELLO, FakeUpstream, count_tokens_with

ON: dict[str, Any] = {"cache": {"ttl": 300}}


def observed(upstream: FakeUpstream, **options: Any) -> tuple[CountTokens, list[tuple[int, int]]]:
    """Return a counter, and the counts in flight and in its cache at each change."""
    count_tokens = count_tokens_with(upstream, settings=ON, **options)
    seen: list[tuple[int, int]] = []
    count_tokens.observe(lambda: seen.append((count_tokens.in_flight, count_tokens.cache_size)))
    return count_tokens, seen


async def test_a_count_is_observed_when_it_begins_when_it_is_cached_and_when_it_ends(
    upstream: FakeUpstream,
) -> None:
    count_tokens, seen = observed(upstream)
    await count_tokens.count(HELLO)
    assert seen == [(1, 0), (1, 1), (0, 1)]
    seen.clear()
    await count_tokens.count(HELLO)
    assert seen == [(1, 1), (0, 1)]


async def test_a_failed_count_is_observed_too(upstream: FakeUpstream) -> None:
    count_tokens, seen = observed(upstream)
    upstream.answers(400)
    with pytest.raises(CountError):
        await count_tokens.count(HELLO)
    assert seen == [(1, 0), (0, 0)]


async def test_a_breakdown_is_observed_while_it_fills_the_cache(upstream: FakeUpstream) -> None:
    count_tokens, seen = observed(upstream)
    await count_tokens.breakdown({**HELLO, "system": "a"})
    sizes = [size for _, size in seen]
    assert sizes == sorted(sizes)
    assert set(sizes) == set(range(count_tokens.cache_size + 1))
    assert all(in_flight > 0 for in_flight, size in seen if size < count_tokens.cache_size)
    assert seen[-1] == (0, count_tokens.cache_size)


async def test_a_reload_that_empties_the_cache_is_observed(upstream: FakeUpstream) -> None:
    count_tokens, seen = observed(upstream)
    await count_tokens.count(HELLO)
    seen.clear()
    settings = {"cache": {"ttl": 60}}
    count_tokens.reload(Config.from_mapping({**CONFIG, "count_tokens": settings}, ENVIRON))
    assert seen == [(0, 0)]


async def test_an_observer_that_fails_is_logged_and_costs_no_count(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    count_tokens = count_tokens_with(upstream)

    secret = "canary"

    def fail() -> None:
        raise KeyError(secret)

    count_tokens.observe(fail)
    caplog.set_level(logging.ERROR)
    assert (await count_tokens.count(HELLO)).input_tokens == 14
    assert count_tokens.in_flight == 0
    assert "fail failed with KeyError" in caplog.text
    assert secret not in caplog.text
