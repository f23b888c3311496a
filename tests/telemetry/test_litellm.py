"""LiteLLM's loggers as a hook: their arguments, and the bounds within which they run.

`make litellm-loggers` runs LiteLLM's own ones. Here the loggers only have the same methods.
"""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, NamedTuple

import pytest

from count_tokens_mw import CountEvent
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.errors import NotFound
from count_tokens_mw.host.hooks import HookRunner
from count_tokens_mw.telemetry.litellm import LiteLLMCallbacks, LiteLLMLogger
from count_tokens_mw.telemetry.litellm_arguments import arguments_for
from count_tokens_mw.types import TokenCount
from tests.facts import LITELLM_LOGGED, LITELLM_PAYLOAD, read_facts
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted
from tests.support.litellm_scenes import CANARY, SCENES, play, stable

COUNT: Final = "/v1/messages/count_tokens"
LOGGED: Final = read_facts(LITELLM_LOGGED)["logged"]
TYPES: Final = read_facts(LITELLM_PAYLOAD)["types"]
MODULE: Final = "count_tokens_mw.telemetry.litellm"


class Call(NamedTuple):
    """A call of a logger, as LiteLLM makes it."""

    kwargs: dict[str, Any]
    response_obj: Any
    start_time: datetime
    end_time: datetime


class Logger:
    """A logger that records its calls, by the names that LiteLLM gives them."""

    def __init__(self) -> None:
        self.successes: list[Call] = []
        self.failures: list[Call] = []

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self.successes.append(Call(kwargs, response_obj, start_time, end_time))

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self.failures.append(Call(kwargs, response_obj, start_time, end_time))

    @property
    def payloads(self) -> list[dict[str, Any]]:
        return [call.kwargs["standard_logging_object"] for call in self.successes + self.failures]


class Gate(Logger):
    """A logger that hangs until its gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.started = 0
        self.opened = asyncio.Event()

    async def async_log_success_event(self, *args: Any, **named: Any) -> None:
        self.started += 1
        await self.opened.wait()
        await super().async_log_success_event(*args, **named)


class Broken(Logger):
    """A logger that fails with a secret in its message."""

    async def async_log_success_event(self, *args: Any, **named: Any) -> None:
        raise RuntimeError(CANARY)


class Batching(Logger):
    """A logger that sends what it has when it is flushed, as LiteLLM's batching ones do."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[dict[str, Any]] = []

    async def flush_queue(self) -> None:
        self.sent += self.payloads


def new_event() -> CountEvent:
    record = RequestRecord("count")
    record.finish(TokenCount(14))
    return record.event()


def failed_event() -> CountEvent:
    record = RequestRecord("other")
    record.finish(NotFound(CANARY))
    return record.event()


