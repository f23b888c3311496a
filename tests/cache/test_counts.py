"""Cache and single flight: identical calls are made once, and no caller gets another's answer."""

import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from count_tokens_mw import (
    Caller,
    Config,
    CountError,
    CountTokens,
    DeadlineExceeded,
    TokenCount,
    Unauthenticated,
)
from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.cache.counts import CountCache
from count_tokens_mw.cache.fingerprint import fingerprint
from count_tokens_mw.config.models import CacheSettings
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.types import UpstreamCall
from tests.support.fakes import CONFIG, HELLO, FakeUpstream, Recorder, count_tokens_with, mounted
from tests.support.gated import Gated, settle
from tests.support.jobs import job_of

COUNT = "/v1/messages/count_tokens"
ON: dict[str, Any] = {"cache": {"ttl": 300}}


def caching(upstream: FakeUpstream | Gated, **options: Any) -> CountTokens:
    options = {"settings": ON, "http_client": upstream.client(), **options}
    return count_tokens_with(FakeUpstream(), **options)


async def test_37_identical_requests_at_once_are_one_call_and_37_answers() -> None:
    gated, hook = Gated(), Recorder()
    answers: list[httpx.Response] = []

    async def ask(client: httpx.AsyncClient) -> None:
        answers.append(await client.post(COUNT, json=HELLO))

    count_tokens = caching(gated, hooks=[hook])
    async with mounted(count_tokens) as client, anyio.create_task_group() as tasks:
        for _ in range(37):
            tasks.start_soon(ask, client)
        await settle()
        gated.gate.set()
    assert gated.asked == 1
    assert [answer.json() for answer in answers] == [{"input_tokens": 14}] * 37
    sources = [answer.headers["x-count-tokens-source"] for answer in answers]
    assert (sources.count("provider"), sources.count("cache")) == (1, 36)
    limited = [answer for answer in answers if "retry-after" in answer.headers]
    assert len(limited) == 1, "rate limits go only to the caller whose request reached the provider"
    assert len({answer.headers["request-id"] for answer in answers}) == 37
    assert [event.source for event in hook.events].count("cache") == 36


async def test_50_different_ones_are_50_calls() -> None:
    gated = Gated()
    gated.gate.set()
    count_tokens = caching(gated)
    async with anyio.create_task_group() as tasks:
        for n in range(50):
            tasks.start_soon(count_tokens.count, {**HELLO, "system": str(n)})
    assert gated.asked == 50


async def test_a_repeated_request_is_answered_from_the_cache_and_says_so(
    upstream: FakeUpstream,
) -> None:
    upstream.answers(200, b'{"input_tokens":14,"more":1}', **{"retry-after": "9"})
    hook = Recorder()
    async with mounted(caching(upstream, hooks=[hook])) as client:
        first, second = [await client.post(COUNT, json=HELLO) for _ in range(2)]
    assert len(upstream.requests) == 1
    assert first.content == second.content == b'{"input_tokens":14,"more":1}'
    assert first.headers["x-count-tokens-source"] == "provider"
    assert second.headers["x-count-tokens-source"] == "cache"
    assert "retry-after" in first.headers
    assert "retry-after" not in second.headers


async def test_who_asks_is_authenticated_and_authorised_all_the_same(
    upstream: FakeUpstream,
) -> None:
    allowed = True

    def authenticate(request: object) -> Caller:
        if not allowed:
            raise Unauthenticated("No more.")
        return Caller("team-a")

    async with mounted(caching(upstream, authenticate=authenticate)) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200
        allowed = False
        assert (await client.post(COUNT, json=HELLO)).status_code == 401


def entry(**params: Any) -> dict[str, Any]:
    litellm_params = {"model": "anthropic/claude-x", "api_key": "sk-a", **params}
    return {"model_name": HELLO["model"], "litellm_params": litellm_params}


@pytest.mark.parametrize(
    ("body", "headers", "params"),
    [
        ({"system": "Be brief."}, {}, {}),
        ({"messages": [{"role": "user", "content": "Hello, Claudf"}]}, {}, {}),
        ({}, {"anthropic-beta": "context-1m-2025-08-07"}, {}),
        ({}, {"anthropic-version": "2026-10-21"}, {}),
        ({}, {}, {"api_key": "sk-b"}),
        ({}, {}, {"model": "anthropic/claude-y"}),
        ({}, {}, {"api_base": "https://other.example"}),
        ({}, {}, {"extra_headers": {"x-tenant": "b"}}),
    ],
)
async def test_another_body_header_credential_model_or_place_is_another_count(
    upstream: FakeUpstream, body: dict[str, Any], headers: dict[str, str], params: dict[str, Any]
) -> None:
    count_tokens = caching(upstream, config={"model_list": [entry()]})
    await count_tokens.count(HELLO)
    section = {"count_tokens": ON}
    count_tokens.reload(Config.from_mapping({"model_list": [entry(**params)], **section}, {}))
    await count_tokens.count({**HELLO, **body}, headers=headers)
    assert len(upstream.requests) == 2


