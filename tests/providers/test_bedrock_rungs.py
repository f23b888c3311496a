"""Bedrock's APIs in their order: routes, mantle's region and endpoint, refusals, and bodies."""

import json
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import httpx
import pytest

from count_tokens_mw import CannotCount, CountTokens, UpstreamError, UpstreamUnreachable
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.bedrock.provider import Bedrock
from count_tokens_mw.providers.causes import is_unknown_host
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.types import Headers, UpstreamCall
from tests.support.cloud import counting as counting_with
from tests.support.requests import HELLO

KEYS: Final = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s"}
MODEL: Final = "anthropic.claude-opus-4-8"
RUNTIME: Final = "https://bedrock-runtime.us-west-1.amazonaws.com"
MANTLE: Final = "https://bedrock-mantle.us-west-1.api.aws/anthropic"
OWN: Final = "https://vpce.example"

UNSUPPORTED: Final = (400, {"message": "The provided model doesn't support counting tokens."})
INVALID: Final = (400, {"message": "The provided model identifier is invalid."})
NOT_FOUND: Final = (
    404,
    {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}},
)
NO_PATH: Final = (404, {"message": "Unable to determine service/operation name."})


def params(**more: Any) -> BedrockParams:
    return BedrockParams.model_validate({"aws_region_name": "us-west-1", **KEYS, **more})


def prepare(model: str = MODEL, headers: Headers = (), **more: Any) -> UpstreamCall:
    body = {"model": model, "messages": HELLO, **more.pop("body", {})}
    return Bedrock(params(**more), HttpClient()).prepare(request_from_mapping(body, headers))


# The order


@pytest.mark.parametrize(
    ("model", "configured", "rungs"),
    [
        (MODEL, {}, "runtime mantle"),
        (f"us.{MODEL}", {}, "runtime mantle"),
        (f"mantle/{MODEL}", {}, "mantle runtime"),
        (f"bedrock_mantle/{MODEL}", {}, "mantle runtime"),
        (f"us-east-2/mantle/{MODEL}", {}, "mantle runtime"),
        (f"my_mantle/{MODEL}", {}, "runtime mantle"),
        (MODEL, {"aws_bedrock_runtime_endpoint": OWN}, "runtime"),
        (MODEL, {"aws_bedrock_mantle_endpoint": OWN}, "runtime mantle"),
        (f"mantle/{MODEL}", {"aws_bedrock_mantle_endpoint": OWN}, "mantle"),
        (f"mantle/{MODEL}", {"aws_bedrock_runtime_endpoint": OWN}, "mantle runtime"),
        (
            f"mantle/{MODEL}",
            {"aws_bedrock_mantle_endpoint": OWN, "aws_bedrock_runtime_endpoint": OWN},
            "mantle runtime",
        ),
        (f"mantle/{MODEL}", {"count_tokens_via": "auto"}, "mantle runtime"),
        (f"mantle/{MODEL}", {"count_tokens_via": "runtime"}, "runtime"),
        (MODEL, {"count_tokens_via": "mantle"}, "mantle"),
        (MODEL, {"count_tokens_via": ["mantle", "runtime", "mantle"]}, "mantle runtime"),
        (
            MODEL,
            {"count_tokens_via": ["runtime", "runtime_messages"], "api_base": OWN},
            "runtime runtime_messages",
        ),
    ],
)
def test_the_route_and_the_configuration_order_the_apis(
    model: str, configured: dict[str, Any], rungs: str
) -> None:
    assert " ".join(params(**configured).rungs(model)) == rungs


@pytest.mark.parametrize("via", ["auto,mantle", "", [], ["auto"], ["runtime", 1], {}, None])
def test_another_order_is_a_problem_that_names_the_apis(via: object) -> None:
    with pytest.raises(ValueError, match="use auto, or one or a list of runtime, mantle, runtime_"):
        params(count_tokens_via=via)


