"""A count names what was left out of it: of the request that it answers, whoever it came from."""

from typing import Any

import anyio

from count_tokens_mw import CountTokens, TokenCount
from count_tokens_mw.cache.counts import CountCache
from count_tokens_mw.config.models import CacheSettings
from tests.support.fakes import HELLO, Recorder, mounted
from tests.support.learning_provider import LearningProvider, counting_by
from tests.support.redis_servers import FakeRedis

COUNT = "/v1/messages/count_tokens"
BREAKDOWN = f"{COUNT}/breakdown"
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
