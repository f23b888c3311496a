"""Bounds of an upstream's answer: its size as received and as decoded, its status, its headers."""

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final, TypeAlias

import httpx
import httpx_aiohttp
import pytest
from botocore.awsrequest import AWSRequest

from count_tokens_mw import (
    CountTokens,
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.protocol.encodings import PIECE_BYTES, StreamDecoder
from count_tokens_mw.providers.answer_body import MAX_ANSWER_BYTES, AnswerBody
from count_tokens_mw.providers.bedrock.credentials import AwsSession, aws_errors
from count_tokens_mw.providers.bedrock.transport import client_config
from count_tokens_mw.providers.google.credentials import GoogleTokens
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.network import Network
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.types import UpstreamAnswer, UpstreamCall
from demo_app.emulators import EmulatedGoogle
from tests.contract.test_behaviours import COUNT
from tests.providers.test_bedrock import STS_ANSWER
from tests.providers.test_http import Reply, never, raw_server, sending
from tests.support.cloud import bedrock_params
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ANSWER: Final = b'{"input_tokens": 14}'
TOO_LARGE: Final = "anthropic answered 200 with more than 1 MB"
# Enough for the buffers of a socket and of a client, on both sides.
BUFFERS: Final = 16 * MAX_ANSWER_BYTES

OpenClient: TypeAlias = Callable[[], httpx.AsyncClient | None]


def own() -> None:
    return None


CLIENTS: Final = pytest.mark.parametrize(
    "open_client",
    [own, httpx.AsyncClient, httpx_aiohttp.HttpxAiohttpClient],
    ids=["own", "httpx", "httpx-aiohttp"],
)


@asynccontextmanager
async def counting_by(
    open_client: OpenClient, url: str, more: Any = (), **settings: Any
) -> AsyncIterator[CountTokens]:
    params = {"model": "anthropic/claude-x", "api_base": url, **dict(more)}
    config = {"model_list": [{"model_name": "claude-sonnet", "litellm_params": params}]}
    client = open_client()
    count_tokens = count_tokens_with(
        FakeUpstream(), config, settings=settings, http_client=client, hooks=[]
    )
    async with count_tokens.lifespan(), client or nullcontext():
        yield count_tokens


def answering(body: bytes, *lines: str, status: str = "200 OK") -> Reply:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *lines]
    return sending("\r\n".join([*head, "", ""]).encode() + body)


def chunked(*chunks: bytes) -> Reply:
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return sending(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + pieces)


