"""A 404 of this package: the served paths as a client calls them, and the remedy."""

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from count_tokens_mw import CountTokens, CountTokensMiddleware
from count_tokens_mw.asgi.routes import describe_not_found
from count_tokens_mw.fastapi import count_tokens_router
from tests.support.fakes import HELLO, FakeUpstream, client_of, count_tokens_with

COUNT = "/v1/messages/count_tokens"
OTHER = "There is nothing at this path."
ONLY_COUNTS = "This package only counts tokens, and has no /v1/messages."
BASE_URL = "The base URL ends in /v1; remove it, because clients append /v1 themselves."


def served_in(message: str) -> list[str]:
    """Return the paths that a message names as served."""
    match = re.search(r"POST is served at (\S+(?:, \S+)*)\. ", message)
    assert match is not None
    return match[1].split(", ")


def message_at(path: str, root_path: str = "", **scope: str) -> str:
    return describe_not_found({"type": "http", "path": path, "root_path": root_path, **scope})


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/llm/v1/messages", ONLY_COUNTS),
        ("/llm/v1/messages/", ONLY_COUNTS),
        ("/llm/anthropic/v1/messages", ONLY_COUNTS),
        ("/llm/v1/v1/messages/count_tokens", BASE_URL),
        ("/llm/v1/v1/messages/count_tokens/", BASE_URL),
        ("/llm/v1/v1/messages/count_tokens/breakdown", BASE_URL),
        ("/llm/v1/v1/messages", BASE_URL),
        ("/llm/anthropic/v1/v1/messages/count_tokens", BASE_URL),
        ("/llm/anthropic/v1/v1/messages", BASE_URL),
        ("/llm/v1/models", OTHER),
        ("/llm/v1/messages/batches", OTHER),
        ("/llm/messages", OTHER),
        ("/llm/", OTHER),
        ("/llm", OTHER),
    ],
)
def test_the_reason_is_that_of_the_path(path: str, reason: str) -> None:
    assert message_at(path, "/llm") == (
        f"{reason} POST is served at /llm/anthropic{COUNT}, /llm{COUNT}, /llm{COUNT}/breakdown. "
        "The host's own routes below /llm, such as /llm/v1/messages, must be declared before "
        "the mount."
    )


@pytest.mark.parametrize(
    ("path", "scope", "prefix"),
    [
        ("/elsewhere", {}, ""),
        ("/llm/x", {"root_path": "/llm"}, "/llm"),
        ("/a/b/x", {"root_path": "/a/b"}, "/a/b"),
        ("/api/llm/x", {"root_path": "/api/llm", "app_root_path": "/api"}, "/api/llm"),
        ("/llm/x", {"root_path": "/api/llm", "app_root_path": "/api"}, "/api/llm"),
        ("/llm/x", {"root_path": "/llm/"}, "/llm"),
    ],
)
def test_the_prefix_is_the_one_that_the_client_calls(
    path: str, scope: dict[str, str], prefix: str
) -> None:
    message = message_at(path, **scope)
    assert served_in(message) == [
        f"{prefix}/anthropic{COUNT}",
        f"{prefix}{COUNT}",
        f"{prefix}{COUNT}/breakdown",
    ]
    assert f"below {prefix or '/'}, such as {prefix}/v1/messages, must" in message


@pytest.mark.parametrize(
    "prefix",
    ["/gateway/v1", "/v1", "/v1/messages", "/anthropic/v1", COUNT, "/v10", "/te am"],
)
async def test_every_path_that_is_named_is_served(upstream: FakeUpstream, prefix: str) -> None:
    host = Starlette(routes=[Mount(prefix, count_tokens_with(upstream))])
    async with client_of(host) as client:
        asked = httpx.URL("http://gateway").copy_with(path=f"{prefix}/elsewhere")
        missing = await client.post(asked, json=HELLO)
        assert missing.status_code == 404
        named = served_in(missing.json()["error"]["message"])
        assert len(named) == (2 if prefix == "/anthropic/v1" else 3)
        for path in named:
            response = await client.post(path, json=HELLO, follow_redirects=True)
            assert response.status_code == 200


