"""Translation of the HTTP libraries' exceptions to this package's errors."""

from types import TracebackType
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


class transport_errors:  # noqa: N801 - used as a function; a generator takes thrice as long
    """Context manager that translates the HTTP libraries' exceptions to a `CountError`.

    Raises:
        UpstreamUnusable: a broken connection; the class is `broken`.
        DeadlineExceeded: a timeout of the client expired.
    """

    __slots__ = ("_broken", "_provider")

    def __init__(self, provider: str, broken: type[UpstreamUnusable]) -> None:
        self._provider = provider
        self._broken = broken

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, httpx.TimeoutException) and not _is_broken(error.__cause__):
            raise DeadlineExceeded(f"{self._provider} did not answer in time.") from error
        if isinstance(error, _BROKEN):
            raise self._broken(f"{self._provider} {_MESSAGES[self._broken]}.") from error


def _is_broken(cause: BaseException | None) -> bool:
    """Return whether a timeout is a broken connection; httpx-aiohttp reports it so."""
    return isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, TimeoutError)
