"""`cache.scope`: all callers share counts, calls in flight, parsed bodies and Redis, or none."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import anyio
import httpx
import pytest
from pydantic import ValidationError
from redis import Redis

from count_tokens_mw import Caller, Config, CountTokens, TokenCount
from count_tokens_mw.cache import sender
from count_tokens_mw.cache.scope import key_of_caller
from count_tokens_mw.config.models import CacheSettings
from tests.support.fakes import (
    CONFIG,
    ENVIRON,
    HELLO,
    FakeUpstream,
    count_tokens_with,
    mounted,
)
from tests.support.gated import Gated, settle, wait_for_waiters
from tests.support.redis_servers import RealRedis, running_redis

COUNT = "/v1/messages/count_tokens"
PASSTHROUGH = f"/anthropic{COUNT}"
BREAKDOWN = f"{COUNT}/breakdown"
CANARY = "canary-caller@example.com"


def named_caller(request: Any) -> Caller:
    return Caller(request.headers["x-who"])


def counting(upstream: FakeUpstream | Gated, scope: str | None, **options: Any) -> CountTokens:
    cache = {"ttl": 300, **({} if scope is None else {"scope": scope}), **options.pop("cache", {})}
    return count_tokens_with(
        FakeUpstream(),
        settings={"cache": cache, **options.pop("more", {})},
        **{"authenticate": named_caller, "http_client": upstream.client(), **options},
    )


async def ask(
    client: httpx.AsyncClient,
    caller: str,
    path: str = COUNT,
    body: Mapping[str, Any] = HELLO,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the source of the count that a caller gets."""
    answer = await client.post(path, json=body, headers={"x-who": caller, **headers})
    assert answer.status_code == 200
    return str(answer.headers["x-count-tokens-source"])


async def sources(count_tokens: CountTokens, *callers: str, path: str = COUNT) -> list[str]:
    async with mounted(count_tokens) as client:
        return [await ask(client, caller, path) for caller in callers]


# The cache


@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
@pytest.mark.parametrize("scope", [None, "shared"])
async def test_shared_is_the_default_and_one_call_counts_for_all(
    upstream: FakeUpstream, scope: str | None, path: str
) -> None:
    count_tokens = counting(upstream, scope)
    callers = ("ann", "bob", "ann", "cy")
    expected = ["provider", "cache", "cache", "cache"]
    assert await sources(count_tokens, *callers, path=path) == expected
    assert len(upstream.requests) == count_tokens.cache_size == 1


@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
async def test_no_caller_gets_a_count_of_another(upstream: FakeUpstream, path: str) -> None:
    count_tokens = counting(upstream, "caller")
    callers = ("ann", "bob", "ann", "cy", "bob", "Ann", "ann ")
    assert await sources(count_tokens, *callers[:-1], path=path) == [
        "provider",
        "provider",
        "cache",
        "provider",
        "cache",
        "provider",
    ]
    assert len(upstream.requests) == count_tokens.cache_size == 4
    assert len({request.content for request in upstream.requests}) == 1


@pytest.mark.parametrize("scope", ["shared", "caller"])
async def test_in_process_the_host_is_a_scope_of_its_own(
    upstream: FakeUpstream, scope: str
) -> None:
    count_tokens = counting(upstream, scope)
    callers = (None, Caller("ann"), Caller(""), Caller("None"), Caller("\ud800"))
    for expected in ("provider", "cache"):
        for number, caller in enumerate(callers):
            count = await count_tokens.count(HELLO, caller=caller)
            is_first = scope == "caller" or number == 0
            assert count.source == (expected if is_first else "cache")
    assert len(upstream.requests) == (5 if scope == "caller" else 1)


async def test_a_caller_shares_between_entry_points(upstream: FakeUpstream) -> None:
    count_tokens = counting(upstream, "caller")
    raw = json.dumps(HELLO)
    async with mounted(count_tokens) as client:
        await client.post(COUNT, content=raw, headers={"x-who": "ann"})
    assert (await count_tokens.count(json.loads(raw), caller=Caller("ann"))).source == "cache"
    assert (await count_tokens.count(json.loads(raw), caller=Caller("bob"))).source == "provider"


