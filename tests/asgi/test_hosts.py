"""Every form of integration in every kind of host: same answers, one event, an unchanged host."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request
from pydantic import AfterValidator
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from count_tokens_mw import Caller, CountEvent, CountTokens, CountTokensMiddleware, api_key
from count_tokens_mw.fastapi import count_tokens_router
from tests.support.fakes import CONFIG, HELLO, FakeUpstream, Recorder, count_tokens_with

COUNT = "/v1/messages/count_tokens"
KEY = {"x-api-key": "sk-team-a"}
CALLERS = {"sk-team-a": Caller("team-a")}

Form: TypeAlias = Literal["mount", "root_path", "spliced", "middleware", "router"]
Framework: TypeAlias = Literal["starlette", "fastapi"]
FORMS: list[Form] = ["mount", "root_path", "spliced", "middleware", "router"]
FRAMEWORKS: list[Framework] = ["starlette", "fastapi"]
every_host = pytest.mark.parametrize(
    ("form", "framework"), [(form, framework) for form in FORMS for framework in FRAMEWORKS]
)


@dataclass
class Host:
    """A host with the counter: the path of its count, and a log of its middleware and lifespan."""

    app: Any
    path: str
    root_path: str = ""
    order: list[str] = field(default_factory=list)
    lived: list[str] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, root_path=self.root_path)
        return httpx.AsyncClient(transport=transport, base_url="http://gateway")


class Noted:
    """A middleware of the host that records each request."""

    def __init__(self, app: ASGIApp, name: str, order: list[str]) -> None:
        self.app, self.name, self.order = app, name, order

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.order.append(self.name)
        await self.app(scope, receive, send)


async def health(request: StarletteRequest) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def build_host(form: Form, framework: Framework, count_tokens: CountTokens) -> Host:
    """Return a host with own routes, middleware and lifespan, and the counter in one form."""
    host = Host(None, COUNT)

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        host.lived.append("startup")
        # The middleware and FastAPI's router close the clients themselves.
        is_lifespan_needed = form in {"mount", "root_path", "spliced"} or (form, framework) == (
            "router",
            "starlette",
        )
        if is_lifespan_needed:
            async with count_tokens.lifespan():
                yield
        else:
            yield
        host.lived.append("shutdown")

    routes: list[BaseRoute] = [Route("/health", health), WebSocketRoute("/echo", echo)]
    app = FastAPI(lifespan=lifespan) if framework == "fastapi" else Starlette(lifespan=lifespan)
    app.router.routes.extend(routes)
    app.add_middleware(Noted, name="inner", order=host.order)
    match form:
        case "mount" | "root_path":
            app.mount("/llm", count_tokens)
            host.root_path = "/api" if form == "root_path" else ""
            host.path = f"{host.root_path}/llm{COUNT}"
        case "spliced":
            app.router.routes.extend(count_tokens.routes)
        case "middleware":
            app.add_middleware(CountTokensMiddleware, count_tokens=count_tokens, path="/llm")
            host.path = f"/llm{COUNT}"
        case "router":
            include_router_in(app, count_tokens)
            host.path = f"/llm{COUNT}"
    app.add_middleware(Noted, name="outer", order=host.order)
    host.app = app
    return host


def include_router_in(app: Starlette, count_tokens: CountTokens) -> None:
    """Include the router in FastAPI, or mount it as a FastAPI app in Starlette."""

    def current_user(request: Request) -> Caller:
        try:
            return CALLERS[request.headers["x-api-key"]]
        except KeyError:
            raise HTTPException(401, "Unknown API key.") from None

    router = count_tokens_router(count_tokens, identity=Depends(current_user))
    if isinstance(app, FastAPI):
        app.include_router(router, prefix="/llm")
        return
    beside = FastAPI()
    beside.include_router(router)
    app.router.routes.append(Mount("/llm", beside))


def only_sonnet(caller: Caller, model: str) -> bool:
    return model != "gpt"


def crash(event: CountEvent) -> None:
    raise RuntimeError("a hook of the host's")


@dataclass(frozen=True)
class Case:
    """A request, the upstream's answer, and the expected status and `error.type`."""

    status: int
    error: str | None = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: KEY)
    body: dict[str, Any] = field(default_factory=lambda: HELLO)
    upstream: Callable[[FakeUpstream], None] = lambda upstream: None
    hooks: tuple[Callable[[CountEvent], None], ...] = ()