def deflate_raw(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


COMPRESS: Final[dict[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip members": ("x-gzip", lambda data: b"".join(map(gzip.compress, halves(data)))),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("Deflate", deflate_raw),
    "zstd": ("zstd", zstd.compress),
    "zstd frames": ("zstd", lambda data: b"".join(map(zstd.compress, halves(data)))),
}


def halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


class Work:
    """Bytes that an answer made us receive and decode."""

    received = decoded = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()
    add, decode = AnswerBody.add, StreamDecoder.decode

    def count_received(self: AnswerBody, chunk: bytes) -> None:
        work.received += len(chunk)
        add(self, chunk)

    def count_decoded(self: StreamDecoder, chunk: bytes) -> Iterator[bytes]:
        for piece in decode(self, chunk):
            work.decoded += len(piece)
            yield piece

    monkeypatch.setattr(AnswerBody, "add", count_received)
    monkeypatch.setattr(StreamDecoder, "decode", count_decoded)
    return work


# Encoded answers


@CLIENTS
async def test_an_unencoded_answer_is_asked_for_once(open_client: OpenClient) -> None:
    async with (
        raw_server(answering(ANSWER)) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        await count_tokens.count(HELLO)
    (head,) = server.heads
    assert head.lower().count(b"accept-encoding:") == 1
    assert b"accept-encoding: identity\r\n" in head.lower()


@CLIENTS
async def test_an_encoding_of_the_configuration_is_asked_for_instead(
    open_client: OpenClient,
) -> None:
    more = {"extra_headers": {"Accept-Encoding": "gzip"}}
    async with (
        raw_server(answering(gzip.compress(ANSWER), "content-encoding: gzip")) as server,
        counting_by(open_client, server.url, more) as count_tokens,
    ):
        assert (await count_tokens.count(HELLO)).input_tokens == 14
    (head,) = server.heads
    assert head.lower().count(b"accept-encoding:") == 1
    assert b"accept-encoding: gzip\r\n" in head.lower()


@pytest.mark.parametrize("encoding", COMPRESS)
@CLIENTS
async def test_an_answer_that_is_encoded_all_the_same_is_decoded(
    open_client: OpenClient, encoding: str
) -> None:
    name, compress = COMPRESS[encoding]
    async with (
        raw_server(answering(compress(ANSWER), f"content-encoding: {name}")) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        assert (await count_tokens.count(HELLO)).body == ANSWER


@pytest.mark.parametrize("encoding", COMPRESS)
@CLIENTS
async def test_a_bomb_is_a_502_after_one_megabyte(
    open_client: OpenClient, encoding: str, work: Work
) -> None:
    name, compress = COMPRESS[encoding]
    bomb = compress(bytes(8 * MAX_ANSWER_BYTES))
    async with (
        raw_server(answering(bomb, f"content-encoding: {name}")) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable, match=TOO_LARGE):
            await count_tokens.count(HELLO)
    assert len(server.heads) == 1
    assert MAX_ANSWER_BYTES < work.decoded <= MAX_ANSWER_BYTES + PIECE_BYTES


@pytest.mark.parametrize("name", ["br", "compress", "gzip, gzip", "gzip\r\ncontent-encoding: br"])
@CLIENTS
async def test_an_encoding_that_cannot_be_read_within_bounds_is_a_502(
    open_client: OpenClient, name: str, work: Work
) -> None:
    async with (
        raw_server(answering(ANSWER, f"content-encoding: {name}")) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable, match="answered 200 in an encoding"):
            await count_tokens.count(HELLO)
    assert (work.received, work.decoded) == (0, 0)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"x" + data]
)
@pytest.mark.parametrize("encoding", ["gzip", "zlib", "zstd"])
@CLIENTS
async def test_a_damaged_answer_is_broken_off(
    open_client: OpenClient, encoding: str, damage: Callable[[bytes], bytes]
) -> None:
    name, compress = COMPRESS[encoding]
    body = damage(compress(b" " + ANSWER))
    async with (
        raw_server(answering(body, f"content-encoding: {name}")) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable, match="broke off its answer"):
            await count_tokens.count(HELLO)


async def test_an_answer_that_a_hook_of_the_hosts_client_has_read_is_not_decoded_twice() -> None:
    async def read(response: httpx.Response) -> None:
        await response.aread()

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(event_hooks={"response": [read]})

    async with (
        raw_server(answering(gzip.compress(ANSWER), "content-encoding: gzip")) as server,
        counting_by(client, server.url) as count_tokens,
    ):
        assert (await count_tokens.count(HELLO)).body == ANSWER


# The size


def padded(size: int) -> bytes:
    return ANSWER + b" " * (size - len(ANSWER))


SENDINGS: Final[dict[str, Callable[[bytes], Reply]]] = {
    "whole": answering,
    "chunked": lambda body: chunked(*(body[at : at + 9999] for at in range(0, len(body), 9999))),
    "gzip": lambda body: answering(gzip.compress(body), "content-encoding: gzip"),
}


@pytest.mark.parametrize("how", SENDINGS)
@CLIENTS
async def test_one_megabyte_is_read_and_not_a_byte_more(open_client: OpenClient, how: str) -> None:
    body = padded(MAX_ANSWER_BYTES)
    async with (
        raw_server(SENDINGS[how](body)) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        assert (await count_tokens.count(HELLO)).body == body
    async with (
        raw_server(SENDINGS[how](body + b" ")) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable, match=TOO_LARGE):
            await count_tokens.count(HELLO)


class Endless:
    """Reply that never ends, and counts the bytes that it could write."""

    written = 0

    def __init__(self, head: bytes, piece: bytes, pause: float = 0) -> None:
        self._head = head
        self._piece = piece
        self._pause = pause

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._head)
        while True:
            writer.write(self._piece)
            await writer.drain()
            self.written += len(self._piece)
            await asyncio.sleep(self._pause)


CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (CHUNKED_HEAD + b"\r\n", b"10000\r\n" + bytes(0x10000) + b"\r\n"),
        (CHUNKED_HEAD + b"\r\n", (b"ff\r\n" + bytes(255) + b"\r\n") * 99),
        (CHUNKED_HEAD + b"content-encoding: gzip\r\n\r\n", b"40\r\n" + bytes(64) + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", bytes(0x10000)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n", bytes(0x10000)),
    ],
    ids=["chunks", "small chunks", "gzip", "until closed", "announced"],
)
@CLIENTS
async def test_an_endless_answer_is_a_502_after_a_bounded_size(
    open_client: OpenClient, head: bytes, piece: bytes, work: Work
) -> None:
    reply = Endless(head, piece)
    async with (
        raw_server(reply) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable) as raised:
            await count_tokens.count(HELLO)
        assert not isinstance(raised.value, UpstreamUnreachable)
    assert work.received < 2 * MAX_ANSWER_BYTES
    assert reply.written < BUFFERS


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (CHUNKED_HEAD + b"\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n"),
    ],
    ids=["body", "headers", "interim answers"],
)
@CLIENTS
async def test_an_answer_that_drips_ends_at_the_deadline(
    open_client: OpenClient, head: bytes, piece: bytes
) -> None:
    async with (
        raw_server(Endless(head, piece, pause=0.05)) as server,
        counting_by(open_client, server.url, timeout=0.3) as count_tokens,
    ):
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(count_tokens.count(HELLO), 5)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 999),
        (b"HTTP/1.1 200 OK\r\na: ", b"b" * 9999),
        (CHUNKED_HEAD + b"\r\n0\r\n", b"a: b\r\n" * 999),
    ],
    ids=["lines", "one line", "trailers"],
)
@CLIENTS
async def test_a_flood_of_headers_is_a_502_after_a_bounded_size(
    open_client: OpenClient, head: bytes, piece: bytes
) -> None:
    """By the libraries' own limits; this test would notice their end."""
    reply = Endless(head, piece)
    async with (
        raw_server(reply) as server,
        counting_by(open_client, server.url, timeout=10) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable):
            await count_tokens.count(HELLO)
    assert reply.written < BUFFERS


