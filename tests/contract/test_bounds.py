"""Bounds of the work for one request, counted and not timed."""

import asyncio
import json
import threading
import tracemalloc
from collections.abc import Sequence
from typing import Any, Final

import httpx
import pytest

from count_tokens_mw import CountTokens
from count_tokens_mw.aio.fairness import stop_if_unneeded
from count_tokens_mw.errors import HeadersTooLarge
from count_tokens_mw.providers.anthropic import combine_header_lines
from count_tokens_mw.providers.claude.betas import betas_of
from count_tokens_mw.providers.google import body as google_body
from count_tokens_mw.providers.google.translation import generate_content_request
from count_tokens_mw.providers.translation import reader
from count_tokens_mw.providers.translation.conversation import BlockTranslator
from count_tokens_mw.rawjson import members
from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import CountRequest
from tests.bench.hostile import PLAIN, SHAPES, Header, Shape
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with
from tests.support.work import counted, traced

CONFIG: Final[dict[str, Any]] = {
    "model_list": [
        {"model_name": name, "litellm_params": {"model": model, "api_key": "k"}}
        for name, model in {
            "anthropic": "anthropic/claude-x",
            "gemini": "gemini/gemini-2.5-pro",
            "openai": "openai/gpt-5.6",
        }.items()
    ]
}
SIZE: Final = 700_000  # 233,000 empty lists, just above what any text may have
READ_BYTES: Final = 64 * 1024
PIECE_BYTES: Final = 64 * 1024
MOST_CALLS: Final = 30_000  # some seven for each of the header's lines in 64 KB


def counter(upstream: FakeUpstream, **options: Any) -> CountTokens:
    upstream.answer = lambda _: httpx.Response(200, json={"input_tokens": 7, "totalTokens": 7})
    return count_tokens_with(upstream, CONFIG, **options)


