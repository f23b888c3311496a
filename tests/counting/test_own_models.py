"""A request that names an entry's own `litellm_params.model`, as LiteLLM's proxy serves it."""

from typing import Any, Final

import pytest

from count_tokens_mw import Caller, Config, NotFound, PermissionDenied
from count_tokens_mw.counting.router import Router
from count_tokens_mw.host.auth import Authorizer
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

SONNET: Final = "anthropic/claude-sonnet-4-5"


def entry(name: str, model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, "api_key": "k", **params}}


ENTRIES: Final = [
    entry("sonnet", SONNET, api_key="first"),
    entry("sonnet", "anthropic/claude-sonnet-4"),
    entry("bare", "claude-opus-4"),
    entry("long", "anthropic/claude-long[1m]"),
    entry("many", "anthropic/claude-haiku"),
    entry("many", "anthropic/claude-haiku", api_key="another"),
    entry("one", "anthropic/claude-shared"),
    entry("two", "anthropic/claude-shared"),
    entry("claude-opus-5", "anthropic/claude-opus-6"),
    entry("exact", "claude-opus-5"),
    entry("starred-*", "gemini/*"),
    entry("fixed-*", "anthropic/claude-fixed"),
    entry("star-wins", "starred-model"),
    entry("target", "fast"),
]


def router() -> Router:
    config = Config.from_mapping({"model_list": ENTRIES}, {})
    return Router(config.deployments, {"fast": "bare"})


@pytest.mark.parametrize(
    ("model", "upstream_models", "name"),
    [
        (SONNET, ["claude-sonnet-4-5"], "sonnet"),
        ("anthropic/claude-sonnet-4", ["claude-sonnet-4"], "sonnet"),
        ("sonnet", ["claude-sonnet-4-5", "claude-sonnet-4"], "sonnet"),
        ("claude-opus-4", ["claude-opus-4"], "bare"),
        ("claude-opus-4[1m]", ["claude-opus-4"], "bare"),
        ("anthropic/claude-long", ["claude-long"], "long"),
        ("anthropic/claude-long[1M][1m]", ["claude-long"], "long"),
        ("anthropic/claude-haiku", ["claude-haiku"] * 2, "many"),
        ("claude-opus-5", ["claude-opus-6"], "claude-opus-5"),
        ("anthropic/claude-fixed", ["claude-fixed"], "fixed-*"),
        ("starred-model", ["model"], "starred-model"),
        ("fast", ["claude-opus-4"], "bare"),
    ],
)
def test_exact_names_aliases_and_stars_come_first(
    model: str, upstream_models: list[str], name: str
) -> None:
    known = router()
    looked_up = known.name_of(model)
    assert [each.upstream_model for each in known.find(looked_up)] == upstream_models
    assert known.authorized_name_of(looked_up) == name


@pytest.mark.parametrize(
    "model", ["anthropic/claude-shared", "gemini/*", "claude-sonnet-4-5", "", "SONNET"]
)
def test_a_model_of_several_names_or_of_none_is_not_found(model: str) -> None:
    known = router()
    assert not known.has_model(model)
    assert known.authorized_name_of(known.name_of(model)) == model
    with pytest.raises(NotFound):
        known.find(known.name_of(model))


@pytest.mark.parametrize("model", [SONNET, "claude-opus-4", "sonnet", "fast"])
def test_a_model_that_is_found_is_configured(model: str) -> None:
    assert router().has_model(model)


def only(allowed: str) -> Authorizer:
    async def authorize(caller: Caller, model: str) -> None:
        if model != allowed:
            raise PermissionDenied(f"not allowed: {model}")

    return authorize


async def test_authorize_receives_the_name_of_the_entry(upstream: FakeUpstream) -> None:
    recorder = Recorder()
    count_tokens = count_tokens_with(
        upstream, {"model_list": ENTRIES}, authorize=only("sonnet"), hooks=[recorder]
    )
    async with mounted(count_tokens) as client:
        path = "/v1/messages/count_tokens"
        counted = await client.post(path, json={**HELLO, "model": SONNET})
        refused = await client.post(path, json={**HELLO, "model": "claude-opus-4"})
        several = await client.post(path, json={**HELLO, "model": "anthropic/claude-shared"})
    assert counted.status_code == 200
    assert upstream.body["model"] == "claude-sonnet-4-5"
    assert upstream.request.headers["x-api-key"] == "first"
    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "not allowed: bare")
    assert several.status_code == 403
    assert [event.model for event in recorder.events] == [
        SONNET,
        "claude-opus-4",
        "anthropic/claude-shared",
    ]


async def test_a_model_of_several_names_is_a_404(upstream: FakeUpstream) -> None:
    async with mounted(count_tokens_with(upstream, {"model_list": ENTRIES})) as client:
        body = {**HELLO, "model": "anthropic/claude-shared"}
        answer = await client.post("/v1/messages/count_tokens", json=body)
    assert answer.status_code == 404
    assert upstream.requests == []