@CLIENTS
async def test_after_an_answer_that_is_too_large_a_new_connection_counts(
    open_client: OpenClient,
) -> None:
    replies = [answering(padded(4 * MAX_ANSWER_BYTES)), answering(ANSWER)]

    async def reply(writer: asyncio.StreamWriter) -> None:
        await replies.pop(0)(writer)

    async with (
        raw_server(reply) as server,
        counting_by(open_client, server.url, http={"max_connections": 1}) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable, match=TOO_LARGE):
            await count_tokens.count(HELLO)
        assert (await count_tokens.count(HELLO)).input_tokens == 14
    assert server.connections == 2


@CLIENTS
async def test_an_error_that_is_too_large_is_a_502_with_its_status_in_the_message(
    open_client: OpenClient,
) -> None:
    reply = answering(padded(MAX_ANSWER_BYTES + 1), "retry-after: 9", status="429 Slow Down")
    async with (
        raw_server(reply) as server,
        counting_by(open_client, server.url) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable, match="answered 429 with more than 1 MB") as raised:
            await count_tokens.count(HELLO)
    assert (raised.value.status, raised.value.headers) == (502, {"retry-after": "9"})


async def test_all_lines_of_a_header_reach_the_upstream_by_a_hosts_client() -> None:
    lines = (("anthropic-beta", "a"), ("anthropic-beta", "b"))
    async with raw_server(answering(ANSWER)) as server, httpx.AsyncClient() as client:
        await HttpClient(client).post(UpstreamCall("anthropic", server.url, lines, b"{}"))
    (head,) = server.heads
    assert head.count(b"anthropic-beta: ") == 2


