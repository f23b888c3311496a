"""The gateway: its own API keys, access log, metrics and routes, and us beside them."""

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
    """The gateway, to listen on this address. Whose counts are emulated is shown everywhere."""
    registry = CollectorRegistry()
    prometheus, live = PrometheusHook(registry), LiveEvents(upstreams)
    count_tokens = CountTokens(config, authorize=authorize, hooks=[prometheus, live])
    prometheus.watch(count_tokens)
    known_caller = Depends(caller_by(keys))
    key = public_key(keys)
    # While everybody knows the key, no web page may reach us by a name of its own for loopback.
    hosts = ["localhost", "127.0.0.1", "[::1]", address] if key else ["*"]

    app = FastAPI(
        title="Demo gateway",
        version=__version__,
        description=f"Tokens are counted by: **{upstreams.words}**.",
        exception_handlers={HTTPException: in_envelope, Exception: in_envelope},
    )
    app.state.live = live  # for its server to close, when it begins to end
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.add_middleware(AccessLog, upstreams=upstreams)  # the last one is the outermost
    app.include_router(count_tokens_router(count_tokens, identity=known_caller))
    app.include_router(page_router(config, upstreams, count_tokens, live, known_caller, key))
    app.mount("/page", PageFiles())

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "upstream": upstreams.words}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    @app.get("/v1/models")
    async def list_models(caller: Annotated[Caller, known_caller]) -> dict[str, Any]:
        """Those that the key may use, as https://docs.claude.com/en/api/models-list has them."""
        ids = [model["id"] for model in models_of(config) if may_use(caller, model["id"])]
        model = {"type": "model", "created_at": "1970-01-01T00:00:00Z"}  # for: nobody knows
        data = [{**model, "id": each, "display_name": each} for each in ids]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}

    return app


async def in_envelope(request: Request, error: Exception) -> JSONResponse:
    """The gateway's own errors, as clients know them from Anthropic's API."""
    if not isinstance(error, HTTPException):
        error = HTTPException(500, "The gateway failed; its log says where.")
    request_id = f"req_{uuid4().hex}"
    words = {"type": error_type_of(error.status_code), "message": str(error.detail)}
    body = {"type": "error", "error": words, "request_id": request_id}
    headers = {**(error.headers or {}), "request-id": request_id}
    return JSONResponse(body, error.status_code, headers)
