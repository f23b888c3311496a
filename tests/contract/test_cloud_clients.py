"""Calls of the vendors' own clients and of the gateway, recorded side by side.

The caller uses Anthropic's client with the gateway as its base URL, and the same arguments go to
the vendor's client for the cloud. Each difference between the two upstream requests is listed with
its reason, and is removed from the list once it no longer occurs.
"""

import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import anthropic
import botocore.auth
import httpx2
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.credentials import Credentials

from count_tokens_mw import Config
from demo_app.emulators import EmulatedGoogle
from tests.support.asked import asked_by
from tests.support.cloud import CLAUDE_ON_BEDROCK
from tests.support.fakes import FakeUpstream, count_tokens_with
from tests.support.recorded import Recorded, Recorder, differences, recorder, sign_again
from tests.support.requests import HELLO, STANDARD, WEATHER

Ask: TypeAlias = Callable[[dict[str, Any]], Awaitable[object]]

REGION: Final = "us-west-2"
KEYS: Final = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret/key+1"}
TOKEN: Final = "token//of+a=role"
CREDENTIALS: Final = Credentials("AKIAEXAMPLE", "secret/key+1")
NOW: Final = datetime(2026, 11, 26, 22, 20, tzinfo=UTC)
CLAUDE: Final = "anthropic.claude-sonnet-4-6"
HEADER_ARGUMENTS: Final = {"betas", "user_profile_id", "workspace_id"}
BETA: Final[dict[str, dict[str, Any]]] = {
    "a beta": {"messages": HELLO, "betas": ["context-1m-2025-08-07"]},
    "context management": {
        "messages": HELLO,
        "betas": ["context-management-2025-06-27"],
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    },
    "tools and a beta": {"messages": HELLO, "tools": [WEATHER], "betas": ["pdfs-2024-09-25"]},
    "a user profile": {"messages": HELLO, "betas": [], "user_profile_id": "uprof_1"},
    "a workspace": {"messages": HELLO, "betas": [], "workspace_id": "wrkspc_1"},
}
SHAPES: Final = {**STANDARD, **BETA}
LEAST_SHAPES: Final = 20

# Headers of the connection and of the client itself, which no API of a cloud reads.
NOT_COMPARED: Final = {
    "accept": "every answer is JSON",
    "accept-encoding": "the client's decoders",
    "amz-sdk-invocation-id": "botocore's telemetry",
    "amz-sdk-request": "botocore's telemetry",
    "connection": "the connection's",
    "content-length": "the body's, which is compared",
    "user-agent": "the client's name",
}
_TELEMETRY: Final = re.compile(r"x-stainless-").match
_SCOPE: Final = re.compile(r"AWS4-HMAC-SHA256 (Credential=[^,]+), SignedHeaders=([^,]+), .*=(\w+)")

_NO_INPUT: Final = "is no input, and the cloud refuses it without a beta"
MANTLE: Final = {
    "body output_config.effort: only theirs": _NO_INPUT,
    "body speed: only theirs": _NO_INPUT,
}
RUNTIME: Final = {
    **MANTLE,
    "request path: other value": "ours has the id's colon as it is, since aiohttp decodes `%3A`",
}
_NOT_GOOGLES: Final = "of an account at Anthropic, of which Google knows nothing"
VERTEX: Final = {
    **MANTLE,
    "body anthropic_version: other value": "the version that every model of Vertex AI takes",
    "header anthropic-user-profile-id: only theirs": _NOT_GOOGLES,
    "header anthropic-workspace-id: only theirs": _NOT_GOOGLES,
}
FOUNDRY: Final = {
    "header api-key: only theirs": "the key's former header; the API reads x-api-key",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    with recorder() as app:
        yield app


@pytest.fixture(autouse=True)
def _one_time_and_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW)


@asynccontextmanager
async def gateway(params: dict[str, Any], name: str = "m") -> AsyncIterator[Any]:
    """Yield Anthropic's client of a gateway, which has one deployment under a name."""
    entry = {"model_name": name, "litellm_params": params}
    count_tokens = count_tokens_with(
        FakeUpstream(), {"model_list": [entry]}, environ={}, http_client=None
    )
    transport = httpx2.ASGITransport(app=count_tokens)
    async with (
        count_tokens.lifespan(),
        httpx2.AsyncClient(transport=transport) as http_client,
        anthropic.AsyncAnthropic(
            api_key="sk-caller", base_url="http://gateway", http_client=http_client, max_retries=0
        ) as client,
    ):
        yield client


