"""Long work for a client, which ends when the client leaves."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from count_tokens_mw.errors import ClientClosedRequest

__all__ = ["while_client_waits"]

T = TypeVar("T")


async def while_client_waits(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work returns; to be called once the request's body has been read.

    Raises:
        ClientClosedRequest: the client left before, and the work was cancelled.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientClosedRequest("The client left.")
        return await working
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
