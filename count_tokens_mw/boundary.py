"""The one place where an unexpected exception is caught."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from count_tokens_mw.errors import CountTokensError, InternalError

__all__ = ["boundary"]

_logger = logging.getLogger("count_tokens_mw")


@contextmanager
def boundary(doing: object) -> Iterator[None]:
    """Let our own errors pass, and turn any other into an `InternalError`.

    `doing` says, as text, what failed.

    The log gets the type of the exception and where it was raised, not its text: a host's
    `KEYS[token]` would write the token there.

    Raises:
        InternalError: in place of an exception that is not a `CountTokensError`.
    """
    try:
        yield
    except CountTokensError:
        raise
    except Exception as error:  # noqa: BLE001 - the top boundary
        stack = "".join(traceback.format_tb(error.__traceback__))
        _logger.error("%s failed with %s\n%s", doing, type(error).__qualname__, stack)
        raise InternalError("The gateway failed; its log says where.") from None