# The status


ENVELOPE: Final = json.dumps({"type": "error", "error": {"type": "a", "message": "b"}}).encode()


@pytest.mark.parametrize("status", [100, 101, 199, 204, 304, 307, 399, 600, 999])
@pytest.mark.parametrize("body", [ANSWER, ENVELOPE], ids=["count", "error"])
def test_an_answer_that_is_neither_a_success_nor_an_error_is_a_502(
    status: int, body: bytes
) -> None:
    body = b"" if status == 204 else body
    with pytest.raises(UpstreamUnusable, match=f"anthropic answered {status} without a count"):
        parse_count("anthropic", UpstreamAnswer(status, {}, body))


@pytest.mark.parametrize("status", ["304 No", "600 Odd", "999 Denied"])
@CLIENTS
async def test_a_status_that_cannot_be_sent_on_is_a_502_that_names_it(
    open_client: OpenClient, status: str
) -> None:
    reply = answering(b"" if status == "304 No" else ENVELOPE, status=status)
    async with (
        raw_server(reply) as server,
        counting_by(open_client, server.url) as count_tokens,
        mounted(count_tokens) as client,
    ):
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 502
    message = response.json()["error"]["message"]
    assert message == f"anthropic answered {status[:3]} without a count."


@pytest.mark.parametrize("status", ["000 None", "99 Few", "101 Switching Protocols", "1000 Many"])
@CLIENTS
async def test_a_status_that_a_client_does_not_read_is_a_502(
    open_client: OpenClient, status: str
) -> None:
    async with (
        raw_server(answering(b"", status=status)) as server,
        counting_by(open_client, server.url) as count_tokens,
        mounted(count_tokens) as client,
    ):
        response = await client.post(COUNT, json=HELLO)
    assert response.status_code == 502
    assert response.json()["error"]["message"].startswith("anthropic ")


async def test_an_answer_that_is_too_large_does_not_wait_for_the_request_to_be_read() -> None:
    """By a client of our own; httpx sends the whole request before it reads."""

    closed = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await Endless(CHUNKED_HEAD + b"\r\n", b"ffff\r\n" + bytes(0xFFFF) + b"\r\n")(writer)
        except ConnectionError:
            writer.close()
            closed.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1024)
    host, port = server.sockets[0].getsockname()
    body = {**HELLO, "system": "x" * 16 * MAX_ANSWER_BYTES}
    async with counting_by(own, f"http://{host}:{port}", timeout=5) as count_tokens:
        with pytest.raises(UpstreamUnusable):
            await count_tokens.count(body)
        await asyncio.wait_for(closed.wait(), 5)
    server.close()


@pytest.mark.parametrize("status", [400, 418, 499, 500, 529, 599])
async def test_any_status_of_an_error_is_kept(upstream: FakeUpstream, status: int) -> None:
    upstream.answers(status, ENVELOPE)
    hook = Recorder()
    async with mounted(count_tokens_with(upstream, hooks=[hook])) as client:
        response = await client.post(COUNT, json=HELLO)
    assert (response.status_code, response.content) == (status, ENVELOPE)
    assert hook.event.status == status


# Issuers of credentials


