"""Errors of a call that several requests wait for: the first gets the answer, all get the error."""

import copy
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest

from count_tokens_mw import (
    Caller,
    CannotCount,
    CountError,
    CountEvent,
    CountTokens,
    UpstreamError,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.counting.joined import error_for_joiner
from count_tokens_mw.errors import CredentialsUnavailable, DeadlineExceeded
from count_tokens_mw.providers.base import PrepareAgain
from tests.support.cloud import AWS_KEYS, CLAUDE_ON_BEDROCK
from tests.support.fakes import CONFIG, HELLO, FakeUpstream, Recorder, count_tokens_with, mounted
from tests.support.gated import Gated, settle, wait_for_waiters
from tests.support.learning_provider import LearningProvider, counting_by

COUNT = "/v1/messages/count_tokens"
BREAKDOWN = f"{COUNT}/breakdown"
ON: dict[str, Any] = {"cache": {"ttl": 300}, "cooldown": 0}
ID_OF_THE_FIRST = "req_of_the_first"
TOLD_TO_ALL = {"retry-after", "retry-after-ms", "x-should-retry"}
ANSWERED_TO_ALL = {"content-type", "content-length", "request-id", "x-count-tokens-source"}
LIMITS = {
    "request-id": ID_OF_THE_FIRST,
    "anthropic-ratelimit-requests-remaining": "0",
    "anthropic-ratelimit-input-tokens-reset": "2026-12-01T00:00:00Z",
}
PRIVATE = {
    **LIMITS,
    "anthropic-organization-id": "org-of-the-gateway",
    "cf-ray": "8f00-FRA",
    "set-cookie": "session=1",
    "server": "cloudflare",
}


def deployment(**params: Any) -> dict[str, Any]:
    return {"model_list": [{"model_name": HELLO["model"], "litellm_params": params}]}


GEMINI = deployment(model="gemini/gemini-2.5-flash", api_key="canary")
BEDROCK = deployment(model=f"bedrock/{CLAUDE_ON_BEDROCK}", aws_region_name="us-east-1", **AWS_KEYS)


def envelope(error_type: str, message: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": error_type, "message": message}, **more}


@dataclass
class Case:
    """An upstream's answer, and the headers that all requests that wait for it get.

    `is_verbatim` if the first request gets its body. `answered` is the status of the answer, where
    it is another, and `first_id` the id that the first request gets.
    """

    status: int
    content: bytes
    headers: Mapping[str, str]
    for_all: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=lambda: CONFIG)
    is_verbatim: bool = True
    answered: int = 0
    first_id: str = ID_OF_THE_FIRST


RATE_LIMITED = json.dumps(
    envelope("rate_limit_error", "Too many.", request_id=ID_OF_THE_FIRST)
).encode()
QUOTA = {
    "error": {
        "code": 429,
        "message": "Quota exceeded.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "16.9s"},
        ],
    }
}
CASES = {
    "anthropic 429 with rate limits": Case(
        429,
        RATE_LIMITED,
        {**PRIVATE, "retry-after": "19", "x-should-retry": "true"},
        {"retry-after": "19", "x-should-retry": "true"},
    ),
    "anthropic 529 in white space": Case(
        529,
        b'{ "type" : "error",\n\t"request_id":  "req_of_the_first" , "n": 1.0e2,\n'
        b' "error": {"type":"overloaded_error", "message":"\\u00dcberlastet \xc3\xbc"} }\n',
        {**PRIVATE, "x-should-retry": "true"},
        {"x-should-retry": "true"},
    ),
    "anthropic 400 without a request_id": Case(
        400,
        json.dumps(envelope("invalid_request_error", "messages: too long"), indent=2).encode(),
        {**PRIVATE, "x-should-retry": "false"},
        {"x-should-retry": "false"},
    ),
    "anthropic 401 with a newer type": Case(
        401,
        json.dumps(envelope("workload_error", "No.", request_id=None)).encode(),
        LIMITS,
        {},
    ),
    "anthropic 429 in milliseconds": Case(
        429, RATE_LIMITED, {**LIMITS, "retry-after-ms": "15500"}, {"retry-after-ms": "15500"}
    ),
    "a proxy's page": Case(
        500,
        b"<html><body>502 from req_of_the_first</body></html>",
        {**PRIVATE, "content-type": "text/html", "retry-after": "3"},
        {"retry-after": "3"},
        is_verbatim=False,
    ),
    "a proxy's 503": Case(503, b"upstream connect error", LIMITS, {}, is_verbatim=False),
    "a count that is none": Case(
        200,
        b'{"tokens":1}',
        {**PRIVATE, "retry-after": "3"},
        {"retry-after": "3"},
        is_verbatim=False,
        answered=502,
    ),
    "gemini 429": Case(
        429,
        json.dumps(QUOTA).encode(),
        {"x-goog-request-params": "r", **PRIVATE},
        {"retry-after": "17"},
        GEMINI,
        is_verbatim=False,
    ),
    "gemini 400": Case(
        400,
        json.dumps({"error": {"code": 400, "message": "Bad schema.", "status": "X"}}).encode(),
        PRIVATE,
        {},
        GEMINI,
        is_verbatim=False,
    ),
    "gemini 503 in a list": Case(
        503,
        json.dumps([{"error": {"message": "Overloaded.", "status": "UNAVAILABLE"}}]).encode(),
        {**PRIVATE, "retry-after": "5"},
        {"retry-after": "5"},
        GEMINI,
        is_verbatim=False,
    ),
    **{
        f"bedrock {status}": Case(
            status,
            json.dumps({"message": "Refused."}).encode(),
            {
                "x-amzn-requestid": "0a-of-the-first",
                "x-amzn-errortype": f"{exception}:http://internal",
                **more,
            },
            more,
            BEDROCK,
            is_verbatim=False,
            first_id="0a-of-the-first",
        )
        for status, exception, more in (
            (429, "ThrottlingException", {"retry-after": "12"}),
            (400, "ValidationException", {}),
            (503, "ServiceUnavailableException", {}),
        )
    },
}


