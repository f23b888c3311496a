"""Translation of the HTTP libraries' exceptions to this package's errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
import httpx

from count_tokens_mw.errors import DeadlineExceeded, UpstreamUnreachable, UpstreamUnusable

__all__ = ["transport_errors"]

# The last two come through from below the libraries: failing sockets, and invalid host names or
# response bytes.
_BROKEN: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    aiohttp.ClientError,
    OSError,
    UnicodeError,
)
_MESSAGES: Final = {
    UpstreamUnreachable: "could not be reached, or closed the connection",
    UpstreamUnusable: "broke off its answer",
}


@contextmanager
def transport_errors(provider: str, broken: type[UpstreamUnusable]) -> Iterator[None]:
    """Translate the HTTP libraries' exceptions to a `CountError`.

    Raises:
        UpstreamUnusable: a broken connection; the class is `broken`.
        DeadlineExceeded: a timeout of the client expired.
    """

    try:
        yield
    except _BROKEN as error:
        if isinstance(error, httpx.TimeoutException) and not _is_broken(error.__cause__):
            raise DeadlineExceeded(f"{provider} did not answer in time.") from error
        raise broken(f"{provider} {_MESSAGES[broken]}.") from error


def _is_broken(cause: BaseException | None) -> bool:
    """Return whether a timeout is a broken connection; httpx-aiohttp reports it so."""
    return isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, TimeoutError)
