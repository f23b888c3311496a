"""What is learnt about one request on its way; its event is made from this."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from count_tokens_mw.errors import ClientClosedRequest, CountError, UpstreamError
from count_tokens_mw.hooks import Attempt, CountEvent, Way
from count_tokens_mw.types import Caller, CountRequest, TokenCount

if TYPE_CHECKING:
    from count_tokens_mw.config_models import Deployment

__all__ = ["Trace"]

_LONGEST_LABEL = 256
_LEFT = ClientClosedRequest("")


class Trace:
    """Filled in step by step; `event()` can be asked for at any moment.

    The outcome is "the client left" until there is another, since a request that is cancelled
    gets no chance to say so. `answer_from` says which of the attempts gave the answer: the last
    one, unless told otherwise.
    """

    def __init__(self, way: Way, caller: Caller | None = None) -> None:
        self.way: Way = way
        self.request_id = f"req_{_numbers().getrandbits(128):032x}"
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
        if "x-claude-code-session-id" in headers:
            self.session_id = _label(headers["x-claude-code-session-id"])
        if "x-claude-code-agent-id" in headers:
            self.agent_id = _label(headers["x-claude-code-agent-id"])
        if "x-claude-code-parent-agent-id" in headers:
            self.parent_agent_id = _label(headers["x-claude-code-parent-agent-id"])

    def read_request(self, request: CountRequest) -> None:
        """Learn the model and, where no header told it, the end user."""
        self.model = _label(request.model)
        if request.user is not None:
            self.end_user = self.end_user or _label(request.user)

    def attempted(
        self, deployment: Deployment, outcome: TokenCount | CountError, started: float
    ) -> None:
        """Record one attempt that began at `started`, by `time.perf_counter()`."""
        status, error_type = _result(outcome)
        code = outcome.code if isinstance(outcome, UpstreamError) else None
        self.attempts.append(
            Attempt(
                deployment=deployment.id,
                provider=deployment.provider,
                upstream_model=_label(deployment.upstream_model) or "",
                status=status,
                error=_error(outcome),
                error_type=error_type,
                upstream_code=_label(code),
                upstream_request_id=outcome.headers.get("request-id"),
                source=outcome.source if isinstance(outcome, TokenCount) else None,
                started_at=self._started_at + started - self._started,
                duration=time.perf_counter() - started,
            )
        )

    def finish(self, outcome: TokenCount | CountError) -> None:
        """Keep the outcome; the request's duration ends here."""
        self.outcome = outcome
        self._duration = time.perf_counter() - self._started

    def event(self) -> CountEvent:
        """The event, as far as is known."""
        status, error_type = _result(self.outcome)
        count = self.outcome if isinstance(self.outcome, TokenCount) else None
        answered = self.attempts[self.answer_from] if self.attempts else None
        elapsed = time.perf_counter() - self._started
        return CountEvent(
            request_id=self.request_id,
            way=self.way,
            status=status,
            error=_error(self.outcome),
            error_type=error_type,
            input_tokens=count.input_tokens if count else None,
            source=count.source if count else None,
            caller=self.caller,
            end_user=self.end_user,
            session_id=self.session_id,
            agent_id=self.agent_id,
            parent_agent_id=self.parent_agent_id,
            model=self.model,
            deployment=answered.deployment if answered else None,
            provider=answered.provider if answered else None,
            upstream_model=answered.upstream_model if answered else None,
            upstream_request_id=answered.upstream_request_id if answered else None,
            attempts=tuple(self.attempts),
            started_at=self._started_at,
            duration=elapsed if self._duration is None else self._duration,
        )


def _error(outcome: TokenCount | CountError) -> str | None:
    return None if isinstance(outcome, TokenCount) else type(outcome).__name__


def _result(outcome: TokenCount | CountError) -> tuple[int, str | None]:
    if isinstance(outcome, TokenCount):
        return 200, None
    # Anthropic's own word, which may be one that we do not know yet.
    if isinstance(outcome, UpstreamError) and outcome.body is not None:
        return outcome.status, _label(outcome.code)
    return outcome.status, outcome.type


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