def named_caller(request: Any) -> Caller:
    return Caller(request.headers["x-who"])


def id_of_caller(event: CountEvent) -> str | None:
    return None if event.caller is None else event.caller.id


def counting(gated: Gated, config: Mapping[str, Any] = CONFIG, **options: Any) -> CountTokens:
    options = {"settings": ON, "authenticate": named_caller, **options}
    return count_tokens_with(FakeUpstream(), config, http_client=gated.client(), **options)


async def ask_all(
    gated: Gated, count_tokens: CountTokens, callers: Sequence[str] = ("ann", "bob", "cy")
) -> list[httpx.Response]:
    """Return the answers to the same request of each caller, who ask in this order."""
    answers: dict[str, httpx.Response] = {}

    async def ask(client: httpx.AsyncClient, caller: str) -> None:
        answers[caller] = await client.post(COUNT, json=HELLO, headers={"x-who": caller})

    async with mounted(count_tokens) as client, anyio.create_task_group() as tasks:
        for number, caller in enumerate(callers, 1):
            tasks.start_soon(ask, client, caller)
            await wait_for_waiters(count_tokens, number)
        gated.gate.set()
    return [answers[caller] for caller in callers]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_answer_goes_to_the_first_and_the_error_to_all(case: Case) -> None:
    gated, hook = Gated(), Recorder()
    gated.answers = [httpx.Response(case.status, content=case.content, headers=case.headers)]
    count_tokens = counting(gated, case.config, hooks=[hook])
    first, *joined = await ask_all(gated, count_tokens)
    assert gated.asked == 1
    events = {event.request_id: event for event in hook.events}
    event_of_the_first = next(event for event in hook.events if id_of_caller(event) == "ann")

    assert first.status_code == (case.answered or case.status)
    assert first.headers["request-id"] == case.first_id
    assert event_of_the_first.upstream_request_id == case.first_id
    limits = {name for name in case.headers if name.startswith("anthropic-ratelimit-")}
    assert limits <= first.headers.keys()
    assert not case.is_verbatim or first.content == case.content

    for answer in joined:
        own_id = answer.headers["request-id"]
        event = events[own_id]
        assert id_of_caller(event) != "ann"
        assert event.upstream_request_id is None
        assert [attempt.upstream_request_id for attempt in event.attempts] == [None]
        assert (event.status, event.error, event.error_type) == (
            event_of_the_first.status,
            event_of_the_first.error,
            event_of_the_first.error_type,
        )
        told = {name: value for name, value in answer.headers.items() if name in TOLD_TO_ALL}
        assert told == case.for_all
        assert set(answer.headers) - TOLD_TO_ALL <= ANSWERED_TO_ALL
        assert answer.status_code == first.status_code
        assert answer.json()["error"] == first.json()["error"]
        sent_id = json.dumps(first.json().get("request_id")).encode()
        at = first.content.find(b'"request_id"')
        head, tail = first.content[:at], first.content[at:]
        own = json.dumps(own_id).encode()
        assert answer.content == head + tail.replace(sent_id, own, 1)
        assert case.first_id not in str(answer.headers)
    assert len({answer.headers["request-id"] for answer in joined}) == 2


