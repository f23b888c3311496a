"""Compressed request bodies: decoded within the limit, in turns, and whole or refused."""

import asyncio
import gzip
import hashlib
import json
import random
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import aiohttp
import anthropic
import httpx
import httpx2
import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from count_tokens_mw import CountTokensMiddleware, InvalidRequest
from count_tokens_mw.aio.fairness import YIELD_ABOVE_BYTES, LoopFairness
from count_tokens_mw.asgi.body import TimedRequest, expected_size, read_body
from count_tokens_mw.asgi.encodings import BodyDecoder, open_decoder
from count_tokens_mw.cache.memo import RequestMemo
from count_tokens_mw.config.models import Settings
from count_tokens_mw.errors import CountError, RequestTooLarge
from count_tokens_mw.fastapi import count_tokens_router
from count_tokens_mw.protocol import encodings
from count_tokens_mw.protocol.encodings import PIECE_BYTES
from count_tokens_mw.types import CountRequest
from demo_app.emulators import count
from demo_app.loopback import serving
from tests.support.fakes import HELLO, FakeUpstream, Recorder, client_of, count_tokens_with, mounted

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COUNT: Final = "/v1/messages/count_tokens"
PASSTHROUGH: Final = "/anthropic/v1/messages/count_tokens"
INVALID: Final = "request_body_encoding_invalid"
UNSUPPORTED: Final = "request_body_encoding_unsupported"
TOO_LARGE: Final = "request_body_too_large_after_decoding"
MEGABYTE: Final = 1024 * 1024
RAW: Final = json.dumps({**HELLO, "system": "Grüße, 世界. " * 400}, ensure_ascii=False).encode()