@pytest.mark.parametrize(
    ("tenant", "quoted"),
    [
        ("acme", "acme"),
        ("a\r\nx-evil: 1\x1b[2J\u202e", "a%0D%0Ax-evil:%201%1B%5B2J%E2%80%AE"),
        ('<script>"', "%3Cscript%3E%22"),
        ("\ud800", "%3F"),
    ],
)
def test_text_of_the_client_in_the_prefix_is_percent_encoded(tenant: str, quoted: str) -> None:
    message = message_at(f"/{tenant}/x", f"/{tenant}")
    assert message.isascii()
    assert message.isprintable()
    assert served_in(message)[1] == f"/{quoted}{COUNT}"


@pytest.mark.parametrize("tenant", ["t" * 100_000, "\n" * 100_000])
def test_a_long_prefix_is_capped(tenant: str) -> None:
    (_, counted, _) = served_in(message_at(f"/{tenant}/x", f"/{tenant}"))
    assert len(counted.removesuffix(COUNT)) == 256
    assert counted.startswith("...")
    assert len(message_at(f"/{tenant}/x", f"/{tenant}")) < 2048


async def test_nothing_else_of_the_request_is_repeated(upstream: FakeUpstream) -> None:
    host = Starlette(routes=[Mount("/llm", count_tokens_with(upstream))])
    async with client_of(host, "/llm") as client:
        headers = {"x-api-key": "canary"}
        response = await client.post("/canary/v1/messages?q=canary", json=HELLO, headers=headers)
    assert response.json()["error"]["message"].startswith(ONLY_COUNTS)
    assert "canary" not in response.text


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
async def test_every_method_gets_the_404(upstream: FakeUpstream, method: str) -> None:
    host = Starlette(routes=[Mount("/llm", count_tokens_with(upstream))])
    async with client_of(host, "/llm") as client:
        response = await client.request(method, "/v1/messages")
        assert response.status_code == 404
        error = response.json()["error"]
        assert error["type"] == "not_found_error"
        assert error["message"].startswith(ONLY_COUNTS)
        assert (await client.head("/v1/messages")).status_code == 404
        assert (await client.head(COUNT)).status_code == 405


# Hosts


async def test_a_route_that_is_declared_before_the_mount_is_the_hosts(
    upstream: FakeUpstream,
) -> None:
    """This is the message's remedy."""
    chat = Route("/llm/v1/messages", lambda _: PlainTextResponse("host"), methods=["POST"])
    host = Starlette(routes=[chat, Mount("/llm", count_tokens_with(upstream))])
    async with client_of(host, "/llm") as client:
        assert (await client.post("/v1/messages", json=HELLO)).text == "host"
        assert (await client.post(COUNT, json=HELLO)).status_code == 200


def splice(count_tokens: CountTokens) -> ASGIApp:
    return Starlette(routes=count_tokens.routes)


def wrap(count_tokens: CountTokens) -> ASGIApp:
    return CountTokensMiddleware(Starlette(), count_tokens)


def include(count_tokens: CountTokens) -> ASGIApp:
    app = FastAPI()
    app.include_router(count_tokens_router(count_tokens))
    return app


@pytest.mark.parametrize("build", [splice, wrap, include])
async def test_without_a_mount_the_host_answers_its_own_404(
    upstream: FakeUpstream, build: Any
) -> None:
    async with client_of(build(count_tokens_with(upstream))) as client:
        for path in ("/v1/messages", f"/v1{COUNT}", "/elsewhere"):
            response = await client.post(path, json=HELLO)
            assert response.status_code == 404
            assert response.text in {"Not Found", '{"detail":"Not Found"}'}
