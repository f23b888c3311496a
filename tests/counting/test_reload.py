"""Reload without a restart, and the lifetime of clients."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import httpx
import pytest

from count_tokens_mw import Caller, Config, CountTokens, Deployment, NotFound
from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.bedrock.credentials import AwsSession
from count_tokens_mw.providers.bedrock.provider import Bedrock
from count_tokens_mw.providers.pool import Providers
from demo_app.emulators import emulated_bedrock
from tests.support.cloud import bedrock_params, cloud, counting
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with, mounted
from tests.support.jobs import job_of

COUNT = "/v1/messages/count_tokens"
SECRET = "text that no log may have"


def config_of(*models: str, **settings: Any) -> Config:
    entries = [
        {"model_name": model, "litellm_params": {"model": f"anthropic/{model}", "api_key": "k"}}
        for model in models
    ]
    section = {"cache": {"ttl": 0}, **settings}
    return Config.from_mapping({"model_list": entries, "count_tokens": section}, {})


async def test_a_reload_changes_models_settings_and_pass_through(upstream: FakeUpstream) -> None:
    count_tokens = count_tokens_with(upstream)
    async with mounted(count_tokens) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200
        assert (await client.post(f"/anthropic{COUNT}", json=HELLO)).status_code == 200
        count_tokens.reload(config_of("new", max_body_bytes=200))
        assert (await client.post(COUNT, json=HELLO)).status_code == 404
        assert (await client.post(COUNT, json={**HELLO, "model": "new"})).status_code == 200
        assert (await client.post(f"/anthropic{COUNT}", json=HELLO)).status_code == 404
        assert (await client.post(COUNT, json={**HELLO, "x": "y" * 200})).status_code == 413


async def test_a_request_that_has_begun_keeps_its_configuration(upstream: FakeUpstream) -> None:
    """The caller is being authenticated while a reload removes the model."""
    arrived, go_on = anyio.Event(), anyio.Event()

    async def authenticate(request: object) -> Caller:
        arrived.set()
        await go_on.wait()
        return Caller("slow")

    count_tokens = count_tokens_with(upstream, authenticate=authenticate)
    answers: list[httpx.Response] = []

    async def ask(client: httpx.AsyncClient) -> None:
        answers.append(await client.post(COUNT, json=HELLO))

    async with mounted(count_tokens) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, client)
        await arrived.wait()
        count_tokens.reload(config_of("new"))
        go_on.set()
    assert [answer.status_code for answer in answers] == [200]


class SlowCloud:
    """An emulated Bedrock that blocks until `go_on` is set."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self._app = emulated_bedrock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.asked.set()
            await anyio.to_thread.run_sync(self.go_on.wait)
        await self._app(scope, receive, send)


class Watcher:
    """Observer of the number of open AWS sessions."""

    def __init__(self, count_tokens: CountTokens) -> None:
        self._providers = count_tokens._pipeline.engine._providers
        self._seen: dict[int, AwsSession] = {}

    @property
    def open_sessions(self) -> int:
        for handle in self._providers._open.values():
            if isinstance(handle.provider, Bedrock):
                self._seen[id(handle.provider)] = handle.provider._aws
        return sum(len(session._held) for session in self._seen.values())


