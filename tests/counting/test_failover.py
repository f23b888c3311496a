"""Failover: the order in which deployments are tried, and the caller's answer."""

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import anyio
import httpx
import pytest

from count_tokens_mw import (
    Attempt,
    Config,
    CountError,
    DeadlineExceeded,
    TokenCount,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.pool import Provider, Providers
from tests.support.fakes import HELLO
from tests.support.jobs import job_of

Fault: TypeAlias = Callable[[], httpx.Response]


class Fleet:
    """Upstreams by host, each with a fault or a count, and an engine with a deployment at each."""

    def __init__(self, *hosts: str, **config: Any) -> None:
        self.faults: dict[str, Fault] = {}
        self.asked: list[str] = []
        self.now = 0.0
        self.pauses: list[float] = []
        own = config.pop("own", {})
        entries = [
            {
                "model_name": HELLO["model"],
                "litellm_params": {
                    "model": f"anthropic/at-{host}",
                    "api_key": "k",
                    "api_base": f"https://{host}.example",
                    **own,
                },
                "model_info": {"id": host},
            }
            for host in hosts
        ]
        entries += config.pop("entries", [])
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        config["count_tokens"] = {"cache": {"ttl": 0}, **config.get("count_tokens", {})}
        self.config = Config.from_mapping({"model_list": entries, **config}, {})
        self.engine = CountingEngine(
            self.config,
            self.client,
            clock=lambda: self.now,
            pause=self._pause,
        )
        self.record = RequestRecord("count")

    async def count(self, model: str = HELLO["model"]) -> TokenCount:
        self.asked.clear()
        self.record = RequestRecord("count")
        request = request_from_mapping({**HELLO, "model": model}, ())
        return await self.engine.count(job_of(self.engine, request, self.record))

    async def status(self) -> int:
        try:
            await self.count()
        except CountError as error:
            self.record.finish(error)
            return error.status
        return 200

    @property
    def attempts(self) -> list[tuple[str, int]]:
        return [(attempt.deployment, attempt.status) for attempt in self.record.attempts]

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host.removesuffix(".example")
        self.asked.append(host)
        fault = self.faults.get(host)
        return fault() if fault else httpx.Response(200, json={"input_tokens": len(host)})


def answer(status: int, **headers: str) -> Fault:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    error = {"type": "of_tests_error", "message": f"error {status}"}
    body = {"type": "error", "error": error}
    return lambda: httpx.Response(status, json=body, headers=sent)


def raising(error: type[Exception]) -> Fault:
    def fault() -> httpx.Response:
        raise error("broken")

    return fault


def one_by_one(*faults: Fault) -> Fault:
    left = iter(faults)

    def fault() -> httpx.Response:
        return next(left)()

    return fault


def breaking_off() -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"input_'
        raise httpx.ReadError("broken")

    return httpx.Response(200, content=body())


# The fault of the first deployment; the caller's status and the number of attempts if it is the
# only one; and whether failover to another deployment follows.
FAULTS: list[tuple[str, Fault, int, int, bool]] = [
    *((f"{status}", answer(status), status, 1, False) for status in (400, 402, 404, 409, 413, 422)),
    *(
        (f"{status}", answer(status), status, 1, True)
        for status in (401, 403, 408, 429, 500, 501, 502, 503, 504, 529)
    ),
    ("no connection", raising(httpx.ConnectError), 502, 2, True),
    ("a connection that broke", raising(httpx.RemoteProtocolError), 502, 2, True),
    ("a connection that was reset", raising(httpx.ReadError), 502, 2, True),
    ("no name", raising(UnicodeError), 502, 2, True),
    ("an answer that broke off", breaking_off, 502, 1, True),
    ("no time to connect", raising(httpx.ConnectTimeout), 504, 1, True),
    ("no answer in time", raising(httpx.ReadTimeout), 504, 1, True),
    ("a redirect", answer(307, location="https://second.example/"), 502, 1, True),
    ("a success without a count", answer(200), 502, 1, True),
    ("a count of 64 bits", lambda: httpx.Response(200, json={"input_tokens": 2**63}), 502, 1, True),
]
by_name = pytest.mark.parametrize(
    ("fault", "status", "calls", "taken_over"),
    [fault[1:] for fault in FAULTS],
    ids=[fault[0] for fault in FAULTS],
)


@by_name
async def test_the_only_deployment_gives_the_answer(
    fault: Fault, status: int, calls: int, taken_over: bool
) -> None:
    fleet = Fleet("first")
    fleet.faults["first"] = fault
    assert await fleet.status() == status
    assert fleet.asked == ["first"] * calls
    assert fleet.attempts == [("first", status)] * calls


@by_name
async def test_another_one_takes_over_where_it_may_do_better(
    fault: Fault, status: int, calls: int, taken_over: bool
) -> None:
    fleet = Fleet("first", "second")
    fleet.faults["first"] = fault
    assert await fleet.status() == (200 if taken_over else status)
    assert fleet.asked == (["first", "second"] if taken_over else ["first"])
    assert fleet.attempts == [("first", status), ("second", 200)][: len(fleet.asked)]


@by_name
async def test_what_the_last_one_says_of_the_request_is_the_answer_else_the_firsts(
    fault: Fault, status: int, calls: int, taken_over: bool
) -> None:
    fleet = Fleet("first", "second")
    fleet.faults |= {"first": answer(529), "second": fault}
    assert await fleet.status() == (529 if taken_over else status)
    assert fleet.asked == ["first", *(["second"] * calls)]
    event = fleet.record.event()
    assert event.deployment == ("first" if taken_over else "second")
    assert [attempt.status for attempt in event.attempts] == [529, *([status] * calls)]


@pytest.mark.parametrize(
    ("params", "attempts"),
    [
        ({"model": "mistral/mistral-large"}, [501]),
        ({"model": "*"}, []),
        ({"model": "bedrock/x.y"}, [501]),
    ],
)
async def test_one_that_cannot_count_or_has_no_credentials_is_taken_over(
    params: dict[str, Any], attempts: list[int]
) -> None:
    """Without credentials there is nothing to attempt."""
    first = {
        "model_name": "m*",
        "litellm_params": {**params, "order": 1},
        "model_info": {"id": "first"},
    }
    second = {
        "model_name": "m*",
        "litellm_params": {
            "model": "anthropic/m",
            "api_key": "k",
            "api_base": "https://second.example",
        },
        "model_info": {"id": "second"},
    }
    fleet = Fleet(entries=[first, second])
    name = "manthropic/claude" if params["model"] == "*" else "m"
    await fleet.count(name)
    assert fleet.attempts == [*(("first", status) for status in attempts), ("second", 200)]


async def test_a_retry_waits_a_little_and_its_answer_counts() -> None:
    fleet = Fleet("first")

    def broken_once() -> httpx.Response:
        del fleet.faults["first"]
        raise httpx.RemoteProtocolError("broken")

    fleet.faults["first"] = broken_once
    assert await fleet.status() == 200
    assert fleet.attempts == [("first", 502), ("first", 200)]
    (pause,) = fleet.pauses
    assert 0 < pause < 1


async def test_where_the_retry_is_answered_that_is_the_deployments_answer() -> None:
    fleet = Fleet("first", "second")
    fleet.faults["first"] = one_by_one(raising(httpx.ConnectError), answer(429))
    fleet.faults["second"] = answer(503)
    assert await fleet.status() == 502, "with another one left, the first is not retried"
    only = Fleet("first")
    only.faults["first"] = one_by_one(raising(httpx.ConnectError), answer(429))
    assert await only.status() == 429
    assert only.attempts == [("first", 502), ("first", 429)]
    assert only.record.event().attempts[-1].status == only.record.event().status


async def test_without_retries_a_broken_connection_is_the_answer() -> None:
    fleet = Fleet("first", router_settings={"num_retries": 0})
    fleet.faults["first"] = raising(httpx.ConnectError)
    assert await fleet.status() == 502
    assert fleet.asked == ["first"]
    assert fleet.pauses == []


async def test_no_retry_is_begun_that_the_deadline_would_cut_off() -> None:
    fleet = Fleet("first", count_tokens={"timeout": 0.04})
    # The first count opens a client, which may take longer than the deadline.
    await fleet.status()
    fleet.faults["first"] = raising(httpx.ConnectError)
    assert await fleet.status() == 502
    assert fleet.asked == ["first"]


# Timeouts


class Stalled(httpx.AsyncBaseTransport):
    """A transport that never answers for stalling hosts, and counts 7 for others."""

    def __init__(self, *stalling: str) -> None:
        self.stalling = stalling

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host.removesuffix(".example") in self.stalling:
            await anyio.sleep_forever()
        return httpx.Response(200, json={"input_tokens": 7})


async def durations(
    fleet: Fleet, *stalling: str, fails: bool = False
) -> dict[str, tuple[int, float]]:
    fleet.engine = CountingEngine(
        fleet.config, httpx.AsyncClient(transport=Stalled(*stalling)), clock=lambda: 0
    )
    if fails:
        with pytest.raises(DeadlineExceeded):
            await fleet.count()
    else:
        assert (await fleet.count()).input_tokens == 7
    attempts = fleet.record.attempts
    return {attempt.deployment: (attempt.status, attempt.duration) for attempt in attempts}


async def test_one_that_hangs_leaves_time_for_those_behind_it() -> None:
    fleet = Fleet("first", "second", "third", count_tokens={"timeout": 0.4})
    took = await durations(fleet, "first", "second")
    assert {name: status for name, (status, _) in took.items()} == {
        "first": 504,
        "second": 504,
        "third": 200,
    }
    assert 0.19 <= took["first"][1] < 0.4
    assert 0.09 <= took["second"][1] < 0.3


async def test_all_that_hang_end_at_the_one_deadline() -> None:
    fleet = Fleet("first", "second", count_tokens={"timeout": 0.2})
    took = await durations(fleet, "first", "second", fails=True)
    assert list(took) == ["first", "second"]
    assert sum(duration for _, duration in took.values()) == pytest.approx(0.2, abs=0.15)


@pytest.mark.parametrize("whose", ["router_settings", "litellm_params"])
async def test_an_attempt_may_have_a_timeout_of_its_own(whose: str) -> None:
    more: dict[str, Any] = {"router_settings": {"timeout": 0.05}} if whose.startswith("r") else {}
    fleet = Fleet("first", "second", own={} if more else {"timeout": 0.05}, **more)
    took = await durations(fleet, "first")
    assert took["first"][0] == 504
    assert 0.05 <= took["first"][1] < 5, "half of the twenty seconds would be more"


@pytest.mark.parametrize("whose", ["router_settings", "litellm_params"])
async def test_a_timeout_that_is_made_for_generation_leaves_time_for_others_too(whose: str) -> None:
    more: dict[str, Any] = {"router_settings": {"timeout": 600}} if whose.startswith("r") else {}
    more["count_tokens"] = {"timeout": 0.4}
    fleet = Fleet(
        "first", "second", own={} if "router_settings" in more else {"timeout": 600}, **more
    )
    took = await durations(fleet, "first")
    assert [status for status, _ in took.values()] == [504, 200]


async def test_opening_a_provider_is_within_the_deadline() -> None:
    opening = threading.Event()

    class Slow(Providers):
        def _create(self, params: Params) -> Provider:
            opening.wait(5)
            return super()._create(params)

    fleet = Fleet("first", count_tokens={"timeout": 0.05})
    fleet.engine._failover._providers = Slow(fleet.client)
    try:
        assert await fleet.status() == 504
    finally:
        opening.set()
    assert fleet.attempts == [("first", 504)]


# Cooldown


async def asked_after(fleet: Fleet, seconds: float) -> list[str]:
    fleet.now += seconds
    await fleet.count()
    return list(fleet.asked)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (answer(500), 30),
        (answer(401), 30),
        (raising(httpx.ConnectError), 30),
        (answer(429, retry_after="10"), 30),
        (answer(429, retry_after="100"), 100),
        (answer(503, retry_after_ms="45500"), 45.5),
        (answer(429, retry_after="soon"), 30),
        (breaking_off, 30),
    ],
)
async def test_one_that_failed_is_asked_last_for_a_while(fault: Fault, seconds: float) -> None:
    fleet = Fleet("first", "second")
    fleet.faults["first"] = fault
    assert await asked_after(fleet, 0) == ["first", "second"]
    del fleet.faults["first"]
    assert await asked_after(fleet, 0) == ["second"]
    assert await asked_after(fleet, seconds - 0.1) == ["second"]
    assert await asked_after(fleet, 0.2) == ["first"]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_an_answer_about_the_request_is_no_failure(status: int) -> None:
    fleet = Fleet("first", "second")
    fleet.faults["first"] = answer(status)
    assert await fleet.status() == status
    del fleet.faults["first"]
    assert await asked_after(fleet, 0) == ["first"]