async def test_only_the_id_of_a_caller_matters(upstream: FakeUpstream) -> None:
    count_tokens = counting(upstream, "caller")
    for number in range(3):
        caller = Caller("ann", frozenset({str(number)}), {"session": number})
        count = await count_tokens.count(HELLO, caller=caller)
        assert count.source == ("cache" if number else "provider")


async def test_a_transform_sees_the_caller_and_its_counts_are_separate(
    upstream: FakeUpstream,
) -> None:
    def transform(body: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
        return {**body, "system": "The same for all."}

    count_tokens = counting(upstream, "caller", transform=transform)
    assert await sources(count_tokens, "ann", "bob", "ann") == ["provider", "provider", "cache"]


async def test_a_breakdown_uses_the_counts_of_its_caller_alone(upstream: FakeUpstream) -> None:
    body = {**HELLO, "system": "Be brief."}
    count_tokens = counting(upstream, "caller")
    calls = []
    async with mounted(count_tokens) as client:
        for caller in ("ann", "bob", "ann", "bob"):
            before = len(upstream.requests)
            await ask(client, caller, BREAKDOWN, body)
            calls.append(len(upstream.requests) - before)
        assert await ask(client, "ann", COUNT, body) == "cache"
        assert await ask(client, "cy", COUNT, body) == "provider"
    assert calls[0] == calls[1] > 1
    assert calls[2:] == [0, 0]


async def test_own_credentials_and_callers_both_separate(upstream: FakeUpstream) -> None:
    forwarding = {"passthrough": {"anthropic": {"forward_client_credentials": "x-api-key"}}}
    count_tokens = counting(upstream, "caller", more=forwarding)
    async with mounted(count_tokens) as client:
        got = [
            await ask(client, caller, PASSTHROUGH, headers={"x-api-key": key})
            for caller, key in (
                ("ann", "sk-a"),
                ("ann", "sk-b"),
                ("bob", "sk-a"),
                ("ann", "sk-a"),
            )
        ]
    assert got == ["provider", "provider", "provider", "cache"]


# The memo of parsed bodies


@pytest.mark.parametrize(("scope", "entries"), [("shared", 1), ("caller", 2)])
async def test_a_parsed_body_is_recalled_within_its_scope(
    upstream: FakeUpstream, scope: str, entries: int
) -> None:
    count_tokens = counting(upstream, scope)
    for _ in range(2):
        await sources(count_tokens, "ann", "bob")
    memo = count_tokens._pipeline.engine.sender._memo
    assert memo is not None
    assert len(memo) == entries
    stored = [(key, *entry) for key, entry in memo._entries.items()]
    assert "ann" not in str(stored)
    known = {call[2] for entry in stored for call in entry[3]}
    assert len(known) == entries


# Single flight


@pytest.mark.parametrize(("scope", "calls"), [("shared", 1), ("caller", 3)])
async def test_a_call_in_flight_is_joined_within_its_scope(scope: str, calls: int) -> None:
    gated = Gated()
    count_tokens = counting(gated, scope)
    callers = [Caller("ann"), Caller("bob"), None] * 3
    counts: list[TokenCount] = []

    async def count(caller: Caller | None) -> None:
        counts.append(await count_tokens.count(HELLO, caller=caller))

    async with anyio.create_task_group() as tasks:
        for caller in callers:
            tasks.start_soon(count, caller)
        await wait_for_waiters(count_tokens, 9 // calls)
        await settle()
        gated.gate.set()
    assert gated.asked == calls
    assert (
        sorted(count.source for count in counts) == ["cache"] * (9 - calls) + ["provider"] * calls
    )


async def test_the_error_of_another_caller_is_not_joined() -> None:
    gated = Gated()
    gated.answers = [httpx.Response(429, json={"message": "busy"})]
    count_tokens = counting(gated, "caller", more={"cooldown": 0})
    statuses: dict[str, int] = {}

    async def post(client: httpx.AsyncClient, caller: str) -> None:
        answer = await client.post(COUNT, json=HELLO, headers={"x-who": caller})
        statuses[caller] = answer.status_code

    async with mounted(count_tokens) as client, anyio.create_task_group() as tasks:
        for caller in ("ann", "bob"):
            tasks.start_soon(post, client, caller)
            await settle()
        gated.gate.set()
    assert statuses == {"ann": 429, "bob": 200}


# Reload


def config_with(scope: str) -> Config:
    section = {"count_tokens": {"cache": {"ttl": 300, "scope": scope}}}
    return Config.from_mapping({**CONFIG, **section}, ENVIRON)


async def test_a_reload_changes_the_scope_and_begins_empty_caches(upstream: FakeUpstream) -> None:
    count_tokens = counting(upstream, "shared")
    assert await sources(count_tokens, "ann", "bob") == ["provider", "cache"]
    count_tokens.reload(config_with("caller"))
    assert await sources(count_tokens, "ann", "bob", "ann") == ["provider", "provider", "cache"]
    count_tokens.reload(config_with("caller"))
    assert await sources(count_tokens, "ann", "bob") == ["cache", "cache"]
    count_tokens.reload(config_with("shared"))
    assert await sources(count_tokens, "cy", "ann") == ["provider", "cache"]


@pytest.mark.parametrize(
    ("before", "after", "calls"), [("shared", "caller", 2), ("caller", "shared", 1)]
)
async def test_a_call_in_flight_at_a_reload_counts_for_nobody_after_it(
    before: str, after: str, calls: int
) -> None:
    gated = Gated()
    count_tokens = counting(gated, before)
    async with mounted(count_tokens) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, client, "ann")
        await wait_for_waiters(count_tokens, 1)
        count_tokens.reload(config_with(after))
        gated.gate.set()
    assert gated.asked == 1
    got = await sources(count_tokens, "bob", "ann", "bob")
    assert got.count("provider") == calls
    assert gated.asked == 1 + calls


# Redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def redis(server: RealRedis) -> Iterator[Redis]:
    """Yield a client of the real Redis, emptied."""
    with Redis(port=server.port, protocol=2) as client:
        client.flushall()
        yield client


async def sources_by_processes(url: str, *turns: tuple[str, str]) -> list[str]:
    """Return the source of the count for each scope and caller, each in a process of its own."""
    got = []
    for scope, caller in turns:
        process = counting(FakeUpstream(), scope, cache={"url": url})
        async with process.lifespan():
            got += await sources(process, caller)
    return got


async def test_processes_share_the_counts_of_a_caller_with_nobody_else(
    server: RealRedis, redis: Redis
) -> None:
    assert await sources_by_processes(
        server.url,
        ("caller", CANARY),
        ("caller", "bob"),
        ("caller", CANARY),
        ("caller", "bob"),
        ("shared", "bob"),
        ("shared", CANARY),
        ("caller", "cy"),
    ) == ["provider", "provider", "cache", "cache", "provider", "cache", "provider"]
    names = redis.keys("*")
    assert isinstance(names, list)
    assert len(names) == 4
    for name in names:
        assert isinstance(name, bytes)
        assert name.startswith(b"count_tokens:1:")
        value = redis.get(name)
        assert isinstance(value, bytes)
        for text in (CANARY, "canary", CANARY.encode().hex(), "caller"):
            assert text.encode() not in name + value


# The key


def test_no_two_callers_have_one_key() -> None:
    keys = [hashlib.sha256(text).digest() for text in (b"a", b"b")]
    callers = [
        None,
        Caller(""),
        Caller("a"),
        Caller("b"),
        Caller("1:a"),
        Caller("None"),
        Caller("a" * 100_000),
        Caller("\ud800"),
        Caller("\udfff"),
        Caller("ä"),
        Caller("a\u0308"),
    ]
    scoped = {key_of_caller(key, caller) for key in keys for caller in callers}
    assert len(scoped) == len(keys) * len(callers)
    assert {len(key) for key in scoped} == {32}
    assert scoped.isdisjoint(keys)


async def test_a_shared_cache_hashes_no_caller(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are those of versions without a scope, and a hit takes no more time."""

    def refuse(key: bytes, caller: Caller | None) -> bytes:
        raise AssertionError

    monkeypatch.setattr(sender, "key_of_caller", refuse)
    assert await sources(counting(upstream, "shared"), "ann", "bob") == ["provider", "cache"]


def test_the_scope_is_one_of_two() -> None:
    assert CacheSettings().scope == "shared"
    for scope in ("callers", "Caller", "", None, True):
        with pytest.raises(ValidationError):
            CacheSettings(scope=scope)  # type: ignore[arg-type]