async def test_what_only_generates_makes_no_difference(upstream: FakeUpstream) -> None:
    count_tokens = caching(upstream)
    for n in range(3):
        await count_tokens.count({**HELLO, "max_tokens": n, "metadata": {"user_id": str(n)}})
    assert len(upstream.requests) == 1


async def test_the_pass_through_is_remembered_with_its_query(upstream: FakeUpstream) -> None:
    async with mounted(caching(upstream)) as client:
        for query in ("", "?beta=true", "", "?beta=true"):
            response = await client.post(f"/anthropic{COUNT}{query}", json=HELLO)
            assert response.json() == {"input_tokens": 14}
    assert len(upstream.requests) == 2


# Errors


async def test_an_error_goes_to_all_who_waited_and_is_not_remembered() -> None:
    gated = Gated()
    gated.answers = [httpx.Response(529, json={"message": "busy"})]
    count_tokens = caching(gated)
    statuses: list[int] = []

    async def ask() -> None:
        try:
            await count_tokens.count(HELLO)
        except CountError as error:
            statuses.append(error.status)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
        await settle()
        gated.gate.set()
    assert (statuses, gated.asked) == ([529] * 5, 1)
    assert (await count_tokens.count(HELLO)).source == "provider"
    assert gated.asked == 2


# Cancelled waiters


@pytest.mark.parametrize("leaver", [0, 1])
async def test_a_waiter_that_leaves_does_not_end_the_call_for_the_others(leaver: int) -> None:
    gated = Gated()
    count_tokens = caching(gated)
    counts: list[TokenCount] = []
    scopes = [anyio.CancelScope(), anyio.CancelScope()]

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            counts.append(await count_tokens.count(HELLO))

    async with anyio.create_task_group() as tasks:
        for scope in scopes:
            tasks.start_soon(ask, scope)
            await settle()
        scopes[leaver].cancel()
        await settle()
        assert gated.left == 0
        gated.gate.set()
    assert [count.input_tokens for count in counts] == [14]
    assert gated.asked == 1


async def test_when_all_have_left_the_call_ends_and_the_next_one_asks_anew() -> None:
    gated = Gated()
    count_tokens = caching(gated)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count_tokens.count, HELLO)
        tasks.start_soon(count_tokens.count, HELLO)
        await settle()
        tasks.cancel_scope.cancel()
    await settle()
    assert (gated.asked, gated.left) == (1, 1)
    gated.gate.set()
    assert (await count_tokens.count(HELLO)).input_tokens == 14
    assert gated.asked == 2


async def test_a_call_that_hangs_is_not_joined_once_somebody_has_given_up_on_it() -> None:
    gated = Gated()
    count_tokens = caching(gated, settings={**ON, "timeout": 0.05})

    async def give_up() -> None:
        with pytest.raises(DeadlineExceeded):
            await count_tokens.count(HELLO)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(give_up)
    assert (gated.asked, gated.left) == (1, 1)
    await give_up()
    assert gated.asked == 2


async def test_a_host_that_ends_tasks_that_it_does_not_know_cancels_no_request() -> None:
    gated = Gated()
    count_tokens = caching(gated)
    counts: list[TokenCount] = []

    async def ask() -> None:
        counts.append(await count_tokens.count(HELLO))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
        await settle()
        flights = count_tokens._pipeline.engine.sender._flights._flights.get()
        for flight in list(flights.values()):
            flight.task.cancel()
        await settle()
        gated.gate.set()
    assert [count.input_tokens for count in counts] == [14, 14], "by the one retry"
    assert gated.left == 1


async def test_what_a_call_sends_is_its_key_and_what_it_left_out_is_not() -> None:
    runtime = UpstreamCall("bedrock", "https://runtime", (), b"body")
    mantles = [
        UpstreamCall("bedrock", "https://mantle", (("anthropic-beta", beta),), b"body")
        for beta in ("a", "b")
    ]
    calls = [runtime, *mantles, replace(runtime, omitted=("tools.0.custom.x",))]
    assert len({await fingerprint(call, "", LoopFairness()) for call in calls}) == 3