def bad_tokens(token: bytes) -> list[Any]:
    bomb = gzip.compress(token + b" " * 8 * MAX_ANSWER_BYTES)
    too_large = token + b" " * MAX_ANSWER_BYTES
    return [
        pytest.param(answering(too_large), id="large"),
        pytest.param(chunked(too_large[:99], too_large[99:]), id="chunked"),
        pytest.param(answering(bomb, "content-encoding: gzip"), id="gzip"),
        pytest.param(answering(token, "content-encoding: br"), id="br"),
        pytest.param(answering(gzip.compress(token)[:-1], "content-encoding: gzip"), id="broken"),
        pytest.param(
            Endless(CHUNKED_HEAD + b"\r\n", b"ffff\r\n" + bytes(0xFFFF) + b"\r\n"), id="endless"
        ),
    ]


TOKEN: Final = b'{"access_token": "t", "expires_in": 3600}'
CREDENTIALS: Final = STS_ANSWER.format(action="AssumeRole").encode()


def google_tokens(url: str) -> GoogleTokens:
    return GoogleTokens(EmulatedGoogle().service_account(f"{url}/token"))


LARGE_REDIRECT: Final = answering(bytes(MAX_ANSWER_BYTES + 1), "location: /a", status="302 Found")


@pytest.mark.parametrize("reply", [*bad_tokens(TOKEN), LARGE_REDIRECT])
async def test_a_token_of_google_is_read_within_bounds(reply: Reply, work: Work) -> None:
    async with raw_server(reply) as server:
        with pytest.raises(CredentialsUnavailable):
            await google_tokens(server.url).token()
    assert len(server.heads) == 1
    assert work.received < 2 * MAX_ANSWER_BYTES
    assert work.decoded <= MAX_ANSWER_BYTES + PIECE_BYTES


@pytest.mark.parametrize("encode", [bytes, gzip.compress])
async def test_a_token_of_google_may_be_encoded(encode: Callable[[bytes], bytes]) -> None:
    name = "identity" if encode is bytes else "gzip"
    async with raw_server(answering(encode(TOKEN), f"content-encoding: {name}")) as server:
        assert await google_tokens(server.url).token() == "t"
    assert b"accept-encoding: identity\r\n" in server.heads[0].lower()


async def assume_role(url: str) -> Any:
    role = "arn:aws:iam::123456789012:role/r"
    params = bedrock_params("http://127.0.0.1:1", aws_role_name=role, aws_sts_endpoint=url)
    session = AwsSession(BedrockParams.model_validate(params))
    headers = await session.sign("https://h.example/", {}, b"{}", "bedrock", "us-west-2")
    return headers["x-amz-security-token"]


@pytest.mark.parametrize("reply", bad_tokens(CREDENTIALS))
async def test_credentials_of_aws_are_read_within_bounds(reply: Reply, work: Work) -> None:
    async with raw_server(reply) as server:
        with pytest.raises(UpstreamUnusable, match="AWS answered without credentials"):
            await assume_role(server.url)
    assert len(server.heads) == 1
    assert work.received < 2 * MAX_ANSWER_BYTES
    assert work.decoded <= MAX_ANSWER_BYTES + PIECE_BYTES


@pytest.mark.parametrize("encode", [bytes, gzip.compress])
async def test_credentials_of_aws_may_be_encoded(encode: Callable[[bytes], bytes]) -> None:
    name = "identity" if encode is bytes else "gzip"
    async with raw_server(answering(encode(CREDENTIALS), f"content-encoding: {name}")) as server:
        assert await assume_role(server.url)
    assert b"accept-encoding: identity\r\n" in server.heads[0].lower()


async def test_credentials_of_aws_that_break_off_are_unreachable() -> None:
    reply = sending(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n<", close=True)
    async with raw_server(reply) as server:
        with pytest.raises(UpstreamUnreachable):
            await assume_role(server.url)


async def test_credentials_of_aws_that_stop_arriving_are_late() -> None:
    async def stop(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n<")
        await never(writer)

    open_session = client_config(Network()).http_session_cls
    async with raw_server(stop) as server, open_session(timeout=0.2) as session:
        with pytest.raises(DeadlineExceeded), aws_errors():
            await session.send(AWSRequest("POST", server.url, data=b"{}").prepare())
