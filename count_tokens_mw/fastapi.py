"""A FastAPI router: the host's own dependencies guard it, and it is in the host's `/docs`.

https://fastapi.tiangolo.com/tutorial/bigger-applications/. FastAPI is imported only here.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NoReturn

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from count_tokens_mw.app import CountTokens
from count_tokens_mw.asgi.endpoint import Endpoint
from count_tokens_mw.errors import CountError, InvalidRequest
from count_tokens_mw.host.auth import Authenticator
from count_tokens_mw.protocol.openapi import ERROR_RESPONSES, REQUEST, BreakdownBody, TokenCountBody
from count_tokens_mw.types import Caller

__all__ = ["count_tokens_router"]

_OF_THE_HOST: Final = {"assertion_error", "value_error"}
_SUMMARIES: Final = {
    "count_tokens": "Count the tokens of a message",
    "passthrough": "Count the tokens of a message at Anthropic, for any of its models",
    "breakdown": "Say where the tokens of a message go",
}


def count_tokens_router(
    count_tokens: CountTokens, *, identity: Any = None, dependencies: Sequence[Depends] = ()
) -> APIRouter:
    """Our paths as a router: `app.include_router(count_tokens_router(count_tokens, ...))`.

    Its lifespan is the router's, so the clients close with the host's.

    Args:
        count_tokens: what answers.
        identity: `Depends(...)` of a dependency that returns a `Caller`, or a caller's id. Without
            it, `authenticate` of `count_tokens` says who asks.
        dependencies: further ones of the host's, for what they refuse.

    What a dependency refuses by an `HTTPException`, or by an error of ours such as
    `Unauthenticated`, is answered in Anthropic's envelope with its status and headers, and makes an
    event, like any other request. Any other exception of a dependency is the host's to answer.

    Raises:
        TypeError: `identity` is no `Depends(...)`; FastAPI would take it from the query.
    """
    if identity is not None and not isinstance(identity, Depends):
        raise TypeError("identity has to be Depends(...)")
    router = APIRouter(
        dependencies=list(dependencies), tags=["count_tokens"], lifespan=count_tokens.lifespan
    )
    for path, endpoint in count_tokens.endpoints.items():
        for slash in ("", "/"):  # or FastAPI would redirect to the path without it
            router.add_api_route(
                path + slash,
                _handler(endpoint, identity),
                methods=["POST"],
                name=endpoint.entry_point,
                summary=_SUMMARIES[endpoint.entry_point],
                response_model=BreakdownBody
                if endpoint.entry_point == "breakdown"
                else TokenCountBody,
                responses=dict(ERROR_RESPONSES),
                openapi_extra=dict(REQUEST),
                include_in_schema=not slash,
                route_class_override=_route_class(endpoint),
            )
            # Any other method, in the envelope: it is refused before anybody is asked who it is.
            router.add_route(path + slash, endpoint, include_in_schema=False)  # type: ignore[arg-type]
    return router


class _Answer(Response):
    """An answer that is made while it is sent, when the host's dependencies have had their say.

    Of the same `Request`, which remembers the body if one of them has read it.
    """

    def __init__(self, endpoint: Endpoint, request: Request) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoint.respond(self._request, send)
        if self.background is not None:
            await self.background()


def _handler(endpoint: Endpoint, identity: Any) -> Callable[..., Coroutine[Any, Any, Response]]:
    if identity is None:

        async def handle(request: Request) -> Response:
            return _Answer(endpoint, request)

        return handle

    async def handle_known(request: Request, caller: Any = identity) -> Response:
        return _Answer(endpoint.authenticated_by(lambda _: _as_caller(caller)), request)

    return handle_known


def _as_caller(identity: object) -> Caller:
    if isinstance(identity, Caller):
        return identity
    if isinstance(identity, str) and identity:
        return Caller(identity)
    raise TypeError("the dependency `identity` has to return a Caller, or the id of one")


def _route_class(endpoint: Endpoint) -> type[APIRoute]:
    """Routes whose dependencies refuse in our envelope, and with our event."""

    class CountTokensRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_refusals(request: Request) -> Response:
                try:
                    return await handle(request)
                except (HTTPException, CountError) as refusal:
                    return _Answer(endpoint.authenticated_by(_raising(refusal)), request)
                except RequestValidationError as error:
                    refused = InvalidRequest(_words(error))
                    return _Answer(endpoint.authenticated_by(_raising(refused)), request)

            return handle_refusals

    return CountTokensRoute


def _raising(error: Exception) -> Authenticator:
    def refuse(request: Request) -> NoReturn:
        raise error

    return refuse


def _words(error: RequestValidationError) -> str:
    """Where a dependency of the host's misses something, without what it got there.

    The host's own validators may quote it.
    """
    said = {
        ".".join(map(str, each["loc"])): (
            "it is not valid" if each["type"] in _OF_THE_HOST else each["msg"]
        )
        for each in error.errors()
    }
    return "; ".join(f"{place}: {words}" for place, words in said.items())
