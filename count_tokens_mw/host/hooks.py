"""Calls of the host's hooks; async ones run on after their request, within bounds."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from functools import partial
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import Any, Final

from count_tokens_mw.aio.guard import call_and_log, log_and_suppress, name_of_hook
from count_tokens_mw.aio.per_loop import PerLoop
from count_tokens_mw.aio.throttle import LogThrottle
from count_tokens_mw.events import CountEvent, Hook

__all__ = ["HookRunner"]

_HOOK_SECONDS: Final = 10
_DRAIN_SECONDS: Final = 5
_CANCEL_SECONDS: Final = 1
_MOST_PENDING: Final = 1000
_WARNING_SECONDS: Final = 60

_logger = logging.getLogger("count_tokens_mw")


class HookRunner:
    """Runner of the host's hooks; no request fails by one, and none waits for an async one.

    A sync hook is called at once. An async hook runs in a task of its own, in the context of the
    request, with a time limit. The calls of one hook start in the order of the events, and may
    overlap. Beyond `most_pending` calls on one event loop, further calls of async hooks are
    dropped. A hook with an async method `drain` has work of its own, which `aclose` waits for too.

    Args:
        hooks: the hooks, in the order of their calls.
        seconds: the time limit of one call of an async hook; None is none.
        drain_seconds: the time for which `aclose` waits before it cancels.
        most_pending: the number of calls of async hooks that may run at the same time.
        failures: the throttle of the log of failed calls of async hooks; None logs each.
        clock: the monotonic time in seconds.
    """

    def __init__(
        self,
        hooks: Iterable[Hook],
        *,
        seconds: float | None = _HOOK_SECONDS,
        drain_seconds: float = _DRAIN_SECONDS,
        most_pending: int = _MOST_PENDING,
        failures: LogThrottle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hooks = tuple(hooks)
        self._seconds = seconds
        self._drain_seconds = drain_seconds
        self._most_pending = most_pending
        self._failures = failures
        self._losses = LogThrottle(_WARNING_SECONDS, clock)
        self._pending: PerLoop[set[asyncio.Task[None]]] = PerLoop(set)

    def emit(self, event: CountEvent) -> None:
        """Call each hook with the event, and start what the async ones return.

        An exception of a hook is logged and suppressed.
        """
        for hook in self._hooks:
            result = call_and_log(hook, event)
            if result is not None and isawaitable(result):
                self._start(hook, result)

    async def aclose(self) -> None:
        """Wait for the calls that run on this event loop; after `drain_seconds` cancel the rest.

        If the wait itself is cancelled, so are the calls.
        """
        # A hook that closes its own counter must not wait for itself.
        running = self._pending.get() - {asyncio.current_task()}
        running |= {asyncio.ensure_future(draining) for draining in self._drains()}
        if not running:
            return
        late = running
        try:
            _, late = await asyncio.wait(running, timeout=self._drain_seconds)
        finally:
            for task in late:
                task.cancel()
        if late:
            _logger.warning("%d calls of async hooks did not end before the close", len(late))
            await asyncio.wait(late, timeout=_CANCEL_SECONDS)  # a hook may ignore its cancellation

    def _drains(self) -> Iterator[Coroutine[Any, Any, None]]:
        for hook in self._hooks:
            drain = getattr(hook, "drain", None)
            if iscoroutinefunction(drain):
                yield log_and_suppress(hook, drain())

    def _start(self, hook: Hook, work: Awaitable[object]) -> None:
        pending = self._pending.get()
        if len(pending) >= self._most_pending:
            _close(work)
            self._warn_of_loss(hook, f"dropped, because {self._most_pending} calls still run")
            return
        running = _run(hook, work, self._seconds, self._failures)
        task = asyncio.get_running_loop().create_task(running)
        pending.add(task)
        task.add_done_callback(pending.discard)
        task.add_done_callback(partial(self._finish, hook, work))

    def _finish(self, hook: Hook, work: Awaitable[object], task: asyncio.Task[None]) -> None:
        if task.cancelled():  # by `aclose`, or by the end of the event loop
            _close(work)
            self._warn_of_loss(hook, "cancelled")

    def _warn_of_loss(self, hook: Hook, reason: str) -> None:
        """Log that an event did not reach a hook, once a minute at most."""
        if lost := self._losses.admit():
            message = "a call of %s was %s; calls lost since the last such warning: %d"
            _logger.warning(message, name_of_hook(hook), reason, lost)


async def _run(
    hook: Hook, work: Awaitable[object], seconds: float | None, failures: LogThrottle | None
) -> None:
    await log_and_suppress(hook, _limit(work, seconds), failures)


async def _limit(work: Awaitable[object], seconds: float | None) -> None:
    async with asyncio.timeout(seconds):
        await work


def _close(work: Awaitable[object]) -> None:
    """Close a coroutine, or Python warns of one that was never awaited."""
    if iscoroutine(work):
        work.close()
