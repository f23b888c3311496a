"""The ready-made hooks: log lines, metrics and traces of counts."""

import json
import logging
import re
from typing import Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, generate_latest

from count_tokens_mw import Attempt, Caller, CountError, CountEvent, CountTokens
from count_tokens_mw.events import Hook
from count_tokens_mw.telemetry.logging import log_events, log_fields
from count_tokens_mw.telemetry.opentelemetry import OpenTelemetryHook
from count_tokens_mw.telemetry.prometheus import PrometheusHook
from tests.support.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
LOGGER = logging.getLogger("tests.gateway")


def event(**changes: Any) -> CountEvent:
    attempt = Attempt(
        deployment="claude#0",
        provider="bedrock",
        upstream_model="anthropic.claude-x",
        status=200,
        error=None,
        error_type=None,
        upstream_code=None,
        upstream_request_id="aws-1",
        source="provider",
        host="bedrock-runtime.us-east-1.amazonaws.com",
        started_at=1000.25,
        duration=0.5,
    )
    facts: dict[str, Any] = {
        "request_id": "req_1",
        "entry_point": "count_tokens",
        "status": 200,
        "error": None,
        "error_type": None,
        "input_tokens": 14,
        "source": "provider",
        "caller": Caller("team-a", frozenset({"count"}), {"password": "canary"}),
        "end_user": "alice",
        "session_id": "s-1",
        "agent_id": None,
        "parent_agent_id": None,
        "model": "claude",
        "deployment": "claude#0",
        "provider": "bedrock",
        "upstream_model": "anthropic.claude-x",
        "upstream_request_id": "aws-1",
        "attempts": (attempt,),
        "started_at": 1000.0,
        "duration": 0.75,
        "omitted": (),
    }
    return CountEvent(**{**facts, **changes})


REFUSED: dict[str, Any] = {
    "status": 401,
    "error": "Unauthenticated",
    "error_type": "authentication_error",
    "input_tokens": None,
    "source": None,
    "caller": None,
    "model": None,
    "deployment": None,
    "provider": None,
    "upstream_model": None,
    "attempts": (),
}


def failed(status: int, error_type: str, **more: Any) -> CountEvent:
    gone = {"input_tokens": None, "source": None}
    return event(status=status, error="UpstreamError", error_type=error_type, **gone, **more)


# The event itself


def test_an_event_is_a_dict_that_json_can_hold_without_the_hosts_attributes() -> None:
    facts = event().as_dict()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["caller"] == "team-a"
    assert facts["attempts"][0]["upstream_request_id"] == "aws-1"
    assert "canary" not in json.dumps(facts)
    assert event(caller=None).as_dict()["caller"] is None


# The standard library's log


