"""10,000 generated bodies through a mounted app: always one envelope, never a 5xx."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from tests.support.fakes import CONFIG, FakeUpstream, count_tokens_with

COUNT = "/llm/v1/messages/count_tokens"
PASSTHROUGH = "/llm/anthropic/v1/messages/count_tokens"

surrogates = st.text(st.characters(categories=["Cs", "Lu", "Nd"]), max_size=5)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | surrogates
    | st.sampled_from(["claude-sonnet", "nobody", "user", "text"])
)
names = st.sampled_from(["model", "messages", "system", "metadata", "user", "max_tokens"])
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names | st.text(max_size=4) | surrogates, inner, max_size=4)
    ),
    max_leaves=8,
)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


oddities = st.sampled_from(
    [
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"1e400",
        b"-1e400",
        b"NaN",
        b"-0",
        b"1" * 5_000,
        b'"\\ud800"',
        b'"\\udfff\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\x00"',
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
    ]
)


@st.composite
def five_bodies(draw: st.DrawFn) -> list[bytes]:
    """Draw noise, any JSON, a near miss, a body with an odd member, and a truncated body.

    One draw makes five, because drawing takes most of the time.
    """
    tree, other, name = draw(trees), draw(trees), draw(names | st.text(max_size=3))
    odd = draw(oddities)
    near_miss = as_json({"model": "claude-sonnet", "messages": [tree], name: other})
    odd_member = b'{"model":"claude-sonnet","messages":[],' + as_json(name) + b":" + odd + b"}"
    cut = near_miss[: draw(st.integers(0, len(near_miss)))]
    return [draw(st.binary(max_size=100)), as_json(tree), near_miss, odd_member, cut]


async def post(
    app: ASGIApp, path: str, body: bytes, query: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Post without a client, because 10,000 requests by one would dominate the suite's time."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": query, "headers": []}
    await app(scope, receive, send)
    start, end = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, end["body"]


class Gateway:
    """A host with the counter mounted, its upstream, and the event loop of both."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.upstream = FakeUpstream()
        only_claude = {"model_list": CONFIG["model_list"][:1]}
        count_tokens = count_tokens_with(self.upstream, only_claude)
        self.app = Starlette(routes=[Mount("/llm", count_tokens)])


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with asyncio.Runner() as runner:
        yield Gateway(runner)


@settings(
    max_examples=2_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(five_bodies(), st.sampled_from([COUNT, PASSTHROUGH]))
def test_whatever_is_posted_gets_a_count_or_a_clear_error(
    gateway: Gateway, bodies: list[bytes], path: str
) -> None:
    for body in bodies:
        gateway.upstream.requests.clear()
        assert_count_or_error(gateway.upstream, *gateway.runner.run(post(gateway.app, path, body)))


@settings(max_examples=200, suppress_health_check=[HealthCheck.data_too_large])
@given(five_bodies())
def test_whatever_is_to_be_broken_down_gets_its_parts_or_a_clear_error(
    gateway: Gateway, bodies: list[bytes]
) -> None:
    for body in bodies:
        gateway.upstream.requests.clear()
        answered = gateway.runner.run(post(gateway.app, f"{COUNT}/breakdown", body))
        if answered[0] != 200:
            assert_count_or_error(gateway.upstream, *answered)
            continue
        answer_body = json.loads(answered[2])
        assert (answer_body["input_tokens"], answer_body["overhead"], answer_body["system"]) == (
            14,
            14,
            0,
        )
        assert all(map(is_still_json, gateway.upstream.requests))


def assert_count_or_error(
    upstream: FakeUpstream, status: int, headers: dict[str, str], answer: bytes
) -> None:
    answer_body = json.loads(answer)
    assert headers["content-type"] == "application/json"
    assert headers["request-id"]
    if status == 200:
        assert answer_body == {"input_tokens": 14}
        assert is_still_json(upstream.request)
        return
    assert status in {400, 404}
    assert answer_body.keys() == {"type", "error", "request_id"}
    assert answer_body["type"] == "error"
    assert isinstance(answer_body["error"]["message"], str)
    assert len(answer) < 1000
    assert not upstream.requests


def is_still_json(request: httpx.Request) -> bool:
    body = json.loads(request.content, parse_int=str)  # however many digits it has
    return isinstance(body, dict) and isinstance(body["messages"], list)


@pytest.mark.parametrize("query", [b"x=\t", b"x=a b", b"x=\xff", b"x=\x00", b"x=\r\nhost: evil"])
def test_a_query_that_could_not_be_sent_on_is_a_clear_error(gateway: Gateway, query: bytes) -> None:
    gateway.upstream.requests.clear()
    body = b'{"model":"claude-sonnet","messages":[]}'
    answered = gateway.runner.run(post(gateway.app, PASSTHROUGH, body, query))
    assert_count_or_error(gateway.upstream, *answered)
    assert answered[0] == 400
