"""One HTTP request: authenticate, read, authorise, count, answer, report."""

from dataclasses import replace

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from count_tokens_mw.auth import Authenticator, authenticate_caller
from count_tokens_mw.boundary import boundary
from count_tokens_mw.errors import CountError, MethodNotAllowed, NotFound
from count_tokens_mw.hooks import Way, run_hooks
from count_tokens_mw.messages import (
    HttpAnswer,
    count_answer,
    credential_headers,
    error_answer,
    native_headers,
)
from count_tokens_mw.plan import Plan
from count_tokens_mw.request_body import read_body
from count_tokens_mw.service import Service
from count_tokens_mw.trace import Trace
from count_tokens_mw.types import Headers, TokenCount

__all__ = ["Endpoint"]


class Endpoint:
    """One path as an ASGI app: every request ends in one JSON answer and one event.

    The event is left at `scope["state"]["count_tokens"]` before the answer is sent, for the host's
    access log, and the hooks run after it.
    """

    def __init__(self, service: Service, way: Way) -> None:
        self._service = service
        self.way = way

    def authenticated_by(self, authenticate: Authenticator) -> "Endpoint":
        """The same path with another way to know the caller."""
        return Endpoint(replace(self._service, authenticate=authenticate), self.way)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.respond(Request(scope, receive), send)

    async def respond(self, request: Request, send: Send) -> None:
        """Answer a request, whose body may have been read already by `request.body()`."""
        trace = Trace(self.way)
        event = None
        try:
            answer = await self._answer(request, trace)
            event = trace.event()
            request.scope.setdefault("state", {})["count_tokens"] = event
            await _send(answer, send)
        finally:
            # Without an event yet, the request was cancelled.
            await run_hooks(self._service.hooks, event or trace.event())

    async def _answer(self, request: Request, trace: Trace) -> HttpAnswer:
        try:
            with boundary(trace):
                count = await self._count(request, trace)
        except CountError as error:
            trace.finish(error)
            return error_answer(error, trace.request_id)
        trace.finish(count)
        return count_answer(count, trace.request_id)

    async def _count(self, request: Request, trace: Trace) -> TokenCount:
        service = self._service
        plan = service.counter.plan
        lines = _header_lines(request.scope)
        # Of several lines of one name the first one counts, as in Starlette.
        headers = dict(reversed(lines))
        trace.read_headers(headers, plan.settings.end_user_headers)
        if self.way == "other":
            raise NotFound("There is nothing at this path.")
        if request.method != "POST":
            raise MethodNotAllowed("Only POST is allowed here.")
        trace.caller = await authenticate_caller(service.authenticate, request)
        with service.counter.slot():
            body = await read_body(request, headers, plan.settings, service.counter.turns)
            native = native_headers(lines)
            if self.way == "count_tokens":
                read = await service.read(body, native)
                return await service.count(read, plan, trace)
            query = request.scope.get("query_string", b"").decode("latin-1")
            own = _own_credentials(lines, plan)
            read = await service.read(body, native, query, own)
            return await service.pass_through(read, plan, trace)


def _header_lines(scope: Scope) -> Headers:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]


def _own_credentials(lines: Headers, plan: Plan) -> Headers:
    """The caller's, if the pass-through forwards them."""
    params = plan.settings.passthrough.anthropic
    forward = params is not None and params.forward_client_credentials
    return credential_headers(lines) if forward else ()


async def _send(answer: HttpAnswer, send: Send) -> None:
    head = {"type": "http.response.start", "status": answer.status}
    await send({**head, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