@pytest.mark.parametrize(
    ("an_event", "level"),
    [
        (event(), logging.INFO),
        (event(**REFUSED), logging.WARNING),
        (failed(429, "rate_limit_error"), logging.WARNING),
        (failed(499, "api_error"), logging.WARNING),
        (failed(501, "api_error"), logging.ERROR),
        (failed(529, "overloaded_error"), logging.ERROR),
    ],
)
def test_a_request_is_one_line_at_the_level_of_its_outcome(
    an_event: CountEvent, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log_events(LOGGER)(an_event)
    (record,) = caplog.records
    assert (record.name, record.levelno) == (LOGGER.name, level)
    assert record.message.startswith(f"count_tokens {an_event.status} 750ms ")
    assert record.__dict__["count_tokens"] == an_event.as_dict()


def test_the_line_names_what_was_left_out_and_nothing_can_be_forged_by_it() -> None:
    fields = log_fields(event(omitted=("tools.0.custom.strict", "anthropic-beta:b1")))
    assert " source=provider omitted=tools.0.custom.strict,anthropic-beta:b1 request" in fields
    forging = log_fields(event(omitted=("tools.0.x caller=admin",)))
    assert ' omitted="tools.0.x caller=admin" ' in forging
    assert "omitted" not in log_fields(event())


def test_the_line_names_who_asked_for_whom_and_what_came_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    log_events(LOGGER)(event(end_user='a "b" c=d'))
    assert caplog.records[0].message == (
        'count_tokens 200 750ms caller=team-a end_user="a \\"b\\" c=d" model=claude '
        "deployment=claude#0 provider=bedrock upstream_model=anthropic.claude-x input_tokens=14 "
        "source=provider request_id=req_1 upstream_request_id=aws-1"
    )


def test_a_failover_is_in_the_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (attempt,) = event().attempts
    log_events(LOGGER)(event(attempts=(attempt, attempt)))
    assert " upstream_model=anthropic.claude-x attempts=2 " in caplog.records[0].message


def test_a_count_of_nothing_is_in_the_line_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_events(LOGGER)(event(input_tokens=0))
    assert " input_tokens=0 " in caplog.records[0].message


def test_no_value_can_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_events(LOGGER)(event(caller=Caller("a\nERROR forged")))
    assert "\n" not in caplog.records[0].message


PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s="]+)(?: |$)')


def pairs_of(line: str) -> dict[str, str]:
    """Parse a whole line into pairs with unique names, as a log's reader would."""
    assert PAIR.sub("", line) == ""
    pairs = PAIR.findall(line)
    assert len(dict(pairs)) == len(pairs)
    return {name: json.loads(text) if text[0] == '"' else text for name, text in pairs}


@given(text=st.text(), caller=st.text(min_size=1))
@example(text="gpt caller=admin", caller="a b")
@example(text='gpt" caller="admin', caller='"')
@example(text="gpt\\", caller="=")
@example(text="gpt\u2028caller=admin", caller="\u00a0")
@example(text="", caller="'")
def test_no_value_can_forge_a_pair(text: str, caller: str) -> None:
    an_event = event(model=text, end_user=text, upstream_model=text, caller=Caller(caller))
    pairs = pairs_of(log_fields(an_event))
    assert (pairs["model"], pairs["end_user"], pairs["caller"]) == (text, text, caller)
    assert (pairs["upstream_model"], pairs["input_tokens"]) == (text, "14")


def test_what_is_not_known_makes_no_pair() -> None:
    pairs = pairs_of(log_fields(event(end_user=None, caller=None, model=None)))
    assert {"end_user", "caller", "model", "error"}.isdisjoint(pairs)


@pytest.mark.parametrize(
    ("tags", "pair"),
    [
        (("a", "b"), "tags=a,b"),
        (("a",), "tags=a"),
        (("a b",), 'tags="a b"'),
        (("a,b", "c"), r'tags="\"a,b\",c"'),
        (("x caller=admin",), 'tags="x caller=admin"'),
    ],
)
def test_tags_are_one_pair_that_forges_no_other(tags: tuple[str, ...], pair: str) -> None:
    fields = log_fields(event(tags=tags))
    assert f" end_user=alice {pair} model=claude " in fields
    assert event(tags=tags).as_dict()["tags"] == list(tags)
    assert "tags" not in log_fields(event())


def test_structlog_takes_the_same_event() -> None:
    with structlog.testing.capture_logs() as lines:
        structlog.get_logger().info("count_tokens", **event().as_dict())
    (line,) = lines
    assert (line["event"], line["input_tokens"], line["caller"]) == ("count_tokens", 14, "team-a")


# Prometheus


def measure(*events: CountEvent, **options: Any) -> dict[str, float]:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry, **options)
    for an_event in events:
        hook(an_event)
    samples = (sample for metric in registry.collect() for sample in metric.samples)
    return {
        f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
        for sample in samples
        if not sample.name.endswith("_created")
    }


def sample(name: str, **labels: str) -> str:
    return f"{name}{json.dumps(labels, sort_keys=True)}"