def busy(upstream: FakeUpstream) -> None:
    envelope = b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down."}}'
    upstream.answers(429, envelope, retry_after="17")


CASES = {
    "counted": Case(200),
    "unknown key": Case(401, "authentication_error", headers={"x-api-key": "sk-nobody"}),
    "not allowed": Case(403, "permission_error", body={**HELLO, "model": "gpt"}),
    "unknown model": Case(404, "not_found_error", body={**HELLO, "model": "nobody"}),
    "another method": Case(405, "invalid_request_error", method="PUT"),
    "too large": Case(413, "request_too_large", body={**HELLO, "x": "y" * 2000}),
    "no list": Case(400, "invalid_request_error", body={**HELLO, "messages": "Hello"}),
    "busy upstream": Case(429, "rate_limit_error", upstream=busy),
    "a hook that crashes": Case(200, hooks=(crash,)),
}


@every_host
@pytest.mark.parametrize("name", CASES)
async def test_every_way_in_gives_the_same_answer_and_one_event(
    name: str, form: Form, framework: Framework, upstream: FakeUpstream
) -> None:
    case, recorder = CASES[name], Recorder()
    case.upstream(upstream)
    count_tokens = count_tokens_with(
        upstream,
        settings={"max_body_bytes": 1000},
        authenticate=api_key(CALLERS),
        authorize=only_sonnet,
        hooks=[*case.hooks, recorder],
    )
    host = build_host(form, framework, count_tokens)
    async with host.client() as client:
        response = await client.request(
            case.method, host.path, json=case.body, headers=case.headers
        )
    assert response.status_code == case.status, response.text
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    if case.error is None:
        assert answer == {"input_tokens": 14}
    else:
        assert (answer["type"], answer["error"]["type"]) == ("error", case.error)
        assert answer["error"]["message"]
    assert (recorder.event.status, recorder.event.error_type) == (case.status, case.error)
    assert response.headers.get("retry-after") == ("17" if case.status == 429 else None)
    # The counter as a middleware answers before the inner middleware.
    assert host.order == (["outer"] if form == "middleware" else ["outer", "inner"])


@every_host
def test_the_hosts_own_routes_pages_websockets_and_lifespan_work_unchanged(
    form: Form, framework: Framework, emulator: str
) -> None:
    entry = {
        "model_name": HELLO["model"],
        "litellm_params": {
            "model": "anthropic/claude-sonnet-4-5",
            "api_base": emulator,
            "api_key": "sk-ant-emulated",
        },
    }
    count_tokens = count_tokens_with(
        FakeUpstream(), {"model_list": [entry]}, authenticate=api_key(CALLERS), http_client=None
    )
    host = build_host(form, framework, count_tokens)
    with TestClient(host.app, root_path=host.root_path) as client:
        root = host.root_path
        assert host.lived == ["startup"]
        assert client.get(f"{root}/health").json() == {"status": "ok"}
        with client.websocket_connect(f"{root}/echo") as websocket:
            websocket.send_text("hello")
            assert websocket.receive_text() == "hello"
        missing = client.get(f"{root}/nowhere")
        assert (missing.status_code, "error" in missing.text) == (404, False)
        if framework == "fastapi":
            assert "swagger" in client.get(f"{root}/docs").text
            described = client.get(f"{root}/openapi.json").json()["paths"]
            assert bool(described) == (form == "router")
        assert client.post(host.path, json=HELLO, headers=KEY).status_code == 200
        http = count_tokens._pipeline.engine._providers._http
        assert http is not None
        assert len(http._sessions) == 1
    assert host.lived == ["startup", "shutdown"]
    assert len(http._sessions) == 0


@every_host
async def test_a_host_whose_server_runs_no_lifespan_closes_by_itself(
    form: Form, framework: Framework, emulator: str
) -> None:
    config = {"model_list": [{**CONFIG["model_list"][0]}]}
    config["model_list"][0]["litellm_params"] = {
        "model": "anthropic/claude-sonnet-4-5",
        "api_base": emulator,
    }
    count_tokens = count_tokens_with(
        FakeUpstream(),
        config,
        environ={"ANTHROPIC_API_KEY": "sk-ant-emulated"},
        authenticate=api_key(CALLERS),
        http_client=None,
    )
    host = build_host(form, framework, count_tokens)
    async with host.client() as client:
        assert (await client.post(host.path, json=HELLO, headers=KEY)).status_code == 200
    await count_tokens.aclose()


