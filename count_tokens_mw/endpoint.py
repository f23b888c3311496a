"""One HTTP request: authenticate, read within bounds, parse, authorise, count, answer, report."""

import asyncio
from dataclasses import replace

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from count_tokens_mw.auth import Authenticator, authenticate_caller, host_refusals
from count_tokens_mw.boundary import boundary
from count_tokens_mw.config_models import Settings
from count_tokens_mw.errors import (
    ClientClosedRequest,
    CountError,
    DeadlineExceeded,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RequestTooLarge,
)
from count_tokens_mw.hooks import Way, run_hooks
from count_tokens_mw.messages import (
    HttpAnswer,
    count_answer,
    credential_headers,
    error_answer,
    native_headers,
    parse_request,
)
from count_tokens_mw.service import Service
from count_tokens_mw.trace import Trace
from count_tokens_mw.types import CountRequest, TokenCount

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
            response = Response(answer.body, answer.status, dict(answer.headers))
            await response(request.scope, request.receive, send)
        finally:
            # Without an event yet, the request was cancelled.
            await run_hooks(self._service.hooks, event or trace.event())

    async def _answer(self, request: Request, trace: Trace) -> HttpAnswer:
        try:
            with boundary(f"count {trace.request_id}"):
                count = await self._count(request, trace)
        except CountError as error:
            trace.finish(error)
            return error_answer(error, trace.request_id)
        trace.finish(count)
        return count_answer(count, trace.request_id)

    async def _count(self, request: Request, trace: Trace) -> TokenCount:
        service = self._service
        plan = service.counter.plan
        trace.read_headers(request.headers, plan.settings.end_user_headers)
        if self.way == "other":
            raise NotFound("There is nothing at this path.")
        if request.method != "POST":
            raise MethodNotAllowed("Only POST is allowed here.")
        trace.caller = await authenticate_caller(service.authenticate, request)
        with service.counter.slot():
            raw = await _body(request, plan.settings)
            if self.way == "passthrough":
                native = _native_request(request, raw, plan.settings)
                return await service.pass_through(native, plan, trace)
            parsed = parse_request(raw, native_headers(request.headers.items()))
            return await service.count(parsed, plan, trace)


def _native_request(request: Request, raw: bytes, settings: Settings) -> CountRequest:
    """With what only the pass-through passes on."""
    items = request.headers.items()
    params = settings.passthrough.anthropic
    forward = params is not None and params.forward_client_credentials
    return parse_request(
        raw,
        native_headers(items),
        query=request.scope.get("query_string", b"").decode("latin-1"),
        credentials=credential_headers(items) if forward else (),
    )


async def _body(request: Request, settings: Settings) -> bytes:
    limit = settings.max_body_bytes
    too_large = RequestTooLarge(f"The request body is larger than {limit} bytes.")
    if _announced_length(request.headers) > limit:
        raise too_large
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise InvalidRequest(
            "content-encoding: this gateway reads no compressed bodies.",
            error_code="request_body_encoding_unsupported",
        )
    chunks: list[bytes] = []
    size = 0
    try:
        # The host may have a body limit of its own, and a client may stall for ever.
        with host_refusals():
            async with asyncio.timeout(settings.timeout):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        raise too_large
                    chunks.append(chunk)
    except ClientDisconnect:
        raise ClientClosedRequest("The client left.") from None
    except TimeoutError:
        raise DeadlineExceeded("The request body did not arrive in time.") from None
    return b"".join(chunks)


def _announced_length(headers: Headers) -> int:
    """By content-length; 0 where there is none, or none that is a number."""
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0
