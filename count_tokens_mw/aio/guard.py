"""The one place where an unexpected exception is caught."""

import logging
import traceback
from types import TracebackType

from count_tokens_mw.errors import CountError, InternalError

__all__ = ["internal_errors_logged", "log_and_suppress"]

_logger = logging.getLogger("count_tokens_mw")


class _Guard:
    """Base class of the context managers; `operation` names in the log the work that failed."""

    __slots__ = ("_operation",)

    def __init__(self, operation: object) -> None:
        self._operation = operation

    def __enter__(self) -> None: ...


class internal_errors_logged(_Guard):  # noqa: N801 - used as a function; a generator would take thrice the time
    """Context manager that logs any unexpected exception and raises an `InternalError` instead.

    The log gets the exception's type and traceback, but not its text: the `KeyError` of a host's
    `KEYS[token]` would write the token there.

    Raises:
        InternalError: the exception is no `CountError`.
    """

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, CountError):
            return
        _log(self._operation, error, stack)
        raise InternalError("The gateway failed; its log has the traceback.") from None


class log_and_suppress(_Guard):  # noqa: N801
    """Context manager that logs any exception and suppresses it, for work that nobody awaits.

    The `operation` is text, or a hook, which is logged by its qualified name.
    """

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        name = getattr(self._operation, "__qualname__", type(self._operation).__qualname__)
        _log(f"hook {name}" if callable(self._operation) else self._operation, error, stack)
        return True


def _log(operation: object, error: Exception, stack: TracebackType | None) -> None:
    frames = "".join(traceback.format_tb(stack))
    _logger.error("%s failed with %s\n%s", operation, type(error).__qualname__, frames)
