"""One event for each request, whatever its end, and the host's hooks that receive it."""

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import anyio

from count_tokens_mw.aio.guard import log_and_suppress
from count_tokens_mw.types import Caller, Source

__all__ = ["Attempt", "CountEvent", "EntryPoint", "Hook", "run_hooks"]

_HOOK_SECONDS: Final = 10

EntryPoint: TypeAlias = Literal["count_tokens", "passthrough", "breakdown", "count", "other"]
"""Which way a request came in: one of our three paths (a breakdown without HTTP too),
`CountTokens.count()`, or a path that is none of ours under a prefix that is."""


class Attempt(NamedTuple):
    """One deployment that was tried. `started_at` is in seconds since the epoch, as `time.time()`,
    and `duration` in seconds.

    `status` is the upstream's HTTP status, or ours where it did not answer (502, 504) or was not
    asked (501). `error` is the name of our exception for it, as `UpstreamUnreachable`, and None for
    a count, like `error_type`. `upstream_code` is the upstream's own name for
    its error: Anthropic's `error.type`, Google's `status` or `reason`, AWS's exception. `source` is
    None unless there was a count; from the cache, nobody was asked.
    """

    deployment: str
    provider: str
    upstream_model: str
    status: int
    error: str | None
    error_type: str | None
    upstream_code: str | None
    upstream_request_id: str | None
    source: Source | None
    started_at: float
    duration: float


# Named tuples, since a frozen dataclass of so many fields takes as long to make as auth does.
class CountEvent(NamedTuple):
    """What is known of one request at its end; never prompt content, never a secret.

    Everything that the caller worded (`model`, `end_user`, the ids) is printable and cut to 256
    characters. `model` is the name that `authorize` was asked about and that was looked up: without
    Claude Code's `[1m]`, and with an alias resolved. `status` is 499 where the client left before
    its body was read, or where the server cancelled the request; a count that is under way is
    finished all the same. `deployment`, `provider`, `upstream_model` and `upstream_request_id` are
    those of the attempt whose answer was given. `started_at` is when the request arrived, in
    seconds since the epoch, and `duration` the seconds until its answer was ready.
    """

    request_id: str
    entry_point: EntryPoint
    status: int
    error: str | None
    error_type: str | None
    input_tokens: int | None
    source: Source | None
    caller: Caller | None
    end_user: str | None
    session_id: str | None
    agent_id: str | None
    parent_agent_id: str | None
    model: str | None
    deployment: str | None
    provider: str | None
    upstream_model: str | None
    upstream_request_id: str | None
    attempts: tuple[Attempt, ...]
    started_at: float
    duration: float

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON could hold it: of the caller its `id`, and the attempts as dicts."""
        caller = self.caller.id if self.caller else None
        attempts = [attempt._asdict() for attempt in self.attempts]
        return {**self._asdict(), "caller": caller, "attempts": attempts}


Hook: TypeAlias = Callable[[CountEvent], Awaitable[None] | None]
"""Receives every event, after the answer was sent; sync ones run on the event loop."""


async def run_hooks(
    hooks: Iterable[Hook], event: CountEvent, *, seconds: float = _HOOK_SECONDS
) -> None:
    """Call each hook with the event; one that raises is logged and changes nothing.

    Also where the request was cancelled. An async hook has its `seconds`, so that one which hangs
    does not hold its request for ever.
    """
    for hook in hooks:
        with log_and_suppress(hook):
            result = hook(event)
            if result is not None and isawaitable(result):
                with anyio.move_on_after(seconds, shield=True) as time_limit:
                    await result
                if time_limit.cancelled_caught:
                    raise TimeoutError
