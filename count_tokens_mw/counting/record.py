"""What is learnt about one request on its way; its event is made from this."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from count_tokens_mw.errors import ClientClosedRequest, CountError, UpstreamError
from count_tokens_mw.events import Attempt, CountEvent, EntryPoint
from count_tokens_mw.types import Caller, CountRequest, Source, TokenCount

if TYPE_CHECKING:
    from count_tokens_mw.config.models import Deployment

__all__ = ["SESSION_HEADERS", "RequestRecord"]

SESSION_HEADERS: Final = (
    "x-claude-code-session-id",
    "x-claude-code-agent-id",
    "x-claude-code-parent-agent-id",
)
"""By which Claude Code says what of it asks, beside who."""

_LONGEST_LABEL = 256
_LEFT = ClientClosedRequest("")
_NOBODY = Attempt("", "", "", 0, None, None, None, None, None, 0, 0)


class RequestRecord:
    """Filled in step by step; `event()` can be asked for at any moment.

    The outcome is "the client left" until there is another, since a request that is cancelled
    gets no chance to say so. `deployment` is the one that was asked last, and `answer_from` says
    which of the attempts gave the answer: the last one, unless told otherwise.
    """

    __slots__ = (
        "_duration",
        "_started",
        "_started_at",
        "agent_id",
        "answer_from",
        "attempts",
        "caller",
        "deployment",
        "end_user",
        "entry_point",
        "model",
        "outcome",
        "parent_agent_id",
        "request_id",
        "session_id",
    )

    deployment: Deployment  # there is none before one was asked

    def __init__(self, entry_point: EntryPoint, caller: Caller | None = None) -> None:
        self.entry_point: EntryPoint = entry_point
        self.request_id = f"req_{_numbers().randbytes(16).hex()}"
        self.caller = caller
        self.model: str | None = None
        self.end_user: str | None = None
        self.session_id: str | None = None
        self.agent_id: str | None = None
        self.parent_agent_id: str | None = None
        self.attempts: list[Attempt] = []
        self.answer_from = -1
        self.outcome: TokenCount | CountError = _LEFT
        self._started_at = time.time()
        self._started = time.perf_counter()
        self._duration: float | None = None

    def __str__(self) -> str:
        return f"count {self.request_id}"

    def read_headers(self, headers: Mapping[str, str], end_user_headers: Sequence[str]) -> None:
        """Learn for whom the request is, and from which session and agent of Claude Code."""
        for name in end_user_headers:
            if name in headers and self.end_user is None:
                self.end_user = _label(headers[name])
        if not headers.keys().isdisjoint(SESSION_HEADERS):
            ids = (_label(headers.get(name)) for name in SESSION_HEADERS)
            self.session_id, self.agent_id, self.parent_agent_id = ids

    def read_request(self, request: CountRequest) -> None:
        """Learn the model and, where no header told it, the end user."""
        self.model = _label(request.model)
        if request.user is not None:
            self.end_user = self.end_user or _label(request.user)

    def add_attempt(
        self, deployment: Deployment, outcome: TokenCount | CountError, started: float
    ) -> None:
        """Record one attempt that began at `started`, by `time.perf_counter()`."""
        result = _result(outcome)
        self.deployment = deployment
        self.attempts.append(
            Attempt(
                deployment.id,
                deployment.provider,
                _label(deployment.upstream_model) or "",
                result.status,
                result.error,
                result.error_type,
                result.upstream_code,
                outcome.headers.get("request-id"),
                result.source,
                self._started_at + started - self._started,
                time.perf_counter() - started,
            )
        )

    def include(self, part: RequestRecord, *, answers: bool) -> None:
        """Record the attempts of a count that this request took besides its own.

        `answers` says that what came of it is the answer to the request.
        """
        if self.answer_from < 0:
            self.answer_from = len(self.attempts) - 1
        self.attempts += part.attempts
        if answers and part.attempts:
            self.answer_from = len(self.attempts) - 1

    def finish(self, outcome: TokenCount | CountError) -> None:
        """Keep the outcome; the request's duration ends here."""
        self.outcome = outcome
        self._duration = time.perf_counter() - self._started

    def event(self) -> CountEvent:
        """The event, as far as is known."""
        result = _result(self.outcome)
        answered = self.attempts[self.answer_from] if self.attempts else _NOBODY
        elapsed = time.perf_counter() - self._started
        # By their places, which takes a third of the time that it takes by their names.
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
        )


class _Result(NamedTuple):
    """What events and attempts say of an outcome."""

    status: int
    error: str | None
    error_type: str | None
    upstream_code: str | None
    input_tokens: int | None
    source: Source | None


def _result(outcome: TokenCount | CountError) -> _Result:
    if isinstance(outcome, TokenCount):
        return _Result(200, None, None, None, outcome.input_tokens, outcome.source)
    code = _label(outcome.code) if isinstance(outcome, UpstreamError) else None
    # Anthropic's own word, which may be one that we do not know yet.
    own_word = isinstance(outcome, UpstreamError) and outcome.body is not None
    error_type = code if own_word else outcome.type
    return _Result(outcome.status, type(outcome).__name__, error_type, code, None, None)


def _label(value: object) -> str | None:
    """A caller's words as they may stand in a log: printable and bounded, or None."""
    if not isinstance(value, str) or not value:
        return None
    cut = value[:_LONGEST_LABEL]
    return cut if cut.isprintable() else cut.encode("unicode_escape").decode()[:_LONGEST_LABEL]


@cache
def _numbers() -> random.Random:
    """Where ids come from, which only have to differ: the system's own take longer than a count.

    Not the module's, which a host may have seeded, and not made before the first request: a server
    forks its workers before it.
    """
    return random.Random()  # noqa: S311 - they are no secrets
