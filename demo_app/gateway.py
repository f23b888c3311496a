"""The gateway: its own API keys, access log, metrics and routes, and token counting."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from count_tokens_mw import Caller, Config, CountTokens, __version__
from count_tokens_mw.errors import error_type_of
from count_tokens_mw.fastapi import count_tokens_router
from count_tokens_mw.telemetry.prometheus import PrometheusHook
from demo_app.access_log import AccessLog
from demo_app.events import LiveEvents
from demo_app.keys import DEMO_KEYS, ApiKey, authorize, caller_by, may_use, public_key
from demo_app.page import PageFiles, page_router
from demo_app.upstreams import Upstreams, models_of


def create_app(
    config: Config,
    upstreams: Upstreams,
    keys: Sequence[ApiKey] = DEMO_KEYS,
    address: str = "127.0.0.1",
) -> FastAPI:
    """Create the gateway for a listening address; it marks emulated counts everywhere."""
    registry = CollectorRegistry()
    prometheus, live = PrometheusHook(registry), LiveEvents(upstreams)
    count_tokens = CountTokens(config, authorize=authorize, hooks=[prometheus, live])
    prometheus.watch(count_tokens)
    known_caller = Depends(caller_by(keys))
    key = public_key(keys)
    # While the key is public, DNS rebinding must not let a web page reach the gateway.
    hosts = ["localhost", "127.0.0.1", "[::1]", address] if key else ["*"]

    app = FastAPI(
        title="Demo gateway",
        version=__version__,
        description=f"Tokens are counted by: **{upstreams.summary}**.",
        exception_handlers={HTTPException: answer_error, Exception: answer_error},
    )
    app.state.live = live  # for the server to close when its shutdown begins
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.add_middleware(AccessLog, upstreams=upstreams)  # the last one is the outermost
    app.include_router(count_tokens_router(count_tokens, identity=known_caller))
    app.include_router(page_router(config, upstreams, count_tokens, live, known_caller, key))
    app.mount("/page", PageFiles())

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "upstream": upstreams.summary}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    @app.get("/v1/models")
    async def list_models(caller: Annotated[Caller, known_caller]) -> dict[str, Any]:
        """List the models of the key, as https://docs.claude.com/en/api/models-list does."""
        ids = [model["id"] for model in models_of(config) if may_use(caller, model["id"])]
        model = {"type": "model", "created_at": "1970-01-01T00:00:00Z"}  # unknown
        data = [{**model, "id": id_, "display_name": id_} for id_ in ids]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}

    return app


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Answer the gateway's own errors in the envelope of Anthropic's API."""
    if not isinstance(error, HTTPException):
        error = HTTPException(500, "The gateway failed; its log has the traceback.")
    request_id = f"req_{uuid4().hex}"
    details = {"type": error_type_of(error.status_code), "message": str(error.detail)}
    body = {"type": "error", "error": details, "request_id": request_id}
    headers = {**(error.headers or {}), "request-id": request_id}
    return JSONResponse(body, error.status_code, headers)
