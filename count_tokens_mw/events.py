"""The event of each request, whatever its outcome, and the host's hooks that receive it."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from count_tokens_mw.types import Caller, Source

__all__ = ["Attempt", "CountEvent", "EntryPoint", "Hook"]

EntryPoint: TypeAlias = Literal["count_tokens", "passthrough", "breakdown", "count", "other"]
"""Entry point of a request: one of the three HTTP endpoints (`breakdown` also without HTTP),
`CountTokens.count()`, or `other` for any other path under the gateway's prefix."""


class Attempt(NamedTuple):
    """Attempt to count a request by one deployment.

    Attributes:
        deployment: the id of the deployment.
        provider: the provider of the deployment.
        upstream_model: the model as the provider names it.
        status: the upstream's HTTP status, or the gateway's own if the upstream did not answer
            (502, 504) or was not called (501).
        error: the class name of the exception, as `UpstreamUnreachable`; None for a count.
        error_type: Anthropic's `error.type` for the error; None for a count.
        upstream_code: the upstream's own code for its error: Anthropic's `error.type`, Google's
            `status` or `reason`, AWS's exception, OpenAI's `code` or `type`; None for a count, or
            an error without a code.
        upstream_request_id: the `request-id` of the upstream's answer; None if there is none.
        source: the source of the count; `cache` if no call was made, None for an error.
        host: the host of the deployment's endpoint, with its port if the URL has one; None for a
            deployment without a counting API.
        started_at: the start in seconds since the epoch, as `time.time()`.
        duration: the duration in seconds.
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
    host: str | None
    started_at: float
    duration: float


# A named tuple, because creating a frozen dataclass of so many fields takes as long as auth does.
class CountEvent(NamedTuple):
    """Event of one request, created at its end; it holds no prompt content and no secret.

    Text that the caller chose (`model`, `end_user`, session and agent ids, `tags`, `omitted`) is
    escaped to printable characters and cut to 256.

    Attributes:
        request_id: the gateway's own id of the request, `req_...`.
        entry_point: the entry point of the request.
        status: the HTTP status of the answer. It is 499 if the client disconnected before its body
            was read or during a breakdown, or if the server cancelled the request. A later
            disconnect does not cancel a count.
        error: the class name of the exception, as `NotFound`; None for a count.
        error_type: Anthropic's `error.type` of the answer; None for a count.
        input_tokens: the count; None for an error.
        source: the source of the count; None for an error.
        caller: the caller that the host's `authenticate` or `identity` returned, or that the host
            passed to `count()` or `breakdown()`; None if there is none.
        end_user: the end user from a configured header, else from the body; None if neither names
            one.
        session_id: the session id of Claude Code, from its header, else from `metadata.user_id` of
            the body; None if neither has one.
        agent_id: the agent id of Claude Code; None without its header.
        parent_agent_id: the id of the parent of that agent; None without its header.
        model: the name that was authorised and looked up: without Claude Code's `[1m]`, and with
            an alias resolved. It is None if the request ended before its body was read, or the
            body was no count request.
        deployment: the id of the deployment whose attempt gave the answer; None without attempts.
        provider: the provider of that deployment; None without attempts.
        upstream_model: the model of that attempt as the provider names it; None without attempts.
        upstream_request_id: the `request-id` of the upstream's answer to that attempt; None if
            there is none.
        attempts: all attempts, in their order; empty if none was made.
        started_at: the arrival of the request in seconds since the epoch, as `time.time()`.
        duration: the seconds until the answer was ready.
        omitted: the places of the request that were left out of the count and may matter to it, at
            most 16, then `+N` for N more; empty for an error.
        unread: the fields `user`, `litellm_metadata`, `metadata` and `safety_identifier` that have
            more than 64 KB: they were not read for the end user.
        tags: the tags of the request, from the header `x-litellm-tags`, `litellm_metadata.tags` and
            `metadata.tags`: the first 16, each once.
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
    omitted: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the event as JSON data, with the caller's `id` as `caller`."""
        caller = self.caller.id if self.caller else None
        attempts = [attempt._asdict() for attempt in self.attempts]
        lists = {name: list(getattr(self, name)) for name in ("omitted", "unread", "tags")}
        return {**self._asdict(), "caller": caller, **lists, "attempts": attempts}


Hook: TypeAlias = Callable[[CountEvent], Awaitable[None] | None]
"""Callable, sync or async, that receives every event after the answer is sent.

A sync one runs on the event loop, so it has to be quick. An async one runs in a task of its own.
"""
