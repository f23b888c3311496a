"""The steps that all entry points share: parsing, authorisation, `transform` and the count."""

from dataclasses import dataclass

from count_tokens_mw.breakdown.result import Breakdown, Progress, ignore_progress
from count_tokens_mw.breakdown.runner import break_down
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.counting.job import Job
from count_tokens_mw.counting.router import Router
from count_tokens_mw.host.auth import Authenticator, Authorizer
from count_tokens_mw.host.callbacks import Transform, authorize_caller, call_transform
from count_tokens_mw.host.hooks import HookRunner
from count_tokens_mw.protocol.request import parse_request
from count_tokens_mw.types import Caller, CountRequest, Headers, RequestBody, TokenCount

__all__ = ["Pipeline"]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The counting engine, and the host's callables around it."""

    engine: CountingEngine
    authenticate: Authenticator
    authorize: Authorizer | None
    transform: Transform | None
    hooks: HookRunner

    def read(
        self,
        body: RequestBody,
        headers: Headers,
        query: str = "",
        credentials: Headers = (),
        *,
        caller: Caller | None,
    ) -> CountRequest:
        """Return the parsed request; a byte-identical recent body is not parsed again.

        Raises:
            InvalidRequest: the body cannot be parsed, or is no count request.
        """
        if self.transform is not None or credentials:
            return parse_request(body.raw, headers, query=query, credentials=credentials)
        return self.engine.sender.parse(body, headers, query, caller)

    async def count(self, job: Job) -> TokenCount:
        """Authorise the caller, if there is one, call the host's `transform`, and count.

        Raises:
            CountError: the host refused, or there is no count.
        """
        await self._prepare(job, job.snapshot.router)
        return await self.engine.count(job)

    async def break_down(self, job: Job, progress: Progress = ignore_progress) -> Breakdown:
        """Authorise and transform like `count`, and count each part of the request.

        Raises:
            CountError: the host refused, there is no count, or there are too many parts.
        """
        await self._prepare(job, job.snapshot.router)
        return await break_down(self.engine, job, progress)

    async def pass_through(self, job: Job) -> TokenCount:
        """Authorise and transform like `count`, and count by the pass-through, under the sent name.

        Raises:
            CountError: the host refused, or there is no count.
        """
        await self._prepare(job, None)
        return await self.engine.pass_through(job)

    async def _prepare(self, job: Job, router: Router | None) -> None:
        """Authorise and transform the request, under the name that is looked up.

        `router` has that name for the sent one, and for one that the host's `transform` puts in its
        place. Without a router, the name stays as it is.
        """
        request = job.request = _rename(job.request, router)
        by_identifier = job.snapshot.settings.end_user_safety_identifier
        job.record.read_request(request, safety_identifier=by_identifier)
        caller = job.record.caller
        if self.authorize is not None and caller is not None:
            name = router.authorized_name_of(request.model) if router else request.model
            await authorize_caller(self.authorize, caller, name, job.deadline)
        if self.transform is not None:
            job.request = await call_transform(self.transform, request, caller, job.deadline)
        if job.request.model != request.model:
            job.request = _rename(job.request, router)


def _rename(request: CountRequest, router: Router | None) -> CountRequest:
    name = router.name_of(request.model) if router else request.model
    return request if name == request.model else request.for_model(name)
