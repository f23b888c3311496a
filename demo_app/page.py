"""The page: its files, and a few routes by which it learns about this gateway."""

from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter
from fastapi.params import Depends
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from count_tokens_mw import Caller, Config, CountTokens, __version__
from demo_app.breakdown import breakdown_lines, read_object
from demo_app.events import LiveEvents
from demo_app.models import models_of
from demo_app.upstreams import Upstreams

__all__ = ["PageFiles", "page_router"]

_FOLDER: Final = Path(__file__).with_name("page")
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class PageFiles(StaticFiles):
    """The page's folder, with headers by which it can load and call nothing but this gateway."""

    def __init__(self) -> None:
        super().__init__(directory=_FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def page_router(
    config: Config,
    upstreams: Upstreams,
    count_tokens: CountTokens,
    live: LiveEvents,
    known_caller: Depends,
    key: str | None,
) -> APIRouter:
    """Return the routes of the page, `/` and `/demo/...`; `key` is one that anybody may see."""
    router = APIRouter(tags=["page"])
    about = {"version": __version__, "key": key, "upstreams": upstreams.each}

    async def index(request: Request) -> Response:
        return FileResponse(_FOLDER / "index.html", headers=_HEADERS)

    router.add_route("/", index, include_in_schema=False)

    @router.get("/demo/info")
    async def info() -> dict[str, Any]:
        return {**about, "models": models_of(config)}

    @router.get("/demo/events", dependencies=[known_caller])
    async def events(request: Request) -> StreamingResponse:
        """Send the last counts of all callers, and then each new one, as server-sent events.

        https://html.spec.whatwg.org/multipage/server-sent-events.html
        """
        after = request.headers.get("last-event-id", "")[:20]
        stream = live.listen(int(after) if after.isdecimal() else 0)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}  # the latter for nginx
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    @router.post("/demo/breakdown")
    async def breakdown(
        request: Request, caller: Annotated[Caller, known_caller]
    ) -> StreamingResponse:
        """Send the breakdown of a request as JSON lines, with its progress."""
        body = await read_object(request, config.settings)
        lines = breakdown_lines(count_tokens, body, request, caller)

        async def close() -> None:  # Starlette does not take a generator's `aclose` for async
            await lines.aclose()

        # So that a client that left ends the breakdown at once, not at the garbage collection.
        closing = BackgroundTask(close)
        return StreamingResponse(lines, media_type="application/x-ndjson", background=closing)

    return router
