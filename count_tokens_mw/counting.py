"""One count without HTTP: from a request to the number that its provider gives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from count_tokens_mw.config import Config
from count_tokens_mw.config_models import PASSTHROUGH_ID, Deployment
from count_tokens_mw.errors import (
    ClientClosedRequest,
    CountError,
    DeadlineExceeded,
    NotFound,
    TooManyRequests,
)
from count_tokens_mw.providers import Providers
from count_tokens_mw.routing import Router
from count_tokens_mw.trace import Trace
from count_tokens_mw.types import CountRequest, TokenCount

if TYPE_CHECKING:
    import httpx

__all__ = ["Counter"]

# Another deployment may do better: it was busy, broken, refused our credentials, or cannot count.
# Any other answer is about the request itself.
_TAKEN_OVER: Final = frozenset({401, 403, 408, 429})


class Counter:
    """Counts requests by a configuration's deployments."""

    def __init__(self, config: Config, http_client: httpx.AsyncClient | None = None) -> None:
        self._timeout = config.settings.timeout
        self._passthrough = _passthrough_deployment(config)
        self._router = Router(config.deployments)
        self._providers = Providers(http_client)
        self._max_under_way = config.settings.max_concurrency
        self._under_way = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the `max_concurrency` places, from before a body is read.

        Raises:
            TooManyRequests: all are taken.
        """
        if self._under_way >= self._max_under_way:
            raise TooManyRequests("This gateway has too many counts under way; try again.")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def count(self, request: CountRequest, trace: Trace) -> TokenCount:
        """Ask the deployments of the request's model in turn, all within one deadline.

        Raises:
            NotFound: the model is not configured.
            CountError: nobody counted; it is what the first deployment said.
        """
        return await self._first_count(self._router.find(request.model), request, trace)

    async def pass_through(self, request: CountRequest, trace: Trace) -> TokenCount:
        """Ask Anthropic for whatever model the request names.

        Raises:
            NotFound: no pass-through is configured.
            CountError: what Anthropic said.
        """
        if self._passthrough is None:
            raise NotFound("The Anthropic pass-through is not configured on this gateway.")
        deployment = self._passthrough.model_copy(update={"upstream_model": request.model})
        return await self._first_count([deployment], request, trace)

    async def aclose(self) -> None:
        """Close what was opened for counting."""
        await self._providers.aclose()

    async def _first_count(
        self, deployments: Sequence[Deployment], request: CountRequest, trace: Trace
    ) -> TokenCount:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._timeout
        errors: list[CountError] = []
        for deployment in deployments:
            if errors and clock() >= deadline:
                break
            try:
                return await self._attempt(deployment, request, deadline, trace)
            except CountError as error:
                if error.status < 500 and error.status not in _TAKEN_OVER:
                    raise
                errors.append(error)
        trace.answer_from = 0
        raise errors[0]

    async def _attempt(
        self, deployment: Deployment, request: CountRequest, deadline: float, trace: Trace
    ) -> TokenCount:
        started = time.perf_counter()
        outcome: TokenCount | CountError = ClientClosedRequest("")
        try:
            outcome = await self._ask(deployment, request, deadline)
            return outcome
        except CountError as error:
            outcome = error
            raise
        finally:
            trace.attempted(
                deployment=deployment.id,
                provider=deployment.provider,
                upstream_model=deployment.upstream_model,
                outcome=outcome,
                started=started,
            )

    async def _ask(
        self, deployment: Deployment, request: CountRequest, deadline: float
    ) -> TokenCount:
        provider = await self._providers.get(deployment)
        call = provider.prepare(replace(request, model=deployment.upstream_model))
        own_timeout = deployment.params.timeout if deployment.params else None
        if own_timeout is not None:
            deadline = min(deadline, asyncio.get_running_loop().time() + own_timeout)
        try:
            async with asyncio.timeout_at(deadline):
                return await provider.send(call)
        except TimeoutError:
            raise DeadlineExceeded(f"{call.provider} did not answer in time.") from None


def _passthrough_deployment(config: Config) -> Deployment | None:
    params = config.settings.passthrough.anthropic
    if params is None:
        return None
    return Deployment(
        id=PASSTHROUGH_ID,
        model_name="*",
        provider="anthropic",
        upstream_model="*",
        params=params,
    )
