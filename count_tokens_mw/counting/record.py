"""The record of one request, from which its event is built."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from count_tokens_mw.config.models import Deployment
from count_tokens_mw.counting.chance import CHANCE
from count_tokens_mw.errors import ClientClosedRequest, CountError, UpstreamError
from count_tokens_mw.events import Attempt, CountEvent, EntryPoint
from count_tokens_mw.protocol.attribution import TAGS_HEADER, merge_tags, split_tags
from count_tokens_mw.types import Caller, CountRequest, Source, TokenCount

__all__ = ["ATTRIBUTION_HEADERS", "RequestRecord"]

_SESSION_HEADERS: Final = (  # of Claude Code: its session, its agent, the parent of that agent
    "x-claude-code-session-id",
    "x-claude-code-agent-id",
    "x-claude-code-parent-agent-id",
)
ATTRIBUTION_HEADERS: Final = (*_SESSION_HEADERS, TAGS_HEADER)
"""Headers by which a request is attributed, besides the configured ones of an end user."""

_MAX_LABEL: Final = 256
_CANCELLED: Final = ClientClosedRequest("")
_NO_ATTEMPT: Final = Attempt("", "", "", 0, None, None, None, None, None, None, 0, 0)
_MAX_HOSTS: Final = 256


def _new_id() -> str:
    return f"req_{CHANCE.randbytes(16).hex()}"


@dataclass(slots=True)
class RequestRecord:
    """Record of a request, filled in step by step; `event()` works at any step.

    The outcome is `ClientClosedRequest` until another is recorded, because a cancelled request
    records none. `deployment` is the one that was tried last. `answer_from` is the index of the
    attempt that gave the answer; the last one is the default.
    """

    entry_point: EntryPoint
    caller: Caller | None = None
    model: str | None = None
    end_user: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    parent_agent_id: str | None = None
    tags: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    answer_from: int = -1
    outcome: TokenCount | CountError = _CANCELLED
    deployment: Deployment = field(init=False)  # unset before the first attempt
    request_id: str = field(default_factory=_new_id)
    _started_at: float = field(default_factory=time.time)
    _started: float = field(default_factory=time.perf_counter)
    _duration: float | None = None

    def __str__(self) -> str:
        return f"count {self.request_id}"

    def read_headers(self, headers: Mapping[str, str], end_user_headers: Sequence[str]) -> None:
        """Read the end user, Claude Code's session and agent, and the tags from the headers."""
        for name in end_user_headers:
            if name in headers and self.end_user is None:
                self.end_user = _label(headers[name].strip())
        if not headers.keys().isdisjoint(ATTRIBUTION_HEADERS):
            ids = (_label(headers.get(name)) for name in _SESSION_HEADERS)
            self.session_id, self.agent_id, self.parent_agent_id = ids
            self.tags = merge_tags(split_tags(headers.get(TAGS_HEADER)))

    def read_request(self, request: CountRequest, *, safety_identifier: bool = False) -> None:
        """Read the model, the tags and, where no header named them, end user and session.

        With `safety_identifier`, this field names the end user if nothing else does.
        """
        self.model = _label(request.model)
        self.unread = request.unread
        names = request.attribution
        if any(names):
            user = names.user or (names.safety_identifier if safety_identifier else None)
            self.end_user = self.end_user or _label(user)
            self.session_id = self.session_id or names.session_id
            self.tags = merge_tags(self.tags, names.tags)

    def add_attempt(
        self, deployment: Deployment, outcome: TokenCount | CountError, started: float
    ) -> None:
        """Record an attempt that started at `started`, by `time.perf_counter()`."""
        result = _result(outcome)
        self.deployment = deployment
        self.attempts.append(
            Attempt(
                deployment.id,
                _provider_of(deployment),
                _label(deployment.upstream_model) or "",
                result.status,
                result.error,
                result.error_type,
                result.upstream_code,
                (outcome.headers.get("request-id") or "")[:_MAX_LABEL] or None,
                result.source,
                _host_of(deployment),
                self._started_at + started - self._started,
                time.perf_counter() - started,
            )
        )

    def include(self, part: RequestRecord, *, answers: bool) -> None:
        """Record the attempts of a further count that this request needed.

        If `answers`, the outcome of that count is the answer to the request.
        """
        if self.answer_from < 0:
            self.answer_from = len(self.attempts) - 1
        self.attempts += part.attempts
        if answers and part.attempts:
            self.answer_from = len(self.attempts) - 1

    def finish(self, outcome: TokenCount | CountError) -> None:
        """Record the outcome; the request's duration ends here."""
        self.outcome = outcome
        if isinstance(outcome, CountError):
            # Their frames refer to this record, and keep the body.
            outcome.with_traceback(None).__context__ = None
        self._duration = time.perf_counter() - self._started

    def event(self) -> CountEvent:
        """Return the event with all that is recorded so far."""
        result = _result(self.outcome)
        answered = self.attempts[self.answer_from] if self.attempts else _NO_ATTEMPT
        elapsed = time.perf_counter() - self._started
        # Positional arguments take a third of the time of keyword arguments.
        return CountEvent(
            self.request_id,
            self.entry_point,
            result.status,
            result.error,
            result.error_type,
            result.input_tokens,
            result.source,
            self.caller,
            self.end_user,
            self.session_id,
            self.agent_id,
            self.parent_agent_id,
            self.model,
            answered.deployment or None,
            answered.provider or None,
            answered.upstream_model or None,
            answered.upstream_request_id,
            tuple(self.attempts),
            self._started_at,
            elapsed if self._duration is None else self._duration,
            tuple(map(_escape, result.omitted)) if result.omitted else (),
            self.unread,
            tuple(map(_escape, self.tags)) if self.tags else (),
        )


class _Result(NamedTuple):
    """Fields of an outcome that events and attempts share."""

    status: int
    error: str | None
    error_type: str | None
    upstream_code: str | None
    input_tokens: int | None
    source: Source | None
    omitted: tuple[str, ...] = ()


def _result(outcome: TokenCount | CountError) -> _Result:
    if isinstance(outcome, TokenCount):
        count = outcome
        return _Result(200, None, None, None, count.input_tokens, count.source, count.omitted)
    code = _label(outcome.code) if isinstance(outcome, UpstreamError) else None
    # Anthropic's own `error.type` is kept, because it may be newer than `ErrorType`.
    is_anthropics = isinstance(outcome, UpstreamError) and outcome.body is not None
    error_type = code if is_anthropics else outcome.type
    return _Result(outcome.status, type(outcome).__name__, error_type, code, None, None, ())


def _provider_of(deployment: Deployment) -> str:
    # The caller chooses the name of an unknown provider under a wildcard that matches any.
    return deployment.provider if deployment.params else _label(deployment.provider) or ""


def _host_of(deployment: Deployment) -> str | None:
    return _host_in(deployment.params.endpoint) if deployment.params else None


@lru_cache(_MAX_HOSTS)
def _host_in(url: str) -> str:
    return urlsplit(url).netloc[:_MAX_LABEL]


def _label(value: object) -> str | None:
    """Return a caller's text for a log, escaped and cut to 256 characters, or None."""
    return _escape(value) if isinstance(value, str) and value else None


def _escape(text: str) -> str:
    cut = text[:_MAX_LABEL]
    return cut if cut.isprintable() else cut.encode("unicode_escape").decode()[:_MAX_LABEL]