# Endpoints and regions


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        (None, MANTLE),
        ("https://h", "https://h/anthropic"),
        ("https://h/", "https://h/anthropic"),
        ("https://h/v1", "https://h/anthropic"),
        ("https://h/openai/v1", "https://h/anthropic"),
        ("https://h/v1/messages", "https://h/anthropic"),
        ("https://h/anthropic", "https://h/anthropic"),
        ("https://h/anthropic/v1/messages/count_tokens", "https://h/anthropic"),
        ("https://h/proxy/mantle/", "https://h/proxy/mantle"),
        ("https://h/v1/openai", "https://h/v1/openai"),
    ],
)
def test_mantles_endpoint_without_a_path_is_anthropics(endpoint: str | None, base: str) -> None:
    call = prepare(count_tokens_via="mantle", aws_bedrock_mantle_endpoint=endpoint)
    assert call.target == f"{base}/v1/messages/count_tokens"


ARN: Final = "arn:aws:bedrock:us-west-1:123456789012:inference-profile/eu."
PROFILE: Final = "arn:aws:bedrock:us-west-1:123456789012:application-inference-profile/a"


@pytest.mark.parametrize(
    ("model", "configured", "region"),
    [
        (f"us.{MODEL}", {}, "us-west-1"),
        (f"us.{MODEL}", {"bedrock_mantle_region": "eu-north-1"}, "eu-north-1"),
        (f"us.{MODEL}", {"bedrock_mantle_region": "geography"}, "us-east-1"),
        (f"converse/eu.{MODEL}", {"bedrock_mantle_region": "geography"}, "eu-west-1"),
        (f"mantle/us-gov.{MODEL}", {"bedrock_mantle_region": "geography"}, "us-gov-west-1"),
        (f"au.{MODEL}", {"bedrock_mantle_region": "geography"}, "ap-southeast-4"),
        (f"jp.{MODEL}", {"bedrock_mantle_region": "geography"}, "ap-northeast-1"),
        (f"in.{MODEL}", {"bedrock_mantle_region": "geography"}, "us-west-1"),
        (f"global.{MODEL}", {"bedrock_mantle_region": "geography"}, "us-west-1"),
        (MODEL, {"bedrock_mantle_region": "geography"}, "us-west-1"),
        (ARN + MODEL, {"bedrock_mantle_region": "geography"}, "eu-west-1"),
        (
            PROFILE,
            {"bedrock_mantle_region": "geography", "base_model": f"jp.{MODEL}"},
            "ap-northeast-1",
        ),
        (
            MODEL,
            {"bedrock_mantle_region": "geography", "count_tokens_model": f"eu.{MODEL}"},
            "eu-west-1",
        ),
    ],
)
def test_mantle_is_asked_in_a_region_that_the_operator_named(
    model: str, configured: dict[str, Any], region: str
) -> None:
    call = prepare(model, count_tokens_via="mantle", **configured)
    assert call.target.startswith(f"https://bedrock-mantle.{region}.api.aws/anthropic/")


# Headers and body of mantle


@pytest.mark.parametrize(
    ("headers", "configured", "workspace"),
    [
        ((), {}, None),
        ((("anthropic-workspace-id", "theirs"),), {}, "theirs"),
        ((), {"aws_bedrock_project_id": "proj_1"}, "proj_1"),
        ((("anthropic-workspace-id", "theirs"),), {"aws_bedrock_project_id": "proj_1"}, "proj_1"),
    ],
)
def test_the_operators_project_wins_over_the_callers_workspace(
    headers: Headers, configured: dict[str, str], workspace: str | None
) -> None:
    for via in ("mantle", "runtime_messages"):
        call = prepare(headers=headers, count_tokens_via=via, **configured)
        assert dict(call.headers).get("anthropic-workspace-id") == workspace


