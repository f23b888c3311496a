"""The pass-through with the caller's own credential, which is never a key of the gateway."""

import base64
from collections.abc import Sequence
from typing import Any, Final

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request

from count_tokens_mw import Caller, CountTokens, KeyLookup, anyone, api_key
from count_tokens_mw.fastapi import count_tokens_router
from tests.support.fakes import (
    GATEWAY_KEY,
    HELLO,
    FakeUpstream,
    Recorder,
    client_of,
    count_tokens_with,
    mounted,
)

COUNT: Final = "/v1/messages/count_tokens"
PASSTHROUGH: Final = f"/anthropic{COUNT}"
OURS: Final = "sk-of-this-gateway"
OTHER: Final = "sk-of-another-team"
OWN: Final = "sk-ant-of-the-caller"
KEYS: Final = {OURS: "team-a", OTHER: "team-b"}
EACH: Final = ("authorization", "x-api-key")


def forwarding(upstream: FakeUpstream, headers: str | list[str], **options: Any) -> CountTokens:
    passthrough = {"anthropic": {"forward_client_credentials": headers}}
    all_options = {"authenticate": api_key(KEYS), **options}
    return count_tokens_with(upstream, settings={"passthrough": passthrough}, **all_options)


async def ask(
    count_tokens: CountTokens, headers: Sequence[tuple[str, str]], path: str = PASSTHROUGH
) -> httpx.Response:
    async with mounted(count_tokens) as client:
        return await client.post(path, json=HELLO, headers=list(headers))


def whole(request: httpx.Request) -> str:
    return f"{request.url} {request.headers.raw!r} {request.content!r}"


def bearer(key: str) -> tuple[str, str]:
    return "authorization", f"Bearer {key}"


def x_api_key(key: str) -> tuple[str, str]:
    return "x-api-key", key


@pytest.mark.parametrize(
    ("headers", "sent", "forwarded"),
    [
        ("authorization", [x_api_key(OURS), bearer(OWN)], {bearer(OWN)}),
        ("x-api-key", [bearer(OURS), x_api_key(OWN)], {x_api_key(OWN)}),
        (["authorization", "x-api-key"], [x_api_key(OURS), bearer(OWN)], {bearer(OWN)}),
        (["authorization", "x-api-key"], [x_api_key(OWN), bearer(OURS)], {x_api_key(OWN)}),
    ],
)
async def test_the_header_that_is_named_is_forwarded_and_the_gateways_key_stays(
    upstream: FakeUpstream, headers: Any, sent: Any, forwarded: set[tuple[str, str]]
) -> None:
    response = await ask(forwarding(upstream, headers), [*sent, ("cookie", "s=1")])
    assert response.status_code == 200
    assert {item for item in upstream.request.headers.items() if item[0] in EACH} == forwarded
    assert OURS not in whole(upstream.request)
    assert GATEWAY_KEY not in whole(upstream.request)
    assert "cookie" not in upstream.request.headers


async def test_both_are_forwarded_where_both_are_the_callers(upstream: FakeUpstream) -> None:
    count_tokens = forwarding(upstream, ["authorization", "x-api-key"], authenticate=anyone)
    sent = [x_api_key(OWN), bearer(OWN)]
    assert (await ask(count_tokens, sent)).status_code == 200
    assert {item for item in upstream.request.headers.items() if item[0] in EACH} == {*sent}


@pytest.mark.parametrize(
    ("headers", "sent", "why"),
    [
        ("authorization", [x_api_key(OURS)], "there is none"),
        ("x-api-key", [bearer(OURS)], "there is none"),
        ("authorization", [x_api_key(OURS), ("authorization", "")], "there is none"),
        ("x-api-key", [x_api_key(OURS)], "never forwarded"),
        ("authorization", [bearer(OURS)], "never forwarded"),
        ("authorization", [bearer(OURS), x_api_key(OWN)], "never forwarded"),
        ("authorization", [x_api_key(OURS), bearer(OURS)], "never forwarded"),
        ("authorization", [x_api_key(OURS), ("authorization", OURS)], "never forwarded"),
        ("authorization", [x_api_key(OURS), ("authorization", f"Token {OURS}")], "never forw"),
        ("x-api-key", [bearer(OURS), x_api_key(f"Bearer {OURS}")], "never forwarded"),
        ("x-api-key", [bearer(OURS), x_api_key(f"{OWN},{OURS}")], "never forwarded"),
        ("x-api-key", [bearer(OURS), x_api_key(f'"{OURS}"')], "never forwarded"),
        (["x-api-key", "authorization"], [x_api_key(OURS), bearer(OURS)], "never forwarded"),
        # Both are keys of the gateway, so neither is forwarded, whichever authenticated the caller.
        ("authorization", [x_api_key(OURS), bearer(OTHER)], "never forwarded"),
    ],
)
async def test_where_nothing_is_left_to_forward_a_401_says_so(
    upstream: FakeUpstream, headers: Any, sent: Any, why: str
) -> None:
    hook = Recorder()
    response = await ask(forwarding(upstream, headers, hooks=[hook]), sent)
    assert response.status_code == 401
    error = response.json()["error"]
    assert error["type"] == "authentication_error"
    assert error["message"].startswith(
        headers if isinstance(headers, str) else " or ".join(headers)
    )
    assert why in error["message"]
    assert "x-count-tokens-source" not in response.headers
    assert upstream.requests == []
    assert hook.event.status == 401
    assert hook.event.caller == Caller("team-a")
    assert OURS not in response.text


