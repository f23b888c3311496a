"""Interface of a provider: a pure `prepare`, and a `send` that does the only I/O."""

from typing import Protocol

from count_tokens_mw.errors import CountError
from count_tokens_mw.types import CountRequest, TokenCount, UpstreamCall

__all__ = ["PrepareAgain", "Provider"]


class PrepareAgain(Exception):
    """Signal that an answer taught the provider to prepare another call for the same request.

    `error` is to be raised if `prepare` returns the same call.
    """

    def __init__(self, error: CountError) -> None:
        super().__init__(error)
        self.error = error


class Provider(Protocol):
    """Client of the counting API of one deployment's provider.

    With `prepare_in_thread`, `prepare` parses the whole body. It then runs in a thread, because a
    large body takes long.
    """

    prepare_in_thread: bool

    def prepare(self, request: CountRequest) -> UpstreamCall:
        """Return the exact upstream request; `request.model` is the upstream's model name.

        The function is without I/O. Equal requests give equal calls, until `send` raises
        `PrepareAgain`.

        Raises:
            CannotCount: the provider cannot count this model or this content.
            InvalidRequest: the request lacks a field that the call needs.
        """
        ...

    async def send(self, call: UpstreamCall) -> TokenCount:
        """Send a prepared call, once.

        Raises:
            PrepareAgain: the answer taught what `prepare` has to do differently.
            UpstreamError: the upstream answered with an error.
            UpstreamUnreachable: the upstream could not be reached, or did not answer.
            UpstreamUnusable: the answer contains no count.
            DeadlineExceeded: a timeout of the host's own HTTP client expired.
        """
        ...

    async def aclose(self) -> None:
        """Close the resources of this deployment alone."""
        ...