@pytest.mark.parametrize("value", ["", "a b", "a\nb", "é", "x" * 1025])
def test_a_project_that_no_header_can_carry_is_a_problem(value: str) -> None:
    with pytest.raises(ValueError, match="aws_bedrock_project_id"):
        params(aws_bedrock_project_id=value)


@pytest.mark.parametrize(
    ("headers", "body", "sent"),
    [
        ((), {}, {}),
        ((("anthropic-user-profile-id", "up_1"),), {}, {"user_profile_id": "up_1"}),
        ((), {"user_profile_id": "up_2"}, {"user_profile_id": "up_2"}),
        (
            (("anthropic-user-profile-id", "up_1"),),
            {"user_profile_id": "up_2"},
            {"user_profile_id": "up_2"},
        ),
    ],
)
def test_the_user_profile_travels_in_mantles_body(
    headers: Headers, body: dict[str, Any], sent: dict[str, str]
) -> None:
    call = prepare(headers=headers, body=body, count_tokens_via="mantle")
    assert json.loads(call.body) == {"model": MODEL, "messages": HELLO, **sent}
    assert "anthropic-user-profile-id" not in dict(call.headers)
    assert b"user_profile_id" not in prepare(headers=headers, body=body).body


# Refusals


class Apis:
    """A transport that answers by API, or raises what stands in place of an answer."""

    def __init__(self, **answers: tuple[int, Any] | BaseException) -> None:
        self.answers = answers
        self.requests: list[httpx.Request] = []

    @property
    def asked(self) -> str:
        return " ".join(map(api_of, self.requests))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers[api_of(request)]
        if isinstance(answer, BaseException):
            raise httpx.ConnectError("no connection") from answer
        status, body = answer
        return httpx.Response(status, json=body)


def api_of(request: httpx.Request) -> str:
    if request.url.path.endswith("/count-tokens"):
        return "runtime"
    return "mantle" if request.url.host.startswith("bedrock-mantle.") else "runtime_messages"


@asynccontextmanager
async def counting(apis: Apis, model: str = MODEL, **more: Any) -> AsyncIterator[CountTokens]:
    litellm_params = {"model": f"bedrock/{model}", "aws_region_name": "us-west-1", **KEYS, **more}
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(apis.answer)) as client,
        counting_with(litellm_params, http_client=client) as count_tokens,
    ):
        yield count_tokens


BODY: Final = {"model": "m", "messages": HELLO}
COUNTED: Final = (200, {"input_tokens": 7, "inputTokens": 7})
NO_NAME: Final = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_RESOLVER: Final = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize(
    ("model", "more", "answers", "asked"),
    [
        (MODEL, {}, {"runtime": UNSUPPORTED, "mantle": COUNTED}, "runtime mantle mantle"),
        (MODEL, {}, {"runtime": INVALID, "mantle": COUNTED}, "runtime mantle mantle"),
        (f"mantle/{MODEL}", {}, {"mantle": COUNTED}, "mantle mantle"),
        (
            f"mantle/{MODEL}",
            {},
            {"mantle": NOT_FOUND, "runtime": COUNTED},
            "mantle runtime runtime",
        ),
        (f"mantle/{MODEL}", {}, {"mantle": NO_NAME, "runtime": COUNTED}, "mantle runtime runtime"),
        (
            MODEL,
            {"count_tokens_via": ["runtime", "mantle", "runtime_messages"]},
            {"runtime": UNSUPPORTED, "mantle": NO_NAME, "runtime_messages": COUNTED},
            "runtime mantle runtime_messages runtime_messages",
        ),
    ],
)
async def test_the_next_api_counts_what_the_first_does_not_and_is_asked_first_then(
    model: str, more: dict[str, Any], answers: dict[str, Any], asked: str
) -> None:
    apis = Apis(**answers)
    async with counting(apis, model, **more) as count_tokens:
        for text in ("one", "two"):
            body = {**BODY, "messages": [{"role": "user", "content": text}]}
            assert (await count_tokens.count(body)).input_tokens == 7
    assert apis.asked == asked