def test_requests_are_counted_by_provider_model_outcome_and_source() -> None:
    samples = measure(event(), event(), failed(429, "rate_limit_error"), event(**REFUSED))
    name = "count_tokens_requests_total"
    counted = {"provider": "bedrock", "model": "claude"}
    assert samples[sample(name, **counted, outcome="counted", source="provider")] == 2
    assert samples[sample(name, **counted, outcome="rate_limit_error", source="none")] == 1
    refused = {"provider": "none", "model": "none", "source": "none"}
    assert samples[sample(name, **refused, outcome="authentication_error")] == 1


def test_durations_and_tokens_are_histograms() -> None:
    samples = measure(event(), event(input_tokens=150_000), failed(504, "timeout_error"))
    by_provider = {"provider": "bedrock"}
    assert samples[sample("count_tokens_upstream_duration_seconds_sum", **by_provider)] == 1.5
    counted = {**by_provider, "outcome": "counted"}
    assert samples[sample("count_tokens_duration_seconds_sum", **counted)] == 1.5
    of_model = {**by_provider, "model": "claude"}
    assert samples[sample("count_tokens_input_tokens_sum", **of_model)] == 150_014
    bucket = sample("count_tokens_input_tokens_bucket", **of_model, le="100000.0")
    assert samples[bucket] == 1
    assert not [name for name in samples if "cost" in name or "usage" in name]


def test_names_that_callers_make_up_are_others_however_many() -> None:
    events = [failed(404, "not_found_error", model=f"made-up-{n}") for n in range(1000)]
    events += [event(model=f"claude-{n}") for n in range(50)]
    events += [failed(529, "a new word of the upstream's")]
    samples = measure(*events, most_values=20)
    requests = [name for name in samples if name.startswith("count_tokens_requests_total")]
    assert len(requests) == 20 + 3
    labels = {"provider": "bedrock", "model": "other", "source": "provider"}
    assert samples[sample("count_tokens_requests_total", **labels, outcome="counted")] == 30
    assert not [name for name in samples if "made-up" in name or "new word" in name]


def test_who_asked_and_for_whom_are_labels_only_if_they_are_asked_for() -> None:
    plain = measure(event())
    assert not [name for name in plain if "team-a" in name or "alice" in name]
    samples = measure(event(), event(caller=None), callers=True, end_users=True)
    labels = {
        "provider": "bedrock",
        "model": "claude",
        "outcome": "counted",
        "source": "provider",
        "end_user": "alice",
    }
    assert samples[sample("count_tokens_requests_total", **labels, caller="team-a")] == 1
    assert samples[sample("count_tokens_requests_total", **labels, caller="none")] == 1


def test_tags_are_counted_only_if_they_are_asked_for_and_each_request_once_by_tag() -> None:
    events = [event(tags=("a", "b")), event(tags=("a",)), event()]
    events.append(failed(529, "overloaded_error", tags=("a", "made-up", "made-up-2")))
    assert not [name for name in measure(*events) if "tagged" in name]
    samples = measure(*events, tags=True)
    tagged = {name: value for name, value in samples.items() if "tagged" in name}
    name = "count_tokens_tagged_requests_total"
    assert tagged == {
        sample(name, tag="a", outcome="counted"): 2,
        sample(name, tag="b", outcome="counted"): 1,
        sample(name, tag="a", outcome="overloaded_error"): 1,
        sample(name, tag="other", outcome="overloaded_error"): 1,
    }
    many = [event(tags=tuple(f"{n}-{tag}" for tag in range(16))) for n in range(10)]
    assert len([name for name in measure(*many, tags=True) if "tagged" in name]) == 160
    few = measure(*many, tags=True, most_values=20)
    assert len([name for name in few if "tagged" in name]) == 21


