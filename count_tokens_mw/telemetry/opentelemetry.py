"""OpenTelemetry spans and metrics, by the extra `otel`.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from typing import Final, get_args

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.errors import ErrorType
from count_tokens_mw.events import Attempt, CountEvent
from count_tokens_mw.telemetry import SECONDS, TOKENS
from count_tokens_mw.telemetry.labels import BoundedLabels

__all__ = ["OpenTelemetryHook"]

_NAME: Final = "count_tokens_mw"
_OPERATION: Final = "count_tokens"
_NANOSECONDS: Final = 1_000_000_000
_OK: Final = 200
_OTHER: Final = "_OTHER"  # the value of the conventions for an unknown one
_ERROR_TYPES: Final = frozenset(get_args(ErrorType))


class OpenTelemetryHook:
    """A hook that records metrics, and one span per request, a child of the host's current span.

    The count is `count_tokens.input_tokens` and never in `gen_ai.usage`, because a count uses no
    tokens. Failed and successful attempts are events of the span.

    Args:
        tracer_provider, meter_provider: the host's own; the global ones by default.
        tags: whether requests are also counted by tag, each once for each of its tags.
        most_values: the cap on the tags that have a value of their own.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        tags: bool = False,
        most_values: int = 200,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "count_tokens.duration",
            "s",
            "From a request's arrival until its answer was ready.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._input_tokens = meter.create_histogram(
            "count_tokens.input_tokens",
            "{token}",
            "Input tokens of the counted requests.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._tags = BoundedLabels(most_values, _OTHER)
        self._tagged = (
            meter.create_counter(
                "count_tokens.tagged_requests",
                "{request}",
                "Requests to count tokens, by each of their tags.",
            )
            if tags
            else None
        )

    def __call__(self, event: CountEvent) -> None:
        is_upstream_called = any(attempt.source != "cache" for attempt in event.attempts)
        span = self._tracer.start_span(
            # An unknown model would make span names of unbounded cardinality.
            f"{_OPERATION} {event.model}" if event.attempts else _OPERATION,
            kind=SpanKind.CLIENT if is_upstream_called else SpanKind.INTERNAL,
            attributes=_drop_none({**_operation_attributes(event), **_request_attributes(event)}),
            start_time=_to_nanoseconds(event.started_at),
        )
        for attempt in event.attempts:
            ended_at = _to_nanoseconds(attempt.started_at + attempt.duration)
            span.add_event(
                "count_tokens.attempt", _drop_none(_attempt_attributes(attempt)), ended_at
            )
        # A caller's mistake is no error of the span.
        if event.error_type is not None and (event.attempts or event.status >= 500):
            span.set_status(Status(StatusCode.ERROR, event.error))
        span.end(_to_nanoseconds(event.started_at + event.duration))
        attributes = _drop_none(_metric_attributes(event))
        self._duration.record(event.duration, attributes)
        if event.input_tokens is not None:
            self._input_tokens.record(event.input_tokens, attributes)
        if self._tagged is not None:
            is_counted = event.status == _OK
            for tag in {self._tags.label(tag, is_new_allowed=is_counted) for tag in event.tags}:
                self._tagged.add(1, {**attributes, "count_tokens.tag": tag})


def _operation_attributes(event: CountEvent) -> dict[str, AttributeValue | None]:
    """Return the attributes of the operation itself."""
    return {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": _provider_name(event.provider),
        "error.type": event.error_type,
        "http.response.status_code": event.status,
        "count_tokens.source": event.source,
    }


def _metric_attributes(event: CountEvent) -> dict[str, AttributeValue | None]:
    """Return the attributes of metrics, each with a bounded number of values.

    Under a wildcard a caller may choose the name of a provider, and an upstream its error's type.
    """
    attributes = _operation_attributes(event)
    if event.provider is not None and event.provider not in PROVIDERS:
        attributes["gen_ai.provider.name"] = _OTHER
    if event.error_type is not None and event.error_type not in _ERROR_TYPES:
        attributes["error.type"] = _OTHER
    return attributes


def _request_attributes(event: CountEvent) -> dict[str, AttributeValue | None]:
    return {
        "gen_ai.request.model": event.model,
        "gen_ai.response.model": event.upstream_model if event.source else None,
        "count_tokens.input_tokens": event.input_tokens,
        "count_tokens.omitted": event.omitted or None,
        "count_tokens.request_id": event.request_id,
        "count_tokens.entry_point": event.entry_point,
        "count_tokens.deployment": event.deployment,
        "count_tokens.upstream_request_id": event.upstream_request_id,
        "enduser.id": event.end_user,
        "count_tokens.caller": event.caller.id if event.caller else None,
        "session.id": event.session_id,
        "count_tokens.tags": event.tags or None,
    }


def _attempt_attributes(attempt: Attempt) -> dict[str, AttributeValue | None]:
    return {
        "count_tokens.deployment": attempt.deployment,
        "gen_ai.provider.name": _provider_name(attempt.provider),
        "gen_ai.request.model": attempt.upstream_model,
        "http.response.status_code": attempt.status,
        "error.type": attempt.error_type,
        "count_tokens.upstream_code": attempt.upstream_code,
        "count_tokens.upstream_request_id": attempt.upstream_request_id,
        "count_tokens.duration": attempt.duration,
    }


def _provider_name(provider: str | None) -> str | None:
    return PROVIDERS[provider].telemetry_name if provider in PROVIDERS else provider


def _drop_none(attributes: dict[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}


def _to_nanoseconds(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)
