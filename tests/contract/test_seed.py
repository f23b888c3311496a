"""The configuration of the user's own description of the gateway, verbatim, counts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from count_tokens_mw import CountTokens
from demo_app.emulators import (
    EMULATED_ACCESS_KEY_ID,
    EMULATED_KEY,
    EMULATED_SECRET_ACCESS_KEY,
    EmulatedGoogle,
    emulated_anthropic,
    emulated_bedrock,
)
from demo_app.loopback import serving
from tests.support.fakes import USERS_CONFIG, Recorder, known_caller


@contextmanager
def gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: Recorder
) -> Iterator[CountTokens]:
    """Yield a counter with the verbatim file, and emulators of the public hosts below httpx."""
    google = EmulatedGoogle()
    apps = {
        "all://api.anthropic.com": emulated_anthropic(),
        "all://bedrock-runtime.us-west-2.amazonaws.com": emulated_bedrock(),
        "all://us-east5-aiplatform.googleapis.com": google.app,
    }
    mounts = {host: httpx.ASGITransport(app) for host, app in apps.items()}
    nowhere = httpx.MockTransport(lambda request: pytest.fail(f"asked {request.url.host}"))
    path, key_file = tmp_path / "config.yaml", tmp_path / "google.json"
    path.write_text(USERS_CONFIG)
    with serving(google.app) as token_server:
        key_file.write_text(json.dumps(google.service_account(f"{token_server}/token")))
        for name, value in {
            "ANTHROPIC_API_KEY": EMULATED_KEY,
            "AWS_ACCESS_KEY_ID": EMULATED_ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": EMULATED_SECRET_ACCESS_KEY,
            "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield CountTokens.from_yaml(
            path,
            authenticate=known_caller,
            hooks=[hook],
            http_client=httpx.AsyncClient(mounts=mounts, transport=nowhere),
        )


@pytest.mark.parametrize(
    ("model", "provider", "upstream_model"),
    [
        ("claude-3-5-sonnet", "anthropic", "claude-3-5-sonnet-20241022"),
        ("claude-vertex", "vertex_ai", "claude-3-5-sonnet-v2@20241022"),
        ("claude-bedrock", "bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
    ],
)
async def test_the_users_configuration_counts_through_each_of_its_entries(
    model: str,
    provider: str,
    upstream_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = Recorder()
    body = {"model": model, "messages": [{"role": "user", "content": "Hello, world!"}]}
    with gateway(tmp_path, monkeypatch, hook) as count_tokens:
        async with count_tokens.lifespan():
            assert (await count_tokens.count(body)).input_tokens > 0
    event = hook.event
    assert (event.status, event.provider, event.upstream_model) == (200, provider, upstream_model)