class Forgetful(httpx.AsyncBaseTransport):
    """An upstream that keeps no request."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for _ in request.stream:
            pass
        return httpx.Response(200, json={"input_tokens": 7, "totalTokens": 7})


async def post(app: CountTokens, body: bytes, headers: Sequence[Header] = ()) -> httpx.Response:
    """Post a request in pieces as a server does, without a client that reads it too."""
    path = "/v1/messages/count_tokens"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b""}
    sent: list[Any] = []

    starts = iter(range(0, len(body), PIECE_BYTES))

    async def receive() -> dict[str, Any]:
        start = next(starts)
        piece = body[start : start + PIECE_BYTES]
        is_last = start + PIECE_BYTES >= len(body)
        return {"type": "http.request", "body": piece, "more_body": not is_last}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({**scope, "headers": headers}, receive, send)
    head, tail = sent
    return httpx.Response(head["status"], headers=head["headers"], content=tail["body"])


async def post_small(app: CountTokens) -> None:
    """Post a small request to each model, which builds what is built once."""
    for shape in PLAIN.values():
        assert (await post(app, shape.request(10).body)).status_code == 200


def shaped(**members: Any) -> bytes:
    return json.dumps({**HELLO, "model": "anthropic", **members}).encode()


HOSTILE: Final = pytest.mark.parametrize(
    "shape", [pytest.param(shape, id=name) for name, shape in {**PLAIN, **SHAPES}.items()]
)


@HOSTILE
async def test_a_large_body_is_worked_in_few_calls_and_hardly_by_pythons_parser(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, shape: Shape
) -> None:
    """Each of its hundred thousands of values would take a call of its own."""
    app = counter(upstream)
    request = shape.request(SIZE)
    with counted(monkeypatch) as work:
        await post_small(app)
        work.start()
        answer = await post(app, request.body, request.headers)
    assert answer.status_code in {shape.status, shape.also}
    assert work.json_bytes <= READ_BYTES
    assert work.loop_calls <= MOST_CALLS
    assert work.thread_calls <= MOST_CALLS


@HOSTILE
async def test_a_large_body_takes_at_most_eight_times_its_memory(
    upstream: FakeUpstream, shape: Shape
) -> None:
    app = counter(upstream)
    await post_small(app)
    request = shape.request(SIZE)
    with traced():
        await post(app, request.body, request.headers)
        peak = tracemalloc.get_traced_memory()[1]
    # This upstream keeps what it is sent, and a text with a lone surrogate is copied once more.
    copied = shape is SHAPES["a lone surrogate at the end, to Gemini"]
    assert peak <= (9 if copied else 8) * SIZE


@HOSTILE
async def test_a_large_body_is_freed_with_its_answer(upstream: FakeUpstream, shape: Shape) -> None:
    """Collecting garbage would free it too, but much later.

    The thread that worked last keeps its work until the next.
    """
    app = counter(upstream, http_client=httpx.AsyncClient(transport=Forgetful()))
    await post_small(app)
    request = shape.request(SIZE)
    with traced():
        for _ in range(3):
            await post(app, request.body, request.headers)
        kept = tracemalloc.get_traced_memory()[0]
    assert kept <= 2 * SIZE


@pytest.mark.parametrize("name", ["metadata", "user", "safety_identifier"])
@pytest.mark.parametrize("more", [0, 1])
async def test_an_end_user_is_read_up_to_64_kb(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, name: str, more: int
) -> None:
    hook = Recorder()
    frame = '{"user_id":"","a":""}' if name == "metadata" else '""'
    filling = "u" * (READ_BYTES - len(frame) + more)
    value = {"user_id": "u", "a": filling[1:]} if name == "metadata" else filling
    body = shaped().removesuffix(b"}") + b',"%b":%b}' % (
        name.encode(),
        json.dumps(value, separators=(",", ":")).encode(),
    )
    app = counter(upstream, hooks=[hook], settings={"end_user_safety_identifier": True})
    with counted(monkeypatch) as work:
        answer = await post(app, body)
    assert answer.status_code == 200
    assert (hook.event.end_user or "")[:1] == ("" if more else "u")
    assert (name in hook.event.unread) is bool(more)
    assert (work.json_bytes > READ_BYTES) is not bool(more)


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("m" * 256, 404),
        ("m" * 257, 400),
        ("\U0001f600" * 256, 404),
        ("\U0001f600" * 257, 400),
        ({"a": 1}, 400),
        (["anthropic"], 400),
    ],
)
async def test_a_model_is_a_string_of_256_characters(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, model: object, status: int
) -> None:
    with counted(monkeypatch) as work:
        answer = await post(counter(upstream), shaped(model=model))
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith("model: ") or status == 404
    if not isinstance(model, str):
        assert work.json_bytes == 0
    assert upstream.requests == []


@pytest.mark.parametrize(
    "ending", [b',"a":[%b],"a":0}', b',"a":[%b],}', b',"a":[%b],"a"}', b',"a":[%b]]']
)
async def test_an_error_comes_from_the_first_parse(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, ending: bytes
) -> None:
    decoded = 0
    decode = members._decode_raw_values

    def spying(text: bytes) -> Any:
        nonlocal decoded
        decoded += len(text)
        return decode(text)

    monkeypatch.setattr(members, "_decode_raw_values", spying)
    body = shaped().removesuffix(b"}") + ending % (b"[]," * 10_000 + b"0")
    with counted(monkeypatch) as work:
        answer = await post(counter(upstream), body)
    assert answer.status_code == 400
    assert decoded == len(body)
    assert work.json_bytes < 100  # names alone


async def test_a_lone_surrogate_at_the_end_of_a_large_body_reaches_anthropic_unchanged(
    upstream: FakeUpstream,
) -> None:
    request = SHAPES["a lone surrogate at the end"].request(SIZE)
    answer = await post(counter(upstream), request.body)
    assert answer.json()["input_tokens"] == 7
    renamed = request.body.replace(b'"model":"anthropic"', b'"model":"claude-x"')
    assert json.loads(upstream.request.content) == json.loads(renamed)
    assert upstream.request.content == b"{" + renamed.removeprefix(b"{")


@pytest.mark.parametrize("model", ["gemini", "openai"])
@pytest.mark.parametrize(
    ("text", "number", "most"), [("a", 10_000, 10_000), ("a" * 30, 100_000, 100_000)]
)
async def test_too_many_blocks_are_not_translated(
    upstream: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    number: int,
    most: int,
    model: str,
) -> None:
    translated: list[object] = []
    monkeypatch.setattr(
        BlockTranslator, "translate", lambda _, *args, **__: translated.append(args)
    )
    block = b'{"type":"text","text":"%b"}' % text.encode()
    blocks = b",".join([block] * number)  # and their message
    body = b'{"model":"%b","messages":[{"role":"user","content":[%b]}]}' % (
        model.encode(),
        blocks,
    )
    answer = await post(counter(upstream), body)
    assert answer.status_code == 400
    assert f"more than {most} blocks" in answer.json()["error"]["message"]
    assert translated == []
    assert upstream.requests == []


class Line(str):
    """A header line whose text is joined with nothing but `str.join`."""

    __slots__ = ()

    def __add__(self, other: str) -> str:
        raise AssertionError("lines are joined one by one")

    __radd__ = __add__

    def __format__(self, spec: str) -> str:
        raise AssertionError("lines are joined one by one")


def test_a_hundred_thousand_lines_of_a_header_are_joined_once() -> None:
    lines = tuple(("anthropic-beta", Line(f"beta-{number % 7}")) for number in range(100_000))
    joined = combine_header_lines((("anthropic-version", "v"), *lines))
    assert joined == {"anthropic-version": "v", "anthropic-beta": ",".join(v for _, v in lines)}
    request = CountRequest("m", JsonObject(b'{"model":"m"}'), lines)
    assert betas_of(request) == [f"beta-{number}" for number in range(7)]


class SentLine(bytes):
    """A header line as it was sent, which counts its decoded bytes."""

    decoded = 0

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        SentLine.decoded += len(self)
        return super().decode(encoding, errors)


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 431), (1_000_000, 431)])
async def test_64_kb_of_native_headers_are_read(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, more: int, status: int
) -> None:
    monkeypatch.setattr(SentLine, "decoded", 0)
    name, value = b"anthropic-beta", b"ab"
    lines = [(SentLine(name), SentLine(value))] * ((READ_BYTES + more) // len(name + value))
    rest = READ_BYTES + more - len(lines) * len(name + value)
    lines += [(SentLine(b"anthropic-"), SentLine(b"x"))] * (rest > 0)
    hook = Recorder()
    app = counter(upstream, hooks=[hook], settings={"end_user_headers": ["x-user"]})
    answer = await post(app, shaped(), [*lines, (b"x-user", b"ann")])
    assert answer.status_code == status
    assert hook.event.end_user == "ann"
    assert SentLine.decoded <= READ_BYTES + len(name + value)
    if status == 431:
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert "64 KB" in error["message"]
        assert answer.json()["type"] == "error"
        assert upstream.requests == []
    else:
        betas = upstream.request.headers["anthropic-beta"]
        assert betas == ",".join(["ab"] * len(lines))


async def test_a_long_native_header_of_a_count_without_http_is_refused(
    upstream: FakeUpstream,
) -> None:
    with pytest.raises(HeadersTooLarge, match="64 KB"):
        await counter(upstream).count(
            {**HELLO, "model": "anthropic"}, headers={"anthropic-beta": "a" * READ_BYTES}
        )


class Translations:
    """Translations under way and the messages that they walk; the first message waits."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.may_go_on = threading.Event()
        self.walked = self.started = self.at_once = self.most_at_once = 0
        patch.setattr(google_body, "generate_content_request", self.translate)
        patch.setattr(reader, "stop_if_unneeded", self.walk)

    def translate(self, *args: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        self.started += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return generate_content_request(*args)
        finally:
            self.at_once -= 1

    def walk(self) -> None:
        self.walked += 1
        if self.walked == 1:
            assert self.may_go_on.wait(30)
        stop_if_unneeded()


async def test_a_thread_stops_at_its_next_item_after_the_deadline_and_the_next_waits_for_it(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    translations = Translations(monkeypatch)
    message = b'{"role":"user","content":"a","new":1}'
    many = b'{"model":"gemini","messages":[%b]}' % b",".join([message] * 5000)
    late, prompt = (counter(upstream, settings={"timeout": at}) for at in (0.2, 30))
    prompt._pipeline.engine._failover._fairness = late._pipeline.engine._failover._fairness

    answer = await post(late, many)
    assert answer.status_code == 504
    assert (translations.walked, translations.at_once) == (1, 1)  # the thread is still there

    following = asyncio.create_task(post(prompt, many.replace(b'"a"', b'"b"')))
    await asyncio.sleep(0.05)
    assert (translations.started, following.done()) == (1, False)
    translations.may_go_on.set()
    assert (await following).status_code == 200
    assert (translations.started, translations.most_at_once) == (2, 1)
    assert translations.walked == 1 + 5000
