"""The disconnect of a request's client, which cancels the work for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar, cast

from starlette.requests import Request

from count_tokens_mw.errors import ClientClosedRequest

__all__ = ["DisconnectWatch"]

T = TypeVar("T")

_WATCHED_AFTER_SECONDS: Final = 0.1


class DisconnectWatch:
    """Watch for the disconnect of a request's client, which cancels the task that starts it.

    The request's body must have been read before. Short work is never watched. If a middleware of
    the host hides the disconnect, the work runs to its end.
    """

    __slots__ = ("_cancelling", "_has_left", "_request", "_task", "_timer", "_watcher")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._task: asyncio.Task[Any] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watch from soon on, for as long as `run` does; a second start has no effect."""
        if self._task is None:
            self._task = cast("asyncio.Task[Any]", asyncio.current_task())
            self._cancelling = self._task.cancelling()
            self._has_left = False
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_WATCHED_AFTER_SECONDS, self._begin)

    async def run(self, work: Awaitable[T]) -> T:
        """Await the work, which may start the watch, and return its result.

        Raises:
            ClientClosedRequest: the client disconnected, and the work was cancelled.
        """
        try:
            return await work
        except asyncio.CancelledError:
            if self._is_cancelled_alone():
                raise ClientClosedRequest("The client left.") from None
            raise
        finally:
            self._end()

    def _is_cancelled_alone(self) -> bool:
        """Return whether the client has left, and nothing else has cancelled the task."""
        task = self._task
        return task is not None and self._has_left and task.cancelling() == self._cancelling + 1

    def _end(self) -> None:
        """End the watch, and take back its cancellation."""
        if self._task is None:
            return
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._has_left:
            self._task.uncancel()

    def _begin(self) -> None:
        self._watcher = asyncio.ensure_future(self._watch())
        self._watcher.add_done_callback(_retrieve)

    async def _watch(self) -> None:
        message = await self._request.receive()
        if message["type"] == "http.disconnect" and self._task is not None:
            self._has_left = True
            self._task.cancel()


def _retrieve(task: asyncio.Task[None]) -> None:
    # asyncio would log the exception of a host's `receive` with its text.
    if not task.cancelled():
        task.exception()
