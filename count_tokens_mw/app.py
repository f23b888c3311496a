"""The object that a host mounts, splices or calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict, TypeVar, Unpack

from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from count_tokens_mw.aio.guard import internal_errors_logged
from count_tokens_mw.asgi.endpoint import Endpoint
from count_tokens_mw.asgi.routes import PATHS, path_below_mount
from count_tokens_mw.breakdown.result import Breakdown, Progress, ignore_progress
from count_tokens_mw.config import Config
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import CountError
from count_tokens_mw.events import Hook, run_hooks
from count_tokens_mw.host.auth import Authenticator, Authorizer, host_user
from count_tokens_mw.host.callbacks import Resolver, Transform
from count_tokens_mw.pipeline import Pipeline
from count_tokens_mw.protocol.request import native_headers, request_from_mapping
from count_tokens_mw.types import Caller, CountRequest, TokenCount

if TYPE_CHECKING:
    import httpx

__all__ = ["CountTokens", "Options"]

Outcome = TypeVar("Outcome", bound=TokenCount | Breakdown)


class Options(TypedDict, total=False):
    """What a host may give besides the configuration; `CountTokens` says what each is."""

    authenticate: Authenticator
    authorize: Authorizer | None
    hooks: Iterable[Hook]
    transform: Transform | None
    resolve: Resolver | None
    http_client: httpx.AsyncClient | None


class CountTokens:
    """Counts tokens for a host: as an ASGI app to mount, as routes to splice, or by `count()`.

    Args:
        config: the models, and the section `count_tokens`.
        authenticate: says who sent a request. The default trusts the host's
            `AuthenticationMiddleware` and refuses where there is none.
        authorize: says whether a caller may count for a model, by the name that is looked up.
        hooks: receive one `CountEvent` for each request, whatever its end.
        transform: changes a body before it is counted, as the host does before it sends it.
        resolve: says which deployments a model has, before the configuration is asked.
        http_client: the host's own client for upstream calls; never closed by us. Without it, one
            is opened on first use, and closed by `lifespan` or `aclose`.
    """

    endpoints: Mapping[str, Endpoint]
    """The three paths, each with the ASGI app that answers it."""

    def __init__(
        self,
        config: Config,
        *,
        authenticate: Authenticator = host_user,
        authorize: Authorizer | None = None,
        hooks: Iterable[Hook] = (),
        transform: Transform | None = None,
        resolve: Resolver | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        engine = CountingEngine(config, http_client, resolve)
        self._pipeline = Pipeline(engine, authenticate, authorize, transform, tuple(hooks))
        self.endpoints = {
            path: Endpoint(self._pipeline, entry_point) for path, entry_point in PATHS.items()
        }
        self._elsewhere = Endpoint(self._pipeline, "other")

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        environ: Mapping[str, str] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """The same from a LiteLLM-style `config.yaml`.

        Raises:
            ConfigError: it cannot be used; file, entry and key are named.
        """
        return cls(Config.from_yaml(path, environ), **options)

    @property
    def routes(self) -> list[BaseRoute]:
        """Our paths as routes, to splice beside the host's own."""
        # With the slash too, or the host's router would redirect to the path without it.
        return [
            Route(path + slash, endpoint, name=PATHS[path], include_in_schema=False)
            for path, endpoint in self.endpoints.items()
            for slash in ("", "/")
        ]

    def has_model(self, model: str) -> bool:
        """Whether a model is configured by this name, or by an alias; stars do not count."""
        return self._pipeline.engine.snapshot.router.has_model(model)

    @property
    def in_flight(self) -> int:
        """How many requests are being read or counted at the moment."""
        return self._pipeline.engine.in_flight

    @property
    def cache_size(self) -> int:
        """How many counts the cache holds at the moment."""
        return self._pipeline.engine.cache_size

    async def count(
        self,
        body: Mapping[str, object],
        *,
        headers: Mapping[str, str] | None = None,
        caller: Caller | None = None,
    ) -> TokenCount:
        """Count a request in Anthropic's format without HTTP; its event reaches the hooks too.

        `headers` are read as on a request: betas, end user, session. `authorize` is asked if there
        is a `caller`; without one it is the host itself that asks.

        Raises:
            CountError: there is no count; its `status`, `type` and `message` say why.
        """
        record = RequestRecord("count", caller=caller)
        return await self._without_http(self._pipeline.count, record, body, headers)

    async def breakdown(
        self,
        body: Mapping[str, object],
        *,
        headers: Mapping[str, str] | None = None,
        caller: Caller | None = None,
        progress: Progress = ignore_progress,
    ) -> Breakdown:
        """Say where the tokens of a request go, by counting it with and without each of its parts.

        That is one count for the whole, and one or so for each system prompt, tool, message, image
        and document, a few at a time: `count_tokens.breakdown` in the settings bounds both. They
        are remembered like any other, so that only what is new is asked for the next time. All are
        attempts of one event. `progress` is told after each of them.

        Raises:
            CountError: as `count`; also where one of the counts failed for a reason of the moment,
                such as a rate limit. What is counted without a part and refused for that is None.
        """
        record = RequestRecord("breakdown", caller=caller)
        work = partial(self._pipeline.break_down, progress=progress)
        return await self._without_http(work, record, body, headers)

    async def _without_http(
        self,
        work: Callable[[CountRequest, ConfigSnapshot, RequestRecord], Awaitable[Outcome]],
        record: RequestRecord,
        body: Mapping[str, object],
        headers: Mapping[str, str] | None,
    ) -> Outcome:
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        try:
            with internal_errors_logged(record), self._pipeline.engine.slot():
                snapshot = self._pipeline.engine.snapshot
                record.read_headers(sent, snapshot.settings.end_user_headers)
                request = request_from_mapping(body, native_headers(sent.items()))
                outcome = await work(request, snapshot, record)
                record.finish(outcome if isinstance(outcome, TokenCount) else outcome.as_count())
                return outcome
        except CountError as error:
            record.finish(error)
            raise
        finally:
            await run_hooks(self._pipeline.hooks, record.event())

    def reload(self, config: Config) -> None:
        """Put another configuration in force for all requests that begin from now on.

        Those under way keep to theirs, and clients that are no longer needed are closed after their
        last count. To be called on the event loop: `count_tokens.reload(Config.from_yaml(path))`;
        where reading the file raises `ConfigError`, the configuration in force stays.
        """
        self._pipeline.engine.reload(config)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Close what was opened when the host ends: `FastAPI(lifespan=count_tokens.lifespan)`.

        Or compose it: `async with count_tokens.lifespan(): ...` in the host's own.
        """
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the clients that were opened; a count after that opens them again."""
        await self._pipeline.engine.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app: our paths, and our envelope for every other one."""
        match scope["type"]:
            case "http":
                await self._endpoint(scope)(scope, receive, send)
            case "websocket":
                await WebSocketClose()(scope, receive, send)
            case _:
                await Router(lifespan=self.lifespan)(scope, receive, send)

    def _endpoint(self, scope: Scope) -> Endpoint:
        """By the path below the mount, with or without a slash at its end.

        A mount further in, as on `/v1` or on the whole path, serves what ends like one of ours.
        """
        below = path_below_mount(scope)
        if below in self.endpoints:
            return self.endpoints[below]
        whole = scope.get("root_path", "").rstrip("/") + below
        inside = (
            endpoint
            for ours, endpoint in self.endpoints.items()
            if len(below) < len(ours) and whole.endswith(ours)
        )
        return next(inside, self._elsewhere)
