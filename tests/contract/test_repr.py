"""No `repr` of the package's objects shows a key, because error trackers log local variables."""

import functools
import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
from starlette.requests import Request

from count_tokens_mw import Caller, Config, CountTokens, api_key
from count_tokens_mw.config import read_yaml
from count_tokens_mw.config.entries import EntryReader
from count_tokens_mw.config.entry_params import Credential
from count_tokens_mw.config.files import read_documents
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.types import CountRequest, UpstreamCall
from tests.support.fakes import HELLO, FakeUpstream

CANARY = "sk-canary-of-a-key"
ENTRIES: list[dict[str, Any]] = [
    {"model": "anthropic/*", "api_key": CANARY},
    {"model": "anthropic/x", "auth_token": CANARY},
    {"model": "anthropic/x", "extra_headers": {"x-api-key": CANARY}},
    {"model": "azure_ai/claude-x", "api_key": CANARY, "api_base": "https://a.example"},
    {
        "model": "vertex_ai/gemini-x",
        "vertex_location": "us",
        "vertex_project": "p",
        "vertex_credentials": {"type": "service_account", "private_key": CANARY},
    },
    {"model": "gemini/x", "api_key": CANARY},
    {"model": "openai/gpt-x", "api_key": CANARY},
    {"model": "openai/gpt-x", "extra_headers": {"authorization": f"Bearer {CANARY}"}},
    {
        "model": "azure/gpt-x",
        "azure_ad_token": CANARY,
        "api_base": "https://a.example",
        "count_tokens_via": "responses",
    },
    {"model": "bedrock/anthropic.claude-x", "aws_region_name": "us-east-1", "api_key": CANARY},
    {
        "model": "bedrock/anthropic.claude-x",
        "aws_region_name": "us-east-1",
        "aws_access_key_id": CANARY,
        "aws_secret_access_key": CANARY,
        "aws_session_token": CANARY,
    },
    {
        "model": "bedrock/anthropic.claude-x",
        "aws_region_name": "us-east-1",
        "aws_role_name": "arn:aws:iam::1:role/r",
        "aws_web_identity_token": f"{CANARY}.e.s",
    },
    {"model": "*", "litellm_credential_name": "shared"},
]
FILE: dict[str, Any] = {
    "model_list": [
        {"model_name": f"m{number}", "litellm_params": params}
        for number, params in enumerate(ENTRIES)
    ],
    "credential_list": [{"credential_name": "shared", "credential_values": {"api_key": CANARY}}],
    "environment_variables": {"ANTHROPIC_API_KEY": CANARY},
    "count_tokens": {
        "passthrough": {"anthropic": {"api_key": CANARY}},
        "cache": {"url": f"redis://:{CANARY}@127.0.0.1:1"},
    },
}


def reached_from(*roots: object) -> Iterator[object]:
    """Yield every object reachable from the roots, without classes and modules."""
    seen: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type | type(gc)):
            continue
        seen[id(item)] = item
        yield item
        if not callable(item) or isinstance(item, functools.partial | MethodType):
            waiting += gc.get_referents(item)
        elif is_ours(item):
            waiting += gc.get_referents(vars(item) if hasattr(item, "__dict__") else item)


def is_ours(item: object) -> bool:
    return type(item).__module__.startswith("count_tokens_mw")


def shown_by(*roots: object) -> list[str]:
    """Return every `repr` with the key, of the package's objects and of their bound callables."""
    binding = (functools.partial, MethodType)
    ours = [item for item in reached_from(*roots) if is_ours(item) or isinstance(item, binding)]
    assert ours
    return [text for text in map(repr, ours) if CANARY in text]


def owner_of(key: str) -> str:
    return "team-a"


@pytest.mark.parametrize("lookup", [{CANARY: "team-a"}, {CANARY: Caller("team-a")}, owner_of])
async def test_a_mounted_gateway_shows_none(upstream: FakeUpstream, lookup: Any) -> None:
    authenticate: Any = api_key(lookup)
    count_tokens = CountTokens(
        Config.from_mapping(FILE, {}), authenticate=authenticate, http_client=upstream.client()
    )
    async with count_tokens.lifespan():
        for name in ("m0", "m1", "m2", "m3", "m5", "m6"):
            upstream.answers(200, b'{"input_tokens": 1, "inputTokens": 1, "totalTokens": 1}')
            await count_tokens.count({**HELLO, "model": name})
        assert len(upstream.requests) == 6
        assert shown_by(count_tokens, authenticate) == []


async def test_the_keys_that_were_recognised_show_in_no_scope() -> None:
    scope: dict[str, Any] = {"type": "http", "headers": [(b"x-api-key", CANARY.encode())]}
    assert api_key({CANARY: "team-a"})(Request(scope)).id == "team-a"
    del scope["headers"]
    assert CANARY not in repr(scope)


def test_what_goes_upstream_and_what_came_show_none() -> None:
    headers = (("x-api-key", CANARY),)
    request = request_from_mapping({**HELLO, "metadata": {"user_id": "u"}})
    request = CountRequest(request.model, request.body, (), f"key={CANARY}", headers)
    call = UpstreamCall("anthropic", f"https://h/?key={CANARY}", headers, CANARY.encode())
    assert shown_by(request, call) == []


def test_a_file_that_is_being_read_shows_none(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(FILE))
    documents, _ = read_documents(file)
    reading = read_yaml(file, {})
    assert reading.problems == ()
    credential = Credential(credential_name="shared", credential_values={"api_key": CANARY})
    assert shown_by(documents, reading, credential) == []


def test_an_entry_that_is_being_read_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """`EntryReader` makes many values between the file and a deployment."""
    made: list[object] = []

    def keep(frame: Any, event: str, argument: object) -> None:
        if event == "return" and frame.f_globals["__name__"] == EntryReader.__module__:
            made.extend(frame.f_locals.values())

    sys.setprofile(keep)
    try:
        Config.from_mapping(FILE, {})
    finally:
        sys.setprofile(None)
    assert len(made) > 100
    texts = [repr(item) for item in made if is_ours(item)]
    assert [text for text in texts if CANARY in text] == []