def lines_of(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    records = [record for record in caplog.records if record.levelno == level]
    return [record.getMessage().partition("\n")[0] for record in records]


async def play_with(*loggers: Any, **options: Any) -> list[CountEvent]:
    """Play the scenes for the loggers, and return the events."""
    recorder = Recorder()
    callbacks = LiteLLMCallbacks(loggers, **options)

    class Both:
        drain = callbacks.drain

        def __call__(self, event: CountEvent) -> None:
            recorder(event)
            callbacks(event)

    await play(Both())
    return recorder.events


class TestArguments:
    async def test_they_are_those_that_litellms_own_loggers_sent(self) -> None:
        logger = Logger()
        await play_with(logger)
        ours = {
            scene: stable(payload) for scene, payload in zip(SCENES, logger.payloads, strict=True)
        }
        assert json.loads(json.dumps(ours)) == LOGGED

    @pytest.mark.parametrize("event", [new_event(), failed_event()])
    def test_they_have_the_fields_of_litellms_types_and_all_required_ones(
        self, event: CountEvent
    ) -> None:
        payload = arguments_for(event).kwargs["standard_logging_object"]
        parts = {
            "StandardLoggingPayload": payload,
            "StandardLoggingMetadata": payload["metadata"],
            "StandardLoggingHiddenParams": payload["hidden_params"],
            "StandardLoggingModelInformation": payload["model_map_information"],
            "StandardLoggingPayloadStatusFields": payload["status_fields"],
            "StandardLoggingPayloadErrorInformation": payload["error_information"] or {},
        }
        assert parts.keys() == TYPES.keys()
        for name, part in parts.items():
            required, optional = set(TYPES[name]["required"]), set(TYPES[name]["optional"])
            assert required <= part.keys() <= required | optional, name

    async def test_a_success_has_the_names_of_its_event(self) -> None:
        logger = Logger()
        event, cached, *_ = await play_with(logger)
        first, again = logger.successes
        kwargs, payload = first.kwargs, first.kwargs["standard_logging_object"]
        assert kwargs["model"] == payload["model"] == "claude-sonnet-4-5"
        assert kwargs["call_type"] == payload["call_type"] == "acount_tokens"
        assert kwargs["litellm_call_id"] == payload["id"] == event.request_id
        assert kwargs["litellm_params"]["metadata"]["tags"] == payload["request_tags"]
        assert kwargs["litellm_params"]["api_base"] == payload["api_base"] == "anthropic.example"
        body = kwargs["litellm_params"]["proxy_server_request"]["body"]
        assert body == {"model": "sonnet", "user": "eve"}
        assert (kwargs["messages"], kwargs["user"], kwargs["response_cost"]) == ([], "eve", 0)
        assert payload["startTime"] == event.started_at
        assert payload["endTime"] == event.started_at + event.duration
        assert first.start_time.timestamp() == pytest.approx(event.started_at)
        assert (first.end_time - first.start_time).total_seconds() == pytest.approx(
            event.duration, abs=1e-5
        )
        assert "exception" not in kwargs
        assert again.kwargs["litellm_call_id"] == cached.request_id
        assert (kwargs["cache_hit"], again.kwargs["cache_hit"]) == (False, True)

    async def test_a_failure_has_an_exception_without_a_message_or_traceback_of_another(
        self,
    ) -> None:
        logger = Logger()
        await play_with(logger)
        upstreams, unknown = logger.failures
        error = upstreams.kwargs["exception"]
        assert (error.status_code, error.llm_provider) == (529, "anthropic")
        assert (error.model, str(error)) == (
            "claude-sonnet-4-5",
            "UpstreamError: overloaded_error (529)",
        )
        assert error.__traceback__ is error.__cause__ is error.__context__ is None
        assert upstreams.response_obj is None
        assert unknown.kwargs["model"] == "opus"
        assert unknown.kwargs["custom_llm_provider"] is None
        assert unknown.kwargs["standard_logging_object"]["api_base"] == ""

    async def test_neither_prompt_nor_key_reaches_a_logger(self) -> None:
        logger = Logger()
        await play_with(logger, count_as_usage=True)
        for call in logger.successes + logger.failures:
            assert CANARY not in json.dumps(call, default=repr)
            error = call.kwargs.get("exception")
            assert error is None or CANARY not in "".join(traceback.format_exception(error))

    @pytest.mark.parametrize(("count_as_usage", "tokens"), [(False, 0), (True, 14)])
    async def test_a_count_uses_tokens_only_if_the_host_says_so(
        self, count_as_usage: bool, tokens: int
    ) -> None:
        logger = Logger()
        await play_with(logger, count_as_usage=count_as_usage)
        success, failure = logger.successes[0], logger.failures[0]
        payload = success.kwargs["standard_logging_object"]
        assert payload["total_tokens"] == payload["prompt_tokens"] == tokens
        assert payload["completion_tokens"] == payload["response_cost"] == 0
        assert success.response_obj.usage.total_tokens == tokens
        assert payload["response"] == {"input_tokens": 14}
        assert failure.kwargs["standard_logging_object"]["total_tokens"] == 0

    def test_a_response_is_read_by_item_and_by_attribute_as_litellms(self) -> None:
        response = arguments_for(new_event()).response_obj
        assert response is not None
        assert response["usage"]["total_tokens"] == response.usage.total_tokens == 0
        assert response.get("choices") == response.choices == []
        assert not hasattr(response, "absent")

    async def test_a_logger_may_change_its_own(self) -> None:
        class Changing(Logger):
            async def async_log_success_event(self, *args: Any, **named: Any) -> None:
                named["kwargs"]["standard_logging_object"].clear()
                named["kwargs"].clear()
                named["response_obj"].clear()

        last = Logger()
        await play_with(Changing(), last)
        assert [payload["status"] for payload in last.payloads[:2]] == ["success"] * 2


class TestLoggers:
    @pytest.mark.parametrize("wrong", ["langfuse", None, object()])
    def test_one_without_the_methods_is_refused(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"loggers: .* has no async_log_success_event; pass an"):
            LiteLLMCallbacks([wrong])

    async def test_a_function_or_a_class_is_called_once_on_the_event_loop(self) -> None:
        loops: list[asyncio.AbstractEventLoop] = []
        made: list[Logger] = []

        class OnLoop(Logger):
            def __init__(self) -> None:
                super().__init__()
                loops.append(asyncio.get_running_loop())
                made.append(self)

        def create() -> LiteLLMLogger:
            return OnLoop()

        makers: list[Any] = [OnLoop, create]
        callbacks = LiteLLMCallbacks(makers)
        assert made == []
        for _ in range(3):
            callbacks(new_event())
            await callbacks.drain()
        assert loops == [asyncio.get_running_loop()] * 2
        assert [len(logger.successes) for logger in made] == [3, 3]

    async def test_a_function_that_fails_is_a_failure_of_the_logger(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def create() -> LiteLLMLogger:
            raise OSError(CANARY)

        last = Logger()
        callbacks = LiteLLMCallbacks([create, last])
        callbacks(new_event())
        await callbacks.drain()
        assert len(last.successes) == 1
        (line,) = lines_of(caplog, logging.ERROR)
        assert "create) failed with OSError" in line
        assert CANARY not in caplog.text

    async def test_it_runs_in_the_context_of_its_request(self) -> None:
        tenant: ContextVar[str] = ContextVar("tenant")
        seen: list[str] = []

        class Contextual(Logger):
            async def async_log_success_event(self, *args: Any, **named: Any) -> None:
                seen.append(tenant.get())

        callbacks = LiteLLMCallbacks([Contextual()])
        for name in ("acme", "umbrella"):
            tenant.set(name)
            callbacks(new_event())
        await callbacks.drain()
        assert seen == ["acme", "umbrella"]


class TestBounds:
    @pytest.mark.parametrize("make", [Gate, Broken])
    @pytest.mark.parametrize("hooks", [1, 10])
    async def test_ten_loggers_that_hang_or_fail_delay_no_answer(
        self, upstream: FakeUpstream, make: Callable[[], Logger], hooks: int
    ) -> None:
        """The answer is there while every logger still hangs, so that none was waited for."""
        loggers = [make() for _ in range(10)]
        callbacks = [LiteLLMCallbacks(loggers[number::hooks]) for number in range(hooks)]
        count_tokens = count_tokens_with(upstream, hooks=callbacks)
        async with asyncio.timeout(5), mounted(count_tokens) as client:
            answer = await client.post(COUNT, json=HELLO)
            await count_tokens.count(HELLO)
        assert answer.json() == {"input_tokens": 14}
        await asyncio.sleep(0)
        gates = [logger for logger in loggers if isinstance(logger, Gate)]
        assert [gate.started for gate in gates] == [2] * len(gates)
        assert [len(logger.successes) for logger in loggers] == [0] * 10
        for gate in gates:
            gate.opened.set()
        await count_tokens.aclose()
        assert [len(gate.successes) for gate in gates] == [2] * len(gates)

    async def test_one_that_fails_is_logged_once_and_the_others_have_each_event(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        last = Logger()
        callbacks = LiteLLMCallbacks([Broken(), last, Broken()])
        for _ in range(5):
            callbacks(new_event())
        await callbacks.drain()
        assert len(last.successes) == 5
        message = "hook LiteLLMCallbacks(Broken) failed with RuntimeError"
        expected = f"{message}; failures since the last such line: 1"
        assert lines_of(caplog, logging.ERROR) == [expected] * 2  # one for each of the loggers
        assert CANARY not in caplog.text

    async def test_one_that_hangs_is_ended_and_logged_once(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(f"{MODULE}._CALL_SECONDS", 0.01)
        last = Logger()
        callbacks = LiteLLMCallbacks([Gate(), last])
        for _ in range(3):
            callbacks(new_event())
        await callbacks.drain()
        assert len(last.successes) == 3
        (line,) = lines_of(caplog, logging.ERROR)
        assert line.startswith("hook LiteLLMCallbacks(Gate) failed with TimeoutError")

    async def test_a_queue_holds_so_many_events_and_is_each_loggers_own(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(f"{MODULE}._MOST_WAITING", 4)
        monkeypatch.setattr(f"{MODULE}._MOST_RUNNING", 2)
        gate, last = Gate(), Logger()
        callbacks = LiteLLMCallbacks([gate, last])
        events = [new_event() for _ in range(9)]
        for event in events:
            callbacks(event)
            await asyncio.sleep(0)
        assert gate.started == 2
        assert len(last.successes) == 9
        gate.opened.set()
        await callbacks.drain()
        logged = [payload["id"] for payload in gate.payloads]
        assert logged == [event.request_id for event in events[:4]]
        (line,) = lines_of(caplog, logging.WARNING)
        assert line.startswith("a call of hook LiteLLMCallbacks(Gate) was dropped")

    async def test_a_close_of_the_counter_drains_the_queues_and_flushes(
        self, upstream: FakeUpstream
    ) -> None:
        batching, gate = Batching(), Gate()
        count_tokens = count_tokens_with(upstream, hooks=[LiteLLMCallbacks([batching, gate])])
        async with count_tokens.lifespan():
            await count_tokens.count(HELLO)
            asyncio.get_running_loop().call_soon(gate.opened.set)
        assert [payload["status"] for payload in batching.sent] == ["success"]
        assert len(gate.successes) == 1

    async def test_a_close_is_bounded_although_a_logger_hangs(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(f"{MODULE}._DRAIN_SECONDS", 0.01)
        monkeypatch.setattr(f"{MODULE}._FLUSH_SECONDS", 0.01)

        class Hanging(Batching):
            async def flush_queue(self) -> None:
                await asyncio.Event().wait()

        callbacks = LiteLLMCallbacks([Gate(), Hanging(), last := Batching()])
        callbacks(new_event())
        async with asyncio.timeout(5):
            await callbacks.drain()
        assert len(last.sent) == 1
        assert "1 calls of async hooks did not end before the close" in caplog.text
        assert "Hanging) failed with TimeoutError" in caplog.text

    async def test_a_close_of_the_counter_is_bounded_too(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate = Gate()
        runner = HookRunner([LiteLLMCallbacks([gate])], drain_seconds=0.01)
        runner.emit(new_event())
        others = asyncio.all_tasks()
        async with asyncio.timeout(2):
            await runner.aclose()
        assert asyncio.all_tasks() < others  # the logger's call has ended
        assert gate.started == 1
        assert "1 calls of async hooks did not end before the close" in caplog.text

    async def test_a_close_without_events_creates_no_logger(self) -> None:
        def create() -> LiteLLMLogger:
            raise AssertionError

        await LiteLLMCallbacks([create]).drain()
