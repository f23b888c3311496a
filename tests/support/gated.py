"""An upstream that blocks until its gate opens, so that requests join a call in flight."""

from collections.abc import Callable

import anyio
import httpx

from count_tokens_mw import CountTokens

__all__ = ["LIMITS", "Gated", "settle", "wait_for_waiters"]

LIMITS = {
    "anthropic-ratelimit-requests-remaining": "7",
    "retry-after": "9",
    "request-id": "req_of_the_first",
}


class Gated:
    """An upstream that blocks until `gate` is set, and counts its requests.

    It gives each of `answers` once, then a count. An answer may be a function of the request.
    """

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.asked = 0
        self.left = 0
        self.answers: list[httpx.Response | Callable[[httpx.Request], httpx.Response]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        try:
            await self.gate.wait()
        except BaseException:
            self.left += 1
            raise
        if self.answers:
            answer = self.answers.pop(0)
            return answer if isinstance(answer, httpx.Response) else answer(request)
        return httpx.Response(200, json={"input_tokens": 14}, headers=LIMITS)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self))


async def settle() -> None:
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


async def wait_for_waiters(count_tokens: CountTokens, number: int) -> None:
    """Wait until so many requests wait for one call in flight."""
    flights = count_tokens._pipeline.engine.sender._flights._flights
    with anyio.fail_after(10):
        while max((flight.waiters for flight in flights.get().values()), default=0) < number:
            await anyio.lowlevel.checkpoint()
