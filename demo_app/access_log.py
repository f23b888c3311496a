"""The access log: a line for each request, and for a count also the facts of its event."""

import logging
import time
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from count_tokens_mw.telemetry.logging import log_fields
from demo_app.upstreams import Upstreams

_log = logging.getLogger("demo_app.access")


class AccessLog:
    """A pure ASGI middleware, which buffers no stream; it labels responses with their upstream."""

    def __init__(self, app: ASGIApp, upstreams: Upstreams) -> None:
        self.app, self.upstreams = app, upstreams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        started = time.perf_counter()
        status = 500  # an exception that passes here becomes a 500 further out

        async def send_with_labels(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                labels = self.upstreams.labels(state.get("count_tokens"))
                MutableHeaders(scope=message).update(labels)
            await send(message)

        try:
            await self.app(scope, receive, send_with_labels)
        finally:
            took = (time.perf_counter() - started) * 1000
            # The query is left out, because a careless client may have put a key there.
            fields = [scope["method"], quote(scope["path"]), str(status), f"{took:.0f}ms"]
            if event := state.get("count_tokens"):
                fields += [log_fields(event), f"upstream={self.upstreams.kind_of(event)}"]
            _log.info("%s", " ".join(fields))
