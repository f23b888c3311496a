"""The breakdown as the page reads it: line by line, and cancelled when the client leaves."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from count_tokens_mw import Config
from demo_app.demo import create_app
from demo_app.loopback import serving
from demo_app.upstreams import Upstreams

KEY = {"x-api-key": "sk-demo"}
BODY: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "system": "Be brief.",
    "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "How are you?"},
    ],
}


class Gated:
    """An upstream that counts the whole request at once, and its parts after `release`."""

    def __init__(self) -> None:
        self.calls = 0
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def answer(self, request: Request) -> JSONResponse:
        self.calls += 1
        if self.calls > 1:
            await self._released.wait()
        return JSONResponse({"input_tokens": self.calls})


def create_gateway(url: str, **settings: object) -> Any:
    params = {"model": "anthropic/claude-opus-5-5", "api_base": url, "api_key": "key"}
    entry = {"model_name": "claude-sonnet-5", "litellm_params": params}
    config = Config.from_mapping({"model_list": [entry], "count_tokens": settings}, {})
    return create_app(config, Upstreams(frozenset()))


@pytest.fixture
def gated() -> Iterator[tuple[str, Gated]]:
    """Serve a gateway and an upstream that waits; yield the gateway's URL and the upstream."""
    upstream = Gated()
    route = Route("/v1/messages/count_tokens", upstream.answer, methods=["POST"])
    with serving(Starlette(routes=[route]), ending=upstream.release) as url:
        app = create_gateway(url)
        with serving(app, ending=app.state.live.close) as gateway:
            yield gateway, upstream


async def lines_of(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        yield json.loads(line)


async def post_breakdown(
    demo: str, body: Any, headers: dict[str, str] = KEY
) -> list[dict[str, Any]]:
    client = httpx.AsyncClient(base_url=demo, headers=headers, timeout=30)
    async with client, client.stream("POST", "/demo/breakdown", json=body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("application/x-ndjson")
        return [line async for line in lines_of(response)]


async def test_progress_is_told_and_at_last_the_breakdown(demo: str) -> None:
    *progress, last = await post_breakdown(demo, BODY)
    total = len(progress)
    assert progress == [{"done": done, "total": total} for done in range(1, total + 1)]
    assert total > 4  # the whole, the system prompt, the tool, and the conversation's prefixes
    async with httpx.AsyncClient(base_url=demo, headers=KEY, timeout=30) as client:
        breakdown = (await client.post("/v1/messages/count_tokens/breakdown", json=BODY)).json()
    assert last == {"breakdown": breakdown}
    assert [tool["name"] for tool in breakdown["tools"]] == ["get_weather"]
    assert len(breakdown["messages"]) == 3


@pytest.mark.parametrize(
    ("body", "key", "status", "type_", "message"),
    [
        ({"model": "mistral-large"}, "sk-demo", 501, "api_error", "mistral"),
        ({"model": "nobody"}, "sk-demo", 404, "not_found_error", "nobody"),
        ({"model": "gemini-vertex"}, "sk-demo-claude", 403, "permission_error", "may not use"),
        ({"messages": None}, "sk-demo", 400, "invalid_request_error", "messages"),
    ],
)
async def test_where_there_is_no_count_the_last_line_says_why(
    demo: str, body: dict[str, Any], key: str, status: int, type_: str, message: str
) -> None:
    (line,) = await post_breakdown(demo, {**BODY, **body}, {"x-api-key": key})
    assert (line["error"]["status"], line["error"]["type"]) == (status, type_)
    assert message in line["error"]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"a"', b"\xff", b"[" * 100_000, b"1" * 5000]
)
async def test_a_body_that_is_no_json_object_is_a_400_in_the_envelope(
    demo: str, body: bytes
) -> None:
    async with httpx.AsyncClient(base_url=demo, headers=KEY) as client:
        response = await client.post("/demo/breakdown", content=body)
    assert response.status_code == 400
    assert response.json()["error"] == {
        "type": "invalid_request_error",
        "message": "The request body is not a JSON object.",
    }


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_over_the_limit_of_counts_is_a_413(is_announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 50

    with serving(create_gateway("http://127.0.0.1:1", max_body_bytes=100)) as url:
        async with httpx.AsyncClient(base_url=url, headers=KEY) as client:
            content = b" " * 150 if is_announced else chunks()
            response = await client.post("/demo/breakdown", content=content)
    assert response.status_code == 413
    assert response.json()["error"]["type"] == "request_too_large"


UNFINISHED = (
    b"POST /demo/breakdown HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-demo\r\n"
    b"content-length: 10\r\n\r\n{"
)


async def test_a_body_that_stalls_is_waited_for_no_longer_than_that_of_a_count() -> None:
    with serving(create_gateway("http://127.0.0.1:1", timeout=0.1)) as url:
        address = httpx.URL(url)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(UNFINISHED)
        assert await reader.readline() == b"HTTP/1.1 504 Gateway Timeout\r\n"
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_leaves_before_its_body_is_there_is_no_fault_of_ours(
    demo: str, logged: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    address = httpx.URL(demo)
    _, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(UNFINISHED)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await asyncio.to_thread(logged, "POST /demo/breakdown 499 ")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_it_is_told_at_once_and_ends_when_the_client_leaves(
    gated: tuple[str, Gated],
) -> None:
    gateway, upstream = gated
    long = {**BODY, "messages": BODY["messages"] * 20}
    client = httpx.AsyncClient(base_url=gateway, headers=KEY, timeout=30)
    async with client, client.stream("GET", "/demo/events") as events:
        async with client.stream("POST", "/demo/breakdown", json=long) as response:
            first = await anext(lines_of(response))
        # The upstream still waits, so the event shows that the work was cancelled.
        data = [line async for line in until(events.aiter_lines(), "data: ")][-1]
    event = json.loads(data.removeprefix("data: "))
    assert first["done"] == 1
    assert first["total"] > 20
    assert (event["entry_point"], event["status"], event["caller"]) == ("breakdown", 499, "demo")
    assert upstream.calls < 10  # only the calls in flight, of more than twenty


async def until(lines: AsyncIterator[str], start: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith(start):
            return
