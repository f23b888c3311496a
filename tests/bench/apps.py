"""What is measured, each as a factory for uvicorn: three bare baselines, and a gateway with us.

BENCH_UPSTREAM is the base URL of the stub upstream.
"""

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from count_tokens_mw import Caller, Config, CountEvent, CountTokens, api_key
from tests.bench.google_account import service_account

__all__ = ["KEY", "MODELS", "PATH", "bare", "config", "ours", "proxy", "route"]

KEY: Final = "sk-of-the-benchmark"
PATH: Final = "/v1/messages/count_tokens"
_ANSWER: Final = b'{"input_tokens": 14}'
_JSON: Final = [(b"content-type", b"application/json"), (b"content-length", b"20")]

MODELS: Final = ("anthropic", "vertex-claude", "bedrock", "gemini", "vertex-gemini")
"""The models of our gateway, one for each provider."""


def bare() -> ASGIApp:
    """(1) Reads the body, hashes it, answers a constant."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan here")
        digest = hashlib.sha256()
        more = True
        while more:
            message = await receive()
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        digest.digest()
        await send({"type": "http.response.start", "status": 200, "headers": _JSON})
        await send({"type": "http.response.body", "body": _ANSWER})

    return app


def route() -> ASGIApp:
    """A Starlette route that parses the JSON and answers a constant."""

    async def answer(request: Request) -> JSONResponse:
        await request.json()
        return JSONResponse({"input_tokens": 14})

    return Starlette(routes=[Route(PATH, answer, methods=["POST"]), *_health()])


def proxy() -> ASGIApp:
    """(2) Starlette and aiohttp: the body to the upstream, the answer back."""
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

    routes = [Route(PATH, answer, methods=["POST"]), *_health()]
    return Starlette(routes=routes, lifespan=lifespan)


def ours() -> ASGIApp:
    """A Starlette gateway with us in it: its auth, its authorisation, a hook for the events."""
    events: Counter[int] = Counter()

    def hook(event: CountEvent) -> None:
        events[event.status] += 1

    def authorize(caller: Caller, model: str) -> bool:
        return caller.id == "bench" and bool(model)

    count_tokens = CountTokens(
        config(os.environ["BENCH_UPSTREAM"], ttl=float(os.environ.get("BENCH_TTL", "300"))),
        authenticate=api_key({KEY: "bench"}),
        authorize=authorize,
        hooks=[hook],
    )
    return Starlette(routes=[*_health(), Mount("/", count_tokens)], lifespan=count_tokens.lifespan)


def config(upstream: str, *, ttl: float = 300) -> Config:
    """Every provider, all at the stub upstream."""
    vertex = {
        "vertex_location": "us-east5",
        "vertex_credentials": service_account(f"{upstream}/token"),
        "api_base": upstream,
    }
    params: dict[str, dict[str, Any]] = {
        "anthropic": {
            "model": "anthropic/claude-sonnet-4-5",
            "api_key": "sk-ant-api03-bench",
            "api_base": upstream,
        },
        "vertex-claude": {"model": "vertex_ai/claude-sonnet-4-5", **vertex},
        "bedrock": {
            "model": "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws_region_name": "us-east-1",
            "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
            "aws_secret_access_key": "of-the-benchmark",
            "aws_bedrock_runtime_endpoint": upstream,
        },
        "gemini": {"model": "gemini/gemini-2.5-pro", "api_key": "bench", "api_base": upstream},
        "vertex-gemini": {"model": "vertex_ai/gemini-2.5-pro", **vertex},
    }
    entries = [{"model_name": name, "litellm_params": {**each}} for name, each in params.items()]
    settings = {"cache": {"ttl": ttl}, "timeout": 60}
    return Config.from_mapping({"model_list": entries, "count_tokens": settings}, {})


def _health() -> list[Route]:
    async def health(_: Request) -> PlainTextResponse:
        await asyncio.sleep(0)
        return PlainTextResponse("ok")

    return [Route("/health", health)]