def in_halves(compress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return a function that compresses two halves one by one, and appends the results."""
    return lambda raw: compress(raw[: len(raw) // 2]) + compress(raw[len(raw) // 2 :])


def with_every_gzip_field(raw: bytes) -> bytes:
    """Return one gzip member with an extra field, a name, a comment and a header checksum."""
    head = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff" + b"\x04\0abcd" + b"a name\0" + b"a comment\0"
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    return head + gzip.compress(raw)[10:]


def with_skippable_frames(raw: bytes) -> bytes:
    frame = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
    return frame + zstd.compress(raw) + frame


def with_checksum(raw: bytes) -> bytes:
    return zstd.compress(raw, options={zstd.CompressionParameter.checksum_flag: 1})


ENCODED: Final[dict[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "identity": ("identity", bytes),
    "empty": ("", bytes),
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "gzip in capitals and spaces": (" \tGZip ", gzip.compress),
    "gzip uncompressed": ("gzip", lambda raw: gzip.compress(raw, 0)),
    "gzip with all fields": ("gzip", with_every_gzip_field),
    "two gzip members": ("gzip", in_halves(gzip.compress)),
    "an empty last gzip member": ("gzip", lambda raw: gzip.compress(raw) + gzip.compress(b"")),
    "zstd": ("zstd", zstd.compress),
    "zstd in capitals": ("ZSTD", zstd.compress),
    "zstd with a checksum": ("zstd", with_checksum),
    "two zstd frames": ("zstd", in_halves(zstd.compress)),
    "skippable zstd frames": ("zstd", with_skippable_frames),
    "gzip decoded by the host": ("gzip", bytes),
    "zstd decoded by the host": ("zstd", bytes),
}


def split(data: bytes, seed: int) -> list[bytes]:
    """Return chunks of random sizes, some of them empty."""
    generator = random.Random(seed)
    cuts = sorted(generator.choices(range(len(data) + 1), k=generator.randint(0, 12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


CHUNKINGS: Final[dict[str, Callable[[bytes], list[bytes]]]] = {
    "whole": lambda data: [data],
    "bytes": lambda data: [data[place : place + 1] for place in range(len(data))],
    **{f"seed {seed}": lambda data, seed=seed: split(data, seed) for seed in range(8)},  # type: ignore[misc]
}


def decode(encoding: str, chunks: list[bytes]) -> bytes:
    """Return what a body is decoded to."""
    decoder = open_decoder([encoding])
    if decoder is None:
        return b"".join(chunks)
    pieces = [piece for chunk in chunks for piece in decoder.decode(chunk)]
    decoder.finish()
    return b"".join(pieces)


def request_of(chunks: list[bytes], *encodings: str) -> tuple[TimedRequest, dict[str, str]]:
    """Return a request whose client sends these chunks, and its headers as the endpoint reads them.

    A read after the last chunk fails.
    """
    left = iter(chunks)
    last = len(chunks) - 1
    places = iter(range(len(chunks)))

    async def receive() -> Message:
        return {"type": "http.request", "body": next(left), "more_body": next(places) < last}

    lines = [(b"content-encoding", encoding.encode()) for encoding in encodings]
    scope = {"type": "http", "headers": lines}
    return TimedRequest(scope, receive, Settings()), {"content-encoding": encodings[0]}


async def read(chunks: list[bytes], *encodings: str, limit: int = MEGABYTE) -> bytes:
    request, headers = request_of(chunks, *encodings)
    body = await read_body(request, headers, limit, LoopFairness())
    assert body.digest == hashlib.sha256(body.raw).digest()
    return body.raw


def code_of(error: CountError) -> str | None:
    assert isinstance(error, InvalidRequest | RequestTooLarge)
    return error.error_code


# All encodings in all chunks


@pytest.mark.parametrize("chunking", CHUNKINGS)
@pytest.mark.parametrize("name", ENCODED)
async def test_a_body_in_any_encoding_and_any_chunks_is_read(name: str, chunking: str) -> None:
    encoding, encode = ENCODED[name]
    encoded = encode(RAW)
    assert (encoded == RAW) == (name in {"identity", "empty"} or "by the host" in name)
    assert await read(CHUNKINGS[chunking](encoded), encoding) == RAW


@pytest.mark.parametrize("encode", [gzip.compress, zstd.compress])
@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3_000_000])
@pytest.mark.parametrize("ratio", ["high", "none"])
def test_a_body_is_decoded_whole_at_the_edges_of_a_piece(
    encode: Callable[[bytes], bytes], size: int, ratio: str
) -> None:
    raw = bytes(size) if ratio == "high" else random.Random(size).randbytes(size)
    encoded = encode(raw)
    encoding = "gzip" if encode is gzip.compress else "zstd"
    assert decode(encoding, [encoded]) == raw
    assert decode(encoding, split(encoded, size)) == raw


def test_no_piece_is_larger_than_promised() -> None:
    sizes = [
        len(piece)
        for encoding, encoded in (
            ("gzip", gzip.compress(bytes(5_000_000))),
            ("zstd", zstd.compress(bytes(5_000_000))),
        )
        for piece in opened(encoding).decode(encoded)
    ]
    assert sum(sizes) == 10_000_000
    assert max(sizes) == PIECE_BYTES


def opened(encoding: str) -> BodyDecoder:
    decoder = open_decoder([encoding])
    assert decoder is not None
    return decoder


async def test_an_empty_body_is_read_as_it_is() -> None:
    assert await read([b""], "gzip") == await read([b""], "zstd") == b""


# Refused encodings


@pytest.mark.parametrize(
    "lines",
    [
        ("br",),
        ("deflate",),
        ("compress",),
        ("gzipped",),
        ("gzip;q=1",),
        ("gzip, gzip",),
        ("gzip", "gzip"),
        ("gzip,",),
        ("identity", "gzip"),
        ("gzip", "identity"),
        ("zstd, gzip",),
        ("\xff",),
    ],
)
async def test_an_unsupported_encoding_is_refused_unread(lines: tuple[str, ...]) -> None:
    request, headers = request_of([], *lines)
    with pytest.raises(InvalidRequest, match="send gzip or zstd") as raised:
        await read_body(request, headers, MEGABYTE, LoopFairness())
    assert code_of(raised.value) == UNSUPPORTED


@pytest.fixture
def without_zstd(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Uninstall the extra `zstd`, as far as imports can see."""
    package, _, name = zstd.__name__.rpartition(".")
    monkeypatch.delattr(sys.modules[package], name)
    monkeypatch.setitem(sys.modules, zstd.__name__, None)
    encodings._load_zstd.cache_clear()
    yield
    encodings._load_zstd.cache_clear()


@pytest.mark.usefixtures("without_zstd")
async def test_without_its_extra_zstd_is_unsupported_and_gzip_is_read() -> None:
    with pytest.raises(InvalidRequest) as raised:
        await read([zstd.compress(RAW)], "zstd")
    assert code_of(raised.value) == UNSUPPORTED
    assert "zstd" not in raised.value.message
    assert await read([gzip.compress(RAW)], "gzip") == RAW


# Invalid bodies


def corrupt(data: bytes, place: int) -> bytes:
    """Return the data with one bit changed; a negative place counts from the end."""
    changed = bytearray(data)
    changed[place] ^= 0x10
    return bytes(changed)


GZIP, ZSTD = gzip.compress(RAW), with_checksum(RAW)
WIDE_WINDOW: Final[dict[int, int]] = {zstd.CompressionParameter.window_log: 24}
BROKEN: Final[dict[str, tuple[str, bytes]]] = {
    "a first byte": ("gzip", GZIP[:1]),
    "a gzip header": ("gzip", GZIP[:10]),
    "gzip cut in its middle": ("gzip", GZIP[: len(GZIP) // 2]),
    "gzip without its last byte": ("gzip", GZIP[:-1]),
    "gzip of a wrong checksum": ("gzip", corrupt(GZIP, -8)),
    "gzip of a wrong length": ("gzip", corrupt(GZIP, -4)),
    "corrupt gzip": ("gzip", corrupt(GZIP, 30)),
    "gzip of another method": ("gzip", corrupt(GZIP, 2)),
    "garbage after gzip": ("gzip", GZIP + b"{}"),
    "a second gzip member cut": ("gzip", GZIP + GZIP[:-1]),
    "a second gzip member of a wrong checksum": ("gzip", GZIP + corrupt(GZIP, -8)),
    "zstd after gzip": ("gzip", GZIP + ZSTD),
    "empty gzip members without end": ("gzip", gzip.compress(b"") * 5000),
    "zstd's magic number": ("zstd", ZSTD[:4]),
    "half of zstd's magic number": ("zstd", ZSTD[:2]),
    "zstd cut in its middle": ("zstd", ZSTD[: len(ZSTD) // 2]),
    "zstd without its last byte": ("zstd", ZSTD[:-1]),
    "zstd of a wrong checksum": ("zstd", corrupt(ZSTD, -1)),
    "garbage after zstd": ("zstd", ZSTD + b"{}"),
    "a second zstd frame cut": ("zstd", ZSTD + ZSTD[:-1]),
    "a skippable frame cut": ("zstd", ZSTD + b"\x50\x2a\x4d\x18\x03\0\0\0ab"),
    "empty zstd frames without end": ("zstd", zstd.compress(b"") * 5000),
    "a window of 16 MB": ("zstd", zstd.compress(bytes(20_000_000), options=WIDE_WINDOW)),
}


@pytest.mark.parametrize("chunking", ["whole", "bytes", "seed 1", "seed 2"])
@pytest.mark.parametrize("name", BROKEN)
async def test_an_invalid_body_is_refused_by_its_code(name: str, chunking: str) -> None:
    encoding, data = BROKEN[name]
    with pytest.raises(InvalidRequest, match="is not one valid") as raised:
        await read(CHUNKINGS[chunking](data), encoding)
    assert code_of(raised.value) == INVALID


def test_no_library_error_is_the_context_of_the_refusal() -> None:
    """Its text would be logged with the traceback, and may quote the body."""
    with pytest.raises(InvalidRequest) as raised:
        decode("gzip", [corrupt(GZIP, 30)])
    assert raised.value.__suppress_context__


# The limit


def gzip_bomb() -> bytes:
    compressor, zeros = zlib.compressobj(1, wbits=31), bytes(MEGABYTE)
    return b"".join(compressor.compress(zeros) for _ in range(1024)) + compressor.flush()


def zstd_bomb() -> bytes:
    compressor, zeros = zstd.ZstdCompressor(), bytes(MEGABYTE)
    return b"".join(compressor.compress(zeros) for _ in range(1024)) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "make"),
    [
        ("gzip", gzip_bomb),
        ("gzip", lambda: gzip.compress(bytes(MEGABYTE)) * 1024),
        ("zstd", zstd_bomb),
        ("zstd", lambda: zstd.compress(bytes(MEGABYTE)) * 1024),
    ],
    ids=["gzip", "gzip members", "zstd", "zstd frames"],
)
async def test_a_bomb_of_1_gb_is_a_413_after_at_most_the_limit(
    encoding: str, make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb, produced = make(), 0
    decode_chunk = BodyDecoder.decode

    def watched(self: BodyDecoder, chunk: bytes) -> Iterator[bytes]:
        nonlocal produced
        for piece in decode_chunk(self, chunk):
            produced += len(piece)
            yield piece

    monkeypatch.setattr(BodyDecoder, "decode", watched)
    limit = 8 * MEGABYTE
    assert len(bomb) < limit
    with pytest.raises(RequestTooLarge, match="larger than 8388608 bytes") as raised:
        await read([bomb], encoding, limit=limit)
    assert code_of(raised.value) == TOO_LARGE
    assert limit < produced <= limit + PIECE_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("chunking", ["whole", "bytes"])
async def test_the_limit_is_that_of_the_decoded_body_to_the_byte(
    encoding: str, chunking: str
) -> None:
    chunks = CHUNKINGS[chunking](ENCODED[encoding][1](RAW))
    assert await read(chunks, encoding, limit=len(RAW)) == RAW
    with pytest.raises(RequestTooLarge) as raised:
        await read(chunks, encoding, limit=len(RAW) - 1)
    assert code_of(raised.value) == TOO_LARGE


@pytest.mark.parametrize("host_decoded", [False, True])
async def test_a_body_that_is_too_large_as_received_has_no_code(host_decoded: bool) -> None:
    """Compressed data may be larger than the body, and need not decode to anything."""
    frames = b"\x50\x2a\x4d\x18\x03\0\0\0abc" * 100
    body = b"{" * 1100 if host_decoded else frames
    with pytest.raises(RequestTooLarge) as raised:
        await read([body[:600], body[600:]], "zstd", limit=1000)
    assert code_of(raised.value) is None


async def test_a_compressed_body_that_announces_itself_too_large_is_refused_unread() -> None:
    _, headers = request_of([], "gzip")
    with pytest.raises(RequestTooLarge):
        expected_size({**headers, "content-length": "101"}, 100)


# Turns on the event loop


class CountingFairness(LoopFairness):
    """Turns that record the decompressed bytes, and the calls, since the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes, self.calls = [0], [0]

    async def checkpoint(self) -> None:
        self.sizes.append(0)
        self.calls.append(0)
        await super().checkpoint()


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("content", ["zeros", "text", "random"])
async def test_a_large_body_takes_turns_while_it_is_decoded(
    encoding: str, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = {
        "zeros": bytes(4_000_000),
        "text": " ".join(map(str, range(600_000))).encode()[:4_000_000],
        "random": random.Random(7).randbytes(4_000_000),
    }[content]
    fairness, decode_chunk = CountingFairness(), BodyDecoder.decode

    def watched(self: BodyDecoder, chunk: bytes) -> Iterator[bytes]:
        for piece in decode_chunk(self, chunk):
            fairness.sizes[-1] += len(piece)
            fairness.calls[-1] += 1
            yield piece

    monkeypatch.setattr(BodyDecoder, "decode", watched)
    request, headers = request_of([ENCODED[encoding][1](raw)], encoding)
    body = await read_body(request, headers, 5_000_000, fairness)
    assert body.raw == raw
    assert sum(fairness.sizes) == len(raw)
    assert max(fairness.sizes) <= YIELD_ABOVE_BYTES + PIECE_BYTES
    assert max(fairness.calls) <= 20


async def test_data_that_decodes_to_nothing_takes_turns_too() -> None:
    """A skippable frame of zstd costs time, and has no output to count."""
    frame = b"\x50\x2a\x4d\x18" + (2_000_000).to_bytes(4, "little") + bytes(2_000_000)
    fairness = CountingFairness()
    request, headers = request_of([frame + zstd.compress(RAW)], "zstd")
    assert (await read_body(request, headers, 5_000_000, fairness)).raw == RAW
    assert len(fairness.sizes) > 20


async def test_small_compressed_bodies_wait_for_no_turn() -> None:
    fairness = CountingFairness()
    for encoding in ("gzip", "zstd"):
        request, headers = request_of([ENCODED[encoding][1](RAW)], encoding)
        await read_body(request, headers, MEGABYTE, fairness)
    assert fairness.sizes == [0]


async def test_decoding_counts_towards_the_time_to_upload(upstream: FakeUpstream) -> None:
    class Stalled(LoopFairness):
        async def checkpoint(self) -> None:
            await asyncio.get_running_loop().create_future()

    count_tokens = count_tokens_with(upstream, settings={"upload_timeout": 0.05})
    count_tokens._pipeline.engine.fairness = Stalled()
    async with mounted(count_tokens) as client:
        response = await post(client, gzip.compress(bytes(2_000_000)), "gzip")
    assert response.status_code == 504
    assert response.json()["error"]["message"] == "The request body did not arrive in time."


# Through a host


async def post(
    client: httpx.AsyncClient, content: bytes, encoding: str, path: str = COUNT
) -> httpx.Response:
    return await client.post(path, content=content, headers={"content-encoding": encoding})


@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
@pytest.mark.parametrize("name", ENCODED)
async def test_a_mounted_counter_sends_the_decoded_body_without_its_encoding(
    name: str, path: str, upstream: FakeUpstream
) -> None:
    encoding, encode = ENCODED[name]
    async with mounted(count_tokens_with(upstream)) as client:
        response = await post(client, encode(RAW), encoding, path)
    assert response.json() == {"input_tokens": 14}
    assert "content-encoding" not in upstream.request.headers
    assert upstream.body["messages"] == HELLO["messages"]
    if path == PASSTHROUGH:
        assert upstream.request.content == RAW
        assert upstream.request.headers["content-length"] == str(len(RAW))


@pytest.mark.parametrize(
    ("content", "encoding", "status", "error_type", "code"),
    [
        (GZIP, "br", 400, "invalid_request_error", UNSUPPORTED),
        (GZIP[:-1], "gzip", 400, "invalid_request_error", INVALID),
        (ZSTD[:-1], "zstd", 400, "invalid_request_error", INVALID),
        (gzip.compress(bytes(MEGABYTE)), "gzip", 413, "request_too_large", TOO_LARGE),
        (zstd.compress(bytes(MEGABYTE)), "zstd", 413, "request_too_large", TOO_LARGE),
    ],
)
@pytest.mark.parametrize("path", [COUNT, PASSTHROUGH])
async def test_a_refusal_has_anthropics_code_and_makes_an_event(
    path: str,
    content: bytes,
    encoding: str,
    status: int,
    error_type: str,
    code: str,
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    settings = {"max_body_bytes": 100_000}
    async with mounted(count_tokens_with(upstream, settings=settings, hooks=[hook])) as client:
        response = await post(client, content, encoding, path)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (status, error_type)
    assert error["details"] == {"error_code": code}
    assert (hook.event.status, hook.event.error_type) == (status, error_type)
    assert upstream.requests == []


async def test_several_header_lines_are_refused_through_a_host(upstream: FakeUpstream) -> None:
    lines = [("content-encoding", "identity"), ("content-encoding", "gzip")]
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(COUNT, content=GZIP, headers=lines)
    assert response.json()["error"]["details"] == {"error_code": UNSUPPORTED}


async def test_one_body_in_all_encodings_is_one_entry_of_the_memo_and_one_call(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[bool] = []
    get = RequestMemo.get

    def watched(self: RequestMemo, *arguments: Any) -> CountRequest | None:
        request = get(self, *arguments)
        known.append(request is not None)
        return request

    monkeypatch.setattr(RequestMemo, "get", watched)
    count_tokens = count_tokens_with(upstream, settings={"cache": {"ttl": 300}})
    sources: list[str | None] = []
    async with mounted(count_tokens) as client:
        for encoding, encode in ENCODED.values():
            response = await post(client, encode(RAW), encoding)
            assert response.json() == {"input_tokens": 14}
            sources.append(response.headers.get("x-count-tokens-source"))
    assert known == [False] + [True] * (len(ENCODED) - 1)
    assert sources == ["provider"] + ["cache"] * (len(ENCODED) - 1)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("name", ["gzip", "zstd", "gzip decoded by the host"])
async def test_a_router_whose_dependency_has_read_the_body_decodes_it(
    name: str, upstream: FakeUpstream
) -> None:
    encoding, encode = ENCODED[name]
    encoded = encode(RAW)  # gzip's header has the time
    read_before: list[bytes] = []

    async def sign(request: Request) -> str:
        read_before.append(await request.body())
        return "team-a"

    for dependency in (sign, lambda: "team-a"):
        app = FastAPI()
        router = count_tokens_router(count_tokens_with(upstream), identity=Depends(dependency))
        app.include_router(router, prefix="/llm")
        async with client_of(app, "/llm") as client:
            response = await post(client, encoded, encoding)
        assert response.json() == {"input_tokens": 14}
    assert read_before == [encoded]


class Decompressing:
    """A host's middleware that decodes the body, and may leave its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        decoded = gzip.decompress(body)

        async def receive_decoded() -> Message:
            return {"type": "http.request", "body": decoded, "more_body": False}

        await self.app(scope, receive_decoded, send)


async def test_a_body_that_a_middleware_has_decoded_is_read_as_it_is(
    upstream: FakeUpstream,
) -> None:
    app = Decompressing(Starlette(routes=[Mount("/llm", count_tokens_with(upstream))]))
    async with client_of(app, "/llm") as client:
        response = await post(client, GZIP, "gzip")
    assert response.json() == {"input_tokens": 14}
    assert upstream.body["system"] == json.loads(RAW)["system"]


# Real clients


@pytest.fixture
def gateway(upstream: FakeUpstream) -> Iterator[str]:
    """Yield the base URL of a served gateway with the counter as a middleware."""
    count_tokens = count_tokens_with(upstream, settings={"max_body_bytes": 100_000})
    with serving(CountTokensMiddleware(Starlette(), count_tokens)) as url:
        yield url


async def in_chunks(data: bytes) -> AsyncIterator[bytes]:
    for chunk in split(data, 3):
        yield chunk


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_httpx_sends_a_compressed_body_with_a_length_or_in_chunks(
    encoding: str, gateway: str, upstream: FakeUpstream
) -> None:
    encoded = ENCODED[encoding][1](RAW)
    async with httpx.AsyncClient(base_url=gateway) as client:
        headers = {"content-encoding": encoding}
        for content in (encoded, in_chunks(encoded)):
            response = await client.post(COUNT, content=content, headers=headers)
            assert response.json() == {"input_tokens": 14}
    system = json.loads(RAW)["system"]
    assert [json.loads(sent.content)["system"] for sent in upstream.requests] == [system] * 2


async def test_aiohttp_compresses_a_body_itself(gateway: str, upstream: FakeUpstream) -> None:
    async with (
        aiohttp.ClientSession(gateway) as session,
        session.post(COUNT, data=RAW, compress="gzip") as response,
    ):
        assert response.request_info.headers["content-encoding"] == "gzip"
        assert await response.json() == {"input_tokens": 14}
    assert upstream.body["system"] == json.loads(RAW)["system"]


async def test_a_bomb_over_a_socket_is_a_413_and_the_gateway_goes_on(gateway: str) -> None:
    async with httpx.AsyncClient(base_url=gateway) as client:
        headers = {"content-encoding": "gzip"}
        bomb = gzip.compress(bytes(50_000_000))
        assert len(bomb) < 100_000
        response = await client.post(COUNT, content=bomb, headers=headers)
        assert response.status_code == 413
        assert response.json()["error"]["details"] == {"error_code": TOO_LARGE}
        assert (await client.post(COUNT, content=GZIP, headers=headers)).status_code == 200


class CompressingTransport(httpx2.HTTPTransport):
    """A transport that compresses all bodies, and may cut them."""

    def __init__(self, encoding: str, cut: int | None = None) -> None:
        super().__init__()
        self.encoding, self.cut = encoding, cut

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        content = ENCODED[self.encoding][1](request.read())[: self.cut]
        kept = [line for line in request.headers.multi_items() if line[0] != "content-length"]
        headers = [*kept, ("content-encoding", self.encoding)]
        sent = httpx2.Request(request.method, request.url, headers=headers, content=content)
        return super().handle_request(sent)


def count_by_sdk(demo: str, transport: httpx2.BaseTransport, system: str) -> int:
    with anthropic.Anthropic(
        api_key="sk-demo",
        base_url=demo,
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    ) as client:
        messages: Any = HELLO["messages"]
        counted = client.messages.count_tokens(
            model="claude-3-5-sonnet-20241022", messages=messages, system=system
        )
        return counted.input_tokens


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_the_sdk_counts_through_a_compressing_transport(encoding: str, demo: str) -> None:
    system = "Be brief. " * 100
    expected = count({"messages": HELLO["messages"], "system": system})
    assert count_by_sdk(demo, CompressingTransport(encoding), system) == expected


@pytest.mark.parametrize(
    ("encoding", "cut", "size", "error"),
    [
        ("gzip", -1, 10, anthropic.RequestBodyEncodingInvalidError),
        ("zstd", -1, 10, anthropic.RequestBodyEncodingInvalidError),
        ("gzip", None, 33_554_432, anthropic.RequestBodyTooLargeAfterDecodingError),
        ("zstd", None, 33_554_432, anthropic.RequestBodyTooLargeAfterDecodingError),
    ],
)
def test_the_refusals_are_the_sdks_typed_exceptions(
    encoding: str, cut: int | None, size: int, error: type[Exception], demo: str
) -> None:
    with pytest.raises(error):
        count_by_sdk(demo, CompressingTransport(encoding, cut), "x" * size)
