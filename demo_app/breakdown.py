"""The breakdown of a count as JSON lines, with its progress."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from count_tokens_mw import Caller, CountError, CountTokens, Settings


async def read_object(request: Request, settings: Settings) -> dict[str, Any]:
    """Read the JSON object in a request's body, within the limits of a count."""
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
    """Yield a line for each count done, then the result or the error; closing cancels the work."""
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def progress(done: int, total: int) -> None:
        lines.put_nowait({"done": done, "total": total})

    async def work() -> None:
        try:
            breakdown = await count_tokens.breakdown(
                body, headers=request.headers, caller=caller, progress=progress
            )
            lines.put_nowait({"breakdown": breakdown.as_dict()})
        except CountError as error:
            details = {"status": error.status, "type": error.type, "message": error.message}
            lines.put_nowait({"error": details})

    task = asyncio.create_task(work())
    line = {"done": 0}
    try:
        while "done" in line:
            line = await lines.get()
            yield json.dumps(line) + "\n"
    finally:
        task.cancel()
