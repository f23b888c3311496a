"""The steps that all entry points share: parsing, authorisation, `transform` and the count."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from count_tokens_mw.aio.timeout import fast_timeout
from count_tokens_mw.breakdown.result import Breakdown, Progress, ignore_progress
from count_tokens_mw.breakdown.runner import break_down
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import DeadlineExceeded
from count_tokens_mw.events import Hook
from count_tokens_mw.host.auth import Authenticator, Authorizer
from count_tokens_mw.host.callbacks import Transform, authorize_caller, call_transform
from count_tokens_mw.protocol.request import parse_request
from count_tokens_mw.types import CountRequest, Headers, RequestBody, TokenCount

__all__ = ["Pipeline"]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The counting engine, and the host's callables around it."""

    engine: CountingEngine
    authenticate: Authenticator
    authorize: Authorizer | None
    transform: Transform | None
    hooks: Sequence[Hook]

    def read(
        self, body: RequestBody, headers: Headers, query: str = "", credentials: Headers = ()
    ) -> CountRequest:
        """Return the parsed request; a byte-identical recent body is not parsed again.

        Raises:
            InvalidRequest: the body cannot be parsed, or is no count request.
        """
        memo = self.engine.memo
        if memo is None or self.transform is not None or credentials:
            return parse_request(body.raw, headers, query=query, credentials=credentials)
        request = memo.get(body.digest, body.raw, headers, query)
        if request is None:
            request = parse_request(body.raw, headers, query=query)
            memo.put(body.digest, request)
        return request

    async def count(
        self, request: CountRequest, snapshot: ConfigSnapshot, record: RequestRecord
    ) -> TokenCount:
        """Authorise the caller, if there is one, call the host's `transform`, and count.

        Raises:
            CountError: the host refused, or there is no count.
        """
        request = await self._prepare(request, snapshot, record, snapshot.router.name_of)
        return await self.engine.count(request, snapshot, record)

    async def break_down(
        self,
        request: CountRequest,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
        progress: Progress = ignore_progress,
    ) -> Breakdown:
        """Authorise and transform like `count`, and count each part of the request.

        Raises:
            CountError: the host refused, there is no count, or there are too many parts.
        """
        request = await self._prepare(request, snapshot, record, snapshot.router.name_of)
        return await break_down(self.engine, request, snapshot, record, progress)

    async def pass_through(
        self, request: CountRequest, snapshot: ConfigSnapshot, record: RequestRecord
    ) -> TokenCount:
        """Authorise and transform like `count`, and count by the pass-through, under the sent name.

        Raises:
            CountError: the host refused, or there is no count.
        """
        request = await self._prepare(request, snapshot, record, _keep_name)
        return await self.engine.pass_through(request, snapshot, record)

    async def _prepare(
        self,
        request: CountRequest,
        snapshot: ConfigSnapshot,
        record: RequestRecord,
        name_of: Callable[[str], str],
    ) -> CountRequest:
        """Return the authorised and transformed request, under the name that is looked up.

        `name_of` returns that name for the sent one, and for one that the host's `transform` puts
        in its place.
        """
        seconds = snapshot.settings.timeout
        request = _rename(request, name_of(request.model))
        record.read_request(request)
        caller = record.caller
        try:
            if self.authorize is not None and caller is not None:
                await authorize_caller(self.authorize, caller, request.model, seconds)
            if self.transform is None:
                return request
            changed = await fast_timeout(seconds, call_transform(self.transform, request, caller))
        except TimeoutError:
            raise DeadlineExceeded("The gateway did not decide in time.") from None
        if changed.model == request.model:
            return changed
        return _rename(changed, name_of(changed.model))


def _rename(request: CountRequest, name: str) -> CountRequest:
    return request if name == request.model else request.for_model(name)


def _keep_name(model: str) -> str:
    return model
