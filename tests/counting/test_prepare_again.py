"""A provider that learns from an answer has its call prepared again, within the same attempt."""

from contextlib import suppress
from typing import Any

import anyio
import pytest

from count_tokens_mw import CannotCount, CountError, CountTokens, TokenCount, UpstreamError
from count_tokens_mw.config.params.anthropic import AnthropicParams
from count_tokens_mw.config.params.base import Params
from tests.support.fakes import HELLO, Recorder, mounted
from tests.support.learning_provider import ON, LearningProvider, counting_by

COUNT = "/v1/messages/count_tokens"
BETAS = {"anthropic-beta": "b1"}


def betas_of(provider: LearningProvider) -> list[list[str]]:
    return [[beta for _, beta in call.headers] for call in provider.sent]


async def test_the_new_call_is_sent_within_one_attempt() -> None:
    hook, provider = Recorder(), LearningProvider("b1")
    count_tokens = counting_by(provider, hooks=[hook])
    count = await count_tokens.count(HELLO, headers=BETAS)
    assert count == TokenCount(2, headers={"request-id": "up_2"}, omitted=("anthropic-beta:b1",))
    assert betas_of(provider) == [["b1"], []]
    (attempt,) = hook.event.attempts
    assert (attempt.status, attempt.source, attempt.upstream_request_id) == (
        200,
        "provider",
        "up_2",
    )
    assert hook.event.omitted == ("anthropic-beta:b1",)


async def test_the_count_of_the_new_call_is_cached_and_the_memo_knows_it() -> None:
    provider = LearningProvider("b1")
    count_tokens = counting_by(provider)
    async with mounted(count_tokens) as client:
        answers = [await client.post(COUNT, json=HELLO, headers=BETAS) for _ in range(3)]
    assert [answer.headers["x-count-tokens-source"] for answer in answers] == [
        "provider",
        "cache",
        "cache",
    ]
    assert {answer.headers["x-count-tokens-omitted"] for answer in answers} == {"anthropic-beta:b1"}
    assert len(provider.sent) == 2
    assert provider.prepared == 2
    assert count_tokens.cache_size == 1


async def test_without_a_cache_it_is_prepared_again_too() -> None:
    provider = LearningProvider("b1")
    count_tokens = counting_by(provider, settings={"cache": {"ttl": 0}})
    assert (await count_tokens.count(HELLO, headers=BETAS)).input_tokens == 2


async def test_all_that_wait_for_the_call_wait_for_the_new_one() -> None:
    hook, provider = Recorder(), LearningProvider("b1")
    provider.seconds = 0.05
    count_tokens = counting_by(provider, hooks=[hook])
    counts: list[TokenCount] = []

    async def count() -> None:
        counts.append(await count_tokens.count(HELLO, headers=BETAS))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(count)
    assert betas_of(provider) == [["b1"], []]
    assert {(count.input_tokens, count.omitted) for count in counts} == {
        (2, ("anthropic-beta:b1",))
    }
    assert sorted(count.source for count in counts) == ["cache"] * 4 + ["provider"]
    assert [len(event.attempts) for event in hook.events] == [1] * 5


@pytest.mark.parametrize("cache", [{"ttl": 0}, {"ttl": 300}])
async def test_without_another_call_its_error_is_raised(cache: dict[str, Any]) -> None:
    hook, provider = Recorder(), LearningProvider("b1")
    provider.learns = False
    count_tokens = counting_by(provider, hooks=[hook], settings={"cache": cache})
    with pytest.raises(UpstreamError) as raised:
        await count_tokens.count(HELLO, headers=BETAS)
    assert raised.value is provider.error
    assert (len(provider.sent), provider.prepared) == (1, 2)
    assert [attempt.status for attempt in hook.event.attempts] == [400]
    assert count_tokens.cache_size == 0


async def test_a_call_that_differs_only_in_its_omissions_is_not_another_one() -> None:
    class Naming(LearningProvider):
        def prepare(self, request: Any) -> Any:
            call = super().prepare(request)
            object.__setattr__(call, "omitted", (str(self.prepared),))
            return call

    provider = Naming("b1")
    provider.learns = False
    with pytest.raises(UpstreamError):
        await counting_by(provider).count(HELLO, headers=BETAS)
    assert len(provider.sent) == 1