@pytest.mark.parametrize("path", [PASSTHROUGH, COUNT])
async def test_the_key_goes_in_no_native_header_either(upstream: FakeUpstream, path: str) -> None:
    sent = [x_api_key(OURS), bearer(OWN), ("anthropic-api-key", OURS), ("anthropic-beta", OURS)]
    sent.append(("anthropic-version", "2023-06-01"))
    assert (await ask(forwarding(upstream, "authorization"), sent, path)).status_code == 200
    assert OURS not in whole(upstream.request)
    assert upstream.request.headers["anthropic-version"] == "2023-06-01"


async def test_a_key_that_begins_like_ones_own_does_not_withhold_it(
    upstream: FakeUpstream,
) -> None:
    authenticate = api_key({OWN[:6]: "team-a"})
    count_tokens = forwarding(upstream, "authorization", authenticate=authenticate)
    assert (await ask(count_tokens, [x_api_key(OWN[:6]), bearer(OWN)])).status_code == 200
    assert upstream.request.headers["authorization"] == f"Bearer {OWN}"


async def test_a_middleware_that_copies_the_scope_does_not_lose_the_key(
    upstream: FakeUpstream,
) -> None:
    """A server's scope has a state, which copies of the scope share."""
    count_tokens = forwarding(upstream, "authorization", authenticate=anyone)
    known = api_key(KEYS)

    async def host(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {}
        known(Request(dict(scope)))
        await count_tokens(dict(scope), receive, send)

    async with client_of(host) as client:
        refused = await client.post(PASSTHROUGH, json=HELLO, headers=dict([bearer(OURS)]))
    assert refused.status_code == 401
    assert upstream.requests == []


@pytest.mark.parametrize("second", [OURS, OTHER])
async def test_a_second_line_of_a_header_does_not_smuggle_the_key_out(
    upstream: FakeUpstream, second: str
) -> None:
    count_tokens = forwarding(upstream, "x-api-key")
    sent = [x_api_key(OWN), x_api_key(second), bearer(OURS)]
    assert (await ask(count_tokens, sent)).status_code == 200
    assert upstream.request.headers.get_list("x-api-key") == [OWN]


async def owner_of(key: str) -> str | None:
    return KEYS.get(key)


@pytest.mark.parametrize("lookup", [KEYS, owner_of, KEYS.get])
@pytest.mark.parametrize("place", ["authenticate", "Depends", "wrapped"])
async def test_the_key_is_known_wherever_api_key_was_called(
    upstream: FakeUpstream, lookup: KeyLookup, place: str
) -> None:
    known: Any = api_key(lookup)

    async def authenticate(request: Any) -> Any:
        caller = known(request)
        return caller if lookup is KEYS else await caller

    if place == "Depends":
        count_tokens = forwarding(upstream, "authorization", authenticate=anyone)
        app = FastAPI()
        app.include_router(count_tokens_router(count_tokens, identity=Depends(known)))
        client = client_of(app)
    else:
        chosen = known if place == "authenticate" else authenticate
        client = mounted(forwarding(upstream, "authorization", authenticate=chosen))
    async with client:
        refused = await client.post(PASSTHROUGH, json=HELLO, headers=dict([bearer(OURS)]))
        both = dict([bearer(OWN), x_api_key(OURS)])
        counted = await client.post(PASSTHROUGH, json=HELLO, headers=both)
    assert (refused.status_code, counted.status_code) == (401, 200)
    assert upstream.request.headers["authorization"] == f"Bearer {OWN}"


async def test_the_other_path_forwards_nothing(upstream: FakeUpstream) -> None:
    count_tokens = forwarding(upstream, ["authorization", "x-api-key"])
    assert (await ask(count_tokens, [x_api_key(OURS), bearer(OWN)], COUNT)).status_code == 200
    assert OWN not in whole(upstream.request)
    assert OURS not in whole(upstream.request)
    assert upstream.request.headers["x-api-key"] == GATEWAY_KEY


async def test_a_host_that_knows_callers_by_other_means_forwards_what_it_named(
    upstream: FakeUpstream,
) -> None:
    basic = base64.b64encode(b"alice:secret").decode()
    count_tokens = forwarding(upstream, "authorization", authenticate=anyone)
    assert (await ask(count_tokens, [("authorization", f"Basic {basic}")])).status_code == 200
    assert upstream.request.headers["authorization"] == f"Basic {basic}"
