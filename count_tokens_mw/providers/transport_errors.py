"""What the HTTP libraries raise, as errors of ours."""

from types import TracebackType
from typing import Final

import aiohttp
import httpx

from count_tokens_mw.errors import DeadlineExceeded, UpstreamUnreachable, UpstreamUnusable

__all__ = ["transport_errors"]

# With what the libraries let through from below: names that are no host names, sockets that fail,
# answers with bytes that are not text.
_BROKEN: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    aiohttp.ClientError,
    OSError,
    UnicodeError,
)
_WORDS: Final = {
    UpstreamUnreachable: "could not be reached, or closed the connection",
    UpstreamUnusable: "broke off its answer",
}


class transport_errors:  # noqa: N801 - used as a function; a generator would take thrice the time
    """Turn whatever the HTTP libraries raise into an error of ours.

    Raises:
        UpstreamUnusable: of the class `broken`, for a connection that is.
        DeadlineExceeded: a timeout of the client passed.
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
            raise self._broken(f"{self._provider} {_WORDS[self._broken]}.") from error


def _is_broken(cause: BaseException | None) -> bool:
    """httpx-aiohttp, which a host may use, files every broken connection under ConnectTimeout."""
    return isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, TimeoutError)
