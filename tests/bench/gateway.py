"""A gateway with CountTokens: authentication, authorisation, and a hook for every event.

BENCH_UPSTREAM is the base URL of the stub upstream.
"""

import gc
import os
from collections import Counter
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from count_tokens_mw import Caller, Config, CountEvent, CountTokens, CountTokensMiddleware, api_key

__all__ = ["KEY", "MODELS", "PATH", "config", "in_front", "mounted", "spare_the_collector"]

KEY: Final = "sk-of-the-benchmark"
PATH: Final = "/v1/messages/count_tokens"
MODELS: Final = ("anthropic", "bedrock", "gemini", "vertex-claude", "vertex-gemini")
"""The models of our gateway, one for each provider."""


def spare_the_collector() -> None:
    """Collect cycles after fifty thousand new objects, not seven hundred, as busy gateways do.

    https://docs.python.org/3/library/gc.html#gc.set_threshold
    """
    gc.set_threshold(50_000)


def mounted() -> Starlette:
    """Return CountTokens mounted into a Starlette application."""
    spare_the_collector()
    ours = _count_tokens()
    routes = [Route("/health", _health), Mount("/", ours)]
    return Starlette(routes=routes, lifespan=ours.lifespan)


def in_front() -> ASGIApp:
    """Return CountTokens in front of a Starlette application."""
    spare_the_collector()
    return CountTokensMiddleware(Starlette(routes=[Route("/health", _health)]), _count_tokens())


def config(upstream: str) -> Config:
    """Return a configuration with every provider, all at the stub upstream."""
    from tests.bench.google_account import service_account

    vertex = {
        "vertex_location": "us-east5",
        "vertex_credentials": service_account(f"{upstream}/token"),
        "api_base": upstream,
    }
    params: dict[str, dict[str, Any]] = {
        "anthropic": {
            "model": "anthropic/claude-sonnet-5",
            "api_key": "sk-ant-api03-bench",
            "api_base": upstream,
        },
        "bedrock": {
            "model": "bedrock/anthropic.claude-sonnet-5",
            "aws_region_name": "us-east-1",
            "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
            "aws_secret_access_key": "of-the-benchmark",
            "aws_bedrock_runtime_endpoint": upstream,
        },
        "gemini": {"model": "gemini/gemini-3.8-flash", "api_key": "bench", "api_base": upstream},
        "vertex-claude": {"model": "vertex_ai/claude-sonnet-5", **vertex},
        "vertex-gemini": {"model": "vertex_ai/gemini-3.8-flash", **vertex},
    }
    entries = [{"model_name": name, "litellm_params": params[name]} for name in MODELS]
    return Config.from_mapping({"model_list": entries, "count_tokens": {"timeout": 60}}, {})


def _count_tokens() -> CountTokens:
    events: Counter[int] = Counter()

    def hook(event: CountEvent) -> None:
        events[event.status] += 1

    def authorize(caller: Caller, model: str) -> bool:
        return caller.id == "bench" and model in MODELS

    return CountTokens(
        config(os.environ["BENCH_UPSTREAM"]),
        authenticate=api_key({KEY: "bench"}),
        authorize=authorize,
        hooks=[hook],
    )


async def _health(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")
