"""Prometheus metrics, by the extra `prometheus`.

https://prometheus.github.io/client_python and https://prometheus.io/docs/practices/naming
"""

from typing import Final, get_args

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from count_tokens_mw.app import CountTokens
from count_tokens_mw.errors import ErrorType
from count_tokens_mw.events import CountEvent
from count_tokens_mw.telemetry import SECONDS, TOKENS

__all__ = ["OTHER", "PrometheusHook"]

OTHER: Final = "other"
"""The label of every unknown value, and of every value above the cap."""

_ERROR_TYPES: Final = frozenset(get_args(ErrorType))


class PrometheusHook:
    """A hook that records metrics, without costs, because a count is free.

    Labels are bounded. A model, caller or end user has a label of its own after its first
    successful count, and a model also if a watched instance configures it by this name. Only the
    first `most_values` of each have one; all others are `other`.

    Args:
        registry: the registry of the metrics.
        callers, end_users: whether requests are counted by these labels too.
        most_values: the cap on the values of a label.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        callers: bool = False,
        end_users: bool = False,
        most_values: int = 200,
    ) -> None:
        self._watched: list[CountTokens] = []
        self._models = _BoundedLabels(most_values)
        self._identities = {
            name: _BoundedLabels(most_values)
            for name, is_wanted in (("caller", callers), ("end_user", end_users))
            if is_wanted
        }
        of_model = ("provider", "model")
        labels = (*of_model, "outcome", "source", *self._identities)
        self._requests = Counter(
            "count_tokens_requests", "Requests to count tokens.", labels, registry=registry
        )
        self._duration = Histogram(
            "count_tokens_duration_seconds",
            "From a request's arrival until its answer was ready.",
            ("provider", "outcome"),
            buckets=SECONDS,
            registry=registry,
        )
        self._upstream_duration = Histogram(
            "count_tokens_upstream_duration_seconds",
            "Duration of one attempt at one deployment.",
            ("provider",),
            buckets=SECONDS,
            registry=registry,
        )
        self._input_tokens = Histogram(
            "count_tokens_input_tokens",
            "Input tokens of the counted requests; not billed.",
            of_model,
            buckets=TOKENS,
            registry=registry,
        )
        in_flight = Gauge("count_tokens_in_flight", "Counts in flight.", registry=registry)
        in_flight.set_function(lambda: sum(watched.in_flight for watched in self._watched))
        cached = Gauge("count_tokens_cache_entries", "Counts in the cache.", registry=registry)
        cached.set_function(lambda: sum(watched.cache_size for watched in self._watched))

    def __call__(self, event: CountEvent) -> None:
        counted = event.status == 200
        outcome = "counted" if counted else event.error_type
        outcome = outcome if counted or outcome in _ERROR_TYPES else OTHER
        # There is no provider if the model is unknown or the caller was refused.
        provider = event.provider or "none"
        is_known = counted or any(watched.has_model(event.model or "") for watched in self._watched)
        model = self._models.label(event.model, is_new_allowed=is_known)
        values = {"caller": event.caller.id if event.caller else None, "end_user": event.end_user}
        identities = [
            labels.label(values[name], is_new_allowed=counted)
            for name, labels in self._identities.items()
        ]
        self._requests.labels(provider, model, outcome, event.source or "none", *identities).inc()
        self._duration.labels(provider, outcome).observe(event.duration)
        for attempt in event.attempts:
            if attempt.source != "cache":
                self._upstream_duration.labels(attempt.provider).observe(attempt.duration)
        if event.input_tokens is not None:
            self._input_tokens.labels(provider, model).observe(event.input_tokens)

    def watch(self, count_tokens: CountTokens) -> None:
        """Measure also the counts in flight and in the cache of an instance."""
        self._watched.append(count_tokens)


class _BoundedLabels:
    """The values of a label, at most so many; any further value is `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, value: str | None, *, is_new_allowed: bool) -> str:
        if value is None:
            return "none"
        if is_new_allowed and len(self._known) < self._most:
            self._known.add(value)
        return value if value in self._known else OTHER
