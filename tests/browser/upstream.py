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
from demo_app.emulators import count
from demo_app.gateway import create_app
from demo_app.keys import DEMO_KEYS, ApiKey
from demo_app.loopback import serving
from demo_app.upstreams import Upstreams

__all__ = ["AT_ONCE", "QUICK", "SLOW", "ToldUpstream", "gateway_to"]

QUICK: Final = "claude-quick"
SLOW: Final = "claude-slow"
AT_ONCE: Final = 4
"""So many counts does a breakdown there take at a time."""

Which: TypeAlias = Callable[[str], bool]
"""Told by the text of a request's body."""

_TOO_LONG: Final = 30  # what does not come until then is a failure


class ToldUpstream:
    """Anthropic's counting API as an ASGI app, which holds and refuses what it is told to.

    `bodies` are the requests that came, and `left` is how many callers went without an answer.
    Its counts are the emulator's.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.left = 0
        self._changed = threading.Condition()
        self._held: Which = lambda text: False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._refused: list[tuple[Which, int, str]] = []

    def hold(self, which: Which) -> None:
        """Let some wait from now on."""
        self._held = which

    def release(self) -> None:
        """Hold nobody any more."""
        with self._changed:
            self._held = lambda text: False
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    def refuse(self, which: Which, status: int, message: str) -> None:
        """Answer some with an error."""
        self._refused.append((which, status, message))

    def bodies_with(self, word: str) -> list[dict[str, Any]]:
        """The requests that came and have the word."""
        return [body for body in self.bodies if word in json.dumps(body, ensure_ascii=False)]

    async def until(self, true: Callable[["ToldUpstream"], bool]) -> None:
        """Wait until something is true of it."""
        assert await asyncio.to_thread(self._wait_for, true), (len(self.bodies), self.left)

    def _wait_for(self, true: Callable[["ToldUpstream"], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: true(self), _TOO_LONG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            if (response := await self._answer(request)) is not None:
                await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        body = json.loads(await request.body())
        text = json.dumps(body, ensure_ascii=False)
        if not await self._may_go_on(body, text, request.receive):
            return None
        for which, status, message in self._refused:
            if which(text):
                error = {"type": "invalid_request_error", "message": message}
                return JSONResponse({"type": "error", "error": error}, status)
        return JSONResponse({"input_tokens": count(body)})

    async def _may_go_on(self, body: dict[str, Any], text: str, receive: Receive) -> bool:
        """Wait where it is held; false where the caller left before the end of that."""
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
def gateway_to(
    upstream: ToldUpstream, *, keys: Sequence[ApiKey] = DEMO_KEYS, live: bool = False
) -> Iterator[str]:
    """The base URL of a demo gateway with two models, both of which the upstream counts.

    Where it is said to be `live`, the gateway takes it for the provider itself.
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
