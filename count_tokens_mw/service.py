"""What all the ways in share: who may count, and who is told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from count_tokens_mw.auth import Authenticator, Authorizer, authorize_caller
from count_tokens_mw.counting import Counter
from count_tokens_mw.hooks import Hook
from count_tokens_mw.plan import Plan
from count_tokens_mw.trace import Trace
from count_tokens_mw.types import CountRequest, TokenCount

__all__ = ["Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """The counter, and the host's callables around it."""

    counter: Counter
    authenticate: Authenticator
    authorize: Authorizer | None
    hooks: Sequence[Hook]

    async def count(self, request: CountRequest, plan: Plan, trace: Trace) -> TokenCount:
        """Authorise the caller, if there is one, and count.

        Raises:
            CountError: the host refused, or there is no count.
        """
        trace.read_request(request)
        request = replace(request, model=plan.router.name_of(request.model))
        await self._authorize(request, trace)
        return await self.counter.count(request, plan, trace)

    async def pass_through(self, request: CountRequest, plan: Plan, trace: Trace) -> TokenCount:
        """The same by the pass-through, with the model as it is.

        Raises:
            CountError: the host refused, or there is no count.
        """
        trace.read_request(request)
        await self._authorize(request, trace)
        return await self.counter.pass_through(request, plan, trace)

    async def _authorize(self, request: CountRequest, trace: Trace) -> None:
        if trace.caller is not None:
            await authorize_caller(self.authorize, trace.caller, request.model)
