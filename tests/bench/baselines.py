"""The baselines of the benchmark, each as a factory for uvicorn.

BENCH_UPSTREAM is the base URL of the stub upstream.
"""

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.bench.gateway import KEY, PATH, spare_the_collector

__all__ = ["bare", "proxy", "route"]

_ANSWER: Final = b'{"input_tokens": 14}'
_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", b"20")]


def bare() -> ASGIApp:
    """Return an app that reads the body, hashes it, and answers a constant."""
    spare_the_collector()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("a bare app has no lifespan")
        digest = hashlib.sha256()
        more = True
        while more:
            message = await receive()
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        digest.digest()
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _ANSWER})

    return app


def route() -> ASGIApp:
    """Return a Starlette route that parses the JSON and answers a constant."""
    spare_the_collector()
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def answer(request: Request) -> JSONResponse:
        await request.json()
        return JSONResponse({"input_tokens": 14})

    return Starlette(routes=[Route(PATH, answer, methods=["POST"])])


def proxy() -> ASGIApp:
    """Return a proxy of Starlette and aiohttp that only passes on the body and the answer."""
    spare_the_collector()
    import aiohttp
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    url = os.environ["BENCH_UPSTREAM"] + PATH
    sessions: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            sessions.append(session)
            yield

    async def answer(request: Request) -> Response:
        body = await request.body()
        headers = {"content-type": "application/json", "x-api-key": KEY}
        async with sessions[0].post(url, data=body, headers=headers) as answer:
            return Response(await answer.read(), answer.status, media_type="application/json")

    return Starlette(routes=[Route(PATH, answer, methods=["POST"])], lifespan=lifespan)
