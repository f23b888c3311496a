"""Where the tokens go, told while it is being found out, as JSON lines."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from count_tokens_mw import Caller, CountError, CountTokens, Settings


async def read_object(request: Request, settings: Settings) -> dict[str, Any]:
    """The JSON object that a request's body is, within the bounds of a count's."""
    raw = bytearray()
    try:
        async with asyncio.timeout(settings.timeout):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > settings.max_body_bytes:
                    raise HTTPException(413, "The request body is too large.")
        return dict[str, Any](json.loads(raw).items())
    except TimeoutError:
        raise HTTPException(504, "The request body did not arrive in time.") from None
    except ClientDisconnect:
        raise HTTPException(499, "The client left.") from None  # for the access log
    except (AttributeError, ValueError, RecursionError):
        raise HTTPException(400, "The request body is not a JSON object.") from None


async def breakdown_lines(
    count_tokens: CountTokens, body: dict[str, Any], request: Request, caller: Caller
) -> AsyncGenerator[str, None]:
    """A line for each count that it takes, and at last what came of it. Closed, it stops."""
    news: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def progress(done: int, total: int) -> None:
        news.put_nowait({"done": done, "total": total})

    async def work() -> None:
        try:
            found = await count_tokens.breakdown(
                body, headers=request.headers, caller=caller, progress=progress
            )
            news.put_nowait({"breakdown": found.as_dict()})
        except CountError as error:
            words = {"status": error.status, "type": error.type, "message": error.message}
            news.put_nowait({"error": words})

    working = asyncio.create_task(work())
    line = {"done": 0}
    try:
        while "done" in line:
            line = await news.get()
            yield json.dumps(line) + "\n"
    finally:
        working.cancel()
