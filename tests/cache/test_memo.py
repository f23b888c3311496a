"""The memo of byte-identical bodies: steps that are skipped, and steps that are repeated."""

import hashlib
import json
from collections import Counter
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException

from count_tokens_mw import Caller, Config, CountTokens
from count_tokens_mw.cache.memo import RequestMemo
from count_tokens_mw.config.models import CacheSettings
from count_tokens_mw.protocol.request import parse_request
from count_tokens_mw.types import RequestBody
from tests.support.fakes import (
    CONFIG,
    ENVIRON,
    HELLO,
    FakeUpstream,
    Recorder,
    count_tokens_with,
    mounted,
)
from tests.support.jobs import job_of

COUNT = "/v1/messages/count_tokens"
PASSTHROUGH = "/anthropic/v1/messages/count_tokens"
ON: dict[str, Any] = {"cache": {"ttl": 300}}
RAW = json.dumps({**HELLO, "metadata": {"user_id": "u-1"}}).encode()


def remembering(upstream: FakeUpstream, config: Any = CONFIG, **options: Any) -> CountTokens:
    return count_tokens_with(
        upstream, config, settings={**ON, **options.pop("more", {})}, **options
    )


async def counted(count_tokens: CountTokens, raw: bytes = RAW) -> Any:
    """Read and count a body as the endpoint does."""
    pipeline = count_tokens._pipeline
    request = pipeline.read(RequestBody(raw, hashlib.sha256(raw).digest()), (), caller=None)
    count = await pipeline.count(job_of(pipeline.engine, request))
    return request, count


async def test_it_is_not_parsed_again(upstream: FakeUpstream) -> None:
    count_tokens = remembering(upstream)
    first, _ = await counted(count_tokens)
    again, count = await counted(count_tokens)
    assert first.body._members is not None
    assert again.body._members is None
    assert (again.model, again.attribution.user) == ("claude-sonnet", "u-1")
    assert (count.input_tokens, count.source) == (14, "cache")


async def test_its_event_tells_the_same(upstream: FakeUpstream) -> None:
    hook = Recorder()
    count_tokens = remembering(upstream, hooks=[hook])
    body = RAW.replace(b'"claude-sonnet"', b'"claude-sonnet[1m]"')
    async with mounted(count_tokens) as client:
        for _ in range(2):
            assert (await client.post(COUNT, content=body)).json() == {"input_tokens": 14}
    first, again = (event.as_dict() for event in hook.events)
    differing = {name for name, value in first.items() if again[name] != value}
    assert differing == {
        "attempts",
        "duration",
        "request_id",
        "source",
        "started_at",
        "upstream_request_id",
    }
    assert again["model"] == "claude-sonnet"
    assert again["end_user"] == "u-1"


async def test_who_asks_is_asked_about_each_time(upstream: FakeUpstream) -> None:
    asked: Counter[str] = Counter()

    def authenticate(request: Any) -> Caller:
        asked["authenticate"] += 1
        return Caller(request.headers["x-who"])

    async def authorize(caller: Caller, model: str) -> None:
        asked["authorize"] += 1
        if caller.id != "alice":
            raise HTTPException(403, f"not {model} for {caller.id}")

    count_tokens = remembering(upstream, authenticate=authenticate, authorize=authorize)
    async with mounted(count_tokens) as client:
        statuses = [
            (await client.post(COUNT, content=RAW, headers={"x-who": who})).status_code
            for who in ("alice", "bob", "alice")
        ]
    assert statuses == [200, 403, 200]
    assert asked == {"authenticate": 3, "authorize": 3}
    assert len(upstream.requests) == 1


async def test_a_transform_sees_it_each_time(upstream: FakeUpstream) -> None:
    seen: list[str] = []

    def transform(body: dict[str, Any], _: Caller | None) -> dict[str, Any]:
        seen.append(body["messages"][0]["content"])
        return {**body, "system": f"number {len(seen)}"}

    async with mounted(remembering(upstream, transform=transform)) as client:
        for _ in range(2):
            await client.post(COUNT, content=RAW)
    assert seen == ["Hello, Claude"] * 2
    systems = [json.loads(request.content)["system"] for request in upstream.requests]
    assert systems == ["number 1", "number 2"]