def asking(client: Any, model: str) -> Ask:
    """Return a function that counts a shape by a client of the SDK."""

    def ask(shape: dict[str, Any]) -> Awaitable[object]:
        messages = client.beta.messages if "betas" in shape else client.messages
        counted: Awaitable[object] = messages.count_tokens(model=model, **shape)
        return counted

    return ask


def invoke_body(shape: dict[str, Any]) -> str:
    """Return the body of InvokeModel for a shape, as AWS documents it."""
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": shape.get("thinking", {}).get("budget_tokens", 0) + 1,
        **{name: value for name, value in shape.items() if name not in HEADER_ARGUMENTS},
    }
    if "betas" in shape:
        body["anthropic_beta"] = [*shape["betas"], "token-counting-2024-11-01"]
    return json.dumps(body)


def blob_of(request: Recorded) -> bytes:
    """Return the body of InvokeModel in a request to CountTokens."""
    (invoke,) = request.body["input"].values()
    return base64.b64decode(invoke["body"], validate=True)


def body_of(request: Recorded) -> Any:
    body = request.body
    return json.loads(blob_of(request)) if body.keys() == {"input"} else body


def headers_of(request: Recorded) -> dict[str, str]:
    """Return the headers to compare; a signature is compared by its scope."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if name not in NOT_COMPARED and not _TELEMETRY(name)
    }
    signed = _SCOPE.match(kept.get("authorization", ""))
    return {**kept, "authorization": signed[1]} if signed else kept


def compare(theirs: Recorded, ours: Recorded) -> set[str]:
    left = {"method": theirs.method, "path": theirs.path, "query": theirs.query}
    right = {"method": ours.method, "path": ours.path, "query": ours.query}
    return {
        *differences(left, right, "request"),
        *differences(headers_of(theirs), headers_of(ours), "header"),
        *differences(body_of(theirs), body_of(ours), "body"),
    }


async def record_both(
    upstream: Recorder, vendors: Any, model: str, own: Any
) -> list[tuple[Recorded, Recorded]]:
    """Return the requests of the vendor's client and of the gateway for every shape."""
    pairs = []
    for shape in SHAPES.values():
        await asking(vendors, model)(shape)
        theirs = upstream.take()
        await asking(own, "m")(shape)
        pairs.append((theirs, upstream.take()))
    assert len(pairs) >= LEAST_SHAPES
    return pairs


def check(pairs: list[tuple[Recorded, Recorded]], listed: dict[str, str]) -> None:
    """Check that the requests differ in all that is listed with a reason, and in nothing else."""
    found = {name: compare(*pair) for name, pair in zip(SHAPES, pairs, strict=True)}
    unlisted = {name: texts - listed.keys() for name, texts in found.items()}
    assert {name: texts for name, texts in unlisted.items() if texts} == {}
    assert set().union(*found.values()) == listed.keys()
    assert all(listed.values())


def check_signatures(pairs: list[tuple[Recorded, Recorded]], service: str) -> None:
    """Check both signatures; where all that is signed is equal, ours is theirs over our headers."""
    equal = 0
    for theirs, ours in pairs:
        values = []
        for request in (theirs, ours):
            scope = _SCOPE.match(request.headers["authorization"])
            assert scope is not None
            signed = scope[2].split(";")
            assert sign_again(request, signed, CREDENTIALS, service, REGION) == scope[3]
            assert scope[1] == f"Credential=AKIAEXAMPLE/20261126/{REGION}/{service}/aws4_request"
            values.append((signed, scope[3]))
        (their_names, _), (our_names, our_value) = values
        # The vendor's client signs its telemetry too.
        assert set(our_names) <= set(their_names)
        assert {"host", "x-amz-date", "x-amz-security-token"} <= set(our_names)
        if (theirs.path, theirs.raw) == (ours.path, ours.raw):
            assert sign_again(theirs, our_names, CREDENTIALS, service, REGION) == our_value
            equal += 1
    assert equal >= LEAST_SHAPES


@pytest.mark.parametrize("credential", ["keys", "Bedrock API key"])
async def test_mantle_gets_what_anthropics_mantle_client_sends(
    upstream: Recorder, credential: str
) -> None:
    url = f"{upstream.url}/anthropic"
    params: dict[str, Any] = {
        "model": f"bedrock_mantle/{CLAUDE}",
        "aws_region_name": REGION,
        "aws_bedrock_mantle_endpoint": url,
    }
    options: dict[str, Any] = {"aws_region": REGION, "base_url": url, "max_retries": 0}
    if credential == "keys":
        params |= {**KEYS, "aws_session_token": TOKEN}
        options["aws_access_key"] = KEYS["aws_access_key_id"]
        options["aws_secret_key"] = KEYS["aws_secret_access_key"]
        options["aws_session_token"] = TOKEN
    else:
        params["api_key"] = options["api_key"] = "ABSK-1"
    async with (
        gateway(params) as own,
        anthropic.AsyncAnthropicBedrockMantle(**options) as vendors,
    ):
        pairs = await record_both(upstream, vendors, CLAUDE, own)
    check(pairs, MANTLE)
    if credential == "keys":
        check_signatures(pairs, "bedrock-mantle")


