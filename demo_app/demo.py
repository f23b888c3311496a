"""The demo: the gateway with a page, a live list of counts, and upstreams that may be emulated."""

from collections.abc import Sequence
from uuid import uuid4

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from count_tokens_mw import Config, CountError, __version__, api_key
from count_tokens_mw.errors import error_type_of
from demo_app import gateway
from demo_app.events import LiveEvents
from demo_app.keys import DEMO_KEYS, ApiKey, authorize, callers_of, public_key
from demo_app.labels import Labels
from demo_app.models import models_router
from demo_app.page import PageFiles, page_router
from demo_app.upstreams import Upstreams


def create_app(
    config: Config,
    upstreams: Upstreams,
    keys: Sequence[ApiKey] = DEMO_KEYS,
    address: str = "127.0.0.1",
) -> FastAPI:
    """Create the demo for a listening address; it marks emulated counts everywhere."""
    live, callers, key = LiveEvents(upstreams), callers_of(keys), public_key(keys)
    app = gateway.create_app(config, callers, live, authorize=authorize)
    app.title, app.version = "Demo gateway", __version__
    app.description = f"Tokens are counted by: **{upstreams.summary}**."
    app.state.live = live  # for the server to close when its shutdown begins
    for error in (CountError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(error, answer_error)
    # While the key is public, DNS rebinding must not let a web page reach the gateway.
    hosts = ["localhost", "127.0.0.1", "[::1]", address] if key else ["*"]
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.add_middleware(Labels, upstreams=upstreams)
    app.add_middleware(gateway.AccessLog)  # the last one is the outermost
    known_caller = Depends(api_key(callers))
    app.include_router(models_router(config, known_caller))
    count_tokens = app.state.count_tokens
    app.include_router(page_router(config, upstreams, count_tokens, live, known_caller, key))
    app.mount("/page", PageFiles())
    return app


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Answer each of the demo's own errors in the envelope of Anthropic's API."""
    headers: dict[str, str] = {}
    if isinstance(error, CountError):
        status, message, headers = error.status, error.message, dict(error.headers)
    elif isinstance(error, HTTPException):
        status, message, headers = error.status_code, str(error.detail), dict(error.headers or {})
    elif isinstance(error, RequestValidationError):
        status, message = 400, "The request is not valid."
    else:
        status, message = 500, "The gateway failed; its log has the traceback."
    request_id = headers["request-id"] = f"req_{uuid4().hex}"
    details = {"type": error_type_of(status), "message": message}
    body = {"type": "error", "error": details, "request_id": request_id}
    return JSONResponse(body, status, headers)
