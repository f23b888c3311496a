"""An upstream under a test's control, and a demo gateway whose models lead to it."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from count_tokens_mw import Config
from demo_app.demo import create_app
from demo_app.emulators import count
from demo_app.keys import DEMO_KEYS, ApiKey
from demo_app.loopback import serving
from demo_app.upstreams import Upstreams

__all__ = ["AT_ONCE", "QUICK", "SLOW", "StubUpstream", "serve_gateway"]

QUICK: Final = "claude-quick"
SLOW: Final = "claude-slow"
AT_ONCE: Final = 4
"""The concurrency of a breakdown at such a gateway."""

Predicate: TypeAlias = Callable[[str], bool]
"""A predicate on the text of a request's body."""

_TOO_LONG: Final = 30  # seconds; a longer wait is a failure


class StubUpstream:
    """Anthropic's counting API as an ASGI app, which holds and refuses requests on demand.

    `bodies` has the requests, and `left` is the number of callers that left without an answer.
    Its counts are the emulator's.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.left = 0
        self._changed = threading.Condition()
        self._held: Predicate = lambda text: False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._refused: list[tuple[Predicate, int, str]] = []

    def hold(self, which: Predicate) -> None:
        """Hold matching requests from now on."""
        self._held = which

    def release(self) -> None:
        """Answer all held requests, and hold no more."""
        with self._changed:
            self._held = lambda text: False
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    def refuse(self, which: Predicate, status: int, message: str) -> None:
        """Answer matching requests with an error."""
        self._refused.append((which, status, message))

    def bodies_with(self, text: str) -> list[dict[str, Any]]:
        """Return the requests that contain a text."""
        return [body for body in self.bodies if text in json.dumps(body, ensure_ascii=False)]

    async def until(self, condition: Callable[["StubUpstream"], bool]) -> None:
        """Wait until a condition is true of this upstream."""
        assert await asyncio.to_thread(self._wait_for, condition), (len(self.bodies), self.left)

    def _wait_for(self, condition: Callable[["StubUpstream"], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), _TOO_LONG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            if (response := await self._answer(request)) is not None:
                await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        body = json.loads(await request.body())
        text = json.dumps(body, ensure_ascii=False)
        if not await self._wait_while_held(body, text, request.receive):
            return None
        for which, status, message in self._refused:
            if which(text):
                error = {"type": "invalid_request_error", "message": message}
                return JSONResponse({"type": "error", "error": error}, status)
        return JSONResponse({"input_tokens": count(body)})

    async def _wait_while_held(self, body: dict[str, Any], text: str, receive: Receive) -> bool:
        """Wait while the request is held; return false where the caller left meanwhile."""
        released = asyncio.Event()
        waiting = (asyncio.get_running_loop(), released)
        with self._changed:
            self.bodies.append(body)
            is_held = self._held(text)
            if is_held:
                self._waiting.add(waiting)
            self._changed.notify_all()
        if not is_held:
            return True
        waits = {asyncio.ensure_future(released.wait()), asyncio.ensure_future(receive())}
        _, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        with self._changed:
            self._waiting.discard(waiting)
            self.left += not released.is_set()
            self._changed.notify_all()
        return released.is_set()


@contextmanager
def serve_gateway(
    upstream: StubUpstream, *, keys: Sequence[ApiKey] = DEMO_KEYS, live: bool = False
) -> Iterator[str]:
    """Serve a demo gateway whose two models lead to the upstream, and yield its base URL.

    With `live`, the gateway takes the upstream for the provider itself.
    """
    with serving(upstream) as url:
        params = {"api_key": "sk-upstream", "api_base": url}
        models = [
            {
                "model_name": name,
                "litellm_params": {**params, "model": f"anthropic/{name}"},
            }
            for name in (QUICK, SLOW)
        ]
        settings = {"breakdown": {"max_concurrency": AT_ONCE}}
        config = Config.from_mapping({"model_list": models, "count_tokens": settings}, {})
        app = create_app(config, Upstreams(frozenset({"anthropic"} if live else ())), keys)
        with serving(app, app.state.live.close) as gateway:
            try:
                yield gateway
            finally:
                upstream.release()
