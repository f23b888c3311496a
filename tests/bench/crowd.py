"""Many large counts at once against an upstream that takes its time: `python -m` sends them."""

import asyncio
import json
import sys
from typing import Final

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.bench.gateway import KEY, PATH

__all__ = ["slow_upstream"]

_SECONDS: Final = 3


def slow_upstream() -> Starlette:
    """Return an app that reads a body and answers a constant after some seconds."""

    async def answer(request: Request) -> JSONResponse:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        await asyncio.sleep(_SECONDS if size > 1000 else 0)
        return JSONResponse({"input_tokens": 14})

    return Starlette(routes=[Route(PATH, answer, methods=["POST"])])


async def _ask(url: str, counts: int, size: int) -> bool:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def count(number: int) -> int:
            text = f"{number} " + "some words of a long conversation\n" * (size // 36)
            message = {"role": "user", "content": text}
            raw = json.dumps({"model": "anthropic", "messages": [message]}).encode()
            async with session.post(url + PATH, data=raw, headers={"x-api-key": KEY}) as answer:
                return answer.status

        statuses = await asyncio.gather(*map(count, range(counts)))
    return set(statuses) == {200}


if __name__ == "__main__":
    url, counts, size = sys.argv[1:]
    sys.exit(not asyncio.run(_ask(url, int(counts), int(size))))
