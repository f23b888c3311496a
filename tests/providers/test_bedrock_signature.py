"""Equality of our request to the runtime and botocore's own, and the emulated AWS's verdict."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import botocore.session
import httpx
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from httpx_aiohttp import AiohttpTransport

from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.bedrock.provider import Bedrock
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.types import CountRequest
from demo_app.emulators import count, emulated_bedrock
from tests.support.cloud import CLAUDE_ON_BEDROCK, Cloud, bedrock_params, cloud, counting

KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret/key+1"}
TOKEN = {"aws_session_token": "token//of+a=role"}
PLAIN = "anthropic.claude-sonnet-4-6"
LARGE = "words " * 200_000
SIGNED = ("authorization", "content-type", "x-amz-date", "x-amz-security-token")


class Answer:
    """HTTP answer, to the extent that botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield b'{"inputTokens": 1}'


class Botocore:
    """botocore's own client, which records its request in place of sending it."""

    def __init__(self, endpoint: str | None, keys: dict[str, str]) -> None:
        session = botocore.session.get_session({"profile": (None, None, None, None)})
        self._client: Any = session.create_client(
            "bedrock-runtime", region_name="us-west-2", endpoint_url=endpoint, **keys
        )
        self._client.meta.events.register("before-send.bedrock-runtime.CountTokens", self._record)
        self.sent: AWSPreparedRequest

    def record_request(self, model: str, body: bytes) -> AWSPreparedRequest:
        self._client.count_tokens(modelId=model, input={"invokeModel": {"body": body}})
        return self.sent

    def _record(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        self.sent = request
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, Answer())


def count_request(model: str, text: str = "hello") -> CountRequest:
    return request_from_mapping({"model": model, "messages": [{"role": "user", "content": text}]})


async def send_ours(params: dict[str, Any], request: CountRequest) -> httpx.Request:
    """Send a request over a host's client, and return it as sent."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"inputTokens": 1})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        provider = Bedrock(BedrockParams.model_validate(params), HttpClient(client))
        await provider.send(provider.prepare(request))
        await provider.aclose()
    return sent[0]


def signed_headers(headers: Any) -> dict[str, str]:
    values = {name: headers[name] for name in SIGNED if name in headers}
    return {name: v.decode() if isinstance(v, bytes) else v for name, v in values.items()}


async def send_both_in_one_second(
    model: str, text: str, endpoint: str | None, keys: dict[str, str]
) -> tuple[AWSPreparedRequest, httpx.Request]:
    """Return botocore's request and our own, signed within one second so that both can agree."""
    params = {"aws_region_name": "us-west-2", "aws_bedrock_runtime_endpoint": endpoint, **keys}
    judge, request = Botocore(endpoint, keys), count_request(model, text)
    body = request.body.edit(
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1}, drop={"model"}
    )
    while True:
        botocores = judge.record_request(model, body)
        own = await send_ours(params, request)
        if signed_headers(botocores.headers)["x-amz-date"] == own.headers["x-amz-date"]:
            return botocores, own


@pytest.mark.parametrize("endpoint", [None, "https://gateway.example:8443/aws/bedrock"])
@pytest.mark.parametrize("keys", [KEYS, {**KEYS, **TOKEN}], ids=["keys", "a role's keys"])
@pytest.mark.parametrize("text", ["hello", "Grüße, 🌍", LARGE], ids=["small", "unicode", "large"])
async def test_our_request_is_botocores_own_up_to_the_signature(
    endpoint: str | None, keys: dict[str, str], text: str
) -> None:
    botocores, own = await send_both_in_one_second(PLAIN, text, endpoint, keys)
    assert (own.method, str(own.url)) == (botocores.method, botocores.url)
    assert own.content == botocores.body
    assert signed_headers(own.headers) == signed_headers(botocores.headers)
    assert "/us-west-2/bedrock/aws4_request, " in own.headers["authorization"]


async def test_a_models_colon_is_written_otherwise_and_all_else_is_the_same() -> None:
    """botocore sends `%3A`, which aiohttp decodes to a colon, so we sign a literal colon."""
    botocores, own = await send_both_in_one_second(CLAUDE_ON_BEDROCK, "hello", None, KEYS)
    assert str(own.url) == unquote(str(botocores.url))
    assert str(own.url) != str(botocores.url)
    assert own.content == botocores.body
    scopes = [
        signed_headers(request.headers)["authorization"].partition(", Signature=")[0]
        for request in (own, botocores)
    ]
    assert scopes[0] == scopes[1]


