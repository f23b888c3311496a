"""A count names what was left out of it: of the request that it answers, whoever it came from."""

from typing import Any

import anyio
import httpx
import pytest

from count_tokens_mw import CannotCount, CountTokens, TokenCount
from count_tokens_mw.cache.counts import CountCache
from count_tokens_mw.config.models import CacheSettings
from count_tokens_mw.config.params.anthropic import AnthropicParams
from count_tokens_mw.config.params.base import Params
from tests.support.fakes import HELLO, Recorder, mounted
from tests.support.learning_provider import ON, LearningProvider, counting_by
from tests.support.redis_servers import FakeRedis

COUNT = "/v1/messages/count_tokens"
BREAKDOWN = f"{COUNT}/breakdown"
REFUSE: dict[str, Any] = {**ON, "omissions": "refuse"}
HEADER = "x-count-tokens-omitted"


def hello(*extra: str, **more: Any) -> dict[str, Any]:
    """Return a body of which the provider leaves `extra` out."""
    return {**HELLO, "extra": extra, **more}


async def omissions(count_tokens: CountTokens, *bodies: dict[str, Any]) -> list[str | None]:
    async with mounted(count_tokens) as client:
        answers = [await client.post(COUNT, json=body) for body in bodies]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.headers.get(HEADER) for answer in answers]


async def test_the_answer_and_the_event_name_what_was_left_out() -> None:
    hook = Recorder()
    count_tokens = counting_by(LearningProvider(), hooks=[hook])
    assert await omissions(count_tokens, hello("a,b", "\x07c"), hello()) == [
        "extra.a%2Cb,extra.%07c",
        None,
    ]
    assert [event.omitted for event in hook.events] == [("extra.a,b", "extra.\\x07c"), ()]
    assert hook.events[0].as_dict()["omitted"] == ["extra.a,b", "extra.\\x07c"]


async def test_the_event_of_an_error_names_nothing() -> None:
    hook = Recorder()
    async with mounted(counting_by(LearningProvider(), hooks=[hook])) as client:
        await client.post(COUNT, json=hello("a", model="nobody"))
    assert (hook.event.status, hook.event.omitted) == (404, ())


async def test_a_long_list_is_cut_in_the_answer_and_in_the_event() -> None:
    hook = Recorder()
    count_tokens = counting_by(LearningProvider(), hooks=[hook])
    (header,) = await omissions(count_tokens, hello("x" * 300, *map(str, range(1, 50))))
    assert header is not None
    assert header.startswith(f"extra.{'x' * 250},extra.1,")
    assert header.endswith("extra.15,+34")
    assert hook.event.omitted[-2:] == ("extra.15", "+34")
    assert len(hook.event.omitted) == 17


async def test_the_memo_answers_each_body_with_its_own() -> None:
    """The third and later answers are recalled without another `prepare`."""
    provider = LearningProvider()
    bodies = [hello("a"), hello("b"), hello("a"), hello("b"), hello("a")]
    named = await omissions(counting_by(provider), *bodies)
    assert named == ["extra.a", "extra.b", "extra.a", "extra.b", "extra.a"]
    assert len(provider.sent) == 1
    assert provider.prepared == 2


async def test_the_cache_answers_each_body_with_its_own() -> None:
    """A host with a `transform` has no memo."""
    provider = LearningProvider()
    count_tokens = counting_by(provider, transform=lambda body, caller: body)
    named = await omissions(count_tokens, hello("a"), hello("b"), hello(), hello("a"))
    assert named == ["extra.a", "extra.b", None, "extra.a"]
    assert len(provider.sent) == 1
    assert provider.prepared == 4


async def test_without_a_cache_it_is_named_too() -> None:
    provider = LearningProvider()
    count_tokens = counting_by(provider, settings={"cache": {"ttl": 0}})
    assert await omissions(count_tokens, hello("a"), hello("b")) == ["extra.a", "extra.b"]
    assert len(provider.sent) == 2


async def test_redis_answers_each_body_with_its_own() -> None:
    async with FakeRedis().serving() as redis:
        shared = {"cache": {"url": redis.url}}
        providers = [LearningProvider(), LearningProvider()]
        first, second = (counting_by(provider, settings=shared) for provider in providers)
        assert await omissions(first, hello("a")) == ["extra.a"]
        await redis.until("SET")
        assert await omissions(second, hello("b"), hello("b"), hello()) == [
            "extra.b",
            "extra.b",
            None,
        ]
        (value,) = redis.values.values()
        for count_tokens in (first, second):
            await count_tokens.aclose()
    assert b"extra" not in value
    assert [len(provider.sent) for provider in providers] == [1, 0]


def test_a_count_in_the_cache_has_none() -> None:
    cache = CountCache(CacheSettings())
    cache.put(b"key", TokenCount(7, headers={"retry-after": "9"}, omitted=("extra.a",)))
    assert cache.get(b"key") == TokenCount(7, "cache")


