"""The labels of the demo's answers: the provider that gave each, and whether it is emulated."""

import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo_app.upstreams import Upstreams

__all__ = ["Labels"]


class Labels:
    """A pure ASGI middleware that adds headers with the upstream and the time in the gateway.

    https://www.w3.org/TR/server-timing/
    """

    def __init__(self, app: ASGIApp, upstreams: Upstreams) -> None:
        self.app, self.upstreams = app, upstreams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, state = time.perf_counter(), scope.setdefault("state", {})

        async def send_with_labels(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = (time.perf_counter() - started) * 1000
                headers = MutableHeaders(scope=message)
                headers.update(self.upstreams.labels(state.get("count_tokens")))
                headers["server-timing"] = f"gateway;dur={took:.1f}"
            await send(message)

        await self.app(scope, receive, send_with_labels)
