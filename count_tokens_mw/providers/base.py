"""What a provider is: a pure `prepare`, and a `send` that does the only I/O."""

from typing import Protocol

from count_tokens_mw.types import CountRequest, TokenCount, UpstreamCall

__all__ = ["Provider"]


class Provider(Protocol):
    """One deployment's way to its provider's counting API.

    With `prepare_in_thread`, `prepare` works through the whole body. For a large one that takes
    long, so it runs in a thread.
    """

    prepare_in_thread: bool

    def prepare(self, request: CountRequest) -> UpstreamCall:
        """The exact upstream request; `request.model` is the upstream's name for the model.

        Pure: the same request gives the same call, and nothing is read or awaited.

        Raises:
            CannotCount: the provider cannot count this model or this content.
            InvalidRequest: something needed for the call is missing from the request.
        """
        ...

    async def send(self, call: UpstreamCall) -> TokenCount:
        """Send a prepared call, once.

        Raises:
            UpstreamError: the upstream answered with an error.
            UpstreamUnreachable: it could not be reached, or did not answer.
            UpstreamUnusable: its answer is no count.
            DeadlineExceeded: a timeout of the host's own HTTP client passed.
        """
        ...

    async def aclose(self) -> None:
        """Close what was opened for this deployment alone."""
        ...
