"""Counts that processes and machines share by a Redis, which may be down or slow at any time.

What is kept there is a hash and a number; https://redis.readthedocs.io describes the client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from anyio import CancelScope
from redis.asyncio import ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from count_tokens_mw.cache.redis_codec import decode_count, name_of, value_of
from count_tokens_mw.types import TokenCount

__all__ = ["SharedCounts"]

_STEPS: Final = 9  # of 5 ms, and each comes a little late
_STEP_SECONDS: Final = 0.005
_CLOSING_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 5.0
_WARNING_SECONDS: Final = 60.0
_CONNECTIONS: Final = 8

_LONGEST_MILLISECONDS: Final = 10**12  # Redis refuses what no longer fits into its own clock

# Besides its own and the network's: ValueError if what answers is no Redis, and RuntimeError, which
# is uvloop's word for a connection that closed in the meantime.
_FAILURES: Final = (RedisError, OSError, ValueError, RuntimeError)

_logger = logging.getLogger("count_tokens_mw")


class _Limit:
    """An `async with` that ends with a TimeoutError after 50 ms in which the event loop had time.

    A stall of the loop is one step, however long: in the first counts of a process there are some,
    and Redis, whose answer waits to be read, is not to blame.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._left = _STEPS

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._step = self._loop.call_later(_STEP_SECONDS, self._next)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        self._step.cancel()
        await self._timeout.__aexit__(kind, error, stack)

    def _next(self) -> None:
        self._left -= 1
        if self._left:
            self._step = self._loop.call_later(_STEP_SECONDS, self._next)
        else:
            self._timeout.reschedule(self._loop.time())


@dataclass(slots=True, eq=False)
class _Opened:
    """The connections of one event loop, a place for each, and what is being written."""

    redis: Redis
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONNECTIONS))
    writes: set[asyncio.Task[Any]] = field(default_factory=set)

    async def aclose(self) -> None:
        """Close when nobody uses it any more, which each does for 50 ms at most."""
        with CancelScope(shield=True):
            if self.writes:
                await asyncio.wait(self.writes)
            for _ in range(_CONNECTIONS):
                await self.places.acquire()
            with suppress(*_FAILURES):
                async with asyncio.timeout(_CLOSING_SECONDS):  # TLS says goodbye, and waits
                    await self.redis.connection_pool.aclose()


class SharedCounts:
    """The counts in a Redis, for as long as it answers within 50 ms.

    After a failure it is left alone for a few seconds; then one try tells if it is back. A warning
    is logged once a minute at most, and does not name the URL.

    Connections belong to the event loop that they were opened on, so there are some for each. After
    `aclose` the next use opens new ones; after `retire` there is no next use.

    Args:
        url: where the Redis is, checked before; may hold a password.
        ttl: for how many seconds a count is kept.
        clock: what time it is, in seconds.
    """

    def __init__(self, url: str, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        self._options = _connection_options(url)
        self._opened: dict[asyncio.AbstractEventLoop, _Opened] = {}
        self._is_retired = False
        self._tried_again_at: float | None = None  # None while all is well
        self._warned_again_at = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether an event loop that still runs has connections."""
        return any(not loop.is_closed() for loop in list(self._opened))

    async def get(self, key: bytes) -> tuple[TokenCount, float] | None:
        """The count of this key, if it is there, and for how many seconds it may be remembered.

        That is the time that it has left by Redis's own clock: those of the machines may differ.
        """
        opened = self._of_this_loop()
        if opened is None:
            return None
        started, name = self._clock(), name_of(key)
        # In this order: one that is written in between is given too little time, not too much.
        answer = await self._done(opened, ["PTTL", name], ["GET", name])
        left, value = answer or (None, None)
        found = decode_count(value, key)
        # A negative one is Redis's word for a key that is gone, or that stays for ever.
        if found is None or not isinstance(left, int) or left < 0:
            return None
        count, ttl = found
        age = max(0, ttl - left / 1000)
        seconds = min(left / 1000, self._ttl - age) - (self._clock() - started)
        return (count, seconds) if seconds > 0 else None

    def set(self, key: bytes, count: TokenCount) -> None:
        """Keep a count, and wait for nothing."""
        opened, value = self._of_this_loop(), value_of(count, key, self._ttl)
        if opened is None or value is None:
            return
        kept = max(1, int(min(self._ttl * 1000, _LONGEST_MILLISECONDS)))
        command: list[str | bytes | int] = ["SET", name_of(key), value, "PX", kept]
        write = asyncio.create_task(self._done(opened, command))
        opened.writes.add(write)
        write.add_done_callback(opened.writes.discard)

    def retire(self) -> None:
        """From now on do nothing, so that all stays closed once it is."""
        self._is_retired = True

    async def aclose(self) -> None:
        """Write what is being written, and close the connections of this event loop."""
        opened = self._opened.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.aclose()

    def _of_this_loop(self) -> _Opened | None:
        if self._is_retired or self._is_left_alone():
            return None
        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:
            for other in list(self._opened):
                if other.is_closed():  # it took its connections with it
                    self._opened.pop(other, None)
            pool = ConnectionPool(**self._options)
            opened = self._opened[loop] = _Opened(Redis(connection_pool=pool))
        return opened

    async def _done(
        self, opened: _Opened, *commands: Sequence[str | bytes | int]
    ) -> list[Any] | None:
        """What Redis answers to these commands, one after another; None if it does not.

        A read that is cancelled, by the timeout or by who waits, closes its connection: redis-py's
        `read_response` sees to that. Its answer would be the next one's.
        """
        is_asked = False
        try:
            async with _Limit(), opened.places:
                is_asked = self._may_ask()
                if not is_asked:
                    return None
                pipeline = opened.redis.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                answer: list[Any] = await pipeline.execute()
        except _FAILURES as error:
            if is_asked:  # else it waited for a place, and those who have them will learn more
                self._failed(error)
            return None
        self._tried_again_at = None
        return answer

    def _is_left_alone(self) -> bool:
        return self._tried_again_at is not None and self._clock() < self._tried_again_at

    def _may_ask(self) -> bool:
        """Whether all is well, or this is the one try after a pause; the others go on pausing."""
        if self._is_left_alone():
            return False
        if self._tried_again_at is not None:
            self._tried_again_at = self._clock() + _PAUSE_SECONDS
        return True

    def _failed(self, error: Exception) -> None:
        now = self._clock()
        self._tried_again_at = now + _PAUSE_SECONDS
        if now < self._warned_again_at:
            return
        self._warned_again_at = now + _WARNING_SECONDS
        _logger.warning(
            "cache.url: the Redis failed with %s; until it is back, no counts are shared",
            type(error).__qualname__,  # its text may hold the URL
        )


def _connection_options(url: str) -> dict[str, Any]:
    """How long it waits, and that it tries again, is ours: there is one limit for all of it."""
    options: dict[str, Any] = {
        **parse_url(url),
        "max_connections": _CONNECTIONS,
        "protocol": 2,  # 3 would take a command more to begin with
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": None,
    }
    if options.get("connection_class") is SSLConnection:
        options.setdefault("ssl_check_hostname", True)  # not redis-py's default before 6
        options["connection_class"] = _with_one_context(options)
    return options


def _with_one_context(options: dict[str, Any]) -> type[SSLConnection]:
    """Connections that share their TLS context.

    redis-py has each make its own, which reads the system's certificates: 20 ms in which the event
    loop would wait, once for every connection.
    """
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    context = SSLConnection(**tls).ssl_context
    with suppress(OSError):  # of a file that cannot be read; each connection will say so
        context.get()

    class Connection(SSLConnection):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.ssl_context = context

    return Connection