async def settle() -> None:
    """Run the tasks that wait for nothing to their end."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


@contextmanager
def slow_cloud() -> Iterator[tuple[SlowCloud, dict[str, Any]]]:
    slow = SlowCloud()
    with cloud(slow) as upstream:
        try:
            yield slow, bedrock_params(upstream.url)
        finally:
            slow.go_on.set()


@asynccontextmanager
async def counting_slowly() -> AsyncIterator[tuple[CountTokens, SlowCloud, Watcher]]:
    with slow_cloud() as (slow, params):
        async with counting(params) as count_tokens:
            yield count_tokens, slow, Watcher(count_tokens)


async def test_a_client_that_is_no_longer_needed_closes_when_its_last_count_ends() -> None:
    async with counting_slowly() as (count_tokens, slow, watcher):
        counts: list[int] = []

        async def count() -> None:
            counts.append((await count_tokens.count({**HELLO, "model": "m"})).input_tokens)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            await anyio.to_thread.run_sync(slow.asked.wait)
            assert watcher.open_sessions == 1
            count_tokens.reload(config_of("new"))
            await settle()
            assert watcher.open_sessions == 1, "a count is in flight"
            assert counts == []
            slow.go_on.set()
        assert len(counts) == 1
        assert watcher.open_sessions == 0


async def test_a_client_that_nobody_uses_closes_at_once_and_one_that_is_needed_stays() -> None:
    async with counting_slowly() as (count_tokens, slow, watcher):
        slow.go_on.set()
        await count_tokens.count({**HELLO, "model": "m"})
        assert watcher.open_sessions == 1
        same = count_tokens._pipeline.engine.snapshot
        assert same.identities
        kept = Config(tuple(same._deployments))
        count_tokens.reload(kept)
        await settle()
        assert watcher.open_sessions == 1, "the same parameters are in the new configuration"
        count_tokens.reload(config_of("new"))
        await settle()
        assert watcher.open_sessions == 0


async def test_what_a_late_request_opens_again_is_closed_after_it() -> None:
    """A request that started before the reload makes its call after it."""
    async with counting_slowly() as (count_tokens, slow, watcher):
        slow.go_on.set()
        engine = count_tokens._pipeline.engine
        old = engine.snapshot
        count_tokens.reload(config_of("new"))
        opened = await late_count(count_tokens, old)
        await settle()
        assert opened == 200
        assert watcher.open_sessions == 0


async def late_count(count_tokens: CountTokens, snapshot: Any) -> int:
    engine = count_tokens._pipeline.engine
    request = request_from_mapping({**HELLO, "model": "m"}, ())
    job = job_of(engine, request, snapshot=snapshot)
    await engine.count(job)
    return job.record.attempts[-1].status


def test_a_reload_without_an_event_loop_closes_at_the_next_occasion(
    upstream: FakeUpstream,
) -> None:
    count_tokens = count_tokens_with(upstream)
    anyio.run(count_tokens.count, HELLO)
    providers = count_tokens._pipeline.engine._providers
    count_tokens.reload(config_of("new"))
    assert len(providers._done_with) == 1
    anyio.run(count_tokens.aclose)
    assert providers._done_with == []


async def test_a_reload_forgets_which_deployments_failed(upstream: FakeUpstream) -> None:
    """An operator who replaces a key expects it to be used at once."""
    count_tokens = count_tokens_with(upstream)
    upstream.answers(401)
    with pytest.raises(Exception, match="401"):
        await count_tokens.count(HELLO)
    engine = count_tokens._pipeline.engine
    assert len(engine.snapshot.cooldown._failed) == 1
    count_tokens.reload(config_of("claude-sonnet"))
    assert len(engine.snapshot.cooldown._failed) == 0


async def test_a_file_that_cannot_be_used_changes_nothing(upstream: FakeUpstream) -> None:
    count_tokens = count_tokens_with(upstream)
    with pytest.raises(Exception, match="a list is required"):
        count_tokens.reload(Config.from_mapping({"model_list": 7}, {}))
    await count_tokens.count(HELLO)
    with pytest.raises(NotFound):
        await count_tokens.count({**HELLO, "model": "new"})


def deployments(*keys: str) -> list[Deployment]:
    entries = [
        {"model_name": "m", "litellm_params": {"model": "anthropic/m", "api_key": key}}
        for key in keys
    ]
    return list(Config.from_mapping({"model_list": entries}, {}).deployments)


@asynccontextmanager
async def used(providers: Providers, deployment: Deployment) -> AsyncIterator[object]:
    opened = await providers.acquire(deployment, Deadline(9))
    try:
        yield opened.provider
    finally:
        await providers.release(opened)


async def opened_by(providers: Providers, deployment: Deployment) -> object:
    async with used(providers, deployment) as provider:
        return provider


async def test_equal_parameters_share_a_provider_and_others_do_not() -> None:
    providers = Providers()
    first, same, other = deployments("a", "a", "b")
    opened = [await opened_by(providers, deployment) for deployment in (first, same, other)]
    assert opened[0] is opened[1]
    assert opened[0] is not opened[2]
    await providers.aclose()


async def test_of_many_that_a_host_names_those_that_were_used_last_stay_open() -> None:
    providers = Providers(most_open=2)
    a, b, c = deployments("a", "b", "c")
    opened_a = await opened_by(providers, a)
    opened_b = await opened_by(providers, b)
    assert await opened_by(providers, a) is opened_a
    await opened_by(providers, c)
    assert await opened_by(providers, a) is opened_a
    assert await opened_by(providers, b) is not opened_b
    await providers.aclose()


async def test_one_in_use_is_not_closed_for_others_sake() -> None:
    providers = Providers(most_open=1)
    a, b = deployments("a", "b")
    async with used(providers, a) as opened_a:
        await opened_by(providers, b)
        assert await opened_by(providers, a) is opened_a
    await providers.aclose()


class Closed:
    """A provider that counts how often it was closed."""

    def __init__(self) -> None:
        self.times = 0

    async def aclose(self) -> None:
        self.times += 1


async def test_one_that_leaves_as_it_is_let_go_is_closed_once() -> None:
    providers = Providers(most_open=1)
    a, b = deployments("a", "b")
    watched = Closed()
    async with used(providers, b), used(providers, a):
        assert a.params is not None
        providers._open[a.params.identity].provider = watched  # type: ignore[assignment]
    await providers.aclose()
    assert watched.times == 1


@pytest.mark.parametrize(
    "odd",
    [{"a": {1: "x", "b": "y"}}, {"a": {"x", "y"}}, {"a": [{"b": [1]}]}, {"a": bytearray(b"x")}],
)
async def test_parameters_of_any_shape_have_an_identity(odd: dict[Any, Any]) -> None:
    def params() -> Any:
        litellm_params = {
            "model": "vertex_ai/claude",
            "vertex_location": "eu",
            "vertex_credentials": odd,
        }
        entry = {"model_name": "m", "litellm_params": litellm_params}
        return Config.from_mapping({"model_list": [entry]}, {}).deployments[0].params

    assert params().identity == params().identity


async def test_what_fails_in_closing_fails_no_count(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck:
        async def aclose(self) -> None:
            raise OSError(SECRET)

    providers = Providers()
    (deployment,) = deployments("a")
    async with used(providers, deployment):
        providers._open[deployment.params.identity].provider = Stuck()  # type: ignore[union-attr, assignment]
        providers.retain(())
    assert "closing a provider failed with OSError" in caplog.text
    assert SECRET not in caplog.text