def test_the_cache_may_be_measured_in_another_thread() -> None:
    cache = CountCache(CacheSettings(ttl=1e-4))
    done = threading.Event()

    def measure() -> None:
        while not done.is_set():
            len(cache)

    def fill() -> None:
        for n in range(3000):
            key = str(n).encode()
            if cache.get(key) is None:
                cache.put(key, TokenCount(1))

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        fill()
    finally:
        done.set()
        thread.join()
    assert len(cache) <= 3000


# TTL and size


class Clocked:
    """A counting engine whose clock stands still."""

    def __init__(self, **cache: Any) -> None:
        self.now = 0.0
        self.upstream = FakeUpstream()
        config = Config.from_mapping(
            {**CONFIG, "count_tokens": {"cache": cache}}, {"ANTHROPIC_API_KEY": "k"}
        )
        self.engine = CountingEngine(config, self.upstream.client(), clock=lambda: self.now)

    async def calls_for(self, *texts: str) -> int:
        """Return the number of upstream calls that counting these texts takes."""
        before = len(self.upstream.requests)
        for text in texts:
            request = request_from_mapping({**HELLO, "system": text}, ())
            await self.engine.count(job_of(self.engine, request))
        return len(self.upstream.requests) - before


async def test_a_count_is_remembered_for_its_time_and_no_longer() -> None:
    clocked = Clocked(ttl=60)
    assert await clocked.calls_for("a") == 1
    clocked.now += 59
    assert await clocked.calls_for("a") == 0
    clocked.now += 2
    assert await clocked.calls_for("a") == 1


async def test_no_more_counts_are_remembered_than_are_allowed() -> None:
    clocked = Clocked(max_entries=2)
    assert await clocked.calls_for("a", "b", "c") == 3
    assert len(clocked.engine.sender) == 2
    assert await clocked.calls_for("c") == 0
    assert await clocked.calls_for("a") == 1


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        (b'{"input_tokens":14,"more":"%s"}', True),
        (b'{"input_tokens":14,"more":"%s" }', False),
    ],
)
async def test_an_answer_over_4_kb_is_returned_and_not_kept(answer: bytes, is_kept: bool) -> None:
    clocked = Clocked()
    body = answer % (b"x" * (4096 - len(b'{"input_tokens":14,"more":""}')))
    clocked.upstream.answers(200, body)
    request = request_from_mapping(HELLO, ())
    sources = []
    for _ in range(2):
        counted = await clocked.engine.count(job_of(clocked.engine, request))
        assert counted.body == body
        sources.append(counted.source)
    assert sources == ["provider", "cache" if is_kept else "provider"]
    assert len(clocked.engine.sender) == is_kept


async def test_many_reloads_keep_no_former_counts() -> None:
    clocked = Clocked(ttl=60)
    caches = [clocked.engine.sender._cache]
    for ttl in (61, 62, 63):
        assert await clocked.calls_for("a") == 1
        section = {"count_tokens": {"cache": {"ttl": ttl}}}
        clocked.engine.reload(
            Config.from_mapping({**CONFIG, **section}, {"ANTHROPIC_API_KEY": "k"})
        )
        caches.append(clocked.engine.sender._cache)
    assert [len(cache) for cache in caches if cache is not None] == [0, 0, 0, 0]
    assert clocked.engine.sender._former == []


async def test_the_cache_can_be_turned_off() -> None:
    clocked = Clocked(ttl=0)
    assert await clocked.calls_for("a", "a") == 2
    assert len(clocked.engine.sender) == 0


async def test_a_reload_keeps_what_is_remembered_unless_its_settings_change() -> None:
    clocked = Clocked(ttl=60)
    assert await clocked.calls_for("a") == 1
    for ttl, calls in [(60, 0), (61, 1)]:
        section = {"count_tokens": {"cache": {"ttl": ttl}}}
        environ = {"ANTHROPIC_API_KEY": "k"}
        clocked.engine.reload(Config.from_mapping({**CONFIG, **section}, environ))
        assert await clocked.calls_for("a") == calls


# The key


async def test_no_two_parts_of_a_call_can_be_told_otherwise_and_look_the_same() -> None:
    calls = [
        UpstreamCall("ab", "c", (), b"d"),
        UpstreamCall("a", "bc", (), b"d"),
        UpstreamCall("a", "bc", (("d", ""),), b""),
        UpstreamCall("a", "bc", (("", "d"),), b""),
        UpstreamCall("a", "bc", (("d", "e"), ("f", "g")), b""),
        UpstreamCall("a", "bc", (("d", "ef"), ("", "g")), b""),
        UpstreamCall("a", "bc", (), b"d" * 300_000),
        UpstreamCall("a", "bc", (), b"d" * 300_001),
    ]
    keys = [
        await fingerprint(call, account, LoopFairness()) for call in calls for account in ("", "x")
    ]
    assert len(set(keys)) == len(keys)