async def test_a_provider_that_a_caller_makes_up_is_another_one(upstream: FakeUpstream) -> None:
    registry, hook, traced = CollectorRegistry(), Recorder(), Traced()
    any_model = {"model_name": "*", "litellm_params": {"model": "*"}}
    hooks: list[Hook] = [PrometheusHook(registry), hook, traced.hook]
    count_tokens = count_tokens_with(upstream, {"model_list": [any_model]}, hooks=hooks)
    for name in ("made-up-1", "made-up-2", "made-up-\n"):
        with pytest.raises(CountError):
            await count_tokens.count({**HELLO, "model": f"{name}/model"})
    assert [an_event.provider for an_event in hook.events] == [
        "made-up-1",
        "made-up-2",
        "made-up-\\n",
    ]
    text = generate_latest(registry).decode()
    assert 'count_tokens_upstream_duration_seconds_count{provider="other"} 3.0' in text
    assert "made-up" not in text
    attributes = dict(traced.points["count_tokens.duration"].attributes)
    assert attributes["gen_ai.provider.name"] == "_OTHER"


def test_a_label_has_at_most_256_characters() -> None:
    long = [Caller("c" * 256), Caller("d" * 257)]
    events = [event(caller=caller, model="m" * 257, end_user="u" * 257) for caller in long]
    samples = measure(*events, callers=True, end_users=True)
    labels = {
        "provider": "bedrock",
        "model": "other",
        "outcome": "counted",
        "source": "provider",
        "end_user": "other",
    }
    for caller in ("c" * 256, "other"):
        assert samples[sample("count_tokens_requests_total", **labels, caller=caller)] == 1


async def test_a_configured_model_has_its_label_before_it_was_ever_counted(
    upstream: FakeUpstream,
) -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    hook.watch(count_tokens_with(FakeUpstream()))
    count_tokens = count_tokens_with(upstream, hooks=[hook])
    hook.watch(count_tokens)
    upstream.answers(429)
    for model in (HELLO["model"], "nobody"):
        with pytest.raises(CountError):
            await count_tokens.count({**HELLO, "model": model})
    samples = {
        sample.labels["model"]
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "count_tokens_requests_total"
    }
    assert samples == {HELLO["model"], "other"}


async def test_counts_under_way_are_a_gauge(upstream: FakeUpstream) -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    during: list[float | None] = []
    count_tokens = count_tokens_with(upstream, hooks=[hook])
    hook.watch(count_tokens)
    answer = upstream.answer

    def look(request: Any) -> Any:
        during.append(registry.get_sample_value("count_tokens_in_flight"))
        return answer(request)

    upstream.answer = look
    await count_tokens.count(HELLO)
    assert during == [1]
    assert registry.get_sample_value("count_tokens_in_flight") == 0


# OpenTelemetry