@pytest.mark.parametrize(
    ("answers", "more", "message"),
    [
        (
            {"runtime": UNSUPPORTED, "mantle": NO_NAME},
            {},
            (
                f"bedrock: {MODEL} cannot be counted in us-west-1; set bedrock_mantle_region (the "
                "runtime answered: The provided model doesn't support counting tokens.)"
            ),
        ),
        (
            {"runtime": INVALID, "mantle": NO_NAME},
            {"bedrock_mantle_region": "ca-west-1"},
            (
                f"bedrock: {MODEL} cannot be counted in ca-west-1; set bedrock_mantle_region (the "
                "runtime answered: The provided model identifier is invalid.)"
            ),
        ),
        (
            {"runtime": UNSUPPORTED, "mantle": NOT_FOUND},
            {},
            (
                "bedrock: model: x (the runtime answered: The provided model doesn't support "
                "counting tokens.)"
            ),
        ),
        (
            {"runtime": UNSUPPORTED, "mantle": NO_NAME, "runtime_messages": NO_PATH},
            {"count_tokens_via": ["runtime", "mantle", "runtime_messages"]},
            (
                "bedrock: Unable to determine service/operation name. (the runtime answered: The "
                "provided model doesn't support counting tokens.) (mantle answered: "
                f"{MODEL} cannot be counted in us-west-1; set bedrock_mantle_region)"
            ),
        ),
        (
            {"mantle": NO_NAME},
            {"count_tokens_via": "mantle"},
            f"bedrock: {MODEL} cannot be counted in us-west-1; set bedrock_mantle_region",
        ),
    ],
)
async def test_a_model_that_no_api_counts_is_an_error_with_all_their_answers(
    answers: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    apis = Apis(**answers)
    async with counting(apis, **more) as count_tokens:
        for _ in range(2):
            with pytest.raises(CannotCount, match=f"^{re.escape(message)}$"):
                await count_tokens.count(BODY)
    last = apis.asked.split()[-2:]
    assert last[0] == last[1], "the last API is asked anew each time"


async def test_an_invalid_id_of_the_only_api_stays_a_400() -> None:
    apis = Apis(runtime=INVALID)
    async with counting(apis, count_tokens_via="runtime") as count_tokens:
        with pytest.raises(UpstreamError, match="identifier is invalid") as raised:
            await count_tokens.count(BODY)
    assert raised.value.status == 400
    assert apis.asked == "runtime"


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (NO_RESOLVER, {}),
        (ConnectionRefusedError(), {}),
        (NO_NAME, {"aws_bedrock_mantle_endpoint": "https://bedrock-mantle.misspelt.example"}),
    ],
)
async def test_a_failing_resolver_or_a_misspelt_endpoint_is_no_missing_region(
    error: BaseException, more: dict[str, str]
) -> None:
    apis = Apis(mantle=error)
    async with counting(apis, count_tokens_via="mantle", **more) as count_tokens:
        with pytest.raises(UpstreamUnreachable):
            await count_tokens.count(BODY)


async def test_an_unknown_host_of_the_runtime_is_a_502() -> None:
    async with counting(Apis(runtime=NO_NAME)) as count_tokens:
        with pytest.raises(UpstreamUnreachable):
            await count_tokens.count(BODY)


# Signatures


