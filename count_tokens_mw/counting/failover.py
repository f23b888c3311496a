"""Failover: the deployments of one request, tried in turn within one deadline."""

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

# Client errors that concern the deployment: it is busy or refuses the gateway's credentials. Any
# other client error concerns the request itself, and no other deployment would accept it.
_FAILOVER_STATUSES: Final = frozenset({401, 403, 408, 429})

# Long enough for a server that is being replaced; random, so that retries do not come at once.
_PAUSE_SECONDS: Final = (0.05, 0.25)

_CANCELLED: Final = ClientClosedRequest("")  # the outcome until there is another


@dataclass(slots=True)
class Failover:
    """Failover of one request. `deadline` is by the event loop's clock."""

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
        """Return the first count that a deployment gives; those in cooldown are tried last.

        Raises:
            CountError: no deployment counted. An error that concerns the request itself ends the
                failover and is raised; otherwise the first deployment's error is.
        """
        errors: list[CountError] = []
        answer_from = -1
        queue = list(self.snapshot.cooldown.healthy_first(deployments))
        while queue and (not errors or self._seconds_left() > 0):
            deployment = queue.pop(0)
            try:
                return await self._try(deployment, others=bool(queue))
            except CountError as error:
                if error.status < 500 and error.status not in _FAILOVER_STATUSES:
                    raise
                errors.append(error)
            if len(errors) == 1:
                answer_from = len(self.record.attempts) - 1
        self.record.answer_from = answer_from
        raise errors[0]

    async def _try(self, deployment: Deployment, *, others: bool) -> TokenCount:
        """Make an attempt, and retry a broken connection if there is no other deployment."""
        try:
            return await self._attempt(deployment, others=others)
        except UpstreamUnreachable:
            pause = random.uniform(*_PAUSE_SECONDS)  # noqa: S311 - it spreads load
            if others or not self.snapshot.retries or self._seconds_left() <= pause:
                raise
        await self.pause(pause)
        return await self._attempt(deployment, others=False)

    async def _attempt(self, deployment: Deployment, *, others: bool) -> TokenCount:
        started = time.perf_counter()
        outcome: TokenCount | CountError = _CANCELLED
        try:
            async with self.providers.use(deployment, self._seconds_left()) as provider:
                call = await self._prepare(deployment, provider)
                outcome = await self._send(deployment, provider, call, others=others)
                return outcome
        except TimeoutError:
            outcome = DeadlineExceeded(f"{deployment.provider} did not answer in time.")
            raise outcome from None
        except CountError as error:
            outcome = error
            raise
        finally:
            self.record.add_attempt(deployment, outcome, started)

    async def _prepare(self, deployment: Deployment, provider: Provider) -> UpstreamCall:
        request = self.request.for_model(deployment.upstream_model)
        if len(request.body.raw) <= YIELD_ABOVE_BYTES:
            return provider.prepare(request)
        if provider.prepare_in_thread:
            async with asyncio.timeout_at(self.deadline):
                return await self.fairness.run_sync(partial(provider.prepare, request))
        await self.fairness.checkpoint()
        return provider.prepare(request)

    async def _send(
        self, deployment: Deployment, provider: Provider, call: UpstreamCall, *, others: bool
    ) -> TokenCount:
        try:
            async with asyncio.timeout_at(self._attempt_deadline(deployment, others=others)):
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
            if error.status >= 500 or error.status in _FAILOVER_STATUSES:
                self.snapshot.cooldown.record_failure(deployment, error.headers)
            raise

    def _attempt_deadline(self, deployment: Deployment, *, others: bool) -> float:
        """Return when an attempt times out: after its own timeout, capped by the time left.

        While there are other deployments to try, an attempt gets at most half of the time left: a
        deployment that hangs would use it all, since LiteLLM's timeouts are meant for generation.
        """
        own = deployment.params.timeout if deployment.params else None
        now = asyncio.get_running_loop().time()
        left = self.deadline - now
        seconds = min(own or self.snapshot.attempt_timeout or left, left / 2 if others else left)
        return now + seconds

    def _seconds_left(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()