class Traced:
    """Tracing of a host, in memory."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.hook = OpenTelemetryHook(self.provider, self.meters, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    @property
    def tagged(self) -> dict[str, int]:
        """The requests of each tag."""
        data = self.reader.get_metrics_data()
        assert data is not None
        counted: dict[str, int] = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.data.data_points if "tagged" in metric.name else ():
                tag = str(dict(point.attributes or {})["count_tokens.tag"])
                counted[tag] = counted.get(tag, 0) + getattr(point, "value", 0)
        return counted

    @property
    def points(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        (of_resource,) = data.resource_metrics
        (of_scope,) = of_resource.scope_metrics
        return {metric.name: metric.data.data_points[0] for metric in of_scope.metrics}


def test_a_request_is_a_span_by_the_conventions_with_its_attempts_as_events() -> None:
    traced = Traced()
    traced.hook(event())
    (span,) = traced.spans
    assert span.name == "count_tokens claude"
    assert (span.start_time, span.end_time) == (1000_000_000_000, 1000_750_000_000)
    attributes = dict(span.attributes or {})
    assert attributes == {
        "gen_ai.operation.name": "count_tokens",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "claude",
        "gen_ai.response.model": "anthropic.claude-x",
        "http.response.status_code": 200,
        "count_tokens.source": "provider",
        "count_tokens.input_tokens": 14,
        "count_tokens.request_id": "req_1",
        "count_tokens.entry_point": "count_tokens",
        "count_tokens.deployment": "claude#0",
        "count_tokens.upstream_request_id": "aws-1",
        "count_tokens.caller": "team-a",
        "enduser.id": "alice",
        "session.id": "s-1",
    }
    assert not [name for name in attributes if name.startswith("gen_ai.usage")]
    (attempt,) = span.events
    assert attempt.name == "count_tokens.attempt"
    assert attempt.timestamp == 1000_750_000_000
    assert dict(attempt.attributes or {})["gen_ai.request.model"] == "anthropic.claude-x"
    assert span.status.status_code is StatusCode.UNSET


def test_a_span_has_the_omissions_of_its_count_if_there_are_any() -> None:
    traced = Traced()
    traced.hook(event(omitted=("tools.0.custom.strict", "anthropic-beta:b1")))
    traced.hook(event())
    omitting, complete = (dict(span.attributes or {}) for span in traced.spans)
    assert omitting["count_tokens.omitted"] == ("tools.0.custom.strict", "anthropic-beta:b1")
    assert "count_tokens.omitted" not in complete


def test_a_span_has_the_tags_of_its_request_if_there_are_any() -> None:
    traced = Traced()
    traced.hook(event(tags=("a", "b")))
    traced.hook(event())
    tagged, plain = (dict(span.attributes or {}) for span in traced.spans)
    assert tagged["count_tokens.tags"] == ("a", "b")
    assert "count_tokens.tags" not in plain


@pytest.mark.parametrize(
    ("an_event", "name", "error", "is_error", "kind"),
    [
        (
            failed(529, "overloaded_error"),
            "count_tokens claude",
            "overloaded_error",
            True,
            SpanKind.CLIENT,
        ),
        (event(**REFUSED), "count_tokens", "authentication_error", False, SpanKind.INTERNAL),
        (
            event(**{**REFUSED, "status": 404, "model": "made-up"}),
            "count_tokens",
            "authentication_error",
            False,
            SpanKind.INTERNAL,
        ),
        (
            event(**{**REFUSED, "status": 500}),
            "count_tokens",
            "authentication_error",
            True,
            SpanKind.INTERNAL,
        ),
    ],
)
def test_a_failed_request_is_a_span_with_its_error_type(
    an_event: CountEvent, name: str, error: str, is_error: bool, kind: SpanKind
) -> None:
    """A mistake of the caller is no error of the span."""
    traced = Traced()
    traced.hook(an_event)
    (span,) = traced.spans
    status = StatusCode.ERROR if is_error else StatusCode.UNSET
    assert (span.name, span.status.status_code, span.kind) == (name, status, kind)
    attributes = dict(span.attributes or {})
    assert attributes["error.type"] == error
    assert "gen_ai.response.model" not in attributes


def test_metrics_have_no_name_that_a_caller_made_up() -> None:
    traced = Traced()
    traced.hook(event())
    points = traced.points
    assert points["count_tokens.duration"].explicit_bounds[-1] == 60
    assert points["count_tokens.duration"].sum == 0.75
    assert points["count_tokens.input_tokens"].sum == 14
    for point in points.values():
        assert dict(point.attributes) == {
            "gen_ai.operation.name": "count_tokens",
            "gen_ai.provider.name": "aws.bedrock",
            "http.response.status_code": 200,
            "count_tokens.source": "provider",
        }


def test_tags_are_a_metric_only_if_they_are_asked_for_and_bounded() -> None:
    events = [event(tags=("a", "b")), event(tags=("a",)), event()]
    events.append(failed(529, "overloaded_error", tags=("a", "made-up", "made-up-2")))
    expected: list[tuple[dict[str, Any], dict[str, int]]] = [
        ({}, {}),
        ({"tags": True}, {"a": 3, "b": 1, "_OTHER": 1}),
        ({"tags": True, "most_values": 1}, {"a": 3, "_OTHER": 2}),
    ]
    for options, tagged in expected:
        traced = Traced(**options)
        for an_event in events:
            traced.hook(an_event)
        assert traced.tagged == tagged


def test_metrics_have_no_type_of_error_that_an_upstream_made_up() -> None:
    traced = Traced()
    traced.hook(failed(529, "a new word of the upstream's"))
    assert dict(traced.points["count_tokens.duration"].attributes)["error.type"] == "_OTHER"
    (span,) = traced.spans
    assert dict(span.attributes or {})["error.type"] == "a new word of the upstream's"


async def test_the_span_is_inside_the_one_that_the_host_has_open(upstream: FakeUpstream) -> None:
    traced = Traced()
    count_tokens = count_tokens_with(upstream, hooks=[traced.hook])
    tracer = traced.provider.get_tracer("host")

    async def host(scope: Any, receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("POST /v1/messages/count_tokens"):
            await count_tokens(scope, receive, send)

    from tests.support.fakes import client_of

    async with client_of(host) as client:
        assert (await client.post(COUNT, json=HELLO)).status_code == 200
    ours, hosts = traced.spans
    assert ours.parent is not None
    assert hosts.context is not None
    assert ours.parent.span_id == hosts.context.span_id
    assert hosts.start_time is not None
    assert ours.start_time is not None
    assert hosts.start_time <= ours.start_time


# Nothing secret, anywhere

CANARY = "canary-4111111111111111"


def build_gateway(upstream: FakeUpstream, **options: Any) -> CountTokens:
    """Return a gateway with canaries in its key and headers."""
    entry = {
        "model_name": HELLO["model"],
        "litellm_params": {
            "model": "anthropic/claude-x",
            "api_key": f"sk-ant-{CANARY}",
            "extra_headers": {"x-own": CANARY},
        },
    }
    return count_tokens_with(upstream, {"model_list": [entry]}, **options)


@pytest.mark.parametrize("status", [200, 400, 401, 500, 529])
async def test_a_canary_in_body_headers_and_keys_is_in_no_log_span_metric_or_event(
    status: int, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    traced, registry, recorder = Traced(), CollectorRegistry(), Recorder()
    hooks = [log_events(LOGGER), traced.hook, PrometheusHook(registry, callers=True), recorder]
    error = {"type": "error", "error": {"type": "api_error", "message": f"not {CANARY}"}}
    if status != 200:
        upstream.answers(status, json.dumps(error).encode())
    count_tokens = build_gateway(upstream, hooks=hooks)
    body = {
        **HELLO,
        "system": CANARY,
        "messages": [{"role": "user", "content": [{"type": "text", "text": CANARY}]}],
        "tools": [{"name": CANARY, "input_schema": {"description": CANARY}}],
        "tool_choice": CANARY,
    }
    headers = {
        "x-api-key": CANARY,
        "authorization": f"Bearer {CANARY}",
        "cookie": CANARY,
        "anthropic-beta": CANARY,
    }
    async with mounted(count_tokens) as client:
        for path in (f"{COUNT}?key={CANARY}", f"/anthropic{COUNT}", f"/{CANARY}"):
            await client.post(path, json=body, headers=headers)
        await client.post(COUNT, content=f"not json {CANARY}".encode(), headers=headers)
    assert len(recorder.events) == 4
    written = [
        *(json.dumps(kept.as_dict()) + repr(kept) for kept in recorder.events),
        *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records if ours(record)),
        *(str(span.to_json()) for span in traced.spans),
        generate_latest(registry).decode(),
        json.dumps([str(point) for point in traced.points.values()]),
    ]
    assert len(written) > 8
    assert not [text for text in written if CANARY in text]


def ours(record: logging.LogRecord) -> bool:
    """Return whether a record is not from the test's own client."""
    return not record.name.startswith(("httpx", "httpcore", "asyncio"))