async def test_all_that_wait_for_one_call_are_answered_with_their_own() -> None:
    provider = LearningProvider()
    provider.seconds = 0.05
    count_tokens = counting_by(provider)
    counts: dict[str, TokenCount] = {}

    async def count(name: str) -> None:
        counts[name] = await count_tokens.count(hello(*name))

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "", "ab"):
            tasks.start_soon(count, name)
    assert len(provider.sent) == 1
    assert {name: count.omitted for name, count in counts.items()} == {
        "a": ("extra.a",),
        "b": ("extra.b",),
        "": (),
        "ab": ("extra.a", "extra.b"),
    }
    assert sorted(count.source for count in counts.values()) == ["cache"] * 3 + ["provider"]


async def test_a_breakdown_names_those_of_the_whole_and_they_are_no_part_of_its_body() -> None:
    hook = Recorder()
    count_tokens = counting_by(LearningProvider(), hooks=[hook])
    async with mounted(count_tokens) as client:
        answer = await client.post(BREAKDOWN, json=hello("a", system="Be brief."))
    assert answer.status_code == 200
    assert answer.headers[HEADER] == "extra.a"
    assert "omitted" not in answer.json()
    assert hook.event.omitted == ("extra.a",)
    assert (await count_tokens.breakdown(hello("b"))).omitted == ("extra.b",)


# omissions: refuse


async def refused(count_tokens: CountTokens, body: dict[str, Any]) -> httpx.Response:
    async with mounted(count_tokens) as client:
        return await client.post(COUNT, json=body)


async def test_refused_omissions_are_a_501_before_anything_is_sent() -> None:
    hook, provider = Recorder(), LearningProvider()
    answer = await refused(counting_by(provider, settings=REFUSE, hooks=[hook]), hello("a", "b"))
    assert answer.status_code == 501
    assert answer.json()["error"]["message"].startswith(
        "extra.a, extra.b: would be left out of the count; "
    )
    assert HEADER not in answer.headers
    assert answer.headers["x-should-retry"] == "false"
    assert provider.sent == []
    (attempt,) = hook.event.attempts
    assert (attempt.status, attempt.error) == (501, "CannotCount")


async def test_a_request_without_omissions_is_counted_where_they_are_refused() -> None:
    count_tokens = counting_by(LearningProvider(), settings=REFUSE)
    assert await omissions(count_tokens, hello(), hello()) == [None, None]


async def test_the_message_of_a_refusal_is_bounded() -> None:
    answer = await refused(
        counting_by(LearningProvider(), settings=REFUSE), hello(*["x" * 1000] * 100)
    )
    assert len(answer.content) < 6000
    assert ", +84: would be left out" in answer.json()["error"]["message"]


async def test_the_cache_does_not_evade_a_refusal() -> None:
    count_tokens = counting_by(LearningProvider(), settings=REFUSE)
    await count_tokens.count(hello())
    for _ in range(2):
        with pytest.raises(CannotCount):
            await count_tokens.count(hello("a"))


async def test_the_memo_does_not_evade_a_refusal() -> None:
    """The settings may change while a cache stays, and its memo knows the request."""
    provider = LearningProvider()
    count_tokens = counting_by(provider)
    assert await omissions(count_tokens, hello("a")) == ["extra.a"]
    engine = count_tokens._pipeline.engine
    engine.snapshot.settings = engine.snapshot.settings.model_copy(update={"omissions": "refuse"})
    assert (await refused(count_tokens, hello("a"))).status_code == 501
    assert len(provider.sent) == 1


async def test_another_deployment_may_need_no_omission_and_none_is_in_cooldown() -> None:
    entries = [
        {
            "model_name": HELLO["model"],
            "litellm_params": {
                "model": "anthropic/x",
                "api_key": "k",
                "api_base": f"https://{host}.example",
            },
            "model_info": {"id": host},
        }
        for host in ("omitting", "complete")
    ]
    by_host = {"omitting": LearningProvider("b1"), "complete": LearningProvider()}
    by_host["omitting"].refused.add("b1")

    def provider_of(params: Params) -> LearningProvider:
        assert isinstance(params, AnthropicParams)
        return by_host[params.endpoint.removeprefix("https://").removesuffix(".example")]

    hook = Recorder()
    count_tokens = counting_by(
        provider_of, {"model_list": entries}, settings={**REFUSE, "cache": {"ttl": 0}}, hooks=[hook]
    )
    await count_tokens.count(HELLO, headers={"anthropic-beta": "b1"})
    attempts = [(attempt.deployment, attempt.status) for attempt in hook.event.attempts]
    assert attempts == [("omitting", 501), ("complete", 200)]
    await count_tokens.count(HELLO)
    assert [attempt.deployment for attempt in hook.events[1].attempts] == ["omitting"]
