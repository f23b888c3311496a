"""What all the ways in share: who may count, and who is told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from count_tokens_mw.auth import Authenticator, Authorizer, authorize_caller
from count_tokens_mw.counting import Counter
from count_tokens_mw.errors import DeadlineExceeded
from count_tokens_mw.hooks import Hook
from count_tokens_mw.plan import Plan
from count_tokens_mw.trace import Trace
from count_tokens_mw.transforming import Transform, transformed
from count_tokens_mw.types import CountRequest, TokenCount

__all__ = ["Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """The counter, and the host's callables around it."""

    counter: Counter
    authenticate: Authenticator
    authorize: Authorizer | None
    transform: Transform | None
    hooks: Sequence[Hook]

    async def count(self, request: CountRequest, plan: Plan, trace: Trace) -> TokenCount:
        """Authorise the caller, if there is one, let the host change the body, and count.

        Raises:
            CountError: the host refused, or there is no count.
        """
        trace.read_request(request)
        request = replace(request, model=plan.router.name_of(request.model))
        request = await self._checked(request, trace, plan.settings.timeout)
        return await self.counter.count(request, plan, trace)

    async def pass_through(self, request: CountRequest, plan: Plan, trace: Trace) -> TokenCount:
        """The same by the pass-through, with the model as it is.

        Raises:
            CountError: the host refused, or there is no count.
        """
        trace.read_request(request)
        request = await self._checked(request, trace, plan.settings.timeout)
        return await self.counter.pass_through(request, plan, trace)

    async def _checked(self, request: CountRequest, trace: Trace, seconds: float) -> CountRequest:
        try:
            async with asyncio.timeout(seconds):
                if trace.caller is not None:
                    await authorize_caller(self.authorize, trace.caller, request.model)
                if self.transform is None:
                    return request
                return await transformed(self.transform, request, trace.caller)
        except TimeoutError:
            raise DeadlineExceeded("The gateway did not decide in time.") from None
