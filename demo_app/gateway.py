"""A gateway to copy, started by `GATEWAY_KEYS="sk-a=team-a sk-b=team-b" python gateway.py`."""

import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import APIKeyHeader
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from count_tokens_mw import Config, CountError, CountTokens, Hook, KeyLookup, api_key
from count_tokens_mw.fastapi import count_tokens_router
from count_tokens_mw.telemetry.logging import log_fields
from count_tokens_mw.telemetry.prometheus import PrometheusHook

TEXT = {"type": "text", "text": "This gateway has no chat yet."}


def create_app(config: Config, keys: KeyLookup, *hooks: Hook, **options: Any) -> FastAPI:
    """Create the gateway; `keys` has the owner of each API key, `options` are `CountTokens`'s."""
    prometheus = PrometheusHook(registry := CollectorRegistry())
    count_tokens = CountTokens(config, hooks=[prometheus, *hooks], **options)
    prometheus.watch(count_tokens)
    known_caller = Depends(api_key(keys))
    in_docs = [Security(APIKeyHeader(name="x-api-key", auto_error=False))]
    app = FastAPI(dependencies=in_docs, exception_handlers={CountError: answer_refusal})
    app.state.count_tokens = count_tokens
    app.include_router(count_tokens_router(count_tokens, identity=known_caller))

    @app.post("/v1/messages", dependencies=[known_caller])
    async def chat(body: dict[str, Any]) -> Response:  # your own stands here
        events = list(message_events(body.get("model")))
        if not body.get("stream"):
            return JSONResponse(events[0]["message"] | events[4]["delta"] | {"content": [TEXT]})
        lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        return StreamingResponse(lines, media_type="text/event-stream")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics() -> Response:  # for your own network only
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


def message_events(model: object) -> Iterator[dict[str, Any]]:
    """Yield a message as https://docs.claude.com/en/api/messages-streaming describes it."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    usage = {"input_tokens": 0, "output_tokens": 0}
    yield {"type": "message_start", "message": message | {"usage": usage}}
    yield {"type": "content_block_start", "index": 0, "content_block": TEXT | {"text": ""}}
    yield {"type": "content_block_delta", "index": 0, "delta": TEXT | {"type": "text_delta"}}
    yield {"type": "content_block_stop", "index": 0}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": usage}
    yield {"type": "message_stop"}


async def answer_refusal(request: Request, error: CountError) -> Response:
    details = {"type": error.type, "message": error.message}
    return JSONResponse({"type": "error", "error": details}, error.status, error.headers)


class AccessLog:
    """The outermost layer, pure ASGI: a line for each answer, with the event of a count."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, state = time.perf_counter(), scope.setdefault("state", {})

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = (time.perf_counter() - started) * 1000
                facts = log_fields(event) if (event := state.get("count_tokens")) else "-"
                line = f"{scope['method']} {quote(scope['path'])} {message['status']} {took:.0f}ms"
                logging.getLogger("gateway").info("%s %s", line, facts)
            await send(message)

        await self.app(scope, receive, send_and_log)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    owners = dict(pair.rsplit("=", 1) for pair in os.environ["GATEWAY_KEYS"].split())
    app = AccessLog(create_app(Config.from_yaml(os.environ.get("CONFIG", "config.yaml")), owners))
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
    uvicorn.run(app, host=host, port=port, access_log=False, timeout_graceful_shutdown=60)