# Behaviour of one form


@pytest.mark.parametrize("path", ["", "/", "/llm", "/llm/", "llm"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_middleware_answers_its_two_paths_and_no_other(
    path: str, slash: str, upstream: FakeUpstream
) -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("the host's", 418)(scope, receive, send)

    app = CountTokensMiddleware(host, count_tokens_with(upstream), path=path)
    prefix = "/llm" if "llm" in path else ""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        for ours in (COUNT, f"/anthropic{COUNT}"):
            assert (await client.post(f"{prefix}{ours}{slash}", json=HELLO)).status_code == 200
        for others in ("/", "/v1/messages", f"/other{COUNT}", f"{prefix}{COUNT}/x", f"/x{prefix}"):
            assert (await client.post(others, json=HELLO)).text == "the host's"
        assert (await client.get(f"{prefix}{COUNT}{slash}")).status_code == 405


async def test_a_host_that_knows_no_lifespan_may_have_the_middleware(
    upstream: FakeUpstream,
) -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await PlainTextResponse("the host's")(scope, receive, send)

    app = CountTokensMiddleware(host, count_tokens_with(upstream))
    with pytest.raises(AssertionError):
        await app({"type": "lifespan"}, unused, unused)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://gateway"
    ) as client:
        assert (await client.get("/")).text == "the host's"


@pytest.mark.parametrize("outcome", ["startup.failed", "shutdown.complete", "shutdown.failed"])
async def test_the_middleware_closes_before_the_server_is_told_that_it_is_over(
    outcome: str, emulator: str
) -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await count_tokens.count(HELLO)
        await send({"type": f"lifespan.{outcome}"})

    params = {"model": "anthropic/claude-x", "api_base": emulator, "api_key": "sk-ant-emulated"}
    config = {"model_list": [{"model_name": HELLO["model"], "litellm_params": params}]}
    count_tokens = count_tokens_with(FakeUpstream(), config, http_client=None)
    still_open: list[int] = []

    async def send(message: Any) -> None:
        http = count_tokens._pipeline.engine._providers._http
        still_open.append(len(http._sessions) if http else -1)

    await CountTokensMiddleware(host, count_tokens)({"type": "lifespan"}, unused, send)
    assert still_open == [0]


async def unused(*_: Any) -> Any:
    raise AssertionError("nothing is received or sent")


# The router


async def ask(app: FastAPI, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.post(COUNT, json=HELLO, headers=headers)


def routed(upstream: FakeUpstream, hook: Recorder, **router: Any) -> FastAPI:
    app = FastAPI()
    count_tokens = count_tokens_with(upstream, authenticate=api_key(CALLERS), hooks=[hook])
    app.include_router(count_tokens_router(count_tokens, **router))
    return app


async def test_without_identity_the_routers_caller_is_whom_authenticate_knows(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    app = routed(upstream, hook)
    assert (await ask(app)).status_code == 401
    assert (await ask(app, **KEY)).status_code == 200
    assert [event.caller for event in hook.events] == [None, Caller("team-a")]


@pytest.mark.parametrize("identity", ["team-b", Caller("team-b", frozenset({"count"}))])
async def test_what_the_hosts_dependency_returns_is_the_caller(
    identity: Caller | str, upstream: FakeUpstream
) -> None:
    hook = Recorder()

    async def current_user() -> AsyncIterator[Caller | str]:
        yield identity

    app = routed(upstream, hook, identity=Depends(current_user))
    assert (await ask(app)).status_code == 200
    assert hook.event.caller is not None
    assert hook.event.caller.id == "team-b"


async def test_a_dependency_that_returns_something_else_lets_nobody_in(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()
    app = routed(upstream, hook, identity=Depends(lambda: None))
    response = await ask(app, **KEY)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "api_error"
    assert upstream.requests == []


def user() -> str:
    raise HTTPException(401, "Nobody gets in.")


@pytest.mark.parametrize("identity", [user, Annotated[str, Depends(user)], "user", Caller("a")])
def test_an_identity_that_is_no_dependency_is_refused_at_once(
    identity: Any, upstream: FakeUpstream
) -> None:
    """FastAPI would read it from the query, and admit every client that sets it."""
    with pytest.raises(TypeError, match="identity has to be Depends"):
        routed(upstream, Recorder(), identity=identity)


async def test_a_dependency_may_read_the_body(upstream: FakeUpstream) -> None:
    seen: list[Any] = []

    async def sign(request: Request) -> str:
        seen.append(await request.body())
        return "team-a"

    async def parsed(body: dict[str, Any]) -> None:
        seen.append(body)

    app = routed(upstream, Recorder(), identity=Depends(sign), dependencies=[Depends(parsed)])
    assert (await ask(app)).json() == {"input_tokens": 14}
    assert HELLO in seen


async def test_a_dependencys_background_tasks_run(upstream: FakeUpstream) -> None:
    done: list[str] = []

    def audited(tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, "audited")
        return "team-a"

    assert (await ask(routed(upstream, Recorder(), identity=Depends(audited)))).is_success
    assert done == ["audited"]


async def test_a_dependency_holds_what_it_yields_until_the_count_is_done(
    upstream: FakeUpstream,
) -> None:
    order: list[str] = []

    async def session() -> AsyncIterator[str]:
        order.append("open")
        yield "team-a"
        order.append("close")

    def authorize(caller: Caller, model: str) -> None:
        order.append("authorize")

    app = FastAPI()
    count_tokens = count_tokens_with(upstream, authorize=authorize)
    app.include_router(count_tokens_router(count_tokens, identity=Depends(session)))
    assert (await ask(app)).is_success
    assert order == ["open", "authorize", "close"]


async def test_what_a_validator_of_the_hosts_quotes_is_not_repeated(
    upstream: FakeUpstream,
) -> None:
    def known(value: str) -> str:
        raise ValueError(f"bad key {value}")

    def keyed(x_own: Annotated[str, Header(), AfterValidator(known)]) -> str:
        return x_own

    response = await ask(
        routed(upstream, Recorder(), identity=Depends(keyed)), **{"x-own": "canary"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "header.x-own: it is not valid"


async def test_further_dependencies_refuse_in_the_envelope_with_their_headers(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()

    def limited() -> None:
        raise HTTPException(429, "Your own limit.", headers={"retry-after": "9"})

    response = await ask(routed(upstream, hook, dependencies=[Depends(limited)]), **KEY)
    assert (response.status_code, response.headers["retry-after"]) == (429, "9")
    assert response.json()["error"] == {"type": "rate_limit_error", "message": "Your own limit."}
    assert hook.event.status == 429


@pytest.mark.parametrize(
    ("status", "headers"), [(999, {}), (99, {}), (403, {"x\n": "y"}), (403, {"retry-after": 9})]
)
@pytest.mark.parametrize("place", ["identity", "dependencies"])
async def test_a_refusal_of_a_dependency_that_no_server_can_send_is_an_internal_error(
    upstream: FakeUpstream, place: str, status: int, headers: Any
) -> None:
    hook = Recorder()

    def refuse() -> str:
        raise HTTPException(status, "Denied.", headers=headers)

    depends = Depends(refuse)
    options: Any = {place: depends if place == "identity" else [depends]}
    response = await ask(routed(upstream, hook, **options), **KEY)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "api_error"
    assert (hook.event.status, hook.event.error) == (500, "InternalError")
    assert not upstream.requests


async def test_what_a_dependency_misses_is_a_400_in_the_envelope_and_no_422(
    upstream: FakeUpstream,
) -> None:
    hook = Recorder()

    def tenant(x_tenant: Annotated[int, Header()]) -> str:
        return str(x_tenant)

    app = routed(upstream, hook, identity=Depends(tenant))
    for headers in ({}, {"x-tenant": "canary"}):
        response = await ask(app, **headers)
        assert response.status_code == 400
        assert response.json()["error"]["message"].startswith("header.x-tenant: ")
        assert "canary" not in response.text
    assert (await ask(app, **{"x-tenant": "7"})).status_code == 200
    assert [event.status for event in hook.events] == [400, 400, 200]


async def test_the_routers_documentation_has_requests_answers_and_errors(
    upstream: FakeUpstream,
) -> None:
    described = routed(upstream, Recorder()).openapi()
    operation = described["paths"][COUNT]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"]["required"] == ["model", "messages"]
    assert set(content["examples"]) == {"message", "conversation"}
    assert {"200", "400", "401", "403", "404", "413", "429", "500", "501", "502", "504"} <= set(
        operation["responses"]
    )
    assert f"{COUNT}/" not in described["paths"]
