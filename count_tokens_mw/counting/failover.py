"""Failover: the deployments of a request, tried in turn within its deadline."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from count_tokens_mw.aio.cancellation import is_cancelled
from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.aio.fairness import (
    SMALL_BYTES,
    YIELD_ABOVE_BYTES,
    LoopFairness,
    takes_long,
)
from count_tokens_mw.cache.sender import CachedSender
from count_tokens_mw.config.models import Deployment
from count_tokens_mw.counting.cooldown import retry_after
from count_tokens_mw.counting.job import Job
from count_tokens_mw.counting.joined import error_for_joiner
from count_tokens_mw.counting.rate_limits import RateLimits
from count_tokens_mw.errors import (
    CannotCount,
    ClientClosedRequest,
    CountError,
    DeadlineExceeded,
    TooManyRequests,
    UpstreamError,
    UpstreamUnreachable,
)
from count_tokens_mw.protocol.omissions import bound_places
from count_tokens_mw.providers.base import PrepareAgain
from count_tokens_mw.providers.pool import Provider, Providers
from count_tokens_mw.types import CountRequest, TokenCount, UpstreamCall

__all__ = ["Failover"]

# Client errors that concern the deployment: it is busy or refuses the gateway's credentials. Any
# other client error concerns the request itself, and no other deployment would accept it.
_FAILOVER_STATUSES: Final = frozenset({401, 403, 408, 429})
_TOO_MANY: Final = 429

# Long enough for a server that is being replaced; random, so that retries do not come at once.
_PAUSE_SECONDS: Final = (0.05, 0.25)

# An attempt that had a smaller share of the timeout says nothing of its deployment: the host's
# callables, or another attempt, may have taken the rest.
_LEAST_SHARE: Final = 1 / 20

# Calls of one attempt: one to each of three APIs, and another one for each after refused betas.
_MOST_CALLS: Final = 6

_CANCELLED: Final = ClientClosedRequest("")  # the outcome until there is another


class Failover:
    """Failover among deployments.

    Args:
        providers: the pool of providers.
        sender: sends the prepared calls.
        fairness: bounds the time for which large bodies hold the event loop.
        pause: the sleep before a retry.
        clock: the monotonic time in seconds.
    """

    def __init__(
        self,
        providers: Providers,
        sender: CachedSender,
        fairness: LoopFairness,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._providers = providers
        self._sender = sender
        self._fairness = fairness
        self._pause = pause
        self._limits = RateLimits(clock)

    async def first_count(self, job: Job, deployments: Sequence[Deployment]) -> TokenCount:
        """Return the first count that a deployment gives; those in cooldown are tried last.

        Raises:
            CountError: no deployment counted. An error that concerns the request itself ends the
                failover and is raised; otherwise the first deployment's error is.
        """
        errors: list[CountError] = []
        answer_from = -1
        ordered = deployments
        if len(ordered) > 1:
            ordered = job.snapshot.cooldown.healthy_first(deployments)
        for others, deployment in zip(range(len(ordered) - 1, -1, -1), ordered, strict=True):
            if errors and job.deadline.seconds_left() <= 0:
                break
            started = time.perf_counter()
            known = self._sender.recall(job.request, deployment)
            if known is not None and not (known.omitted and _refuses_omissions(job)):
                job.record.add_attempt(deployment, known, started)
                return known
            try:
                return await self._try(job, deployment, others=others > 0)
            except CountError as error:
                if error.status < 500 and error.status not in _FAILOVER_STATUSES:
                    raise
                errors.append(error)
            if len(errors) == 1:
                answer_from = len(job.record.attempts) - 1
        job.record.answer_from = answer_from
        raise errors[0]

    async def _try(self, job: Job, deployment: Deployment, *, others: bool) -> TokenCount:
        """Make an attempt, and another one if there is no other deployment.

        A broken connection is retried. A rate limit is waited for once, if its `retry-after` fits
        into half of the time left.
        """
        seconds = 0 if others else self._limits.seconds_left(deployment)
        has_waited = seconds > 0 and await self._wait_for_limit(job, seconds)
        try:
            return await self._attempt(job, deployment, others=others)
        except UpstreamUnreachable:
            pause = random.uniform(*_PAUSE_SECONDS)  # noqa: S311 - it spreads load
            if others or not job.snapshot.retries or job.deadline.seconds_left() <= pause:
                raise
            await self._pause(pause)
        except UpstreamError as error:
            if others or has_waited or error.status != _TOO_MANY:
                raise
            seconds = retry_after(error.headers, datetime.now(UTC))
            self._limits.start(deployment, seconds)
            try:
                has_waited = await self._wait_for_limit(job, seconds)
            except TooManyRequests:  # no place is free; the provider's answer is the better one
                raise error from None
            if not has_waited:
                raise
        return await self._attempt(job, deployment, others=False)

    async def _wait_for_limit(self, job: Job, seconds: float) -> bool:
        """Wait for the end of a rate limit; return False if that takes too long.

        Another request may have met it. A request that waits holds no place.
        """
        if not 0 < seconds <= job.deadline.seconds_left() / 2:
            return False
        if job.place is None:
            await self._pause(seconds)
            return True
        job.place.release()
        job.will_wait()
        await self._pause(seconds)
        await job.place.take(job.deadline)
        return True

    async def _attempt(self, job: Job, deployment: Deployment, *, others: bool) -> TokenCount:
        started = time.perf_counter()
        outcome: TokenCount | CountError = _CANCELLED
        try:
            outcome = await self._ask(job, deployment, others=others)
            return outcome
        except TimeoutError:  # a library's own
            outcome = DeadlineExceeded(_late(deployment))
            raise outcome from None
        except CountError as error:
            outcome = error
            raise
        finally:
            job.record.add_attempt(deployment, outcome, started)

    async def _ask(self, job: Job, deployment: Deployment, *, others: bool) -> TokenCount:
        opened = await self._providers.acquire(deployment, job.deadline)
        try:
            return await self._send(job, deployment, opened.provider, others=others)
        finally:
            await self._providers.release(opened)

    async def _send(
        self, job: Job, deployment: Deployment, provider: Provider, *, others: bool
    ) -> TokenCount:
        call = await self._prepare(job, deployment, provider, job.deadline)
        seconds = _seconds_of_attempt(job, deployment, others=others)
        deadline, calls = Deadline(seconds), 0
        job.will_wait()
        to_joiner = partial(error_for_joiner, request_id=job.record.request_id)
        while True:
            calls += 1
            sending = self._sender.send(
                job.request, deployment, call, provider.send, job.record.caller, to_joiner
            )
            try:
                return await deadline.wait(_to_unreachable(sending), _late(deployment))
            except PrepareAgain as learnt:
                former, failure = call, learnt.error
            except (CountError, TimeoutError) as error:
                _record_failure(job, deployment, error, seconds)
                raise
            if calls < _MOST_CALLS:
                call = await self._prepare(job, deployment, provider, deadline)
            if call == former:
                _record_failure(job, deployment, failure, seconds)
                raise failure

    async def _prepare(
        self, job: Job, deployment: Deployment, provider: Provider, deadline: Deadline
    ) -> UpstreamCall:
        """Return the call of a deployment.

        Raises:
            CannotCount: the call has omissions, and the settings refuse them.
        """
        request = job.request.for_model(deployment.upstream_model)
        least = SMALL_BYTES if provider.leaves_loop else YIELD_ABOVE_BYTES
        if len(request.body.raw) > least:
            preparing = self._prepare_large(request, provider)
            call = await deadline.run(preparing, _late(deployment))
        else:
            call = provider.prepare(request)
        if call.omitted and _refuses_omissions(job):
            places = ", ".join(bound_places(call.omitted))
            raise CannotCount(
                f"{places}: would be left out of the count; remove it from the request, or set "
                "count_tokens.omissions to allow."
            )
        return call

    async def _prepare_large(self, request: CountRequest, provider: Provider) -> UpstreamCall:
        prepare = partial(provider.prepare, request)
        is_short = provider.leaves_loop and not takes_long(request.body.raw)
        if provider.prepare_in_thread and not is_short:
            return await self._fairness.run_sync(prepare)
        if len(request.body.raw) > YIELD_ABOVE_BYTES:
            await self._fairness.checkpoint()
        return await self._fairness.run_short(prepare) if is_short else prepare()


async def _to_unreachable(sending: Awaitable[TokenCount]) -> TokenCount:
    """Await a call, and raise a `CancelledError` of the host's HTTP client as an upstream error.

    Raises:
        UpstreamUnreachable: the call was cancelled, but not by the cancellation of this task.
    """
    try:
        return await sending
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise UpstreamUnreachable("The call to the provider was interrupted.") from None


def _seconds_of_attempt(job: Job, deployment: Deployment, *, others: bool) -> float:
    """Return the timeout of an attempt: its own, capped by the time left.

    While there are other deployments to try, an attempt gets at most half of the time left: a
    deployment that hangs would use it all, since LiteLLM's timeouts are meant for generation.
    """
    left = job.deadline.seconds_left()
    return min(_timeout_of(job, deployment) or left, left / 2 if others else left)


def _record_failure(
    job: Job, deployment: Deployment, error: CountError | TimeoutError, seconds: float
) -> None:
    """Start the cooldown of a deployment whose attempt failed after `seconds` at most."""
    if isinstance(error, TimeoutError | DeadlineExceeded):
        timeout = _timeout_of(job, deployment) or job.snapshot.settings.timeout
        if seconds >= _LEAST_SHARE * timeout:
            job.snapshot.cooldown.record_failure(deployment, {})
    elif error.status >= 500 or error.status in _FAILOVER_STATUSES:
        job.snapshot.cooldown.record_failure(deployment, error.headers)


def _timeout_of(job: Job, deployment: Deployment) -> float | None:
    own = deployment.params.timeout if deployment.params else None
    return own or job.snapshot.attempt_timeout


def _refuses_omissions(job: Job) -> bool:
    return job.snapshot.settings.omissions == "refuse"


def _late(deployment: Deployment) -> str:
    return f"{deployment.provider} did not answer in time."