async def test_nobody_is_the_first_once_the_first_has_left() -> None:
    gated, hook = Gated(), Recorder()
    gated.answers = [httpx.Response(429, content=RATE_LIMITED, headers=PRIVATE)]
    count_tokens = counting(gated, hooks=[hook])
    errors: dict[str, UpstreamError] = {}
    leaving = anyio.CancelScope()

    async def ask(caller: str) -> None:
        with leaving if caller == "ann" else anyio.CancelScope():
            with pytest.raises(UpstreamError) as raised:
                await count_tokens.count(HELLO, caller=Caller(caller))
            errors[caller] = raised.value

    async with anyio.create_task_group() as tasks:
        for number, caller in enumerate(("ann", "bob", "cy"), 1):
            tasks.start_soon(ask, caller)
            await wait_for_waiters(count_tokens, number)
        leaving.cancel()
        await settle()
        gated.gate.set()
    assert gated.asked == 1
    ids = {id_of_caller(event): event.request_id for event in hook.events}
    assert errors.keys() == {"bob", "cy"}
    for caller, error in errors.items():
        assert error.body is not None
        assert json.loads(error.body)["request_id"] == ids[caller]
        assert error.headers == {}


async def test_in_process_the_errors_share_nothing_that_changes() -> None:
    gated = Gated()
    gated.answers = [httpx.Response(529, content=RATE_LIMITED, headers=PRIVATE)]
    count_tokens = counting(gated)
    errors: list[CountError] = []

    async def ask() -> None:
        try:
            await count_tokens.count(HELLO)
        except CountError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
        await wait_for_waiters(count_tokens, 3)
        gated.gate.set()
    assert len({id(error) for error in errors}) == len(errors) == 3
    assert [set(error.headers) for error in errors] == [set(LIMITS), set(), set()]
    for error in errors:
        frames = []
        traceback = error.__traceback__
        while traceback is not None:
            frames.append(traceback.tb_frame)
            traceback = traceback.tb_next
        assert [frame.f_code.co_name for frame in frames].count("ask") == 1
        assert (error.__context__, error.__cause__) == (None, None)


async def test_a_later_request_gets_an_answer_of_its_own() -> None:
    gated = Gated()
    gated.answers = [
        httpx.Response(429, content=RATE_LIMITED, headers=PRIVATE),
        httpx.Response(429, content=RATE_LIMITED.replace(b"first", b"next"), headers=LIMITS),
    ]
    count_tokens = counting(gated)
    await ask_all(gated, count_tokens)
    async with mounted(count_tokens) as client:
        answer = await client.post(COUNT, json=HELLO, headers={"x-who": "bob"})
    assert answer.json()["request_id"] == "req_of_the_next"
    assert "anthropic-ratelimit-requests-remaining" in answer.headers


async def test_a_breakdown_that_joined_a_call_answers_with_its_own_id() -> None:
    """The counts of a breakdown are requests of their own; its answer has one id."""
    gated, hook = Gated(), Recorder()
    whole = {**HELLO, "system": "Be brief."}

    async def refuse_the_variant(request: httpx.Request) -> httpx.Response:
        if b"Be brief." in request.content:
            return httpx.Response(200, json={"input_tokens": 20})
        await gated.gate.wait()
        return httpx.Response(529, content=RATE_LIMITED, headers=PRIVATE)

    client = httpx.AsyncClient(transport=httpx.MockTransport(refuse_the_variant))
    count_tokens = count_tokens_with(
        FakeUpstream(), settings=ON, http_client=client, hooks=[hook], authenticate=named_caller
    )
    answers: dict[str, httpx.Response] = {}

    async def ask(path: str, body: dict[str, Any], caller: str) -> None:
        answers[caller] = await client.post(path, json=body, headers={"x-who": caller})

    async with mounted(count_tokens) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, COUNT, HELLO, "ann")
        await wait_for_waiters(count_tokens, 1)
        tasks.start_soon(ask, BREAKDOWN, whole, "bob")
        await wait_for_waiters(count_tokens, 2)
        gated.gate.set()
    assert answers["ann"].content == RATE_LIMITED
    answer = answers["bob"]
    (event,) = [event for event in hook.events if id_of_caller(event) == "bob"]
    assert answer.status_code == 529
    assert answer.json()["request_id"] == answer.headers["request-id"] == event.request_id
    assert event.upstream_request_id is None


