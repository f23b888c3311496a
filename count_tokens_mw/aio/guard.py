"""The one place where an unexpected exception is caught."""

import logging
import traceback
from types import TracebackType

from count_tokens_mw.errors import CountTokensError, InternalError

__all__ = ["internal_errors_logged", "log_and_suppress"]

_logger = logging.getLogger("count_tokens_mw")


class _Doing:
    """What is done, for the log."""

    __slots__ = ("_doing",)

    def __init__(self, doing: object) -> None:
        self._doing = doing

    def __enter__(self) -> None: ...


class internal_errors_logged(_Doing):  # noqa: N801 - used as a function; a generator would take thrice the time
    """Let our own errors pass, and turn any other into an `InternalError`.

    `doing` says, as text, what failed.

    The log gets the type of the exception and where it was raised, not its text: a host's
    `KEYS[token]` would write the token there.

    Raises:
        InternalError: in place of an exception that is not a `CountTokensError`.
    """

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, CountTokensError):
            return
        _log(self._doing, error, stack)
        raise InternalError("The gateway failed; its log says where.") from None


class log_and_suppress(_Doing):  # noqa: N801
    """Log any exception in the same way, and go on: for what nobody waits for.

    `doing` says what failed: a callable, which is named, or text.
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
        name = getattr(self._doing, "__qualname__", type(self._doing).__qualname__)
        _log(f"hook {name}" if callable(self._doing) else self._doing, error, stack)
        return True


def _log(doing: object, error: Exception, stack: TracebackType | None) -> None:
    frames = "".join(traceback.format_tb(stack))
    _logger.error("%s failed with %s\n%s", doing, type(error).__qualname__, frames)
