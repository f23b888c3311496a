"""A FastAPI router: the host's own dependencies guard it, and the host's `/docs` list it.

https://fastapi.tiangolo.com/tutorial/bigger-applications/. Only this module imports FastAPI.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NoReturn

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from count_tokens_mw.aio.cancellation import is_cancelled
from count_tokens_mw.app import CountTokens
from count_tokens_mw.asgi.body import TimedRequest
from count_tokens_mw.asgi.endpoint import Endpoint
from count_tokens_mw.breakdown.result import MessageTokens, PartError, ToolTokens
from count_tokens_mw.errors import CountError, InvalidRequest
from count_tokens_mw.host.auth import Authenticator
from count_tokens_mw.host.callbacks import DECIDED_LATE
from count_tokens_mw.protocol.openapi import ERROR_RESPONSES, REQUEST, TokenCountBody
from count_tokens_mw.types import Caller

__all__ = ["BreakdownBody", "count_tokens_router"]

_HOST_VALIDATOR_TYPES: Final = {"assertion_error", "value_error"}
_SUMMARIES: Final = {
    "count_tokens": "Count the tokens of a message",
    "passthrough": "Count the tokens of a message at Anthropic, for any of its models",
    "breakdown": "Count the tokens of each part of a message",
}


class BreakdownBody(BaseModel):
    """The count, and the share of each part: every number is a difference of two counts.

    A part is null if the provider refuses the request without it; the reason is in `errors`.
    """

    input_tokens: int = Field(ge=0, examples=[14])
    system: int | None
    tools: list[ToolTokens]
    messages: list[MessageTokens]
    overhead: int | None
    errors: list[PartError] = []


def count_tokens_router(
    count_tokens: CountTokens, *, identity: Any = None, dependencies: Sequence[Depends] = ()
) -> APIRouter:
    """Return the three paths as a router: `app.include_router(count_tokens_router(...))`.

    The router has the counter's lifespan, so all opened clients close with the host's.

    Args:
        count_tokens: the counter.
        identity: `Depends(...)` of a dependency that returns a `Caller` or a caller's id. Without
            it, `authenticate` of `count_tokens` returns the caller.
        dependencies: further dependencies of the host, which may refuse a request.

    A dependency refuses by an `HTTPException`, or by a `CountError` such as `Unauthenticated`. The
    refusal is answered in Anthropic's envelope, with its status and headers, and makes an event
    like any other request. A `CancelledError` is a 500 in the envelope, unless the request itself
    is cancelled. The host answers any other exception of a dependency.

    Raises:
        TypeError: `identity` is no `Depends(...)`; FastAPI would read it from the query.
    """
    if identity is not None and not isinstance(identity, Depends):
        raise TypeError("identity has to be Depends(...)")
    router = APIRouter(
        dependencies=list(dependencies), tags=["count_tokens"], lifespan=count_tokens.lifespan
    )
    for path, endpoint in count_tokens.endpoints.items():
        for slash in ("", "/"):  # FastAPI would redirect a path with a slash
            router.add_api_route(
                path + slash,
                _make_handler(endpoint, identity),
                methods=["POST"],
                name=endpoint.entry_point,
                summary=_SUMMARIES[endpoint.entry_point],
                response_model=BreakdownBody
                if endpoint.entry_point == "breakdown"
                else TokenCountBody,
                responses=dict(ERROR_RESPONSES),
                openapi_extra=dict(REQUEST),
                include_in_schema=not slash,
                route_class_override=_make_route_class(endpoint),
            )
            # Any other method gets its 405 in the envelope, before authentication.
            router.add_route(path + slash, endpoint, include_in_schema=False)  # type: ignore[arg-type]
    return router


class _CountResponse(Response):
    """A response that counts while it is sent, after the host's dependencies have run.

    It keeps their `Request`, which holds the body if one of them has read it.
    """

    def __init__(self, endpoint: Endpoint, request: TimedRequest) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoint.respond(self._request, send)
        if self.background is not None:
            await self.background()


def _make_handler(
    endpoint: Endpoint, identity: Any
) -> Callable[..., Coroutine[Any, Any, Response]]:
    if identity is None:

        async def handle(request: TimedRequest) -> Response:
            return _CountResponse(endpoint, request)

        return handle

    async def handle_identified(request: TimedRequest, caller: Any = identity) -> Response:
        return _CountResponse(endpoint.authenticated_by(lambda _: _to_caller(caller)), request)

    return handle_identified


def _to_caller(identity: object) -> Caller:
    if isinstance(identity, Caller):
        return identity
    if isinstance(identity, str) and identity:
        return Caller(identity)
    raise TypeError("the dependency `identity` has to return a Caller or its id")


def _make_route_class(endpoint: Endpoint) -> type[APIRoute]:
    """Return a class of routes whose dependencies refuse in the envelope and with an event."""

    class CountTokensRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_refusals(unread: Request) -> Response:
                request = endpoint.open(unread.scope, unread.receive)
                reason: BaseException
                try:
                    return await request.deadline.run(handle(request), DECIDED_LATE)
                except (HTTPException, CountError) as refusal:
                    reason = refusal
                except RequestValidationError as error:
                    reason = InvalidRequest(_describe(error))
                except asyncio.CancelledError as stray:  # no handler of the host could answer it
                    if is_cancelled():
                        raise
                    reason = stray
                return _CountResponse(endpoint.authenticated_by(_refuse_with(reason)), request)

            return handle_refusals

    return CountTokensRoute


def _refuse_with(error: BaseException) -> Authenticator:
    def refuse(request: Request) -> NoReturn:
        raise error

    return refuse


def _describe(error: RequestValidationError) -> str:
    """Return the place and the message of each detail, without the input.

    Messages of the host's own validators are left out, because they may quote the input.
    """
    messages = {
        ".".join(map(str, detail["loc"])): (
            "it is not valid" if detail["type"] in _HOST_VALIDATOR_TYPES else detail["msg"]
        )
        for detail in error.errors()
    }
    return "; ".join(f"{place}: {message}" for place, message in messages.items())
