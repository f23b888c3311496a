"""HTTP exchanges of a client with the gateway: recorded by an ASGI middleware, and judged."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Exchange", "Recorder", "judge", "most_at_once", "summarize"]

SESSION: Final = "x-claude-code-session-id"
_COUNT: Final = "/v1/messages/count_tokens"
_MESSAGES: Final = "/v1/messages"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and the status of its answer; the status is 0 if there was none."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    status: int
    started: float
    ended: float

    @property
    def is_count(self) -> bool:
        return self.method == "POST" and self.path.endswith(_COUNT)

    @property
    def is_billed(self) -> bool:
        """Whether a model generates an answer, even if of a single token."""
        return self.method == "POST" and self.path.endswith(_MESSAGES)


class Recorder:
    """A pure ASGI middleware that records every exchange and changes none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.exchanges: list[Exchange] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        pieces: list[bytes] = []
        status = 0
        started = time.monotonic()

        async def record_receive() -> Message:
            message = await receive()
            pieces.append(message.get("body", b""))
            return message

        async def record_send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, record_receive, record_send)
        finally:
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            exchange = Exchange(
                scope["method"],
                scope["path"],
                headers,
                _read_object(b"".join(pieces)),
                status,
                started,
                time.monotonic(),
            )
            self.exchanges.append(exchange)


def judge(client: Sequence[Exchange], upstream: Sequence[Exchange]) -> Iterator[str]:
    """Yield what is wrong with the exchanges of a client, and with the upstream calls for them."""
    counts = [exchange for exchange in client if exchange.is_count]
    if not counts:
        yield "no count was requested"
    failed = [exchange for exchange in counts if exchange.status != 200]
    if failed:
        yield f"{len(failed)} of {len(counts)} counts failed: {_tally_statuses(failed)}"
    anonymous = sum(not exchange.headers.get(SESSION) for exchange in counts)
    if anonymous:
        yield f"{anonymous} of {len(counts)} counts came without {SESSION}"
    billed = [exchange for exchange in client if exchange.is_billed]
    if billed:
        tiny = sum(exchange.body.get("max_tokens") == 1 for exchange in billed)
        yield f"{len(billed)} billed requests were sent, {tiny} of them with max_tokens: 1"
    refused = [exchange for exchange in upstream if exchange.status != 200]
    if refused:
        yield f"the upstream refused {len(refused)} counts: {_tally_statuses(refused)}"
    if counts and not upstream:
        yield "the upstream received no count"


def summarize(client: Sequence[Exchange], upstream: Sequence[Exchange]) -> Mapping[str, str]:
    """Return the figures of a client's exchanges by their names."""
    counts = [exchange for exchange in client if exchange.is_count]
    billed = [exchange for exchange in client if exchange.is_billed]
    others = [exchange for exchange in client if not (exchange.is_count or exchange.is_billed)]
    sessions = {exchange.headers.get(SESSION) for exchange in counts} - {None}
    return {
        "counts": f"{len(counts)}: {_tally_statuses(counts)}",
        "at once": str(most_at_once(counts)),
        "models": _tally(str(exchange.body.get("model")) for exchange in counts),
        "betas": _tally(exchange.headers.get("anthropic-beta", "none") for exchange in counts),
        "sessions": str(len(sessions)),
        "counted upstream": f"{len(upstream)}: {_tally_statuses(upstream)}",
        "billed": _tally(f"max_tokens: {exchange.body.get('max_tokens')}" for exchange in billed),
        "other requests": _tally(f"{each.method} {each.path} {each.status}" for each in others),
    }


def most_at_once(exchanges: Sequence[Exchange]) -> int:
    """Return the largest number of exchanges that overlapped."""
    changes = [(exchange.started, 1) for exchange in exchanges]
    changes += [(exchange.ended, -1) for exchange in exchanges]
    most = current = 0
    for _, change in sorted(changes):
        current += change
        most = max(most, current)
    return most


def _tally_statuses(exchanges: Sequence[Exchange]) -> str:
    return _tally(str(exchange.status) for exchange in exchanges)


def _tally(values: Iterator[str]) -> str:
    """Return each value with how often it comes, the most frequent first."""
    tally = Counter(values).most_common()
    return ", ".join(f"{number} x {value}" for value, number in tally) or "none"


def _read_object(body: bytes) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one if the body is none."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
