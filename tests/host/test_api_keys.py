"""Authentication by an API key, in whichever header an SDK sends it."""

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

import pytest
from fastapi import Depends, FastAPI

from count_tokens_mw import Caller, KeyLookup, api_key, host_user
from count_tokens_mw.fastapi import count_tokens_router
from count_tokens_mw.host.api_keys import _SentKey
from tests.support.fakes import HELLO, FakeUpstream, Recorder, client_of, count_tokens_with, mounted

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
    message = "Unknown API key." if is_sent else "Send an API key as x-api-key or as bearer."
    assert response.json()["error"] == {"type": "authentication_error", "message": message}
    assert upstream.requests == []


class Counting(Mapping[str, Caller | str]):
    """A table that counts reads of its keys, by any method."""

    def __init__(self, size: int) -> None:
        self._table = {f"sk-{number}": f"team-{number}" for number in range(size)}
        self.reads = 0

    def __getitem__(self, key: str) -> str:
        self.reads += 1
        return self._table[key]

    def __iter__(self) -> Iterator[str]:
        for key in self._table:
            self.reads += 1
            yield key

    def __len__(self) -> int:
        return len(self._table)


@pytest.mark.parametrize("size", [10, 10_000])
@pytest.mark.parametrize(("sent", "status"), [("sk-7", 200), ("sk-nobody", 401)])
async def test_a_look_up_costs_the_same_whatever_the_size_of_the_table(
    upstream: FakeUpstream, size: int, sent: str, status: int
) -> None:
    table = Counting(size)
    async with mounted(count_tokens_with(upstream, authenticate=api_key(table))) as client:
        for reads in (1, 2):
            response = await client.post(COUNT, json=HELLO, headers={"x-api-key": sent})
            assert response.status_code == status
            assert table.reads == reads


@pytest.mark.parametrize("lookup", ["table", "function", "async function"])
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
async def test_a_key_that_is_too_long_is_unknown_and_nobody_is_asked(
    upstream: FakeUpstream, lookup: str, header: str
) -> None:
    longest = 1024 if lookup == "table" else 16 * 1024
    asked: list[str] = []

    class Table(dict[str, Caller | str]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.append(key)
            return "team-a"

    def owner_of(key: str) -> str:
        asked.append(key)
        return "team-a"

    async def find_owner(key: str) -> str:
        return owner_of(key)

    lookups: dict[str, KeyLookup] = {
        "table": Table(),
        "function": owner_of,
        "async function": find_owner,
    }
    prefix = "Bearer " if header == "authorization" else ""
    authenticate: Any = api_key(lookups[lookup])
    async with mounted(count_tokens_with(upstream, authenticate=authenticate)) as client:
        for length, status in [(longest, 200), (longest + 1, 401), (1_000_000, 401)]:
            headers = {header: prefix + "k" * length}
            assert (await client.post(COUNT, json=HELLO, headers=headers)).status_code == status
    assert asked == ["k" * longest]


async def test_a_key_that_is_too_long_does_not_hide_the_one_in_the_other_header(
    upstream: FakeUpstream,
) -> None:
    async with mounted(count_tokens_with(upstream, authenticate=api_key(TABLE))) as client:
        headers = {"x-api-key": "k" * 5000, "authorization": "Bearer sk-a"}
        assert (await client.post(COUNT, json=HELLO, headers=headers)).status_code == 200


@pytest.mark.parametrize("view", [dict, MappingProxyType, ChainMap])
async def test_a_table_is_live(upstream: FakeUpstream, view: Callable[[Any], Any]) -> None:
    keys: dict[str, Caller | str] = {"sk-old": "team-a", "sk-stays": "team-b"}
    table = keys if view is dict else view(keys)
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, authenticate=api_key(table), hooks=[hook])

    async def owner_of(key: str) -> str | None:
        response = await client.post(COUNT, json=HELLO, headers={"x-api-key": key})
        assert response.status_code in {200, 401}
        caller = hook.events[-1].caller
        return caller.id if caller else None

    async with mounted(count_tokens) as client:
        assert [await owner_of(key) for key in ("sk-old", "sk-new")] == ["team-a", None]
        keys["sk-new"] = keys.pop("sk-old")  # as many keys as before
        assert [await owner_of(key) for key in ("sk-old", "sk-new")] == [None, "team-a"]
        keys["sk-new"] = "team-c"
        assert await owner_of("sk-new") == "team-c"
        keys.clear()
        keys.update({"sk-other": "team-d", "sk-stays": "team-b"})  # from a database, anew
        owners = [await owner_of(key) for key in ("sk-new", "sk-other", "sk-stays")]
        assert owners == [None, "team-d", "team-b"]


