"""The one place where an unexpected exception is caught."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable
from typing import TypeVar

from count_tokens_mw.aio.cancellation import is_cancelled
from count_tokens_mw.errors import CountError, InternalError

__all__ = ["log_and_suppress", "outcome_of"]

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


async def log_and_suppress(operation: object, work: Awaitable[object]) -> None:
    """Await work that nobody else awaits, log any unexpected exception of it, and suppress it.

    The `operation` is text, or a hook, which is logged by its qualified name.
    """
    try:
        await work
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
        _raise_if_cancelled(error)
        _log(operation, error)


def _raise_if_cancelled(error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError) and is_cancelled():
        raise error


def _log(operation: object, error: BaseException) -> None:
    if callable(operation):
        name = getattr(operation, "__qualname__", type(operation).__qualname__)
        operation = f"hook {name}"
    frames = "".join(traceback.format_tb(error.__traceback__))
    _logger.error("%s failed with %s\n%s", operation, type(error).__qualname__, frames)
