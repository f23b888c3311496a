"""Omissions of a count, by every way that its answer may come."""

from typing import Any

import anyio
import httpx
import pytest

from count_tokens_mw import CannotCount, CountTokens
from tests.cache.test_counts import Gated, settle
from tests.support.fakes import FakeUpstream, Recorder, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
OMITTED = "x-count-tokens-omitted"
MESSAGES = [{"role": "user", "content": "Hello, Claude"}]
TOOL = {"name": "f", "input_schema": {"type": "object"}}
PARAMS = {
    "model": "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
    "aws_region_name": "us-west-2",
    "api_key": "ABSK-1",
}
CONFIG = {"model_list": [{"model_name": "m", "litellm_params": PARAMS}]}
PLAIN = {"model": "m", "messages": MESSAGES, "tools": [TOOL, TOOL]}
FIRST = {**PLAIN, "tools": [{**TOOL, "eager_input_streaming": True}, TOOL]}
SECOND = {**PLAIN, "tools": [TOOL, {**TOOL, "eager_input_streaming": True}]}
NAMED = {
    "first": "tools.0.custom.eager_input_streaming",
    "second": "tools.1.custom.eager_input_streaming",
}


def counting(upstream: FakeUpstream | Gated, **options: Any) -> CountTokens:
    settings = {"cache": {"ttl": 300}, **options.pop("settings", {})}
    if isinstance(upstream, FakeUpstream):
        upstream.answer = lambda _: httpx.Response(200, json={"inputTokens": 14})
    options = {"http_client": upstream.client(), **options}
    return count_tokens_with(FakeUpstream(), CONFIG, settings=settings, **options)


async def test_bodies_that_differ_only_in_what_is_left_out_share_a_count_and_are_named_their_own(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    async with mounted(counting(upstream, hooks=[hook])) as client:
        bodies = (FIRST, SECOND, PLAIN, SECOND, FIRST, PLAIN)
        answers = [await client.post(COUNT, json=body) for body in bodies]
    assert len(upstream.requests) == 1
    first, second = NAMED.values()
    assert [answer.headers.get(OMITTED) for answer in answers] == [
        *(first, second, None),
        *(second, first, None),
    ]
    assert [answer.headers["x-count-tokens-source"] for answer in answers] == [
        "provider",
        *["cache"] * 5,
    ]
    assert [event.omitted for event in hook.events[:3]] == [(first,), (second,), ()]
    assert hook.events[0].as_dict()["omitted"] == [first]


async def test_those_who_wait_for_one_call_are_named_their_own() -> None:
    gated = Gated()
    gated.answers = [httpx.Response(200, json={"inputTokens": 14})]
    named: dict[str, str | None] = {}

    async def ask(client: httpx.AsyncClient, name: str, body: dict[str, Any]) -> None:
        named[name] = (await client.post(COUNT, json=body)).headers.get(OMITTED)

    async with mounted(counting(gated)) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, client, "first", FIRST)
        tasks.start_soon(ask, client, "second", SECOND)
        tasks.start_soon(ask, client, "plain", PLAIN)
        await settle()
        gated.gate.set()
    assert gated.asked == 1
    assert named == {**NAMED, "plain": None}


async def test_without_a_cache_it_is_named_too(upstream: FakeUpstream) -> None:
    count = await counting(upstream, settings={"cache": {"ttl": 0}}).count(FIRST)
    assert count.omitted == (NAMED["first"],)


async def test_a_breakdown_names_what_the_whole_left_out(upstream: FakeUpstream) -> None:
    async with mounted(counting(upstream)) as client:
        answer = await client.post(f"{COUNT}/breakdown", json=FIRST)
    assert answer.headers[OMITTED] == NAMED["first"]
    assert "omitted" not in answer.json()


async def test_a_gateway_may_refuse_before_anything_is_sent(upstream: FakeUpstream) -> None:
    count_tokens = counting(upstream, settings={"omissions": "refuse"})
    for _ in range(2):
        with pytest.raises(CannotCount, match=rf"^{NAMED['first']}: bedrock does not take it"):
            await count_tokens.count(FIRST)
    assert upstream.requests == []
    assert (await count_tokens.count(PLAIN)).input_tokens == 14


async def test_a_count_that_the_memo_knows_is_refused_too(upstream: FakeUpstream) -> None:
    from count_tokens_mw import Config

    count_tokens = counting(upstream)
    async with mounted(count_tokens) as client:
        assert (await client.post(COUNT, json=FIRST)).status_code == 200
        section = {"count_tokens": {"cache": {"ttl": 300}, "omissions": "refuse"}}
        count_tokens.reload(Config.from_mapping({**CONFIG, **section}, {}))
        refused = await client.post(COUNT, json=FIRST)
        assert refused.status_code == 501
        assert refused.headers["x-should-retry"] == "false"
        assert (await client.post(COUNT, json=PLAIN)).status_code == 200
    assert len(upstream.requests) == 1