@pytest.mark.parametrize("stray", [5, b"sk-a", "\ud800", None])
async def test_a_stray_key_in_the_table_is_nobodys(upstream: FakeUpstream, stray: Any) -> None:
    table: dict[Any, Caller | str] = {stray: "nobody", "sk-a": "team-a"}
    async with mounted(count_tokens_with(upstream, authenticate=api_key(table))) as client:
        for key, status in [("sk-a", 200), ("5", 401), ("None", 401), ("b'sk-a'", 401)]:
            headers = {"x-api-key": key}
            assert (await client.post(COUNT, json=HELLO, headers=headers)).status_code == status


def test_a_key_that_was_sent_is_compared_by_its_sha_256() -> None:
    """Any comparison of a table uses only the equality of the hashes."""
    sent = _SentKey("sk-a")
    assert sent == "sk-a"
    assert "sk-a" == sent  # noqa: SIM300 - a dict compares in this order
    assert sent not in ("sk-b", "sk-", "sk-aa", "\ud800", 5, None)
    assert hash(sent) == hash("sk-a")
    assert "sk-a" not in repr(sent)


async def test_a_table_is_asked_by_what_compares_in_constant_time(upstream: FakeUpstream) -> None:
    asked: list[str] = []

    class Table(dict[str, Caller | str]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.append(key)
            return super().get(key, default)

    table = Table({"sk-a": "team-a"})
    async with mounted(count_tokens_with(upstream, authenticate=api_key(table))) as client:
        response = await client.post(COUNT, json=HELLO, headers={"x-api-key": "sk-a"})
    assert response.status_code == 200
    assert [type(key) for key in asked] == [_SentKey]


@pytest.mark.parametrize("lookup", LOOKUPS)
async def test_a_routers_dependency_may_be_api_key_itself(
    upstream: FakeUpstream, lookup: KeyLookup
) -> None:
    hook = Recorder()
    count_tokens = count_tokens_with(upstream, authenticate=host_user, hooks=[hook])
    app = FastAPI()
    identity = Depends(cast("Any", api_key)(lookup))
    app.include_router(count_tokens_router(count_tokens, identity=identity))
    async with client_of(app) as client:
        known = await client.post(COUNT, json=HELLO, headers={"x-api-key": "sk-a"})
        unknown = await client.post(COUNT, json=HELLO, headers={"x-api-key": "sk-none"})
    assert known.status_code == 200
    assert unknown.status_code == 401
    assert unknown.headers["www-authenticate"] == "Bearer"
    assert unknown.json()["error"] == {
        "type": "authentication_error",
        "message": "Unknown API key.",
    }
    assert [event.status for event in hook.events] == [200, 401]


@pytest.mark.parametrize(("first", "second", "status"), [("sk-a", "no", 200), ("no", "sk-a", 401)])
@pytest.mark.parametrize(("name", "prefix"), [("x-api-key", ""), ("authorization", "Bearer ")])
async def test_of_two_lines_of_one_header_the_first_one_counts(
    upstream: FakeUpstream, first: str, second: str, status: int, name: str, prefix: str
) -> None:
    count_tokens = count_tokens_with(upstream, authenticate=api_key(TABLE))
    async with mounted(count_tokens) as client:
        lines = [(name, prefix + first), (name, prefix + second)]
        assert (await client.post(COUNT, json=HELLO, headers=lines)).status_code == status
