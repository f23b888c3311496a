"""10,000 generated bodies through a mounted app: always one envelope, never a 5xx."""

import asyncio
import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from tests.support.fakes import CONFIG, FakeUpstream, count_tokens_with

COUNT = "/llm/v1/messages/count_tokens"
PASSTHROUGH = "/llm/anthropic/v1/messages/count_tokens"

EXAMPLES = 20  # for each seed, because hypothesis takes some time for each
NAMES = [
    *("model", "messages", "system", "metadata", "user", "max_tokens", "tools", "tool_choice"),
    *("thinking", "role", "content", "type", "text", "source", "cache_control", "stream"),
]
VALUES = [*("claude-sonnet", "nobody", "user", "assistant", "text", "image", ""), True, False, None]
NUMBERS = [
    *(0, -1, 1, 255, 2**31, 2**53 + 1, 2**63, -(2**64), 10**400),
    *(0.0, -0.0, 0.5, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan),
]
# Encodings fail on controls, quotes, characters of 2 to 4 bytes, and lone surrogates.
CHARACTERS = 'aZ09_. \x00\x1f\x7f"\\\n\u00e9\u20ac\ufeff\uffff\U0001f600\ud800\udbff\udc00\udfff'
DEPTH = 3


class Inventor(random.Random):
    """A source of bodies; the same seed gives the same."""

    def draw_text(self, longest: int) -> str:
        return "".join(self.choices(CHARACTERS, k=self.randint(0, longest)))

    def draw_name(self) -> str:
        return self.choice(NAMES) if self.random() < 0.6 else self.draw_text(4)

    def draw_scalar(self) -> object:
        match self.randrange(5):
            case 0:
                return self.choice(VALUES)
            case 1:
                return self.choice(NUMBERS)
            case 2:
                return self.randint(-(2**70), 2**70)
            case 3:
                return self.uniform(-1e300, 1e300)
            case _:
                return self.draw_text(8)

    def draw_tree(self, depth: int = DEPTH) -> object:
        kind = self.random() if depth else 1
        if kind < 0.35:
            return [self.draw_tree(depth - 1) for _ in range(self.randrange(5))]
        if kind < 0.7:
            return {self.draw_name(): self.draw_tree(depth - 1) for _ in range(self.randrange(5))}
        return self.draw_scalar()

    def draw_five_bodies(self) -> list[bytes]:
        """Return noise, any JSON, a near miss, one with an odd member, and one cut short."""
        name, any_json = self.draw_name(), as_json(self.draw_tree())
        messages: list[object] = [self.draw_tree()]
        near_miss = as_json(
            {"model": "claude-sonnet", "messages": messages, name: self.draw_tree()}
        )
        start = b'{"model":"claude-sonnet","messages":[],'
        odd_member = start + as_json(self.draw_name()) + b":" + self.choice(ODDITIES) + b"}"
        cut = near_miss[: self.randint(0, len(near_miss))]
        return [self.randbytes(self.randrange(101)), any_json, near_miss, odd_member, cut]


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


ODDITIES = [
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


def invent(seed: int) -> list[bytes]:
    inventor = Inventor(seed)
    return [body for _ in range(EXAMPLES) for body in inventor.draw_five_bodies()]


@contextmanager
def name_in_failure(body: bytes) -> Iterator[None]:
    """Name the body in a failure, because hypothesis names only the seed."""
    try:
        yield
    except Exception as error:
        error.add_note(f"The body is {body!r}")
        raise


@settings(max_examples=50)
@given(st.integers(0, 2**64), st.sampled_from([COUNT, PASSTHROUGH]))
def test_whatever_is_posted_gets_a_count_or_a_clear_error(
    gateway: Gateway, seed: int, path: str
) -> None:
    for body in invent(seed):
        gateway.upstream.requests.clear()
        with name_in_failure(body):
            answered = gateway.runner.run(post(gateway.app, path, body))
            assert_count_or_error(gateway.upstream, *answered)


@settings(max_examples=10)
@given(st.integers(0, 2**64))
def test_whatever_is_to_be_broken_down_gets_its_parts_or_a_clear_error(
    gateway: Gateway, seed: int
) -> None:
    for body in invent(seed):
        gateway.upstream.requests.clear()
        with name_in_failure(body):
            answered = gateway.runner.run(post(gateway.app, f"{COUNT}/breakdown", body))
            assert_parts_or_error(gateway.upstream, *answered)


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


def assert_parts_or_error(
    upstream: FakeUpstream, status: int, headers: dict[str, str], answer: bytes
) -> None:
    if status != 200:
        assert_count_or_error(upstream, status, headers, answer)
        return
    answer_body = json.loads(answer)
    assert (answer_body["input_tokens"], answer_body["overhead"], answer_body["system"]) == (
        14,
        14,
        0,
    )
    assert all(map(is_still_json, upstream.requests))


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