@pytest.fixture
def bedrock() -> Iterator[Cloud]:
    with cloud(emulated_bedrock()) as bedrock:
        yield bedrock


CLIENTS: dict[str, Any] = {
    "ours": lambda: None,
    "httpx": lambda: httpx.AsyncClient(trust_env=False),
    "httpx over aiohttp": lambda: httpx.AsyncClient(
        transport=AiohttpTransport(trust_env=False), trust_env=False
    ),
}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("model", [PLAIN, CLAUDE_ON_BEDROCK])
@pytest.mark.parametrize("text", ["hello", LARGE], ids=["small", "large"])
@pytest.mark.filterwarnings("ignore:Sending a large body")  # from a host's client over aiohttp
async def test_every_client_sends_what_was_signed(
    bedrock: Cloud, client: Any, model: str, text: str
) -> None:
    """The emulated AWS verifies the signature against the path and the bytes that it receives."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    params = bedrock_params(bedrock.url, model=f"bedrock/{model}", count_tokens_via="runtime")
    http_client = client()
    async with counting(params, http_client=http_client) as count_tokens:
        assert (await count_tokens.count(body)).input_tokens == count(body)
    if http_client is not None:
        assert not http_client.is_closed
        await http_client.aclose()
    (headers,) = bedrock.headers
    assert "transfer-encoding" not in headers
    assert int(headers["content-length"]) > len(text)


def test_the_runtime_is_asked_where_botocore_finds_it_in_every_region_of_every_partition() -> None:
    session: Any = botocore.session.get_session({"profile": (None, None, None, None)})
    partitions = session.get_data("partitions")["partitions"]
    names = [name for partition in partitions for name in partition["regions"]]
    regions = [name for name in names if "global" not in name]
    assert {"us-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"} < set(regions)
    request = count_request(PLAIN)
    for region in regions:
        client = session.create_client("bedrock-runtime", region_name=region, **KEYS)
        params = BedrockParams.model_validate({"aws_region_name": region})
        call = Bedrock(params, HttpClient()).prepare(request)
        assert call.target == f"{client.meta.endpoint_url}/model/{PLAIN}/count-tokens"


class Threads(ThreadPoolExecutor):
    """Executor that counts its submitted calls."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted = 0

    def submit(self, *args: Any, **options: Any) -> Any:
        self.submitted += 1
        return super().submit(*args, **options)


async def test_a_large_body_is_signed_in_a_thread_and_a_small_one_on_the_event_loop() -> None:
    params = BedrockParams.model_validate({"aws_region_name": "us-west-2", **KEYS})
    answers = httpx.MockTransport(lambda _: httpx.Response(200, json={"inputTokens": 7}))
    threads = Threads()
    asyncio.get_running_loop().set_default_executor(threads)
    async with httpx.AsyncClient(transport=answers) as client:
        provider = Bedrock(params, HttpClient(client))
        small, large = (provider.prepare(count_request(PLAIN, text)) for text in ("hello", LARGE))
        work = []
        for call in (small, small, large):
            await provider.send(call)
            work.append(threads.submitted)
    assert work == [0, 0, 1], "the first call loads the session in a daemon thread"


async def test_a_bedrock_api_key_loads_no_session_of_aws() -> None:
    params = BedrockParams.model_validate({"aws_region_name": "us-west-2", "api_key": "ABSK-1"})
    answers = httpx.MockTransport(lambda _: httpx.Response(200, json={"inputTokens": 7}))
    async with httpx.AsyncClient(transport=answers) as client:
        provider = Bedrock(params, HttpClient(client))
        counted = await provider.send(provider.prepare(count_request(PLAIN)))
        assert len(provider._aws._held) == 0
    assert counted.input_tokens == 7


def test_prepare_alone_knows_no_credential() -> None:
    params = BedrockParams.model_validate({"aws_region_name": "us-west-2", "api_key": "ABSK-1"})
    call = Bedrock(params, HttpClient()).prepare(count_request(PLAIN))
    assert call.headers == (("content-type", "application/json"),)
