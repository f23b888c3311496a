"""One name: the host authorises the model that is counted, and the event reports that name."""

from collections.abc import Sequence
from typing import Any

import pytest

from count_tokens_mw import Caller, CountError, CountTokens, Deployment
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
CONFIG: dict[str, Any] = {
    "model_list": [
        {"model_name": name, "litellm_params": {"model": f"anthropic/{upstream_model}"}}
        for name, upstream_model in {
            "opus": "plain",
            "haiku[1m]": "long",
            "haiku": "short",
            "claude-*": "claude-*",
        }.items()
    ],
    "router_settings": {
        "model_group_alias": {"best": "opus", "best[1m][1m]": "haiku", "far": "claude-far[1m]"}
    },
}
NAMES = {
    "opus": ("opus", "plain"),
    "opus[1m]": ("opus", "plain"),
    "opus[1m][1m]": ("opus", "plain"),
    "opus[1M][1m][1M]": ("opus", "plain"),
    "haiku[1m]": ("haiku[1m]", "long"),
    "haiku[1M]": ("haiku", "short"),
    "haiku[1m][1m]": ("haiku", "short"),
    "best": ("opus", "plain"),
    "best[1m]": ("opus", "plain"),
    "best[1m][1m]": ("haiku", "short"),
    "far[1m]": ("claude-far", "claude-far"),
    "claude-opus[1m][1m]": ("claude-opus", "claude-opus"),
    "anthropic/claude-x[1m][1m]": ("anthropic/claude-x", None),
    "OPUS[1m]": ("OPUS", None),
}


class Host:
    """A host that records the names that its callables receive."""

    def __init__(self) -> None:
        self.authorized: list[str] = []
        self.resolved: list[str] = []
        self.hook = Recorder()

    def authorize(self, caller: Caller, model: str) -> None:
        self.authorized.append(model)

    def resolve(self, model: str, caller: Caller | None) -> Sequence[Deployment] | None:
        self.resolved.append(model)
        return None


async def ask(count_tokens: CountTokens, entry_point: str, body: dict[str, Any]) -> int:
    """Return the status of a request by an entry point."""
    if entry_point.endswith("()"):
        work: Any = getattr(count_tokens, entry_point.removesuffix("()"))
        try:
            await work(body, caller=Caller("team-a"))
        except CountError as error:
            return error.status
        return 200
    path = COUNT if entry_point == "count_tokens" else f"{COUNT}/{entry_point}"
    async with mounted(count_tokens) as client:
        return (await client.post(path, json=body)).status_code


@pytest.mark.parametrize("entry_point", ["count_tokens", "breakdown", "count()", "breakdown()"])
@pytest.mark.parametrize(("sent", "leads"), NAMES.items(), ids=NAMES)
async def test_the_name_that_is_authorised_is_the_one_that_is_counted(
    upstream: FakeUpstream, entry_point: str, sent: str, leads: tuple[str, str | None]
) -> None:
    name, upstream_model = leads
    host = Host()
    count_tokens = count_tokens_with(
        upstream, CONFIG, authorize=host.authorize, resolve=host.resolve, hooks=[host.hook]
    )
    status = await ask(count_tokens, entry_point, {**HELLO, "model": sent})
    assert status == (404 if upstream_model is None else 200)
    assert host.authorized == [name]
    assert set(host.resolved) == {name}
    assert host.hook.event.model == name
    assert host.hook.event.upstream_model == upstream_model


async def test_a_denied_model_is_denied_under_every_name(upstream: FakeUpstream) -> None:
    def deny_opus(caller: Caller, model: str) -> bool:
        return model != "opus"

    count_tokens = count_tokens_with(upstream, CONFIG, authorize=deny_opus)
    async with mounted(count_tokens) as client:
        for name in (name for name, (leads_to, _) in NAMES.items() if leads_to == "opus"):
            response = await client.post(COUNT, json={**HELLO, "model": name})
            assert response.status_code == 403
    assert upstream.requests == []


async def test_the_pass_through_authorises_what_anthropic_gets(upstream: FakeUpstream) -> None:
    host = Host()
    count_tokens = count_tokens_with(upstream, CONFIG, authorize=host.authorize, hooks=[host.hook])
    body = {**HELLO, "model": "best[1m][1m]"}
    async with mounted(count_tokens) as client:
        assert (await client.post(f"/anthropic{COUNT}", json=body)).status_code == 200
    assert host.authorized == ["best[1m][1m]"] == [upstream.body["model"]]
    assert host.hook.event.model == "best[1m][1m]"


@pytest.mark.parametrize(
    ("chosen", "upstream_model"), [("best[1m]", "plain"), ("haiku[1m]", "long"), ("best", "plain")]
)
async def test_a_model_that_a_transform_chooses_is_looked_up_by_the_same_rule(
    upstream: FakeUpstream, chosen: str, upstream_model: str
) -> None:
    host = Host()
    count_tokens = count_tokens_with(
        upstream,
        CONFIG,
        authorize=host.authorize,
        transform=lambda body, caller: {**body, "model": chosen},
        hooks=[host.hook],
    )
    async with mounted(count_tokens) as client:
        body = {**HELLO, "model": "their-alias[1m]"}
        assert (await client.post(COUNT, json=body)).status_code == 200
    assert upstream.body["model"] == upstream_model
    assert host.authorized == ["their-alias"] == [host.hook.event.model]


async def test_a_name_has_at_most_256_characters(upstream: FakeUpstream) -> None:
    host = Host()
    count_tokens = count_tokens_with(upstream, CONFIG, authorize=host.authorize)
    longest = "opus" + "[1m]" * 63
    async with mounted(count_tokens) as client:
        for name in (longest + "x", "opus" + "[1m]" * 500_000, "\U0001f600" * 257):
            response = await client.post(COUNT, json={**HELLO, "model": name})
            assert response.status_code == 400
            assert "at most 256 characters" in response.json()["error"]["message"]
        assert host.authorized == []
        assert (await client.post(COUNT, json={**HELLO, "model": longest})).status_code == 200
        response = await client.post(COUNT, json={**HELLO, "model": "\U0001f600" * 256})
        assert response.status_code == 404
    assert host.authorized == ["opus", "\U0001f600" * 256]
