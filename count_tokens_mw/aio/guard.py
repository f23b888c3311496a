"""The one place where an unexpected exception is caught."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import TypeVar

from count_tokens_mw.aio.cancellation import is_cancelled
from count_tokens_mw.aio.throttle import LogThrottle
from count_tokens_mw.errors import CountError, InternalError

__all__ = ["call_and_log", "log_and_suppress", "name_of_hook", "notify", "outcome_of"]

A = TypeVar("A")
T = TypeVar("T")

_logger = logging.getLogger("count_tokens_mw")


async def outcome_of(operation: object, work: Awaitable[T]) -> T | CountError:
    """Return the result of the work, or its error; log any unexpected exception.

    An unexpected exception becomes an `InternalError`. So does a `CancelledError`, unless the
    running task is being cancelled. The log gets the exception's type and traceback, but not its
    text: the `KeyError` of a host's `KEYS[token]` would write the token there. `operation` names
    the work that failed.
    """
    try:
        return await work
    except CountError as error:
        return error
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
        _raise_if_cancelled(error)
        _log(operation, error)
        return InternalError("The gateway failed; its log has the traceback.")


async def log_and_suppress(
    operation: object, work: Awaitable[object], throttle: LogThrottle | None = None
) -> None:
    """Await work that nobody else awaits, log any unexpected exception of it, and suppress it.

    The `operation` is text, or a hook, which is logged by its qualified name. With a `throttle`,
    only the failures that it admits are logged, with the number of those since the last one.
    """
    try:
        await work
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
        _raise_if_cancelled(error)
        if throttle is None:
            _log(operation, error)
        elif failures := throttle.admit():
            _log(operation, error, f"; failures since the last such line: {failures}")


def call_and_log(hook: Callable[[A], T], argument: A) -> T | None:
    """Call a hook and return its result; log any unexpected exception of it, and return None."""
    try:
        return hook(argument)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
        _log(hook, error)  # no cancellation of a task interrupts a sync call
        return None


def notify(observer: Callable[[], object]) -> None:
    """Call an observer; log any exception of it, and suppress it."""
    try:
        observer()
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
        name = getattr(observer, "__qualname__", type(observer).__qualname__)
        _log(f"observer {name}", error)


def name_of_hook(hook: Callable[..., object]) -> str:
    """Return the name of a hook for the log, without what it was created with."""
    return f"hook {getattr(hook, '__qualname__', type(hook).__qualname__)}"


def _raise_if_cancelled(error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError) and is_cancelled():
        raise error


def _log(operation: object, error: BaseException, more: str = "") -> None:
    name = name_of_hook(operation) if callable(operation) else operation
    frames = "".join(traceback.format_tb(error.__traceback__))
    _logger.error("%s failed with %s%s\n%s", name, type(error).__qualname__, more, frames)
