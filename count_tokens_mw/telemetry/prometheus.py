"""Prometheus metrics, by the extra `prometheus`.

https://prometheus.github.io/client_python and https://prometheus.io/docs/practices/naming
"""

import threading
from typing import Final, get_args

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, values

from count_tokens_mw.app import CountTokens
from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.errors import ErrorType
from count_tokens_mw.events import CountEvent
from count_tokens_mw.telemetry import SECONDS, TOKENS
from count_tokens_mw.telemetry.labels import BoundedLabels

__all__ = ["OTHER", "PrometheusHook"]

OTHER: Final = "other"
"""The label of every unknown value, and of every value above the cap."""

_ERROR_TYPES: Final = frozenset(get_args(ErrorType))


class PrometheusHook:
    """A hook that records metrics, without costs, because a count is free.

    Labels are bounded. A model, caller, end user or tag has a label of its own after its first
    successful count, and a model also if a watched instance configures it by this name. Only the
    first `most_values` of each have one; all others are `other`, and so is a value over 256
    characters, and a provider that this package does not know.

    With `PROMETHEUS_MULTIPROC_DIR` the gauges are set whenever they change, and a
    `MultiProcessCollector` adds up those of the live processes.

    Args:
        registry: the registry of the metrics.
        callers, end_users: whether requests are counted by these labels too.
        tags: whether requests are also counted by tag, each once for each of its tags.
        most_values: the cap on the values of a label.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        callers: bool = False,
        end_users: bool = False,
        tags: bool = False,
        most_values: int = 200,
    ) -> None:
        self._watched: list[CountTokens] = []
        self._models = BoundedLabels(most_values, OTHER)
        self._identities = {
            name: BoundedLabels(most_values, OTHER)
            for name, is_wanted in (("caller", callers), ("end_user", end_users))
            if is_wanted
        }
        of_model = ("provider", "model")
        labels = (*of_model, "outcome", "source", *self._identities)
        self._requests = Counter(
            "count_tokens_requests", "Requests to count tokens.", labels, registry=registry
        )
        self._tags = BoundedLabels(most_values, OTHER)
        self._tagged = (
            Counter(
                "count_tokens_tagged_requests",
                "Requests to count tokens, by each of their tags.",
                ("tag", "outcome"),
                registry=registry,
            )
            if tags
            else None
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
        self._gauges = _Gauges(registry)

    def __call__(self, event: CountEvent) -> None:
        counted = event.status == 200
        outcome = "counted" if counted else event.error_type
        outcome = outcome if counted or outcome in _ERROR_TYPES else OTHER
        # There is no provider if the model is unknown or the caller was refused.
        provider = _provider_label(event.provider)
        is_known = counted or any(watched.has_model(event.model or "") for watched in self._watched)
        model = self._models.label(event.model, is_new_allowed=is_known)
        names = {"caller": event.caller.id if event.caller else None, "end_user": event.end_user}
        identities = [
            labels.label(names[name], is_new_allowed=counted)
            for name, labels in self._identities.items()
        ]
        self._requests.labels(provider, model, outcome, event.source or "none", *identities).inc()
        if self._tagged is not None:
            # Several unknown tags are one label, which counts the request once.
            known = {self._tags.label(tag, is_new_allowed=counted) for tag in event.tags}
            for tag in known:
                self._tagged.labels(tag, outcome).inc()
        self._duration.labels(provider, outcome).observe(event.duration)
        for attempt in event.attempts:
            if attempt.source != "cache":
                label = _provider_label(attempt.provider)
                self._upstream_duration.labels(label).observe(attempt.duration)
        if event.input_tokens is not None:
            self._input_tokens.labels(provider, model).observe(event.input_tokens)

    def watch(self, count_tokens: CountTokens) -> None:
        """Measure also the counts in flight and in the cache of an instance."""
        self._watched.append(count_tokens)
        self._gauges.watch(count_tokens)


class _Gauges:
    """The gauges of the watched instances."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._watched: list[CountTokens] = []
        self._in_flight = Gauge(
            "count_tokens_in_flight",
            "Counts in flight.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._cached = Gauge(
            "count_tokens_cache_entries",
            "Counts in the cache.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._lock = threading.Lock()
        # Another process collects the values from files, where a function is never called.
        self._is_set_on_change = values.ValueClass is not values.MutexValue
        if not self._is_set_on_change:
            self._in_flight.set_function(self._sum_in_flight)
            self._cached.set_function(self._sum_cached)

    def watch(self, count_tokens: CountTokens) -> None:
        self._watched.append(count_tokens)
        if self._is_set_on_change:
            count_tokens.observe(self._update)
            self._update()

    def _update(self) -> None:
        with self._lock:  # so that the last change in several threads is the last to be set
            # Both, also if unchanged: after a fork they begin at 0.
            self._in_flight.set(self._sum_in_flight())
            self._cached.set(self._sum_cached())

    def _sum_in_flight(self) -> int:
        return sum([watched.in_flight for watched in self._watched])

    def _sum_cached(self) -> int:
        return sum([watched.cache_size for watched in self._watched])


def _provider_label(provider: str | None) -> str:
    """Return the label of a provider; under a wildcard the caller may choose an unknown one."""
    if provider is None:
        return "none"
    return provider if provider in PROVIDERS else OTHER
