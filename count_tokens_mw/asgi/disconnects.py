"""Long work for a client, which ends when the client leaves."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from anyio import CancelScope
from starlette.requests import Request

from count_tokens_mw.errors import ClientClosedRequest

__all__ = ["cancel_on_disconnect"]

T = TypeVar("T")


async def cancel_on_disconnect(request: Request, work: Awaitable[T]) -> T:
    """What the work returns; to be called once the request's body has been read.

    A host whose middleware does not tell that the client left, but the body once more for
    instance, has it done to its end.

    Raises:
        ClientClosedRequest: the client left before, and the work was cancelled.
    """
    with CancelScope() as scope:
        watching = asyncio.ensure_future(_cancel_when_left(request, scope))
        watching.add_done_callback(_retrieve)
        try:
            return await work
        finally:
            watching.cancel()
    raise ClientClosedRequest("The client left.")


async def _cancel_when_left(request: Request, scope: CancelScope) -> None:
    message = await request.receive()
    if message["type"] == "http.disconnect":
        scope.cancel()


def _retrieve(task: asyncio.Task[None]) -> None:
    # asyncio would log the exception of a host's `receive` with its text.
    if not task.cancelled():
        task.exception()
