"""One HTTP request: authenticate, read, authorise, count, answer, report."""

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import Final, NoReturn

from starlette.types import Receive, Scope, Send

from count_tokens_mw.aio.guard import outcome_of
from count_tokens_mw.asgi.body import BODY_HEADERS, TimedRequest, expected_size, read_body
from count_tokens_mw.asgi.disconnect import DisconnectWatch
from count_tokens_mw.asgi.routes import describe_not_found
from count_tokens_mw.counting.admission import Place
from count_tokens_mw.counting.job import Job
from count_tokens_mw.counting.record import ATTRIBUTION_HEADERS, RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import CountError, MethodNotAllowed, NotFound, Unauthenticated
from count_tokens_mw.events import EntryPoint
from count_tokens_mw.host.api_keys import drop_gateway_keys
from count_tokens_mw.host.auth import Authenticator
from count_tokens_mw.host.callbacks import authenticate_caller
from count_tokens_mw.pipeline import Pipeline
from count_tokens_mw.protocol.request import MOST_NATIVE_BYTES, require_printable, require_short
from count_tokens_mw.protocol.response import http_answer, is_sendable_status
from count_tokens_mw.types import CountRequest, Headers, RequestBody, TokenCount

__all__ = ["Endpoint"]

_MAX_CONFIGURATIONS: Final = 16


class Endpoint:
    """An ASGI app for one path: every request ends in one JSON answer and one event.

    The event is at `scope["state"]["count_tokens"]` before the answer is sent, for the host's
    access log. The hooks receive it after the answer.
    """

    def __init__(self, pipeline: Pipeline, entry_point: EntryPoint) -> None:
        self._pipeline = pipeline
        self.entry_point = entry_point

    def authenticated_by(self, authenticate: Authenticator) -> "Endpoint":
        """Return an endpoint of the same path with another `authenticate`."""
        return Endpoint(replace(self._pipeline, authenticate=authenticate), self.entry_point)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.respond(self.open(scope, receive), send)

    def open(self, scope: Scope, receive: Receive) -> TimedRequest:
        """Return a request whose deadline starts now."""
        return TimedRequest(scope, receive, self._pipeline.engine.snapshot.settings)

    async def respond(self, request: TimedRequest, send: Send) -> None:
        """Answer a request, even if `request.body()` has read its body before."""
        record = RequestRecord(self.entry_point)
        event = None
        try:
            outcome = await outcome_of(record, self._count(request, record))
            if isinstance(outcome, CountError) and not is_sendable_status(outcome.status):
                outcome = await outcome_of(record, _fail_with(outcome))
            record.finish(outcome)
            answer = http_answer(outcome, record.request_id)
            event = record.event()
            request.scope.setdefault("state", {})["count_tokens"] = event
            head = {"type": "http.response.start", "status": answer.status}
            await send({**head, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})
        finally:
            # There is no event yet if the request was cancelled.
            self._pipeline.hooks.emit(event or record.event())

    async def _count(self, request: TimedRequest, record: RequestRecord) -> TokenCount:
        pipeline, deadline = self._pipeline, request.deadline
        snapshot = pipeline.engine.snapshot
        settings = snapshot.settings
        headers, native = _read_headers(request.scope, _encode_names(settings.end_user_headers))
        record.read_headers(headers, settings.end_user_headers)
        if self.entry_point == "other":
            raise NotFound(describe_not_found(request.scope))
        if request.method != "POST":
            raise MethodNotAllowed("Only POST is allowed here.")
        require_short(native)
        record.caller = await authenticate_caller(pipeline.authenticate, request, deadline)
        is_breakdown = self.entry_point == "breakdown"
        place = pipeline.engine.admission.place(record.caller, is_breakdown=is_breakdown)
        try:
            size = expected_size(headers, settings.max_body_bytes)
            if not place.try_reserve(size):
                await request.upload(place.reserve(size))
            body = await read_body(
                request, headers, settings.max_body_bytes, pipeline.engine.fairness
            )
            place.shrink(len(body.raw))
            counted = self._read(request, body, native, record, snapshot)
            watch = DisconnectWatch(request)
            job = Job(counted, snapshot, record, deadline, place, watch.start)
            return await watch.run(self._run(job, place))
        finally:
            place.leave()

    def _read(
        self,
        request: TimedRequest,
        body: RequestBody,
        native: Headers,
        record: RequestRecord,
        snapshot: ConfigSnapshot,
    ) -> CountRequest:
        native = drop_gateway_keys(request.scope, require_printable(native))
        if self.entry_point != "passthrough":
            return self._pipeline.read(body, native, caller=record.caller)
        query = request.scope.get("query_string", b"").decode("latin-1")
        credentials = _read_own_credentials(request.scope, snapshot)
        return self._pipeline.read(body, native, query, credentials, caller=record.caller)

    async def _run(self, job: Job, place: Place) -> TokenCount:
        if not place.try_take():
            job.will_wait()
            await place.take(job.deadline)
        if self.entry_point == "count_tokens":
            return await self._pipeline.count(job)
        if self.entry_point == "passthrough":
            return await self._pipeline.pass_through(job)
        return (await self._pipeline.break_down(job)).as_count()


async def _fail_with(error: CountError) -> NoReturn:
    """Raise an unexpected exception for an error that a host gave an impossible status."""
    raise ValueError("impossible status").with_traceback(error.__traceback__)


@lru_cache(_MAX_CONFIGURATIONS)
def _encode_names(end_user_headers: tuple[str, ...]) -> Collection[bytes]:
    names = (*end_user_headers, *ATTRIBUTION_HEADERS, *BODY_HEADERS)
    return frozenset(name.encode("latin-1") for name in names)


def _read_headers(scope: Scope, names: Collection[bytes]) -> tuple[dict[str, str], Headers]:
    """Return the headers of these names, and the lines of the native ones, up to too many."""
    headers: dict[str, str] = {}
    native: list[tuple[str, str]] = []
    native_bytes = 0
    for name, value in scope["headers"]:
        if name in names:  # the first line of a name wins, as in Starlette
            headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        if native_bytes <= MOST_NATIVE_BYTES and name.startswith(b"anthropic-"):
            native_bytes += len(name) + len(value)
            native.append((name.decode("latin-1"), value.decode("latin-1")))
    return headers, native


def _read_own_credentials(scope: Scope, snapshot: ConfigSnapshot) -> Headers:
    """Return the caller's own credentials, if the pass-through forwards them.

    Raises:
        Unauthenticated: the pass-through forwards them, and the caller sent none.
    """
    params = snapshot.settings.passthrough.anthropic
    if params is None or not params.forward_client_credentials:
        return ()
    names = params.forward_client_credentials
    headers, _ = _read_headers(scope, {name.encode() for name in names})
    sent = require_printable([line for line in headers.items() if line[1]])
    credentials = drop_gateway_keys(scope, sent)
    if credentials:
        return credentials
    reason = (
        "it is your key for this gateway, which is never forwarded" if sent else "there is none"
    )
    raise Unauthenticated(
        f"{' or '.join(names)}: your own credential for Anthropic is required here; {reason}."
    )
