"""The last counts of this gateway, live: a hook that keeps them, and a stream that tells them."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator
from itertools import count

from count_tokens_mw import CountEvent
from demo_app.upstreams import Upstreams


class LiveEvents:
    """A hook that keeps the last events, and tells them and each new one to all who listen.

    A listener is no more than a place in the one list: a slow one loses the oldest, holds nobody
    up, and costs nothing. There is no lock, since all of it is on one event loop: that of the
    server, which runs a sync hook where it serves the request.
    """

    def __init__(self, upstreams: Upstreams, *, most: int = 50, keep_alive: float = 15) -> None:
        self._upstreams = upstreams
        self._keep_alive = keep_alive
        self._last: deque[tuple[int, str]] = deque(maxlen=most)
        self._ids = count(int(time.time() * 1000))  # higher than those of before a restart
        self._news = asyncio.Event()
        self._is_open = True

    def __call__(self, event: CountEvent) -> None:
        number = next(self._ids)
        told = {"entry_point": event.entry_point, **self._upstreams.facts_of(event)}
        told |= {"id": number, "at": event.started_at, "status": event.status}
        told |= {"duration_ms": round(event.duration * 1000, 1), "attempts": len(event.attempts)}
        data = json.dumps(told)
        self._last.append((number, f"id: {number}\nevent: count\ndata: {data}\n\n"))
        self._wake()

    def close(self) -> None:
        """End all streams. A server that ends waits for them before it ends the lifespan."""
        self._is_open = False
        self._wake()

    async def listen(self, after: int) -> AsyncGenerator[str, None]:
        """The text of a stream: the events after an id, as far as they are kept, and then all."""
        yield ": connected\n\n"  # so that the client hears something at once
        while self._is_open:
            fresh = next((each for each in self._last if each[0] > after), None)
            if fresh:
                after, text = fresh
                yield text
                continue
            try:
                async with asyncio.timeout(self._keep_alive):
                    await self._news.wait()
            except TimeoutError:
                yield ": keep-alive\n\n"

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
