"""Counts that processes and machines share in a Redis, which may be down or slow at any time.

An entry holds a hash and a number, no prompt. Client: https://redis.readthedocs.io
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from anyio import CancelScope
from redis.asyncio import ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from count_tokens_mw.aio.per_loop import PerLoop
from count_tokens_mw.cache.redis_codec import LONGEST_VALUE, decode_count, encode_count, redis_key
from count_tokens_mw.types import TokenCount

__all__ = ["SharedCounts"]

_STEPS: Final = 9  # 50 ms in all: a timer of 5 ms fires a little late
_STEP_SECONDS: Final = 0.005
_CLOSING_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 5.0
_WARNING_SECONDS: Final = 60.0
_CONNECTIONS: Final = 8

_LONGEST_MILLISECONDS: Final = 10**12  # Redis refuses a longer expiry

# ValueError: the server is no Redis. RuntimeError: uvloop raises it for a connection that closed in
# the meantime.
_FAILURES: Final = (RedisError, OSError, ValueError, RuntimeError)

_logger = logging.getLogger("count_tokens_mw")


@asynccontextmanager
async def _limit() -> AsyncIterator[None]:
    """Raise a TimeoutError after 50 ms, not counting stalls of the event loop.

    A stall counts as one step of 5 ms, however long it is: the answer of Redis may be waiting to be
    read. The first counts of a process stall the loop.
    """
    loop, left = asyncio.get_running_loop(), _STEPS
    timer: asyncio.TimerHandle

    def step() -> None:
        nonlocal left, timer
        left -= 1
        timer = loop.call_later(_STEP_SECONDS, step)
        if not left:
            timeout.reschedule(loop.time())

    timer = loop.call_later(_STEP_SECONDS, step)
    try:
        async with asyncio.timeout(None) as timeout:
            yield
    finally:
        timer.cancel()


@dataclass(slots=True, eq=False)
class _LoopClient:
    """Redis client of one event loop, with a slot for each connection, and its pending writes."""

    redis: Redis
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONNECTIONS))
    writes: set[asyncio.Task[Any]] = field(default_factory=set)

    async def aclose(self) -> None:
        """Close the connections once no command is in flight, which takes 50 ms at most."""
        with CancelScope(shield=True):
            if self.writes:
                await asyncio.wait(self.writes)
            for _ in range(_CONNECTIONS):
                await self.slots.acquire()
            with suppress(*_FAILURES):
                async with asyncio.timeout(_CLOSING_SECONDS):  # TLS waits for close_notify
                    await self.redis.connection_pool.aclose()


class SharedCounts:
    """Counts in a Redis, behind a circuit breaker.

    A command that fails or takes longer than 50 ms opens the circuit: Redis is skipped for five
    seconds, then one command probes it. A warning is logged once a minute at most, without the URL.

    Each event loop has its own connections. After `aclose` the next use opens new ones; after
    `retire` nothing is read or written any more.

    Args:
        url: the URL of the Redis, validated by the configuration; it may hold a password.
        ttl: the seconds for which a count is stored.
        clock: the monotonic time in seconds.
    """

    def __init__(self, url: str, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        options = _connection_options(url)
        self._clients = PerLoop(
            lambda: _LoopClient(Redis(connection_pool=ConnectionPool(**options)))
        )
        self._is_retired = False
        self._retry_at: float | None = None  # None while the circuit is closed
        self._next_warning_at = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether an event loop that still runs has connections."""
        return len(self._clients) > 0

    async def get(self, key: bytes) -> tuple[TokenCount, float] | None:
        """Return the count of a key and the seconds for which it may be cached, or None.

        The seconds come from Redis's own clock, because the clocks of the machines may differ.
        """
        client = self._client()
        if client is None:
            return None
        started, name = self._clock(), redis_key(key)
        # PTTL first: a write between the two commands makes the time too short, never too long.
        # GETRANGE, because GET would read a value of any size, which others may have written.
        # Its end is inclusive, so that a longer value is one byte too long.
        read = ("GETRANGE", name, 0, LONGEST_VALUE)
        answer = await self._execute(client, ("PTTL", name), read)
        left, value = answer or (None, None)
        entry = decode_count(value, key)
        # PTTL is negative for a missing key, and for one without an expiry.
        if entry is None or not isinstance(left, int) or not 0 <= left <= _LONGEST_MILLISECONDS:
            return None
        count, ttl = entry
        age = max(0, ttl - left / 1000)
        seconds = min(left / 1000, self._ttl - age) - (self._clock() - started)
        return (count, seconds) if seconds > 0 else None

    def set(self, key: bytes, count: TokenCount) -> None:
        """Store a count in the background."""
        client, value = self._client(), encode_count(count, key, self._ttl)
        if client is None or value is None:
            return
        expiry = max(1, int(min(self._ttl * 1000, _LONGEST_MILLISECONDS)))
        command: list[str | bytes | int] = ["SET", redis_key(key), value, "PX", expiry]
        write = asyncio.create_task(self._execute(client, command))
        client.writes.add(write)
        write.add_done_callback(client.writes.discard)

    def retire(self) -> None:
        """Ignore all further reads and writes, so that no connection is opened again."""
        self._is_retired = True

    async def aclose(self) -> None:
        """Finish the pending writes, and close the connections of the running event loop."""
        client = self._clients.pop()
        if client is not None:
            await client.aclose()

    def _client(self) -> _LoopClient | None:
        if self._is_retired or self._is_circuit_open():
            return None
        return self._clients.get()

    async def _execute(
        self, client: _LoopClient, *commands: Sequence[str | bytes | int]
    ) -> list[Any] | None:
        """Send commands as a pipeline and return their answers, or None if Redis failed.

        redis-py's `read_response` closes the connection of a read that is cancelled. Otherwise the
        late answer would be read as that of the next command.
        """
        is_sent = False
        try:
            async with _limit(), client.slots:
                is_sent = self._try_acquire()
                if not is_sent:
                    return None
                pipeline = client.redis.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                answer: list[Any] = await pipeline.execute()
        except _FAILURES as error:
            if is_sent:  # else it timed out waiting for a slot, which is no failure of Redis
                self._record_failure(error)
            return None
        self._retry_at = None
        return answer

    def _is_circuit_open(self) -> bool:
        return self._retry_at is not None and self._clock() < self._retry_at

    def _try_acquire(self) -> bool:
        """Return whether a command may be sent: the circuit is closed, or this is its probe."""
        if self._is_circuit_open():
            return False
        if self._retry_at is not None:
            self._retry_at = self._clock() + _PAUSE_SECONDS
        return True

    def _record_failure(self, error: Exception) -> None:
        now = self._clock()
        self._retry_at = now + _PAUSE_SECONDS
        if now < self._next_warning_at:
            return
        self._next_warning_at = now + _WARNING_SECONDS
        _logger.warning(
            "cache.url: the Redis failed with %s; until it is back, no counts are shared",
            type(error).__qualname__,  # its text may hold the URL
        )


def _connection_options(url: str) -> dict[str, Any]:
    """Return redis-py's options, without its timeouts and retries: `_limit` bounds them all."""
    options: dict[str, Any] = {
        **parse_url(url),
        "max_connections": _CONNECTIONS,
        "protocol": 2,  # 3 takes one more command to connect
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": None,
    }
    if options.get("connection_class") is SSLConnection:
        options.setdefault("ssl_check_hostname", True)  # the default only since redis-py 6
        options["connection_class"] = _with_shared_context(options)
    return options


def _with_shared_context(options: dict[str, Any]) -> type[SSLConnection]:
    """Return a connection class whose instances share one TLS context.

    redis-py creates a context for each connection and reads the system's certificates into it,
    which blocks the event loop for 20 ms.
    """
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    context = SSLConnection(**tls).ssl_context
    with suppress(OSError):  # an unreadable file; each connection will raise it again
        context.get()

    class Connection(SSLConnection):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.ssl_context = context

    return Connection
