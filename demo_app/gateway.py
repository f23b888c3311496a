"""The gateway: its own API keys, its own access log, its own routes, and us beside them."""

import hmac
import logging
import time
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from count_tokens_mw import Caller, Config, CountEvent, CountTokens
from demo_app.upstreams import Upstreams

__all__ = ["API_KEYS", "AccessLog", "create_app"]

API_KEYS = {"sk-demo": "demo"}
"""Which key is whose. A real gateway has a database for that."""

_log = logging.getLogger("demo_app.access")


def key_owner(request: Request) -> str:
    """The owner of the request's API key, as `x-api-key` or as bearer; this gateway's own auth."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = request.headers.get("x-api-key") or (token if scheme.lower() == "bearer" else "")
    for known, owner in API_KEYS.items():
        if hmac.compare_digest(known.encode(), key.encode()):  # in constant time
            return owner
    raise HTTPException(401, "Unknown API key.", headers={"www-authenticate": "Bearer"})


def create_app(config: Config, upstreams: Upstreams) -> FastAPI:
    """The gateway. Whose counts are emulated is shown wherever a person looks."""
    upstream = upstreams.words
    count_tokens = CountTokens(config, authenticate=lambda request: Caller(key_owner(request)))
    app = FastAPI(
        title="Demo gateway",
        description=f"Tokens are counted by: **{upstream}**.",
        lifespan=count_tokens.lifespan,
    )
    app.add_middleware(AccessLog, upstreams=upstreams)
    app.router.routes.extend(count_tokens.routes)

    @app.get("/")
    def about() -> dict[str, str]:
        return {"gateway": "count_tokens_mw demo", "upstream": upstream, "documentation": "/docs"}

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok", "upstream": upstream}

    @app.get("/v1/models")
    def models(owner: Annotated[str, Depends(key_owner)]) -> dict[str, object]:
        names = [each.model_name for each in config.deployments if "*" not in each.model_name]
        return {"owner": owner, "data": [{"type": "model", "id": name} for name in names]}

    return app


class AccessLog:
    """One line for each request; for a count, with what its event says."""

    def __init__(self, app: ASGIApp, upstreams: Upstreams) -> None:
        self.app = app
        self.upstreams = upstreams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        started = time.perf_counter()
        status = 0

        async def send_labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                event = scope["state"].get("count_tokens")
                label = self.upstreams.label(event.provider if event else None)
                MutableHeaders(scope=message)["x-demo-upstream"] = label
            await send(message)

        try:
            await self.app(scope, receive, send_labelled)
        finally:
            took = (time.perf_counter() - started) * 1000
            words = [scope["method"], quote(scope["path"]), str(status), f"{took:.0f}ms"]
            event = scope["state"].get("count_tokens")
            _log.info(" ".join(words + (self._about(event) if event else [])))

    def _about(self, event: CountEvent) -> list[str]:
        facts = {
            "caller": event.caller.id if event.caller else None,
            "end_user": event.end_user,
            "model": event.model,
            "tokens": event.input_tokens,
            "error": event.error_type,
            # The client sees the upstream's id where there is one.
            "request_id": event.upstream_request_id or event.request_id,
            "upstream": self.upstreams.label(event.provider) if event.provider else None,
        }
        return [f"{name}={value}" for name, value in facts.items() if value is not None]