async def test_the_runtime_gets_what_awss_client_signs(upstream: Recorder) -> None:
    """The bytes of a body are the caller's, so its signature is compared for the same bytes."""
    params = {
        "model": "bedrock/us.*",
        "aws_region_name": REGION,
        "aws_bedrock_runtime_endpoint": upstream.url,
        "aws_session_token": TOKEN,
        "count_tokens_via": "runtime",
        **KEYS,
    }
    config = AioConfig(retries={"total_max_attempts": 1})
    create = get_session().create_client(
        "bedrock-runtime",
        REGION,
        endpoint_url=upstream.url,
        config=config,
        aws_session_token=TOKEN,
        **KEYS,
    )
    async with gateway(params, "*") as client, create as botocore:

        async def ask_botocore(model: str, body: str | bytes) -> Recorded:
            await botocore.count_tokens(modelId=model, input={"invokeModel": {"body": body}})
            return upstream.take()

        theirs, ours, over_same_bytes = [], [], []
        for shape in SHAPES.values():
            theirs.append(await ask_botocore(CLAUDE_ON_BEDROCK, invoke_body(shape)))
            await asking(client, CLAUDE_ON_BEDROCK)(shape)
            ours.append(upstream.take())
            await asking(client, CLAUDE)(shape)
            own = upstream.take()
            over_same_bytes.append((await ask_botocore(CLAUDE, blob_of(own)), own))
    check(list(zip(theirs, ours, strict=True)), RUNTIME)
    check_signatures(over_same_bytes, "bedrock")


async def test_vertex_ai_gets_what_anthropics_vertex_client_sends(upstream: Recorder) -> None:
    account = EmulatedGoogle().service_account(f"{upstream.url}/token")
    params = {
        "model": "vertex_ai/claude-sonnet-4-6",
        "vertex_project": "my-project",
        "vertex_location": "us-east5",
        "vertex_credentials": account,
        "api_base": upstream.url,
    }
    async with (
        gateway(params) as own,
        anthropic.AsyncAnthropicVertex(
            region="us-east5",
            project_id="my-project",
            access_token="ya29.recorded",
            base_url=f"{upstream.url}/v1",
            max_retries=0,
        ) as vendors,
    ):
        pairs = await record_both(upstream, vendors, "claude-sonnet-4-6", own)
    check(pairs, VERTEX)


@pytest.mark.parametrize(
    "region", ["us-east-1", "eu-west-1", "us-gov-west-1", "global", "us", "eu"]
)
def test_the_default_hosts_are_those_of_the_vendors_clients(region: str) -> None:
    google = {"vertex_location": region, "vertex_project": "p"}
    vertex = anthropic.AsyncAnthropicVertex(region=region, project_id="p", access_token="t")
    assert str(vertex.base_url) == f"https://{asked_host('vertex_ai/claude-sonnet-5', google)}/v1/"
    mantle = anthropic.AsyncAnthropicBedrockMantle(aws_region=region, api_key="k")
    params = {"aws_region_name": region, "api_key": "k"}
    host = asked_host("bedrock_mantle/anthropic.claude-sonnet-5", params)
    assert str(mantle.base_url) == f"https://{host}/anthropic/"


def asked_host(model: str, params: dict[str, str]) -> str:
    entry = {"model_name": "m", "litellm_params": {"model": model, **params}}
    (deployment,) = Config.from_mapping({"model_list": [entry]}, {}).deployments
    return asked_by(deployment).host


@pytest.mark.parametrize("credential", ["key", "token of Entra ID"])
async def test_foundry_gets_what_anthropics_foundry_client_sends(
    upstream: Recorder, credential: str
) -> None:
    params = {"model": "azure_ai/claude-of-ours", "api_base": upstream.url}
    options: dict[str, Any] = {"base_url": f"{upstream.url}/anthropic", "max_retries": 0}
    if credential == "key":
        params["api_key"] = options["api_key"] = "foundry-key"
    else:
        params["azure_ad_token"] = "entra-token"
        options["azure_ad_token_provider"] = lambda: "entra-token"
    async with gateway(params) as own, anthropic.AsyncAnthropicFoundry(**options) as vendors:
        pairs = await record_both(upstream, vendors, "claude-of-ours", own)
    check(pairs, FOUNDRY if credential == "key" else {})
