"""Exchanges with a real server, recorded as facts, and a server that repeats them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NamedTuple

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from count_tokens_mw import Config, CountTokens, anyone
from demo_app.loopback import serving
from tests.bench.gateway import PATH
from tests.facts import Facts

__all__ = ["Exchange", "ReplayedServer", "exchanges_of", "replayed", "serving_gateway"]

_NO_ROUTE: Final = {"detail": "Not Found"}


class Exchange(NamedTuple):
    """A request's body, and the server's answer to it."""

    name: str
    body: Mapping[str, Any]
    status: int
    answer: Any


def exchanges_of(facts: Facts) -> Sequence[Exchange]:
    """Return the recorded exchanges in their order."""
    return [Exchange(**exchange) for exchange in facts["exchanges"]]


class ReplayedServer:
    """A server that answers each recorded body as the real one did.

    Another body is a 404 in no shape of the server's, so that a test with it fails. The headers of
    each request are kept.
    """

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._answers = {_key_of(each.body): each for each in exchanges}
        self.headers: list[Mapping[str, str]] = []
        self.app = Starlette(routes=[Route(PATH, self._answer, methods=["POST"])])

    def serving(self) -> AbstractContextManager[str]:
        """Serve it on loopback; the context yields its base URL."""
        return serving(self.app)

    async def _answer(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        exchange = self._answers.get(_key_of(await request.json()))
        if exchange is None:
            return JSONResponse(_NO_ROUTE, 404)
        return JSONResponse(exchange.answer, exchange.status)


@contextmanager
def serving_gateway(params: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Serve a gateway with models, which are `litellm_params` by name; yield its base URL."""
    entries = [{"model_name": name, "litellm_params": own} for name, own in params.items()]
    settings = {"cache": {"ttl": 0}, "cooldown": 0}
    config = Config.from_mapping({"model_list": entries, "count_tokens": settings}, {})
    with serving(CountTokens(config, authenticate=anyone)) as url:
        yield url


@contextmanager
def replayed(
    exchanges: Sequence[Exchange], gateway_before: Callable[[str], AbstractContextManager[str]]
) -> Iterator[tuple[httpx.Client, ReplayedServer]]:
    """Yield a client of the gateway before a server that repeats the exchanges, and that server."""
    server = ReplayedServer(exchanges)
    with (
        server.serving() as base,
        gateway_before(base) as gateway,
        httpx.Client(base_url=gateway) as client,
    ):
        yield client, server


def _key_of(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)
