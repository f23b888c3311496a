"""LiteLLM's own integrations as a hook, such as those for Langfuse, Datadog, S3 or a generic API.

LiteLLM is not imported: a logger is any object with the two methods of its `CustomLogger`.
https://docs.litellm.ai/docs/observability/custom_callback
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from count_tokens_mw.aio.guard import log_and_suppress
from count_tokens_mw.aio.per_loop import PerLoop
from count_tokens_mw.aio.throttle import LogThrottle
from count_tokens_mw.events import CountEvent
from count_tokens_mw.host.hooks import HookRunner
from count_tokens_mw.telemetry.litellm_arguments import arguments_for

__all__ = ["LiteLLMCallbacks", "LiteLLMLogger"]

_CALL_SECONDS: Final = 20  # LiteLLM's own limit
_FLUSH_SECONDS: Final = 3
_DRAIN_SECONDS: Final = 3
_LOG_SECONDS: Final = 60
_MOST_RUNNING: Final = 100  # as many as LiteLLM runs
_MOST_WAITING: Final = 1000


@runtime_checkable
class LiteLLMLogger(Protocol):
    """Logger with the methods of LiteLLM's `CustomLogger` that `acompletion` calls."""

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """Log a call that succeeded."""

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """Log a call that failed."""


LoggerFactory: TypeAlias = Callable[[], LiteLLMLogger]


class LiteLLMCallbacks:
    """A hook that calls loggers of LiteLLM with each count, as LiteLLM does with each completion.

    The arguments have LiteLLM's names, `call_type` `acount_tokens` and a `standard_logging_object`,
    and neither a prompt nor a key. A count costs 0 and uses no tokens.

    No request waits for a logger. Each logger has a queue of its own, which holds 1000 events, and
    drops the newest beyond that. It makes up to 100 calls at the same time, each for 20 seconds at
    most. A loss or a failure is logged once a minute for each logger.

    Args:
        loggers: instances of LiteLLM's `CustomLogger` or of a class with its methods, or functions
            that return one. A function is called on the event loop at the first event, because
            LiteLLM's batching loggers can only be created there.
        count_as_usage: whether the count is also the number of prompt tokens, for an integration
            that shows no other number.

    Raises:
        TypeError: one of the loggers has not the methods, and is no function.
    """

    def __init__(
        self,
        loggers: Iterable[LiteLLMLogger | LoggerFactory],
        *,
        count_as_usage: bool = False,
    ) -> None:
        self._channels = tuple(_Channel(logger, count_as_usage) for logger in loggers)

    def __call__(self, event: CountEvent) -> None:
        for channel in self._channels:
            channel.runner.emit(event)

    async def drain(self) -> None:
        """Wait for the queues, and flush each logger that has LiteLLM's `flush_queue`.

        `CountTokens.aclose` and its `lifespan` call this. It takes a few seconds at most.
        """
        await asyncio.gather(*(channel.empty() for channel in self._channels))


class _Opened(NamedTuple):
    """A logger on one event loop."""

    logger: LiteLLMLogger
    turns: asyncio.Semaphore


class _Channel:
    """The queue of one logger: an async hook, and the runner that bounds its calls."""

    def __init__(self, logger: LiteLLMLogger | LoggerFactory, count_as_usage: bool) -> None:
        is_instance = isinstance(logger, LiteLLMLogger) and not isinstance(logger, type)
        if not is_instance and not callable(logger):
            raise TypeError(
                f"loggers: {type(logger).__qualname__} has no async_log_success_event; pass an "
                "instance of LiteLLM's CustomLogger, or a function that returns one"
            )
        create: Any = (lambda: logger) if is_instance else logger
        named = type(logger) if is_instance else logger
        name = getattr(named, "__qualname__", type(named).__qualname__)
        self.__qualname__ = f"LiteLLMCallbacks({name})"
        self._count_as_usage = count_as_usage
        self._opened = PerLoop(lambda: _Opened(create(), asyncio.Semaphore(_MOST_RUNNING)))
        self._failures = LogThrottle(_LOG_SECONDS)
        self.runner = HookRunner(
            [self],
            seconds=None,
            drain_seconds=_DRAIN_SECONDS,
            most_pending=_MOST_WAITING,
            failures=self._failures,
        )

    async def __call__(self, event: CountEvent) -> None:
        logger, turns = self._opened.get()
        async with turns, asyncio.timeout(_CALL_SECONDS):
            arguments = arguments_for(event, count_as_usage=self._count_as_usage)
            is_success = event.error is None
            log = logger.async_log_success_event if is_success else logger.async_log_failure_event
            await log(**arguments._asdict())  # LiteLLM names them too

    async def empty(self) -> None:
        await self.runner.aclose()
        opened = self._opened.peek()
        flush = getattr(opened.logger, "flush_queue", None) if opened else None
        if flush is not None:
            await log_and_suppress(self, _flush(flush), self._failures)


async def _flush(flush: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(_FLUSH_SECONDS):
        await flush()
