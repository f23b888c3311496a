"""The last counts of this gateway, live: a hook that keeps them, and a stream that sends them."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator
from itertools import count

from count_tokens_mw import CountEvent
from demo_app.upstreams import Upstreams


class LiveEvents:
    """A hook that keeps the last events, and streams them and each new one to all listeners.

    A listener is only a position in the shared list. A slow listener loses the oldest events,
    delays no other and costs no memory. There is no lock, because everything runs on the event
    loop of the server, a sync hook included.
    """

    def __init__(self, upstreams: Upstreams, *, most: int = 50, keep_alive: float = 15) -> None:
        self._upstreams = upstreams
        self._keep_alive = keep_alive
        self._last: deque[tuple[int, str]] = deque(maxlen=most)
        self._ids = count(int(time.time() * 1000))  # higher than the ids from before a restart
        self._news = asyncio.Event()
        self._is_open = True

    def __call__(self, event: CountEvent) -> None:
        number = next(self._ids)
        facts = {"entry_point": event.entry_point, **self._upstreams.facts_of(event)}
        facts |= {"id": number, "at": event.started_at, "status": event.status}
        facts |= {"duration_ms": round(event.duration * 1000, 1), "attempts": len(event.attempts)}
        data = json.dumps(facts)
        self._last.append((number, f"id: {number}\nevent: count\ndata: {data}\n\n"))
        self._wake()

    def close(self) -> None:
        """End all streams; a stopping server waits for them before it ends the lifespan."""
        self._is_open = False
        self._wake()

    async def listen(self, after: int) -> AsyncGenerator[str, None]:
        """Yield the text of a stream: the kept events after an id, and then each new one."""
        yield ": connected\n\n"  # so that the client has an answer at once
        while self._is_open:
            fresh = next((entry for entry in self._last if entry[0] > after), None)
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
