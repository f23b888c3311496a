"""The deployments of one request, asked one after another within one deadline."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from count_tokens_mw.aio.fairness import YIELD_ABOVE_BYTES, LoopFairness
from count_tokens_mw.cache.counts import CountCache
from count_tokens_mw.cache.fingerprint import fingerprint
from count_tokens_mw.cache.memo import RequestMemo
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import (
    ClientClosedRequest,
    CountError,
    DeadlineExceeded,
    UpstreamUnreachable,
)
from count_tokens_mw.providers.pool import Provider, Providers
from count_tokens_mw.types import CountRequest, TokenCount, UpstreamCall

if TYPE_CHECKING:
    from count_tokens_mw.config.models import Deployment

__all__ = ["Failover"]

# Another deployment may do better: it was busy, broken, refused our credentials, or cannot count.
# Any other answer is about the request itself.
_TAKEN_OVER: Final = frozenset({401, 403, 408, 429})

# Long enough for a server that is being replaced, and not at once from everybody.
_PAUSE_SECONDS: Final = (0.05, 0.25)

_LEFT: Final = ClientClosedRequest("")  # until there is another outcome


@dataclass(slots=True)
class Failover:
    """What one request's attempts have in common. `deadline` is by the event loop's clock."""

    snapshot: ConfigSnapshot
    providers: Providers
    cache: CountCache | None
    request: CountRequest
    record: RequestRecord
    deadline: float
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    memo: RequestMemo | None = None
    fairness: LoopFairness = field(default_factory=LoopFairness)

    async def first_count(self, deployments: Sequence[Deployment]) -> TokenCount:
        """The first count that a deployment gives; those that failed lately are asked last.

        Raises:
            CountError: nobody counted; it is what the first one said, or what a later one said of
                the request itself.
        """
        errors: list[CountError] = []
        answer_from = -1
        queue = list(self.snapshot.cooldown.healthy_first(deployments))
        while queue and (not errors or self._left() > 0):
            deployment = queue.pop(0)
            try:
                return await self._asked(deployment, others=bool(queue))
            except CountError as error:
                if error.status < 500 and error.status not in _TAKEN_OVER:
                    raise
                errors.append(error)
            if len(errors) == 1:
                answer_from = len(self.record.attempts) - 1
        self.record.answer_from = answer_from
        raise errors[0]

    async def _asked(self, deployment: Deployment, *, others: bool) -> TokenCount:
        """One attempt; another one where the connection broke and nobody else is left to ask."""
        try:
            return await self._attempt(deployment, others=others)
        except UpstreamUnreachable:
            pause = random.uniform(*_PAUSE_SECONDS)  # noqa: S311 - it spreads load
            if others or not self.snapshot.retries or self._left() <= pause:
                raise
        await self.pause(pause)
        return await self._attempt(deployment, others=False)

    async def _attempt(self, deployment: Deployment, *, others: bool) -> TokenCount:
        started = time.perf_counter()
        outcome: TokenCount | CountError = _LEFT
        try:
            async with self.providers.use(deployment, self._left()) as provider:
                call = await self._prepared(deployment, provider)
                outcome = await self._sent(deployment, provider, call, others=others)
                return outcome
        except TimeoutError:
            outcome = DeadlineExceeded(f"{deployment.provider} did not answer in time.")
            raise outcome from None
        except CountError as error:
            outcome = error
            raise
        finally:
            self.record.add_attempt(deployment, outcome, started)

    async def _prepared(self, deployment: Deployment, provider: Provider) -> UpstreamCall:
        request = self.request.for_model(deployment.upstream_model)
        if len(request.body.raw) <= YIELD_ABOVE_BYTES:
            return provider.prepare(request)
        if provider.prepare_in_thread:
            async with asyncio.timeout_at(self.deadline):
                return await self.fairness.run_sync(partial(provider.prepare, request))
        await self.fairness.checkpoint()
        return provider.prepare(request)

    async def _sent(
        self, deployment: Deployment, provider: Provider, call: UpstreamCall, *, others: bool
    ) -> TokenCount:
        try:
            async with asyncio.timeout_at(self._until(deployment, others=others)):
                if self.cache is None or deployment.params is None:
                    return await provider.send(call)
                account = deployment.params.account
                key = await fingerprint(call, account, self.fairness)
                if self.memo is not None:
                    self.memo.put_call(self.request, (account, deployment.upstream_model), key)
                return await self.cache.count(key, lambda: provider.send(call))
        except TimeoutError:
            self.snapshot.cooldown.record_failure(deployment, {})
            raise DeadlineExceeded(f"{call.provider} did not answer in time.") from None
        except CountError as error:
            if error.status >= 500 or error.status in _TAKEN_OVER:
                self.snapshot.cooldown.record_failure(deployment, error.headers)
            raise

    def _until(self, deployment: Deployment, *, others: bool) -> float:
        """When an attempt is over: after its own timeout, if there is as much time.

        While there are others to ask, half of the time is theirs: one that hangs would leave them
        nothing, and LiteLLM's timeouts are made for generation.
        """
        own = deployment.params.timeout if deployment.params else None
        now = asyncio.get_running_loop().time()
        left = self.deadline - now
        seconds = min(own or self.snapshot.attempt_timeout or left, left / 2 if others else left)
        return now + seconds

    def _left(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()
