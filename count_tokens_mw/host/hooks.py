"""Calls of the host's hooks; async ones run on after their request, within bounds."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from inspect import isawaitable, iscoroutine
from typing import Final

from count_tokens_mw.aio.guard import call_and_log, log_and_suppress, name_of_hook
from count_tokens_mw.aio.per_loop import PerLoop
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
    dropped.

    Args:
        hooks: the hooks, in the order of their calls.
        seconds: the time limit of one call of an async hook.
        drain_seconds: the time for which `aclose` waits before it cancels.
        most_pending: the number of calls of async hooks that may run at the same time.
        clock: the monotonic time in seconds.
    """

    def __init__(
        self,
        hooks: Iterable[Hook],
        *,
        seconds: float = _HOOK_SECONDS,
        drain_seconds: float = _DRAIN_SECONDS,
        most_pending: int = _MOST_PENDING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hooks = tuple(hooks)
        self._seconds = seconds
        self._drain_seconds = drain_seconds
        self._most_pending = most_pending
        self._clock = clock
        self._pending: PerLoop[set[asyncio.Task[None]]] = PerLoop(set)
        self._lost = 0
        self._next_warning_at = float("-inf")

    def emit(self, event: CountEvent) -> None:
        """Call each hook with the event, and start what the async ones return.

        An exception of a hook is logged and suppressed.
        """
        for hook in self._hooks:
            result = call_and_log(hook, event)
            if result is not None and isawaitable(result):
                self._start(hook, result)

    async def aclose(self) -> None:
        """Wait for the calls that run on this event loop; after `drain_seconds` cancel the rest."""
        # A hook that closes its own counter must not wait for itself.
        running = self._pending.get() - {asyncio.current_task()}
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=self._drain_seconds)
        if late:
            _logger.warning("%d calls of async hooks did not end before the close", len(late))
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=_CANCEL_SECONDS)  # a hook may ignore its cancellation

    def _start(self, hook: Hook, work: Awaitable[object]) -> None:
        pending = self._pending.get()
        if len(pending) >= self._most_pending:
            _close(work)
            self._warn_of_loss(hook, f"dropped, because {self._most_pending} calls still run")
            return
        task = asyncio.get_running_loop().create_task(_run(hook, work, self._seconds))
        pending.add(task)
        task.add_done_callback(pending.discard)
        task.add_done_callback(partial(self._finish, hook, work))

    def _finish(self, hook: Hook, work: Awaitable[object], task: asyncio.Task[None]) -> None:
        if task.cancelled():  # by `aclose`, or by the end of the event loop
            _close(work)
            self._warn_of_loss(hook, "cancelled")

    def _warn_of_loss(self, hook: Hook, reason: str) -> None:
        """Log that an event did not reach a hook, once a minute at most."""
        self._lost += 1
        now = self._clock()
        if now >= self._next_warning_at:
            self._next_warning_at = now + _WARNING_SECONDS
            message = "a call of %s was %s; calls lost since the last such warning: %d"
            _logger.warning(message, name_of_hook(hook), reason, self._lost)
            self._lost = 0


async def _run(hook: Hook, work: Awaitable[object], seconds: float) -> None:
    await log_and_suppress(hook, _limit(work, seconds))


async def _limit(work: Awaitable[object], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await work


def _close(work: Awaitable[object]) -> None:
    """Close a coroutine, or Python warns of one that was never awaited."""
    if iscoroutine(work):
        work.close()
