"""Key files of Google that somebody replaces while the gateway runs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from count_tokens_mw import Config, CountTokens, CredentialsUnavailable, DeadlineExceeded
from count_tokens_mw.config.params.google import VertexParams
from count_tokens_mw.config.params.google_keys import read_key_file
from count_tokens_mw.providers.google.credentials import GoogleTokens
from demo_app.emulators import EmulatedGoogle
from tests.support.cloud import Cloud, cloud
from tests.support.fakes import known_caller
from tests.support.requests import HELLO

BODY: Final[dict[str, Any]] = {"model": "m", "messages": HELLO}
OLD, NEW = EmulatedGoogle(), EmulatedGoogle()


@pytest.fixture
def endpoint() -> Iterator[Cloud]:
    with cloud(OLD.app) as endpoint:
        yield endpoint


class KeyOnDisk:
    """The key file of a deployment."""

    def __init__(self, folder: Path, url: str) -> None:
        self.path = folder / "key.json"
        self.url = url

    def write(self, google: EmulatedGoogle, **changes: str) -> None:
        """Replace the file as a secret store does, at once."""
        key = {**google.service_account(f"{self.url}/token"), **changes}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(key))
        new.replace(self.path)

    def config(self) -> Config:
        """Return the configuration of a deployment with this file."""
        params = {
            "model": "vertex_ai/gemini-2.5-flash",
            "vertex_location": "us-east5",
            "vertex_credentials": str(self.path),
            "api_base": self.url,
        }
        entry = {"model_name": "m", "litellm_params": params}
        data = {"model_list": [entry], "count_tokens": {"cache": {"ttl": 0}}}
        return Config.from_mapping(data, {})

    def params(self) -> VertexParams:
        """Return the deployment's parameters."""
        (deployment,) = self.config().deployments
        assert isinstance(deployment.params, VertexParams)
        return deployment.params


@pytest.fixture
def key(tmp_path: Path, endpoint: Cloud) -> KeyOnDisk:
    key = KeyOnDisk(tmp_path, endpoint.url)
    key.write(OLD)
    return key


async def test_a_rotated_key_is_used_without_a_restart(key: KeyOnDisk, endpoint: Cloud) -> None:
    count_tokens = CountTokens(key.config(), authenticate=known_caller)
    async with count_tokens.lifespan():
        await count_tokens.count(BODY)
        key.write(NEW)
        endpoint.app = NEW.app  # the old key and its tokens are revoked
        await count_tokens.count(BODY)
    assert NEW.issued == 1
    assert endpoint.paths.count("/token") == 2


async def test_a_key_that_google_no_longer_knows_is_named_as_such(
    key: KeyOnDisk, endpoint: Cloud
) -> None:
    endpoint.app = NEW.app
    tokens = GoogleTokens(read_key_file(str(key.path)))
    with pytest.raises(CredentialsUnavailable, match="Google refuses the gateway's key"):
        await tokens.token()
    key.write(NEW)
    assert await tokens.token()


async def test_another_account_needs_a_reload(key: KeyOnDisk, endpoint: Cloud) -> None:
    """Its counts would be kept as those of the account before."""
    count_tokens = CountTokens(key.config(), authenticate=known_caller)
    async with count_tokens.lifespan():
        await count_tokens.count(BODY)
        key.write(OLD, project_id="another-project")
        OLD.revoke_all()
        with pytest.raises(CredentialsUnavailable, match="another account than the configuration"):
            await count_tokens.count(BODY)
        count_tokens.reload(key.config())
        await count_tokens.count(BODY)
    assert "/projects/another-project/" in endpoint.paths[-1]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff", b" " * 300_000])
async def test_a_file_that_cannot_be_read_leaves_the_key_as_it_was(
    key: KeyOnDisk, content: bytes | None
) -> None:
    tokens = GoogleTokens(read_key_file(str(key.path)))
    first = await tokens.token()
    key.path.unlink()
    if content is not None:
        key.path.write_bytes(content)
    assert await tokens.replace(first) != first


async def test_a_file_is_read_off_the_event_loop(key: KeyOnDisk) -> None:
    tokens = GoogleTokens(read_key_file(str(key.path)), seconds=0.1)
    key.path.unlink()
    os.mkfifo(key.path)  # a read blocks until a write
    with pytest.raises(DeadlineExceeded):
        await tokens.token()
    with key.path.open("w") as fifo:  # ends the thread
        fifo.write("{}")


def test_the_account_stays_with_its_key_and_differs_from_others(
    key: KeyOnDisk, tmp_path: Path
) -> None:
    """Processes that read the file before and after a rotation share their counts."""
    before = key.params()
    key.write(NEW)
    after = key.params()
    assert (before.account, before.identity) == (after.account, after.identity)
    assert before.key != after.key
    others = []
    for changes in ({"client_email": "b@c"}, {"project_id": "p"}, {"type": "authorized_user"}):
        key.write(NEW, **changes)
        others.append(key.params())
    accounts = {before.account, *(params.account for params in others)}
    assert len(accounts) == len({before.identity, *(params.identity for params in others)}) == 4


def test_two_users_are_two_accounts(key: KeyOnDisk) -> None:
    """A refresh token is all in which they differ."""
    accounts = set()
    for token in ("a", "b"):
        user = {"type": "authorized_user", "client_id": "c", "client_secret": "s"}
        key.path.write_text(json.dumps({**user, "refresh_token": token}))
        accounts.add(key.params().account)
    assert len(accounts) == 2


def test_a_copy_elsewhere_is_the_same_account_with_a_file_of_its_own(
    key: KeyOnDisk, tmp_path: Path, endpoint: Cloud
) -> None:
    (tmp_path / "copy").mkdir()
    copy = KeyOnDisk(tmp_path / "copy", endpoint.url)
    copy.write(OLD)
    assert key.params().account == copy.params().account
    assert key.params().identity != copy.params().identity


def test_nothing_of_the_file_shows(key: KeyOnDisk) -> None:
    params = key.params()
    shown = repr(params) + repr(params.vertex_credentials) + params.account
    assert "PRIVATE KEY" not in shown
    assert "counter@" not in shown
