"""The gateway: its own API keys, access log, metrics and routes, and us beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from count_tokens_mw import Caller, Config, CountTokens, __version__
from count_tokens_mw.errors import error_type_of
from count_tokens_mw.fastapi import count_tokens_router
from count_tokens_mw.telemetry.prometheus import PrometheusHook
from demo_app.access_log import AccessLog
from demo_app.breakdown import breakdown_lines, read_object
from demo_app.events import LiveEvents
from demo_app.keys import DEMO_KEYS, ApiKey, authorize, caller_by, may_use, public_key
from demo_app.page import Page
from demo_app.upstreams import Upstreams


def create_app(config: Config, upstreams: Upstreams, keys: Sequence[ApiKey] = DEMO_KEYS) -> FastAPI:
    """The gateway. Whose counts are emulated is shown wherever a person looks."""
    registry = CollectorRegistry()
    prometheus, live = PrometheusHook(registry), LiveEvents(upstreams)
    count_tokens = CountTokens(config, authorize=authorize, hooks=[prometheus, live])
    prometheus.watch(count_tokens)
    known_caller = Depends(caller_by(keys))
    page = Page(directory=Path(__file__).with_name("page"))
    models = {each.model_name: each for each in config.deployments if "*" not in each.model_name}
    # While everybody knows the key, no web page may reach us by a name of its own for loopback.
    hosts = ["localhost", "127.0.0.1", "[::1]"] if public_key(keys) else ["*"]

    app = FastAPI(
        title="Demo gateway",
        version=__version__,
        description=f"Tokens are counted by: **{upstreams.words}**.",
        exception_handlers={HTTPException: in_envelope, Exception: in_envelope},
    )
    app.state.live = live
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.add_middleware(AccessLog, upstreams=upstreams)  # the last one is the outermost
    app.include_router(count_tokens_router(count_tokens, identity=known_caller))
    app.mount("/page", page)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return await page.get_response("index.html", request.scope)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "upstream": upstreams.words}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    @app.get("/v1/models")
    async def list_models(caller: Annotated[Caller, known_caller]) -> dict[str, Any]:
        ids = [name for name in models if may_use(caller, name)]
        about = {"type": "model", "created_at": "1970-01-01T00:00:00Z"}  # for: it is not known
        data = [{**about, "id": name, "display_name": name} for name in ids]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}

    @app.get("/demo/info")
    async def info() -> dict[str, Any]:
        told = [
            {"id": name, "provider": model.provider, "countable": model.params is not None}
            for name, model in models.items()
        ]
        known = {"version": __version__, "key": public_key(keys)}
        return {**known, "upstreams": upstreams.each, "models": told}

    @app.get("/demo/events", dependencies=[known_caller])
    async def events(request: Request) -> StreamingResponse:
        after = request.headers.get("last-event-id", "")
        stream = live.listen(int(after) if after.isdecimal() else 0)
        return StreamingResponse(stream, media_type="text/event-stream")

    @app.post("/demo/breakdown")
    async def breakdown(
        request: Request, caller: Annotated[Caller, known_caller]
    ) -> StreamingResponse:
        bounds = config.settings.max_body_bytes, config.settings.timeout
        body = await read_object(request, *bounds)
        lines = breakdown_lines(count_tokens, body, request, caller)
        end = BackgroundTask(lines.aclose)  # also when the client left
        return StreamingResponse(lines, media_type="application/x-ndjson", background=end)

    return app


async def in_envelope(request: Request, error: Exception) -> JSONResponse:
    """The gateway's own errors, as clients know them from Anthropic's API."""
    if not isinstance(error, HTTPException):
        error = HTTPException(500, "The gateway failed; its log says where.")
    request_id = f"req_{uuid4().hex}"
    told = {"type": error_type_of(error.status_code), "message": str(error.detail)}
    envelope = {"type": "error", "error": told, "request_id": request_id}
    headers = {**(error.headers or {}), "request-id": request_id}
    return JSONResponse(envelope, error.status_code, headers)