async def test_six_calls_are_sent_at_most() -> None:
    hook, provider = Recorder(), LearningProvider()
    provider.forgets = True
    with pytest.raises(UpstreamError) as raised:
        await counting_by(provider, hooks=[hook]).count(HELLO)
    assert raised.value is provider.error
    assert (len(provider.sent), provider.prepared) == (6, 6)
    assert len(hook.event.attempts) == 1


async def test_three_things_may_be_learnt_in_one_attempt() -> None:
    provider = LearningProvider("b1", "b2", "b3")
    async with mounted(counting_by(provider)) as client:
        lines = [("anthropic-beta", f"b{n}") for n in (1, 2, 3, 4)]
        answer = await client.post(COUNT, json=HELLO, headers=lines)
    assert answer.status_code == 200
    assert betas_of(provider) == [
        ["b1", "b2", "b3", "b4"],
        ["b2", "b3", "b4"],
        ["b3", "b4"],
        ["b4"],
    ]


async def test_what_was_learnt_may_have_to_be_refused() -> None:
    provider = LearningProvider("b1")
    count_tokens = counting_by(provider, settings={**ON, "omissions": "refuse"})
    for _ in range(2):
        with pytest.raises(CannotCount, match="anthropic-beta:b1: would be left out"):
            await count_tokens.count(HELLO, headers=BETAS)
    assert betas_of(provider) == [["b1"]]


async def test_a_large_body_is_prepared_again_too() -> None:
    provider = LearningProvider("b1")
    body = {**HELLO, "system": "x" * 600_000}
    assert (await counting_by(provider).count(body, headers=BETAS)).input_tokens == 2


async def test_both_calls_are_within_the_deadline_of_one_attempt() -> None:
    hook, provider = Recorder(), LearningProvider("b1")
    provider.seconds = 0.4
    entry = {"model": "anthropic/x", "timeout": 0.6, "api_key": "k"}
    config = {"model_list": [{"model_name": HELLO["model"], "litellm_params": entry}]}
    with pytest.raises(CountError) as raised:
        await counting_by(provider, config, hooks=[hook]).count(HELLO, headers=BETAS)
    assert raised.value.status == 504
    assert len(provider.sent) == 2
    (attempt,) = hook.event.attempts
    assert 0.6 <= attempt.duration < 0.8, "each call alone would have ended in time"


# Cooldown


class Pair:
    """Two deployments of a model, of which the first has the given provider."""

    def __init__(self, first: LearningProvider) -> None:
        self.hook = Recorder()
        second = LearningProvider()
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
            for host in ("first", "second")
        ]

        def provider_of(params: Params) -> LearningProvider:
            assert isinstance(params, AnthropicParams)
            return first if "first" in params.endpoint else second

        self.count_tokens: CountTokens = counting_by(
            provider_of,
            {"model_list": entries},
            settings={"cache": {"ttl": 0}},
            hooks=[self.hook],
        )

    async def tried(self, **headers: str) -> list[tuple[str, int]]:
        """Count, and return the deployments and statuses of the attempts."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        with suppress(UpstreamError):
            await self.count_tokens.count(HELLO, headers=sent)
        return [(attempt.deployment, attempt.status) for attempt in self.hook.events[-1].attempts]


@pytest.mark.parametrize(
    ("learns", "error", "attempts", "next_one"),
    [
        (True, None, [("first", 200)], "first"),
        (False, None, [("first", 400)], "first"),
        (
            False,
            UpstreamError(503, "busy", headers={}),
            [("first", 503), ("second", 200)],
            "second",
        ),
        (False, CannotCount("no count"), [("first", 501), ("second", 200)], "second"),
    ],
)
async def test_only_the_error_that_is_raised_starts_a_cooldown(
    learns: bool, error: CountError | None, attempts: list[tuple[str, int]], next_one: str
) -> None:
    provider = LearningProvider("b1", error=error)
    provider.learns = learns
    pair = Pair(provider)
    assert await pair.tried(anthropic_beta="b1") == attempts
    assert await pair.tried() == [(next_one, 200)]