async def test_a_forwarded_credential_is_not_taken_for_another(upstream: FakeUpstream) -> None:
    forwarding = {"passthrough": {"anthropic": {"forward_client_credentials": "x-api-key"}}}
    count_tokens = remembering(upstream, more=forwarding)
    async with mounted(count_tokens) as client:
        for key in ("sk-a", "sk-b", "sk-a"):
            await client.post(PASSTHROUGH, content=RAW, headers={"x-api-key": key})
    assert [request.headers["x-api-key"] for request in upstream.requests] == ["sk-a", "sk-b"]
    memo = count_tokens._pipeline.engine.sender._memo
    assert memo is not None
    assert len(memo) == 0


async def test_after_a_reload_it_leads_where_its_model_leads_then(upstream: FakeUpstream) -> None:
    count_tokens = remembering(upstream)
    await counted(count_tokens)
    entry = {"model": "anthropic/claude-opus-4-5"}
    config = {"model_list": [{"model_name": "claude-sonnet", "litellm_params": entry}]}
    count_tokens.reload(Config.from_mapping({**config, "count_tokens": ON}, ENVIRON))
    await counted(count_tokens)
    models = [json.loads(request.content)["model"] for request in upstream.requests]
    assert models == ["claude-sonnet-4-5", "claude-opus-4-5"]


async def test_deployments_that_share_a_name_are_each_remembered(upstream: FakeUpstream) -> None:
    """Each draw of the weights gets the count of the deployment that was drawn."""
    upstream.answer = lambda request: httpx.Response(
        200, json={"input_tokens": len(json.loads(request.content)["model"])}
    )
    models = ("anthropic/short", "anthropic/much-longer")
    entries = [
        {"model_name": "claude-sonnet", "litellm_params": {"model": model, "weight": 1}}
        for model in models
    ]
    hook = Recorder()
    count_tokens = remembering(upstream, {"model_list": entries}, hooks=[hook])
    for _ in range(30):
        await counted(count_tokens)
    async with mounted(count_tokens) as client:
        for _ in range(30):
            answer = await client.post(COUNT, content=RAW)
            upstream_model = hook.events[-1].upstream_model
            assert answer.json() == {"input_tokens": len(upstream_model or "")}
    assert len(upstream.requests) == 2
    assert {event.source for event in hook.events} == {"cache"}


async def test_what_cannot_be_read_is_refused_each_time(upstream: FakeUpstream) -> None:
    async with mounted(remembering(upstream)) as client:
        for _ in range(2):
            assert (await client.post(COUNT, content=b'{"model": "m"}')).status_code == 400


async def test_a_count_that_has_expired_is_asked_for_with_the_same_bytes(
    upstream: FakeUpstream,
) -> None:
    now = [0.0]
    count_tokens = remembering(upstream)
    sender = count_tokens._pipeline.engine.sender
    sender._clock = lambda: now[0]
    sender._open(CacheSettings())
    for at in (0, 299, 301):
        now[0] = at
        await counted(count_tokens)
    first, second = upstream.requests
    assert first.content == second.content


@pytest.mark.parametrize("places", [1, 100])
def test_what_is_kept_has_bounds(places: int) -> None:
    memo = RequestMemo(3)
    for number in range(10):
        digest = b"%d" % number
        for place in range(places):
            request = memo.get(digest, RAW, (), "") or parse_request(RAW)
            memo.put(digest, request)
            memo.put_call(request, ("account", f"model-{place}", b"fingerprint", ()))
    assert len(memo) == 3
    assert memo.get(b"0", RAW, (), "") is None
    known = memo.get(b"9", RAW, (), "")
    assert known is not None
    assert len(known.known_calls) == min(places, 8)
    assert known.known_calls[0][1] == f"model-{places - 1}"


@pytest.mark.parametrize(
    "long",
    [
        {"user": "u" * 60_000},
        {"metadata": {"user_id": "u" * 60_000}},
    ],
)
def test_what_callers_word_takes_no_more_memory_than_a_name(long: dict[str, Any]) -> None:
    raw = json.dumps({**HELLO, **long}).encode()
    memo = RequestMemo(3)
    request = parse_request(raw, (("anthropic-beta", "b" * 60_000),))
    memo.put(b"digest", request)
    memo.put_call(request, ("account", "model", b"fingerprint", ()))
    known = memo.get(b"digest", raw, request.headers, "")
    ((key, (model, (user, *_), _)),) = memo._entries.items()
    assert [len(part) <= 256 for part in (key, model, user or "")] == [True] * 3
    assert known is not None