@pytest.mark.parametrize(
    ("via", "more", "scope"),
    [
        ("runtime", {}, "us-west-1/bedrock"),
        ("runtime_messages", {}, "us-west-1/bedrock"),
        ("mantle", {}, "us-west-1/bedrock-mantle"),
        ("mantle", {"bedrock_mantle_region": "eu-west-1"}, "eu-west-1/bedrock-mantle"),
        (
            "mantle",
            {"aws_bedrock_mantle_endpoint": "https://bedrock-mantle.us-east-2.api.aws"},
            "us-east-2/bedrock-mantle",
        ),
        (
            "mantle",
            {
                "aws_bedrock_mantle_endpoint": (
                    "https://vpce-1.bedrock-mantle.ap-south-1.vpce.amazonaws.com"
                )
            },
            "ap-south-1/bedrock-mantle",
        ),
        (
            "mantle",
            {"aws_bedrock_mantle_endpoint": OWN, "bedrock_mantle_region": "sa-east-1"},
            "sa-east-1/bedrock-mantle",
        ),
        ("mantle", {"bedrock_mantle_service_name": "bedrock"}, "us-west-1/bedrock"),
    ],
)
async def test_a_signature_is_for_the_region_of_its_host(
    via: str, more: dict[str, str], scope: str
) -> None:
    apis = Apis(runtime=COUNTED, mantle=COUNTED, runtime_messages=COUNTED)
    async with counting(apis, count_tokens_via=via, **more) as count_tokens:
        await count_tokens.count(BODY)
    assert f"/{scope}/aws4_request" in apis.requests[0].headers["authorization"]


@pytest.mark.parametrize("via", ["runtime", "mantle", "runtime_messages"])
async def test_a_bedrock_api_key_is_a_bearer_token_everywhere(via: str) -> None:
    apis = Apis(runtime=COUNTED, mantle=COUNTED, runtime_messages=COUNTED)
    own: dict[str, Any] = {**dict.fromkeys(KEYS), "api_key": "ABSK-1"}
    async with counting(apis, count_tokens_via=via, **own) as count_tokens:
        await count_tokens.count(BODY)
    assert apis.requests[0].headers["authorization"] == "Bearer ABSK-1"
    assert "x-api-key" not in apis.requests[0].headers


# Hosts that do not exist


class DNSError(Exception):
    """Exception as aiodns raises it."""


class ClientProxyConnectionError(Exception):
    """Exception as aiohttp raises it for a proxy."""


def caused_by(*causes: BaseException) -> Exception:
    error = Exception("could not be reached")
    outer: BaseException = error
    for cause in causes:
        outer.__cause__ = cause
        outer = cause
    return error


@pytest.mark.parametrize(
    ("causes", "is_unknown"),
    [
        ([NO_NAME], True),
        ([httpx.ConnectError("x"), OSError(), socket.gaierror(socket.EAI_NONAME, "x")], True),
        ([OSError(None, "DNS lookup failed"), DNSError(4, "Domain name not found")], True),
        ([DNSError(1, "no data")], True),
        ([DNSError(11, "Could not contact DNS servers")], False),
        ([DNSError()], False),
        ([NO_RESOLVER], False),
        ([ConnectionRefusedError()], False),
        ([], False),
        ([ClientProxyConnectionError(), NO_NAME], False),
        ([httpx.ProxyError("x"), NO_NAME], False),
        ([OSError() for _ in range(40)] + [NO_NAME], False),
    ],
)
def test_a_host_is_unknown_if_the_name_servers_answer_so(
    causes: list[BaseException], is_unknown: bool
) -> None:
    assert is_unknown_host(caused_by(*causes)) is is_unknown


@pytest.mark.parametrize(
    ("code", "error"), [(socket.EAI_NONAME, CannotCount), (socket.EAI_AGAIN, UpstreamUnreachable)]
)
async def test_the_gateways_own_client_distinguishes_them_too(
    monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    async def resolve(*_: Any, **__: Any) -> Mapping[str, Any]:
        raise socket.gaierror(code, "by the test")

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    monkeypatch.setattr(aiohttp.connector, "DefaultResolver", aiohttp.ThreadedResolver)
    litellm_params = {"model": f"bedrock/mantle/{MODEL}", "aws_region_name": "us-west-1", **KEYS}
    async with counting_with({**litellm_params, "count_tokens_via": "mantle"}) as count_tokens:
        with pytest.raises(error):
            await count_tokens.count(BODY)
