"""Interface of a provider: a pure `prepare`, and a `send` that does the only I/O."""

from typing import Protocol

from count_tokens_mw.errors import CountError
from count_tokens_mw.types import CountRequest, TokenCount, UpstreamCall

__all__ = ["PrepareAgain", "Provider"]


class PrepareAgain(Exception):
    """Signal of `send` that it learnt something by which `prepare` returns another call.

    The upstream may have refused a beta by its name, or its first API may not support the model.
    Every waiter of the call prepares its own request again, and sends the new call within the same
    attempt. `error` is raised if `prepare` returns an equal call, or after too many calls.
    """

    def __init__(self, error: CountError) -> None:
        super().__init__(error.message)
        self.error = error


class Provider(Protocol):
    """Client of the counting API of one deployment's provider.

    With `prepare_in_thread`, `prepare` reads the whole body. It then runs in a thread for a large
    body. If it `leaves_loop` itself before slow work, only a body that takes long needs a thread.
    """

    prepare_in_thread: bool
    leaves_loop: bool

    def prepare(self, request: CountRequest) -> UpstreamCall:
        """Return the exact upstream request; `request.model` is the upstream's model name.

        The function is pure: equal requests give equal calls, without I/O, unless `send` raised
        `PrepareAgain` in between. It may run in several threads, and while `send` runs.

        The call names in `omitted` whatever of the request it leaves out and may matter to the
        count, so not the parameters of a generation.

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
            PrepareAgain: from now on, `prepare` returns another call for this request.
        """
        ...

    async def aclose(self) -> None:
        """Close the resources of this deployment alone."""
        ...
