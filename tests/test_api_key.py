"""Callers by API key, in whichever header an SDK sends it."""

from typing import Any

import pytest

from count_tokens_mw import Caller, KeyLookup, api_key
from tests.fakes import HELLO, FakeUpstream, Recorder, count_tokens_with, mounted

COUNT = "/v1/messages/count_tokens"
TABLE: dict[str, Caller | str] = {
    "sk-a": "team-a",
    "sk-b": Caller("team-b", frozenset({"count"}), {"plan": "pro"}),
    "schlüssel": "team-ü",
}


def by_call(key: str) -> Caller | str | None:
    return TABLE.get(key, "")


async def by_async_call(key: str) -> Caller | str | None:
    return TABLE.get(key)


LOOKUPS: list[KeyLookup] = [TABLE, by_call, by_async_call]


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"x-api-key": "sk-a"}, Caller("team-a")),
        ({"authorization": "Bearer sk-a"}, Caller("team-a")),
        ({"authorization": "bearer  sk-b"}, TABLE["sk-b"]),
        ({"x-api-key": "sk-a", "authorization": "Bearer sk-b"}, Caller("team-a")),
        ({"x-api-key": "not-ours", "authorization": "Bearer sk-b"}, TABLE["sk-b"]),
        ({"x-api-key": "sk-a", "authorization": "Bearer not-ours"}, Caller("team-a")),
    ],
)
async def test_a_known_key_is_its_owners_in_either_header(
    upstream: FakeUpstream, lookup: KeyLookup, headers: dict[str, str], caller: Caller
) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, authenticate=api_key(lookup), hooks=[hook])
    async with mounted(count_tokens) as client:
        assert (await client.post(COUNT, json=HELLO, headers=headers)).status_code == 200
    assert hook.event.caller == caller


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "sk-"},
        {"x-api-key": "sk-aa"},
        {"authorization": "sk-a"},
        {"authorization": "Basic sk-a"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer sk-none"},
        {"cookie": "x-api-key=sk-a"},
        {"x-api-key": "sk-a\u00e4".encode("latin-1")},
    ],
)
async def test_any_other_key_is_a_401(
    upstream: FakeUpstream, lookup: KeyLookup, headers: dict[str, Any]
) -> None:
    async with mounted(count_tokens_with(upstream, authenticate=api_key(lookup))) as client:
        response = await client.post(COUNT, json=HELLO, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    is_sent = headers.get("x-api-key") or headers.get("authorization") == "Bearer sk-none"
    words = "Unknown API key." if is_sent else "Send an API key as x-api-key or as bearer."
    assert response.json()["error"] == {"type": "authentication_error", "message": words}
    assert upstream.requests == []


async def test_of_a_table_every_key_is_compared_whichever_it_is(upstream: FakeUpstream) -> None:
    """Or the time that it takes would tell how early in the table a key stands."""
    compared: list[str] = []

    class Key(str):
        __slots__ = ()

        def encode(self, *arguments: Any, **named: Any) -> bytes:
            compared.append(str(self))
            return super().encode(*arguments, **named)

    table: dict[str, Caller | str] = {Key("sk-a"): "a", Key("sk-b"): "b", Key("sk-c"): "c"}
    async with mounted(count_tokens_with(upstream, authenticate=api_key(table))) as client:
        for key in ("sk-a", "sk-c", "sk-nobody"):
            compared.clear()
            await client.post(COUNT, json=HELLO, headers={"x-api-key": key})
            assert compared == ["sk-a", "sk-b", "sk-c"]


@pytest.mark.parametrize(("first", "second", "status"), [("sk-a", "no", 200), ("no", "sk-a", 401)])
@pytest.mark.parametrize(("name", "prefix"), [("x-api-key", ""), ("authorization", "Bearer ")])
async def test_of_two_lines_of_one_header_the_first_one_counts(
    upstream: FakeUpstream, first: str, second: str, status: int, name: str, prefix: str
) -> None:
    count_tokens = count_tokens_with(upstream, authenticate=api_key(TABLE))
    async with mounted(count_tokens) as client:
        lines = [(name, prefix + first), (name, prefix + second)]
        assert (await client.post(COUNT, json=HELLO, headers=lines)).status_code == status
