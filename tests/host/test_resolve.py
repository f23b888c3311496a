"""The host's own deployments, such as rows of a database, in place of the file's."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from starlette.exceptions import HTTPException

from count_tokens_mw import (
    Caller,
    Config,
    CountError,
    Deployment,
    NotFound,
    Resolver,
)
from count_tokens_mw.errors import InternalError
from tests.support.fakes import CONFIG, HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"


def rows(*models: str, name: str = "mine", **more: Any) -> Sequence[Deployment]:
    """Return deployments as a host makes them from rows of a database."""
    entries = [
        {
            "model_name": name,
            "litellm_params": {"model": model, "api_key": "sk-of-the-row", **more},
        }
        for model in models
    ]
    return Config.from_mapping({"model_list": entries}, {}).deployments


async def count_with(upstream: FakeUpstream, resolve: Resolver, **body: Any) -> Recorder:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, resolve=resolve, hooks=[hook])
    await count_tokens.count({**HELLO, **body})
    return hook


async def test_what_the_host_finds_comes_before_the_file(upstream: FakeUpstream) -> None:
    hook = await count_with(upstream, lambda model, caller: rows("anthropic/claude-of-the-row"))
    assert upstream.body["model"] == "claude-of-the-row"
    assert upstream.request.headers["x-api-key"] == "sk-of-the-row"
    assert hook.event.deployment == "mine#0"


async def test_none_means_the_file(upstream: FakeUpstream) -> None:
    async def resolve(model: str, caller: Caller | None) -> None:
        return None

    await count_with(upstream, resolve)
    assert upstream.body["model"] == "claude-sonnet-4-5"


async def test_it_is_told_the_model_without_suffix_and_the_caller(upstream: FakeUpstream) -> None:
    calls: list[tuple[str, Caller | None]] = []

    async def resolve(model: str, caller: Caller | None) -> Sequence[Deployment]:
        calls.append((model, caller))
        return rows("anthropic/claude-x")

    await count_with(upstream, resolve, model="claude-x[1m][1M]")
    count_tokens = count_tokens_with(upstream, resolve=resolve)
    async with mounted(count_tokens) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200
    assert calls == [("claude-x", None), (HELLO["model"], Caller("team-a"))]


async def test_the_pass_through_does_not_ask(upstream: FakeUpstream) -> None:
    def resolve(model: str, caller: Caller | None) -> Sequence[Deployment]:
        raise AssertionError(model)

    async with mounted(count_tokens_with(upstream, resolve=resolve)) as client:
        assert (await client.post(f"/anthropic{COUNT}", json=HELLO)).status_code == 200


async def test_stars_order_and_take_over_are_as_in_a_file(upstream: FakeUpstream) -> None:
    deployments = [
        *rows("anthropic/late-*", name="claude-*", order=2),
        *rows("anthropic/early-*", name="claude-*", order=1),
        *rows("mistral/first", name="claude-*", order=0),
    ]
    hook = await count_with(upstream, lambda model, caller: deployments)
    assert [(attempt.upstream_model, attempt.status) for attempt in hook.event.attempts] == [
        ("first", 501),
        ("early-sonnet", 200),
    ]


async def test_any_iterable_of_deployments_will_do(upstream: FakeUpstream) -> None:
    deployments: Any = iter(rows("anthropic/claude-of-the-row"))
    await count_with(upstream, lambda model, caller: deployments)
    assert upstream.body["model"] == "claude-of-the-row"


@pytest.mark.parametrize("deployments", [[], ()])
async def test_no_deployments_are_an_unknown_model(
    upstream: FakeUpstream, deployments: Sequence[Deployment]
) -> None:
    with pytest.raises(NotFound, match="model: claude-sonnet"):
        await count_with(upstream, lambda model, caller: deployments)
    assert upstream.requests == []


async def test_its_refusal_is_the_answer(upstream: FakeUpstream) -> None:
    def resolve(model: str, caller: Caller | None) -> Sequence[Deployment]:
        raise HTTPException(402, "Your credit is used up.", {"x-credit": "0"})

    async with mounted(count_tokens_with(upstream, resolve=resolve)) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 402
    assert response.json()["error"] == {
        "type": "billing_error",
        "message": "Your credit is used up.",
    }
    assert response.headers["x-credit"] == "0"


@pytest.mark.parametrize("deployments", ["claude", [{"model_name": "m"}], 7, [None]])
async def test_what_is_no_deployments_is_a_fault_of_the_host(
    upstream: FakeUpstream, deployments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InternalError):
        await count_with(upstream, lambda model, caller: deployments)
    assert upstream.requests == []
    assert "TypeError" in caplog.text


async def test_one_that_hangs_ends_at_the_deadline(upstream: FakeUpstream) -> None:
    async def resolve(model: str, caller: Caller | None) -> None:
        await anyio.sleep_forever()

    count_tokens = count_tokens_with(upstream, CONFIG, settings={"timeout": 0.05}, resolve=resolve)
    with pytest.raises(CountError, match="did not find the model in time") as raised:
        await count_tokens.count(HELLO)
    assert raised.value.status == 504


async def test_tenants_whose_rows_share_an_id_are_not_mixed_up(upstream: FakeUpstream) -> None:
    """Rows that are read one by one all have the same id."""

    def resolve(model: str, caller: Caller | None) -> Sequence[Deployment]:
        return rows("anthropic/claude-x", api_base=f"https://{model}.example")

    count_tokens = count_tokens_with(upstream, resolve=resolve)
    for tenant in ("a", "b", "a"):
        await count_tokens.count({**HELLO, "model": tenant})
    hosts = [request.url.host for request in upstream.requests]
    assert hosts == ["a.example", "b.example", "a.example"]


async def test_a_configuration_error_in_a_request_is_an_internal_error(
    upstream: FakeUpstream,
) -> None:
    """A host that makes deployments of its database may find an entry that cannot be used."""

    def resolve(model: str, caller: Caller | None) -> Any:
        return Config.from_mapping({"model_list": 7}, {}).deployments

    hook = Recorder()
    count_tokens = count_tokens_with(upstream, resolve=resolve, hooks=[hook])
    with pytest.raises(InternalError):
        await count_tokens.count(HELLO)
    assert (hook.event.status, hook.event.error) == (500, "InternalError")
    async with mounted(count_tokens) as client:
        assert (await client.post("/v1/messages/count_tokens", json=HELLO)).status_code == 500