@pytest.mark.parametrize(("letters", "is_stored"), [(50, True), (64, True), (65, False)])
def test_a_request_is_stored_with_its_names_up_to_a_thousand_characters(
    letters: int, is_stored: bool
) -> None:
    tags = [f"{number:02}" + "t" * (letters - 2) for number in range(14)]
    names = {"user": "u" * letters, "metadata": {"tags": tags}, "safety_identifier": "s" * letters}
    raw = json.dumps({**HELLO, **names}).encode()
    memo = RequestMemo(3)
    request = parse_request(raw)
    memo.put(b"digest", request)
    memo.put_call(request, ("account", "model", b"fingerprint", ()))
    known = memo.get(b"digest", raw, (), "")
    assert (known is not None) is is_stored
    assert known is None or known.attribution == request.attribution


def test_a_request_whose_end_user_is_not_read_is_not_stored() -> None:
    raw = json.dumps({**HELLO, "metadata": {"user_id": "u" * 70_000}}).encode()
    request = parse_request(raw)
    assert (request.attribution.user, request.unread) == (None, ("metadata",))
    memo = RequestMemo(3)
    memo.put(b"digest", request)
    memo.put_call(request, ("account", "model", b"fingerprint", ()))
    assert memo.get(b"digest", raw, (), "") is None


@pytest.mark.parametrize(
    ("models", "omitted", "kept"),
    [
        (8, 0, 8),
        (8, 100, 8),
        (8, 256, 3),
        (8, 1017, 1),
        (8, 1018, 0),
        (1, 16 * 256, 0),
    ],
)
def test_known_calls_have_1024_characters_in_all(models: int, omitted: int, kept: int) -> None:
    memo = RequestMemo(3)
    request = parse_request(RAW)
    memo.put(b"digest", request)
    for number in range(models):
        call = ("account", f"model-{number}", b"fingerprint", ("o" * omitted,) if omitted else ())
        memo.put_call(request, call)
        known = memo.get(b"digest", RAW, (), "")
        assert known is not None
        request.known_calls = known.known_calls
    assert [model for _, model, _, _ in request.known_calls] == [
        f"model-{number}" for number in range(models - 1, models - 1 - kept, -1)
    ]


def test_a_long_upstream_model_is_not_kept() -> None:
    memo = RequestMemo(3)
    request = parse_request(RAW)
    memo.put(b"digest", request)
    memo.put_call(request, ("account", "m" * 1025, b"fingerprint", ()))
    known = memo.get(b"digest", RAW, (), "")
    assert known is not None
    assert known.known_calls == ()


def test_a_call_that_is_known_again_replaces_what_was_omitted_before() -> None:
    memo = RequestMemo(3)
    request = parse_request(RAW)
    memo.put(b"digest", request)
    for key, omitted in ((b"1", ("a",)), (b"2", ("b",)), (b"1", ("c",))):
        memo.put_call(request, ("account", "model", key, omitted))
        known = memo.get(b"digest", RAW, (), "")
        assert known is not None
        request = known
    assert request.known_calls == (
        ("account", "model", b"1", ("c",)),
        ("account", "model", b"2", ("b",)),
    )


def test_other_headers_or_another_query_are_another_request() -> None:
    memo = RequestMemo(10)
    sent = [((), ""), ((("anthropic-beta", "a"),), ""), ((), "beta=true"), ((("a", "b"),), "")]
    for headers, query in sent:
        request = parse_request(RAW, headers, query=query)
        memo.put(b"digest", request)
        memo.put_call(request, ("account", f"{headers}{query}", b"fingerprint", ()))
    for headers, query in sent:
        known = memo.get(b"digest", RAW, headers, query)
        assert known is not None
        assert [model for _, model, _, _ in known.known_calls] == [f"{headers}{query}"]
    assert len(memo) == len(sent)
