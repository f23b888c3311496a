"""Changes by the host before the count: redacted text never reaches the upstream."""

import json
import re
from typing import Any

import anyio
import pytest
from starlette.exceptions import HTTPException

from count_tokens_mw import Caller, CountError, Transform
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
CARD = "4111 1111 1111 1111"
ASKED: dict[str, Any] = {
    **HELLO,
    "messages": [{"role": "user", "content": f"My card is {CARD}."}],
}


def redact(body: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
    redacted = re.sub(r"\d{4}( \d{4}){3}", "[card]", json.dumps(body))
    return dict(json.loads(redacted))


@pytest.mark.parametrize("path", [COUNT, f"/anthropic{COUNT}"])
async def test_what_is_redacted_never_reaches_the_upstream(
    upstream: FakeUpstream, path: str
) -> None:
    async with mounted(count_tokens_with(upstream, transform=redact)) as client:
        response = await client.post(f"{path}?beta=true", json=ASKED)
    assert response.status_code == 200
    assert upstream.body["messages"][0]["content"] == "My card is [card]."
    assert CARD.encode() not in upstream.request.content
    assert (upstream.request.url.query == b"beta=true") == path.startswith("/anthropic")


async def test_it_may_be_async_change_in_place_and_add_what_the_host_adds(
    upstream: FakeUpstream,
) -> None:
    callers: list[Caller | None] = []

    async def add_prompt(body: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        callers.append(caller)
        body["system"] = "You work for us."
        return body

    async with mounted(count_tokens_with(upstream, transform=add_prompt)) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200
    assert upstream.body["system"] == "You work for us."
    assert callers == [Caller("team-a")]


async def test_it_runs_after_the_host_has_authorised_and_for_its_own_counts_too(
    upstream: FakeUpstream,
) -> None:
    seen: list[str] = []

    def authorize(caller: Caller, model: str) -> bool:
        seen.append("authorize")
        return model != "gpt"

    def transform(body: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
        seen.append("transform")
        return body

    count_tokens = count_tokens_with(upstream, authorize=authorize, transform=transform)
    await count_tokens.count(HELLO)
    await count_tokens.count(HELLO, caller=Caller("a"))
    with pytest.raises(CountError):
        await count_tokens.count({**HELLO, "model": "gpt"}, caller=Caller("a"))
    assert seen == ["transform", "authorize", "transform", "authorize"]


@pytest.mark.parametrize(("model", "status"), [("claude-sonnet", 200), ("nobody", 404)])
async def test_the_model_that_it_chooses_is_the_one_that_is_counted(
    upstream: FakeUpstream, model: str, status: int
) -> None:
    hook = Recorder()

    def choose(body: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
        return {**body, "model": model}

    count_tokens = count_tokens_with(upstream, transform=choose, hooks=[hook])
    async with mounted(count_tokens) as client:
        response = await client.post(COUNT, json={**HELLO, "model": "their-alias"})
    assert response.status_code == status
    assert hook.event.model == "their-alias"


async def test_a_name_with_claude_codes_suffix_is_found_if_it_is_left_alone(
    upstream: FakeUpstream,
) -> None:
    count_tokens = count_tokens_with(upstream, transform=lambda body, caller: body)
    await count_tokens.count({**HELLO, "model": f"{HELLO['model']}[1m]"})
    assert upstream.body["model"] == "claude-sonnet-4-5"


def failing(body: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
    raise KeyError(CARD)


@pytest.mark.parametrize(
    "transform",
    [
        failing,
        lambda body, caller: None,
        lambda body, caller: "a body",
        lambda body, caller: {**body, "messages": None},
        lambda body, caller: {**body, "model": ""},
        lambda body, caller: {**body, "x": {1, 2}},
    ],
)
async def test_one_that_fails_is_a_500_and_no_upstream_call(
    upstream: FakeUpstream, transform: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Recorder()
    async with mounted(count_tokens_with(upstream, transform=transform, hooks=[hook])) as client:
        response = await client.post(COUNT, json=ASKED)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "api_error"
    assert upstream.requests == []
    assert hook.event.status == 500
    assert CARD not in caplog.text + response.text


@pytest.mark.parametrize("whose", ["authorize", "transform"])
async def test_a_hosts_callable_that_hangs_ends_at_the_deadline(
    upstream: FakeUpstream, whose: str
) -> None:
    async def hang(*_: Any) -> Any:
        await anyio.sleep_forever()

    options: Any = {whose: hang}
    count_tokens = count_tokens_with(upstream, settings={"timeout": 0.05}, **options)
    async with mounted(count_tokens) as client:
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 504
    assert count_tokens.in_flight == 0
    assert upstream.requests == []


async def test_its_refusal_is_the_answer(upstream: FakeUpstream) -> None:
    def refuse(body: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
        raise HTTPException(422, "This may not leave the house.")

    transform: Transform = refuse
    async with mounted(count_tokens_with(upstream, transform=transform)) as client:
        response = await client.post(COUNT, json=ASKED)
    assert response.status_code == 422
    assert response.json()["error"]["message"] == "This may not leave the house."
    assert upstream.requests == []
