"""A pure ASGI middleware: our paths in front of any app, everything else untouched."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from count_tokens_mw.app import CountTokens
from count_tokens_mw.asgi.routes import path_below_mount

__all__ = ["CountTokensMiddleware"]

_ENDS: Final = {
    "lifespan.startup.failed",
    "lifespan.shutdown.complete",
    "lifespan.shutdown.failed",
}


class CountTokensMiddleware:
    """Answers our paths itself and passes all else to `app`, websockets and lifespan too.

    The clients that were opened are closed when the host's lifespan ends, before the server is
    told; a host that has no lifespan closes them by `aclose`.

    Args:
        app: the host, or the middleware behind this one.
        count_tokens: what answers.
        path: the prefix of our paths, such as the host's own `/llm`.
    """

    def __init__(self, app: ASGIApp, count_tokens: CountTokens, path: str = "") -> None:
        self.app = app
        self._count_tokens = count_tokens
        self._prefix = f"/{path.strip('/')}" if path.strip("/") else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._closing(send))
            return
        app: ASGIApp = self.app
        if scope["type"] == "http":
            below = path_below_mount(scope)
            if below.startswith(self._prefix):
                ours = self._count_tokens.endpoints.get(below.removeprefix(self._prefix))
                app = ours or app
        await app(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        async def send_closing(message: Message) -> None:
            if message["type"] in _ENDS:
                await self._count_tokens.aclose()
            await send(message)

        return send_closing
