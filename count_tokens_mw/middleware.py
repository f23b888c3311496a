"""A pure ASGI middleware: the three paths in front of any app, everything else untouched."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from count_tokens_mw.app import CountTokens
from count_tokens_mw.asgi.routes import path_below_mount

__all__ = ["CountTokensMiddleware"]

_LIFESPAN_CONTINUES: Final = "lifespan.startup.complete"


class CountTokensMiddleware:
    """Middleware that answers the three paths and passes all else to `app`, websockets included.

    All opened clients are closed at the end of the host's lifespan, before the server receives its
    message. A host without a lifespan closes them by `aclose`.

    Args:
        app: the host, or the middleware behind this one.
        count_tokens: the counter.
        path: the prefix of the three paths, such as the host's own `/llm`.
    """

    def __init__(self, app: ASGIApp, count_tokens: CountTokens, path: str = "") -> None:
        self.app = app
        self._count_tokens = count_tokens
        self._prefix = f"/{path.strip('/')}" if path.strip("/") else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._close_before(send))
            return
        app: ASGIApp = self.app
        if scope["type"] == "http":
            below = path_below_mount(scope)
            if below.startswith(self._prefix):
                endpoint = self._count_tokens.endpoints.get(below.removeprefix(self._prefix))
                app = endpoint or app
        await app(scope, receive, send)

    def _close_before(self, send: Send) -> Send:
        async def close_and_send(message: Message) -> None:
            if message["type"] != _LIFESPAN_CONTINUES:
                await self._count_tokens.aclose()
            await send(message)

        return close_and_send