async def test_an_error_that_preparing_again_does_not_prevent_is_joined_too() -> None:
    error = UpstreamError(400, "No such beta.", headers=LIMITS, body=RATE_LIMITED)
    hook, provider = Recorder(), LearningProvider("b1", error=error)
    provider.learns, provider.seconds = False, 0.05
    count_tokens = counting_by(provider, hooks=[hook])
    raised: list[UpstreamError] = []

    async def ask() -> None:
        with pytest.raises(UpstreamError) as info:
            await count_tokens.count(HELLO, headers={"anthropic-beta": "b1"})
        raised.append(info.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
    assert len(provider.sent) == 1
    first, *joined = raised
    assert first is error
    ids = {json.loads(error.body or b"")["request_id"] for error in joined}
    assert ids < {event.request_id for event in hook.events}
    assert [error.headers for error in joined] == [{}, {}]


async def test_an_unexpected_exception_is_a_500_of_each_and_its_traceback_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gated = Gated()

    def fail(request: httpx.Request) -> httpx.Response:
        raise LookupError

    gated.answers = [fail]
    with caplog.at_level(logging.ERROR, "count_tokens_mw"):
        answers = await ask_all(gated, counting(gated))
    assert [answer.status_code for answer in answers] == [500] * 3
    assert len({answer.json()["request_id"] for answer in answers}) == 3
    assert len(caplog.records) == 3
    assert "in fail" in caplog.records[0].getMessage()


# The error of a request that joined, by kind


@pytest.mark.parametrize(
    "error",
    [
        UpstreamError(429, "m", headers={**PRIVATE, "Retry-After": "1"}, code="c"),
        UpstreamUnusable("m", headers={**PRIVATE, "Retry-After": "1"}),
        UpstreamUnreachable("m", headers={**PRIVATE, "Retry-After": "1"}),
        CannotCount("m", headers=PRIVATE),
        CredentialsUnavailable("m", headers=PRIVATE),
        DeadlineExceeded("m", headers=PRIVATE),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_kind_keeps_all_but_the_headers_of_the_first(error: CountError) -> None:
    before = copy.copy(vars(error))
    joined = error_for_joiner(error, "req_own")
    assert isinstance(joined, CountError)
    assert type(joined) is type(error)
    assert joined is not error
    assert (joined.status, joined.type, joined.message) == (error.status, error.type, "m")
    assert {name.lower() for name in joined.headers} <= TOLD_TO_ALL
    assert {name.lower() for name in error.headers} & TOLD_TO_ALL == {
        name.lower() for name in joined.headers
    }
    assert {**vars(joined), "headers": error.headers} == before == vars(error)
    again = error_for_joiner(PrepareAgain(error), "req_own")
    assert isinstance(again, PrepareAgain)
    assert again.error.headers == joined.headers


@pytest.mark.parametrize("error", [LookupError("x"), TimeoutError(), KeyboardInterrupt()])
def test_an_exception_that_is_no_answer_has_no_copy(error: BaseException) -> None:
    assert error_for_joiner(error, "req_own") is None


LONG = b'{"type":"error","message":"' + b"x" * 1_000_000 + b'","request_id":%s}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"request_id":"a","n":1}', b'{"request_id":"req_own","n":1}'),
        (b' { "n" : 1e400 ,"request_id" : null } ', b' { "n" : 1e400 ,"request_id" : "req_own" } '),
        (b'{"request\\u005fid":{"a":[1]}}', b'{"request\\u005fid":"req_own"}'),
        (b'{"error":{"request_id":"a"}}', b'{"error":{"request_id":"a"}}'),
        (
            b'{"m":"\\ud800 \xc3\xbc","request_id":"a"}',
            b'{"m":"\\ud800 \xc3\xbc","request_id":"req_own"}',
        ),
        (b"{}", b"{}"),
        (LONG % b'"a"', LONG % b'"req_own"'),
        (b'{"request_id":"a","request_id":"b"}', None),
        (b'[{"request_id":"a"}]', None),
        (b'{"request_id":"a","n":NaN}', None),
        (b"\xff", None),
        (b"", None),
    ],
    ids=range(12),
)
def test_only_the_request_id_of_an_envelope_is_replaced(
    body: bytes, expected: bytes | None
) -> None:
    error = UpstreamError(429, "m", headers={}, body=body)
    joined = error_for_joiner(error, "req_own")
    assert isinstance(joined, UpstreamError)
    assert joined.body == expected
    assert error.body == body