async def test_the_one_in_cooldown_is_asked_when_the_others_fail_too() -> None:
    fleet = Fleet("first", "second")
    fleet.faults["first"] = answer(500)
    assert await asked_after(fleet, 0) == ["first", "second"]
    fleet.faults = {"second": answer(503)}
    assert await asked_after(fleet, 1) == ["second", "first"]
    assert await asked_after(fleet, 1) == ["first"], "both failed, so the file's order holds"


async def test_with_one_deployment_nothing_changes() -> None:
    fleet = Fleet("first")
    for fault, status in [(answer(429, retry_after="1000"), 429), (answer(500), 500)]:
        fleet.faults["first"] = fault
        assert await fleet.status() == status
    del fleet.faults["first"]
    assert await asked_after(fleet, 0) == ["first"]


async def test_all_of_them_failing_for_ever_are_all_asked_for_ever() -> None:
    fleet = Fleet("first", "second", "third")
    fleet.faults = dict.fromkeys(["first", "second", "third"], answer(529, retry_after="500"))
    for _ in range(5):
        fleet.now += 1
        assert await fleet.status() == 529
        assert sorted(fleet.asked) == ["first", "second", "third"]


async def test_cooldown_can_be_turned_off() -> None:
    fleet = Fleet("first", "second", count_tokens={"cooldown": 0})
    fleet.faults["first"] = answer(500)
    for _ in range(3):
        assert await asked_after(fleet, 0) == ["first", "second"]


async def test_under_a_star_one_models_failure_is_not_anothers() -> None:
    entries = [
        {
            "model_name": "c-*",
            "litellm_params": {
                "model": "anthropic/c-*",
                "api_key": "k",
                "api_base": f"https://{host}.example",
            },
        }
        for host in ("first", "second")
    ]
    fleet = Fleet(entries=entries)
    fleet.faults["first"] = answer(529)
    await fleet.count("c-opus")
    assert fleet.asked == ["first", "second"]
    await fleet.count("c-opus")
    assert fleet.asked == ["second"]
    await fleet.count("c-haiku")
    assert fleet.asked == ["first", "second"]


async def test_the_answers_come_from_errors_of_the_tree() -> None:
    fleet = Fleet("first")
    fleet.faults["first"] = raising(httpx.ConnectError)
    with pytest.raises(UpstreamUnreachable) as raised:
        await fleet.count()
    assert isinstance(raised.value, UpstreamUnusable)
    assert all(isinstance(attempt, Attempt) for attempt in fleet.record.attempts)
