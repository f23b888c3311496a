"""The access log: a line for each request, and for a count also what its event says."""

import logging
import time
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from count_tokens_mw.telemetry.logging import log_fields
from demo_app.upstreams import Upstreams

_log = logging.getLogger("demo_app.access")


class AccessLog:
    """Pure ASGI, so that streams pass as they come. It also labels answers with who counted."""

    def __init__(self, app: ASGIApp, upstreams: Upstreams) -> None:
        self.app, self.upstreams = app, upstreams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        started = time.perf_counter()
        status = 500  # what an exception comes to, outside of us

        async def send_labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                labels = self.upstreams.labels(state.get("count_tokens"))
                MutableHeaders(scope=message).update(labels)
            await send(message)

        try:
            await self.app(scope, receive, send_labelled)
        finally:
            took = (time.perf_counter() - started) * 1000
            # Without the query, where a careless client may have put a key.
            words = [scope["method"], quote(scope["path"]), str(status), f"{took:.0f}ms"]
            if event := state.get("count_tokens"):
                words += [log_fields(event), f"upstream={self.upstreams.kind_of(event)}"]
            _log.info("%s", " ".join(words))
