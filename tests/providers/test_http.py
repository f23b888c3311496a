"""HTTP client against real sockets: broken answers, pooling, redirects, and the host's client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import aiohttp
import httpx
import pytest

from count_tokens_mw import (
    CountError,
    CountTokens,
    DeadlineExceeded,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.providers.http import BROKEN, HttpClient, transport_error
from count_tokens_mw.types import UpstreamCall
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

Reply: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]
COUNTED = b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"input_tokens": 14}'


@dataclass
class RawServer:
    """TCP server that records its requests, and replies with arbitrary bytes."""

    url: str = ""
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def raw_server(reply: Reply) -> AsyncIterator[RawServer]:
    server = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                server.bodies.append(await reader.readexactly(int(length)))
                server.heads.append(head)
                await reply(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def sending(data: bytes, *, close: bool = False) -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return reply


async def never(writer: asyncio.StreamWriter) -> None:
    await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def counting_at(url: str, **settings: Any) -> AsyncIterator[CountTokens]:
    params = {"model": "anthropic/claude-x", "api_base": url}
    config = {"model_list": [{"model_name": "claude-sonnet", "litellm_params": params}]}
    count_tokens = count_tokens_with(FakeUpstream(), config, settings=settings, http_client=None)
    async with count_tokens.lifespan():
        yield count_tokens


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (sending(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{", close=True), "broke off"),
        (
            sending(
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
            ),
            "broke off",
        ),
        (
            sending(
                b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\n"
                b"content-length: 0\r\n\r\n"
            ),
            "answered 307 without a count",
        ),
    ],
)
async def test_a_broken_answer_is_a_502_that_says_so(reply: Reply, message: str) -> None:
    async with raw_server(reply) as server, counting_at(server.url) as count_tokens:
        with pytest.raises(UpstreamUnusable, match=message):
            await count_tokens.count(HELLO)
    assert len(server.heads) == 1


@pytest.mark.parametrize("data", [b"", b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
async def test_a_connection_that_breaks_before_an_answer_is_tried_once_more(data: bytes) -> None:
    reply = sending(data, close=True)
    async with raw_server(reply) as server, counting_at(server.url) as count_tokens:
        with pytest.raises(UpstreamUnreachable, match="anthropic could not be reached, or closed"):
            await count_tokens.count(HELLO)
    assert len(server.heads) == 2


async def test_a_reason_phrase_that_is_no_ascii_is_no_failure_of_ours() -> None:
    reply = sending(COUNTED.replace(b"200 OK", b"200 \xe9"))
    async with raw_server(reply) as server, counting_at(server.url) as count_tokens:
        assert (await count_tokens.count(HELLO)).input_tokens == 14


@pytest.mark.parametrize("host", ["1.2.3.999", "xn--"])
async def test_a_host_that_is_none_is_a_502(host: str) -> None:
    async with counting_at(f"http://{host}:9") as count_tokens:
        with pytest.raises(UpstreamUnusable):
            await count_tokens.count(HELLO)


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("beta=true&a=%2F%7E&b=c%20d+e&f=", None),
        ('"<>{}|^`', "%22%3C%3E%7B%7D%7C%5E%60"),
        ("a=%zz&b=100%", "a=%25zz&b=100%25"),
        ("a[]=1", "a%5B%5D=1"),
    ],
)
async def test_the_passthroughs_query_says_the_same_upstream(query: str, sent: str | None) -> None:
    async with raw_server(sending(COUNTED)) as server:
        settings = {"passthrough": {"anthropic": {"api_base": server.url}}}
        count_tokens = count_tokens_with(FakeUpstream(), settings=settings, http_client=None)
        endpoint = count_tokens.endpoints["/anthropic/v1/messages/count_tokens"]
        async with count_tokens.lifespan():
            assert await status_of(endpoint, query.encode()) == 200
    target = server.heads[0].split(b" ")[1].decode()
    assert target == f"/v1/messages/count_tokens?{query if sent is None else sent}"


async def status_of(endpoint: Any, query: bytes) -> int:
    """Return the status of a request without an HTTP client, which would escape the query."""
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(HELLO).encode()}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": query, "headers": []}
    await endpoint(scope, receive, send)
    return int(messages[0]["status"])


async def test_more_counts_than_any_pools_default_are_under_way_at_once() -> None:
    many = 300
    released = asyncio.Event()

    async def when_all_are_there(writer: asyncio.StreamWriter) -> None:
        if len(server.heads) == many:
            released.set()
        await released.wait()
        await sending(COUNTED)(writer)

    async with (
        raw_server(when_all_are_there) as server,
        counting_at(server.url, max_concurrency=many) as count_tokens,
    ):
        counts = await asyncio.gather(*(count_tokens.count(HELLO) for _ in range(many)))
    assert len(counts) == server.connections == many


async def burst(count_tokens: CountTokens, first: int) -> set[int]:
    """Send fifty distinct counts at once, and return their results."""
    bodies = [{**HELLO, "system": f"number {number}"} for number in range(first, first + 50)]
    counts = await asyncio.gather(*map(count_tokens.count, bodies))
    return {count.input_tokens for count in counts}


async def test_burst_after_burst_goes_over_the_connections_of_one() -> None:
    async with raw_server(sending(COUNTED)) as server, counting_at(server.url) as count_tokens:
        for first in range(0, 250, 50):
            assert await burst(count_tokens, first) == {14}
    assert server.connections <= 50
    assert len(set(server.bodies)) == 250


async def test_a_burst_waits_for_as_few_connections_as_are_allowed_and_none_is_refused() -> None:
    few = {"http": {"max_connections": 4, "keepalive_expiry": 5}}
    async with (
        raw_server(sending(COUNTED)) as server,
        counting_at(server.url, **few) as count_tokens,
    ):
        assert await burst(count_tokens, 0) == {14}
    assert server.connections == 4
    assert len(set(server.bodies)) == 50


@pytest.mark.parametrize("own_client", [False, True])
@pytest.mark.parametrize("size", [1, 256 * 1024, 256 * 1024 + 1, 3 * 1024 * 1024])
async def test_a_body_of_any_size_arrives_whole_with_its_length_and_without_a_warning(
    size: int, own_client: bool
) -> None:
    body = bytes(range(1, 256)) * (size // 255) + b"x" * (size % 255)
    async with raw_server(sending(COUNTED)) as server:
        client = httpx.AsyncClient() if own_client else None
        http = HttpClient(client)
        answer = await http.post(UpstreamCall("anthropic", server.url, (("a", "b"),), body))
        await http.aclose()
        if client:
            await client.aclose()
    assert answer.status == 200
    assert server.bodies == [body]
    (head,) = server.heads
    assert head.lower().count(b"content-length:") == 1
    assert b"transfer-encoding" not in head.lower()


class RefreshingAuth(httpx.Auth):
    """Auth that retries a request with another token after a 401."""

    def auth_flow(self, request: httpx.Request) -> Any:
        response = yield request
        if response.status_code == 401:
            request.headers["x-token"] = "another"
            yield request


@pytest.mark.parametrize("size", [10, 3 * 1024 * 1024])
async def test_a_hosts_client_may_read_a_body_and_send_it_again(size: int) -> None:
    seen: list[tuple[str | None, int]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        token = request.headers.get("x-token")
        seen.append((token, len(request.content)))
        return httpx.Response(200 if token else 401, json={"input_tokens": 14})

    async def look(request: httpx.Request) -> None:
        assert len(request.content) == size

    client = httpx.AsyncClient(
        transport=httpx.MockTransport(answer),
        auth=RefreshingAuth(),
        event_hooks={"request": [look]},
    )
    call = UpstreamCall("anthropic", "http://upstream/", (("a", "b"),), b"x" * size)
    assert (await HttpClient(client).post(call)).status == 200
    assert seen == [(None, size), ("another", size)]


async def test_to_a_signed_call_a_hosts_client_adds_neither_parameters_nor_auth(
    upstream: FakeUpstream,
) -> None:
    transport = upstream.client()._transport
    client = httpx.AsyncClient(transport=transport, params={"a": "1"}, auth=("user", "password"))
    plain = UpstreamCall("bedrock", "http://upstream/x", (("authorization", "AWS4 x"),), b"{}")
    for call in (plain, replace(plain, signed=True)):
        await HttpClient(client).post(call)
    theirs, signed = upstream.requests
    assert str(theirs.url) == "http://upstream/x?a=1"
    assert theirs.headers["authorization"].startswith("Basic ")
    assert str(signed.url) == "http://upstream/x"
    assert signed.headers["authorization"] == "AWS4 x"


async def test_a_port_where_nobody_listens_is_a_502() -> None:
    async with raw_server(never) as server:
        pass
    async with counting_at(server.url) as count_tokens:
        with pytest.raises(UpstreamUnusable, match="anthropic could not be reached"):
            await count_tokens.count(HELLO)


async def test_a_silent_upstream_is_a_504_at_the_deadline() -> None:
    async with raw_server(never) as server, counting_at(server.url, timeout=0.05) as count_tokens:
        with pytest.raises(DeadlineExceeded):
            await count_tokens.count(HELLO)


async def test_counts_one_after_another_share_a_connection_and_carry_no_cookie() -> None:
    reply = sending(COUNTED.replace(b"\r\n\r\n", b"\r\nset-cookie: a=b; Path=/\r\n\r\n", 1))
    async with raw_server(reply) as server, counting_at(server.url) as count_tokens:
        for _ in range(5):
            await count_tokens.count(HELLO)
    assert server.connections == 1
    assert len(server.heads) == 5
    assert not any(b"cookie" in head.lower() for head in server.heads)


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with raw_server(sending(COUNTED)) as server, counting_at(server.url) as count_tokens:
        await count_tokens.count(HELLO)
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "error",
    [httpx.ReadTimeout("t"), httpx.ConnectTimeout("t"), httpx.PoolTimeout("t")],
)
async def test_a_timeout_of_the_hosts_own_client_is_a_504(
    upstream: FakeUpstream, error: Exception
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    upstream.answer = fail
    with pytest.raises(DeadlineExceeded):
        await count_tokens_with(upstream).count(HELLO)


def all_subclasses(root: type[Exception]) -> set[type[Exception]]:
    return {root}.union(*(all_subclasses(child) for child in root.__subclasses__()))


@pytest.mark.parametrize(
    "error_type",
    sorted(
        all_subclasses(httpx.HTTPError) | all_subclasses(aiohttp.ClientError),
        key=repr,
    ),
)
def test_every_exception_of_the_http_libraries_becomes_one_of_ours(
    error_type: type[Exception],
) -> None:
    """Including exceptions that a later version of the libraries adds."""
    error = error_type.__new__(error_type)
    assert isinstance(error, BROKEN)
    assert isinstance(transport_error("anthropic", UpstreamUnreachable, error), CountError)
