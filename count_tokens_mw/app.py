"""The application object: a host mounts it, splices its routes or calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict, TypeVar, Unpack

from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.aio.guard import outcome_of
from count_tokens_mw.asgi.endpoint import Endpoint
from count_tokens_mw.asgi.routes import PATHS, path_below_mount
from count_tokens_mw.breakdown.result import Breakdown, Progress, ignore_progress
from count_tokens_mw.config import Config
from count_tokens_mw.counting.engine import CountingEngine
from count_tokens_mw.counting.job import Job
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.errors import CountError
from count_tokens_mw.events import Hook
from count_tokens_mw.host.auth import Authenticator, Authorizer, host_user
from count_tokens_mw.host.callbacks import Resolver, Transform
from count_tokens_mw.host.hooks import HookRunner
from count_tokens_mw.pipeline import Pipeline
from count_tokens_mw.protocol.request import native_headers, request_from_mapping
from count_tokens_mw.types import Caller, TokenCount

if TYPE_CHECKING:
    import httpx

__all__ = ["CountTokens", "Options"]

Outcome = TypeVar("Outcome", bound=TokenCount | Breakdown)


class Options(TypedDict, total=False):
    """Keyword arguments of `CountTokens`, besides the configuration."""

    authenticate: Authenticator
    authorize: Authorizer | None
    hooks: Iterable[Hook]
    transform: Transform | None
    resolve: Resolver | None
    http_client: httpx.AsyncClient | None


class CountTokens:
    """The token counter of a host: an ASGI app to mount, routes to splice, or `count()`.

    Args:
        config: the models, and the section `count_tokens`.
        authenticate: returns the caller of a request. The default trusts the host's
            `AuthenticationMiddleware` and refuses without it.
        authorize: decides whether a caller may count for a model, by the name that is looked up.
        hooks: receive one `CountEvent` per request, whatever its outcome. Async ones run on after
            the request, and `lifespan` or `aclose` waits for them.
        transform: changes a body before it is counted, as the host does before it sends it.
        resolve: returns the deployments of a model, in place of the configuration's.
        http_client: the host's own client for upstream calls, which the package never closes.
            Without it, the first count opens a client, and `lifespan` or `aclose` closes it.
    """

    endpoints: Mapping[str, Endpoint]
    """The three paths, each with its ASGI app."""

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
        self._pipeline = Pipeline(engine, authenticate, authorize, transform, HookRunner(hooks))
        self.endpoints = {
            path: Endpoint(self._pipeline, entry_point) for path, entry_point in PATHS.items()
        }
        self._not_found = Endpoint(self._pipeline, "other")

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        environ: Mapping[str, str] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """Read a LiteLLM-style `config.yaml` and return an instance that serves it.

        Raises:
            ConfigError: the file cannot be used; the message names file, entry and key.
        """
        return cls(Config.from_yaml(path, environ), **options)

    @property
    def routes(self) -> list[BaseRoute]:
        """The three paths as routes, to splice beside the host's own."""
        # In both forms, because the host's router would redirect a path with a slash.
        return [
            Route(path + slash, endpoint, name=PATHS[path], include_in_schema=False)
            for path, endpoint in self.endpoints.items()
            for slash in ("", "/")
        ]

    def has_model(self, model: str) -> bool:
        """Return whether a model, an alias or an entry's own model has this name; no wildcards."""
        return self._pipeline.engine.snapshot.router.has_model(model)

    @property
    def in_flight(self) -> int:
        """The number of requests that are being counted."""
        return self._pipeline.engine.in_flight

    @property
    def cache_size(self) -> int:
        """The number of counts in the cache."""
        return len(self._pipeline.engine.sender)

    def observe(self, observer: Callable[[], object]) -> None:
        """Call a function when `in_flight` or `cache_size` changes, for the metrics of a host.

        It is called without arguments, on the event loop, and has to be fast. An exception of it is
        logged and suppressed.
        """
        self._pipeline.engine.observers.append(observer)

    async def count(
        self,
        body: Mapping[str, object],
        *,
        headers: Mapping[str, str] | None = None,
        caller: Caller | None = None,
    ) -> TokenCount:
        """Count a request in Anthropic's format without HTTP; its event reaches the hooks too.

        `headers` are read as on an HTTP request: betas, end user, session. `authorize` runs only if
        there is a `caller`; without one, the host itself counts.

        Raises:
            CountError: there is no count; `status`, `type` and `message` give the reason.
        """
        record = RequestRecord("count", caller=caller)
        return await self._run_without_http(self._pipeline.count, record, body, headers)

    async def breakdown(
        self,
        body: Mapping[str, object],
        *,
        headers: Mapping[str, str] | None = None,
        caller: Caller | None = None,
        progress: Progress = ignore_progress,
    ) -> Breakdown:
        """Count the tokens of each part of a request, by counting it with and without the part.

        This takes one count for the whole and about one for each system prompt, tool, message,
        image and document. `count_tokens.breakdown` in the settings caps their number and their
        concurrency. The cache keeps them like any other count, so that a later breakdown counts
        only new parts. All are attempts of one event. `progress` is called after each count.

        Raises:
            CountError: as for `count`, or one of the counts failed for a transient reason, such as
                a rate limit. A part is None if the provider refuses the request without it.
        """
        record = RequestRecord("breakdown", caller=caller)
        run = partial(self._pipeline.break_down, progress=progress)
        return await self._run_without_http(run, record, body, headers)

    async def _run_without_http(
        self,
        run: Callable[[Job], Awaitable[Outcome]],
        record: RequestRecord,
        body: Mapping[str, object],
        headers: Mapping[str, str] | None,
    ) -> Outcome:
        engine = self._pipeline.engine

        async def count() -> Outcome:
            snapshot = engine.snapshot
            deadline = Deadline(snapshot.settings.timeout)
            is_breakdown = record.entry_point == "breakdown"
            place = engine.admission.place(record.caller, is_breakdown=is_breakdown)
            await place.take(deadline)
            try:
                lowercase = {name.lower(): value for name, value in (headers or {}).items()}
                record.read_headers(lowercase, snapshot.settings.end_user_headers)
                request = request_from_mapping(body, native_headers(lowercase.items()))
                return await run(Job(request, snapshot, record, deadline, place))
            finally:
                place.release()

        try:
            outcome = await outcome_of(record, count())
            record.finish(outcome.as_count() if isinstance(outcome, Breakdown) else outcome)
        finally:
            self._pipeline.hooks.emit(record.event())
        if isinstance(outcome, CountError):
            raise outcome
        return outcome

    def reload(self, config: Config) -> None:
        """Replace the configuration for all requests that begin from now on.

        Requests in flight keep the old one. Clients that are no longer needed are closed after
        their last count. Call it on the event loop: `count_tokens.reload(Config.from_yaml(path))`.
        If reading the file raises `ConfigError`, the old configuration stays in force.
        """
        self._pipeline.engine.reload(config)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Call `aclose` when the host ends: `FastAPI(lifespan=count_tokens.lifespan)`.

        A host with a lifespan of its own enters it there: `async with count_tokens.lifespan(): ...`
        """
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Wait for async hooks for a few seconds, and close all opened clients.

        A later count opens new ones.
        """
        try:
            await self._pipeline.hooks.aclose()
        finally:
            await self._pipeline.engine.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve ASGI: the three paths, and a 404 in the envelope for every other path."""
        match scope["type"]:
            case "http":
                await self._endpoint(scope)(scope, receive, send)
            case "websocket":
                await WebSocketClose()(scope, receive, send)
            case _:
                await Router(lifespan=self.lifespan)(scope, receive, send)

    def _endpoint(self, scope: Scope) -> Endpoint:
        """Return the endpoint of the path below the mount; a slash at its end does not matter.

        On a mount at a prefix of a path, such as `/v1`, or at the whole path, the end of the full
        path decides.
        """
        below = path_below_mount(scope)
        if below in self.endpoints:
            return self.endpoints[below]
        whole = scope.get("root_path", "").rstrip("/") + below
        matches = (
            endpoint
            for path, endpoint in self.endpoints.items()
            if len(below) < len(path) and whole.endswith(path)
        )
        return next(matches, self._not_found)
