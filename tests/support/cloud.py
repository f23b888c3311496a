"""Emulated clouds over real loopback HTTP, and a gateway in front of them."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Unpack

from starlette.types import ASGIApp, Receive, Scope, Send

from count_tokens_mw import CountTokens
from count_tokens_mw.app import Options
from demo_app.emulators import (
    EMULATED_ACCESS_KEY_ID,
    EMULATED_REGION,
    EMULATED_SECRET_ACCESS_KEY,
    EmulatedGoogle,
)
from demo_app.loopback import serving
from tests.support.fakes import FakeUpstream, count_tokens_with

CLAUDE_ON_BEDROCK = "anthropic.claude-3-5-sonnet-20241022-v2:0"
NEW_CLAUDE_ON_BEDROCK = "anthropic.claude-opus-4-8"
_ENDING = ThreadPoolExecutor(4, "ending")  # uvicorn takes 0.1 s for it
AWS_KEYS = {
    "aws_access_key_id": EMULATED_ACCESS_KEY_ID,
    "aws_secret_access_key": EMULATED_SECRET_ACCESS_KEY,
}


class Watched:
    """An ASGI app that records the path and the headers of each request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.paths.append(scope["path"])
            self.headers.append(
                {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            )
        await self.app(scope, receive, send)


class Cloud(Watched):
    """A watched app and its URL."""

    url: str = ""


@contextmanager
def cloud(app: ASGIApp) -> Iterator[Cloud]:
    """Serve an app for as long as a `with` lasts; its server ends while the next test begins."""
    watched, stack = Cloud(app), ExitStack()
    watched.url = stack.enter_context(serving(watched))
    try:
        yield watched
    finally:
        _ENDING.submit(stack.close)


def bedrock_params(url: str, **more: Any) -> dict[str, Any]:
    """Return the parameters of an emulated Bedrock; a value of None removes a parameter."""
    params = {
        "model": f"bedrock/{CLAUDE_ON_BEDROCK}",
        "aws_region_name": EMULATED_REGION,
        "aws_bedrock_runtime_endpoint": url,
        "aws_bedrock_mantle_endpoint": f"{url}/anthropic",
        **AWS_KEYS,
        **more,
    }
    return {name: value for name, value in params.items() if value is not None}


def vertex_params(google: EmulatedGoogle, url: str, model: str, **more: Any) -> dict[str, Any]:
    """Return the parameters of an emulated Vertex AI."""
    return {
        "model": f"vertex_ai/{model}",
        "vertex_project": "my-project",
        "vertex_location": "us-east5",
        "vertex_credentials": google.service_account(f"{url}/token"),
        "api_base": url,
        **more,
    }


@asynccontextmanager
async def counting(
    params: dict[str, Any], model_info: dict[str, Any] | None = None, **options: Unpack[Options]
) -> AsyncIterator[CountTokens]:
    """Yield a counter with one deployment, `m`, that opens its own clients."""
    entry = {"model_name": "m", "litellm_params": params, "model_info": model_info}
    all_options: Options = {"http_client": None, **options}
    count_tokens = count_tokens_with(
        FakeUpstream(), {"model_list": [entry]}, environ={}, **all_options
    )
    async with count_tokens.lifespan():
        yield count_tokens
