"""OpenTelemetry spans and metrics, by the extra `otel`.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from count_tokens_mw.events import Attempt, CountEvent
from count_tokens_mw.telemetry.buckets import SECONDS, TOKENS

__all__ = ["OpenTelemetryHook"]

_NAME: Final = "count_tokens_mw"
_OPERATION: Final = "count_tokens"
_NANOSECONDS: Final = 1_000_000_000
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/#gen-ai-provider-name
_PROVIDERS: Final = {
    "anthropic": "anthropic",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
}


class OpenTelemetryHook:
    """A hook that makes a span of each request, inside the one that the host has open, and metrics.

    The count is `count_tokens.input_tokens` and never one of `gen_ai.usage`: nothing was used.
    Failed and successful attempts are the span's events.

    Args:
        tracer_provider, meter_provider: the host's own; by default the global ones.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
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
            "Input tokens of what was counted.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )

    def __call__(self, event: CountEvent) -> None:
        asked = [each for each in event.attempts if each.source != "cache"]
        span = self._tracer.start_span(
            # Of models that nobody knows there is any number.
            f"{_OPERATION} {event.model}" if event.attempts else _OPERATION,
            kind=SpanKind.CLIENT if asked else SpanKind.INTERNAL,
            attributes=_known({**_of_operation(event), **_of_request(event)}),
            start_time=_time(event.started_at),
        )
        for attempt in event.attempts:
            ended_at = _time(attempt.started_at + attempt.duration)
            span.add_event("count_tokens.attempt", _known(_of_attempt(attempt)), ended_at)
        if event.error_type is not None and (event.attempts or event.status >= 500):
            span.set_status(Status(StatusCode.ERROR, event.error))  # and not what callers do wrong
        span.end(_time(event.started_at + event.duration))
        attributes = _known(_of_operation(event))
        self._duration.record(event.duration, attributes)
        if event.input_tokens is not None:
            self._input_tokens.record(event.input_tokens, attributes)


def _of_operation(event: CountEvent) -> dict[str, AttributeValue | None]:
    """What metrics have too, so nothing that callers can make up."""
    return {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": _PROVIDERS.get(event.provider or "", event.provider),
        "error.type": event.error_type,
        "http.response.status_code": event.status,
        "count_tokens.source": event.source,
    }


def _of_request(event: CountEvent) -> dict[str, AttributeValue | None]:
    return {
        "gen_ai.request.model": event.model,
        "gen_ai.response.model": event.upstream_model if event.source else None,
        "count_tokens.input_tokens": event.input_tokens,
        "count_tokens.request_id": event.request_id,
        "count_tokens.entry_point": event.entry_point,
        "count_tokens.deployment": event.deployment,
        "count_tokens.upstream_request_id": event.upstream_request_id,
        "enduser.id": event.end_user,
        "count_tokens.caller": event.caller.id if event.caller else None,
        "session.id": event.session_id,
    }


def _of_attempt(attempt: Attempt) -> dict[str, AttributeValue | None]:
    return {
        "count_tokens.deployment": attempt.deployment,
        "gen_ai.provider.name": _PROVIDERS.get(attempt.provider, attempt.provider),
        "gen_ai.request.model": attempt.upstream_model,
        "http.response.status_code": attempt.status,
        "error.type": attempt.error_type,
        "count_tokens.upstream_code": attempt.upstream_code,
        "count_tokens.upstream_request_id": attempt.upstream_request_id,
        "count_tokens.duration": attempt.duration,
    }


def _known(attributes: dict[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}


def _time(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)