KEY_OF = """
import asyncio
from count_tokens_mw import Config
from count_tokens_mw.cache.fingerprint import fingerprint
from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.types import UpstreamCall
params = {
    "model": "vertex_ai/claude", "vertex_location": "eu",
    "vertex_credentials": {"private_key": "canary", "b": 1, "a": [2]},
}
entry = {"model_name": "m", "litellm_params": params}
(deployment,) = Config.from_mapping({"model_list": [entry]}, {}).deployments
call = UpstreamCall("vertex_ai", "https://h", (("a", "b"),), b"c")
print(asyncio.run(fingerprint(call, deployment.params.account, LoopFairness())).hex())
"""


def test_every_process_comes_to_the_same_key_and_it_tells_no_secret() -> None:
    def key() -> str:
        command = [sys.executable, "-c", KEY_OF]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    first, second = key(), key()
    assert first == second
    assert len(bytes.fromhex(first)) == 32


# Events


async def snapshots(upstream: FakeUpstream) -> AsyncIterator[dict[str, Any]]:
    hook = Recorder()

    def authorize(caller: Caller, model: str) -> bool:
        return model != "gpt"

    async with mounted(caching(upstream, hooks=[hook], authorize=authorize)) as client:
        headers = {"x-end-user-id": "alice"}
        for body in (HELLO, HELLO, {**HELLO, "model": "nobody"}, {**HELLO, "model": "gpt"}):
            await client.post(COUNT, json=body, headers=headers)
        upstream.answers(529, b'{"type":"error","error":{"type":"overloaded_error","message":""}}')
        await client.post(COUNT, json={**HELLO, "system": "other"}, headers=headers)
        await client.get(COUNT, headers=headers)
    for event in hook.events:
        facts = event.as_dict()
        for timed in (facts, *facts["attempts"]):
            del timed["started_at"], timed["duration"]
        assert facts.pop("request_id").startswith("req_")
        yield facts


async def test_the_events_of_a_counted_a_cached_a_refused_and_a_failed_request_whole(
    upstream: FakeUpstream,
) -> None:
    attempt = {
        "deployment": "claude-sonnet#0",
        "provider": "anthropic",
        "upstream_model": "claude-sonnet-4-5",
        "status": 200,
        "error": None,
        "error_type": None,
        "upstream_code": None,
        "upstream_request_id": "req_upstream",
        "source": "provider",
        "host": "api.anthropic.com",
    }
    counted = {
        "entry_point": "count_tokens",
        "status": 200,
        "error": None,
        "error_type": None,
        "input_tokens": 14,
        "source": "provider",
        "omitted": [],
        "unread": [],
        "tags": [],
        "caller": "team-a",
        "end_user": "alice",
        "session_id": None,
        "agent_id": None,
        "parent_agent_id": None,
        "model": "claude-sonnet",
        "deployment": "claude-sonnet#0",
        "provider": "anthropic",
        "upstream_model": "claude-sonnet-4-5",
        "upstream_request_id": "req_upstream",
        "attempts": [attempt],
    }
    from_cache = {"source": "cache", "upstream_request_id": None}
    nobody: dict[str, Any] = {
        "deployment": None,
        "provider": None,
        "upstream_model": None,
        "attempts": [],
    }
    no_count = {"input_tokens": None, "source": None, "upstream_request_id": None}
    error = {"status": 529, "error": "UpstreamError", "error_type": "overloaded_error"}
    failed = {**attempt, **error, "upstream_code": "overloaded_error"}
    assert [facts async for facts in snapshots(upstream)] == [
        counted,
        {**counted, **from_cache, "attempts": [{**attempt, **from_cache}]},
        {
            **counted,
            **nobody,
            **no_count,
            "status": 404,
            "error": "NotFound",
            "error_type": "not_found_error",
            "model": "nobody",
        },
        {
            **counted,
            **nobody,
            **no_count,
            "status": 403,
            "error": "PermissionDenied",
            "error_type": "permission_error",
            "model": "gpt",
        },
        {
            **counted,
            **no_count,
            **error,
            "attempts": [{**failed, "source": None, "upstream_request_id": None}],
        },
        {
            **counted,
            **nobody,
            **no_count,
            "status": 405,
            "error": "MethodNotAllowed",
            "error_type": "invalid_request_error",
            "caller": None,
            "model": None,
        },
    ]
