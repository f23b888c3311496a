"""Counts on Bedrock over real HTTP: signatures, credentials, mantle, and AWS's errors."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from count_tokens_mw import (
    CannotCount,
    CountError,
    CountTokens,
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamError,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.errors import InternalError
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.base import PrepareAgain
from count_tokens_mw.providers.bedrock.credentials import aws_errors
from count_tokens_mw.providers.bedrock.provider import Bedrock
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.types import UpstreamCall
from demo_app.emulators import (
    EMULATED_ACCESS_KEY_ID,
    EMULATED_BEDROCK_API_KEY,
    EMULATED_SECRET_ACCESS_KEY,
    count,
    emulated_bedrock,
)
from demo_app.emulators.sigv4 import EMULATED_SESSION_TOKEN
from demo_app.loopback import serving
from tests.providers.test_http import never, raw_server, sending
from tests.support.cloud import NEW_CLAUDE_ON_BEDROCK, Cloud, bedrock_params, cloud, counting
from tests.support.fakes import FakeUpstream, Recorder, count_tokens_with, mounted
from tests.support.requests import HELLO, STANDARD

BODY: dict[str, Any] = {"model": "m", "messages": HELLO}
MANTLE = "/anthropic/v1/messages/count_tokens"
NO_KEYS: dict[str, Any] = {"aws_access_key_id": None, "aws_secret_access_key": None}


@pytest.fixture
def bedrock() -> Iterator[Cloud]:
    with cloud(emulated_bedrock()) as bedrock:
        yield bedrock


@pytest.fixture(autouse=True)
def no_aws_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def test_a_count_is_signed_and_goes_to_the_runtime(bedrock: Cloud) -> None:
    hook = Recorder()
    async with (
        counting(bedrock_params(bedrock.url), hooks=[hook]) as count_tokens,
        mounted(count_tokens) as client,
    ):
        response = await client.post("/v1/messages/count_tokens", json=BODY)
    assert response.json() == {"input_tokens": count(BODY)}
    assert bedrock.paths == ["/model/anthropic.claude-3-5-sonnet-20241022-v2:0/count-tokens"]
    assert bedrock.headers[0]["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert hook.event.provider == "bedrock"
    assert hook.event.upstream_request_id == response.headers["request-id"]


@pytest.mark.parametrize("body", [STANDARD["tools"], STANDARD["an image"], STANDARD["a PDF"]])
async def test_system_tools_images_and_documents_are_counted(
    bedrock: Cloud, body: dict[str, Any]
) -> None:
    async with counting(bedrock_params(bedrock.url)) as count_tokens:
        counted = await count_tokens.count({"model": "m", **body, "max_tokens": 9, "stream": True})
    assert counted.input_tokens == count(body)


async def test_keys_that_are_given_win_over_a_token_of_the_environment(
    bedrock: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore itself prefers the token, which counts under another tenant's account."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of-another-tenant")
    async with counting(bedrock_params(bedrock.url)) as count_tokens:
        await count_tokens.count(BODY)
    assert "of-another-tenant" not in str(bedrock.headers)


@pytest.mark.parametrize("model", [None, f"bedrock/{NEW_CLAUDE_ON_BEDROCK}"])
async def test_a_bedrock_api_key_is_sent_as_it_is(
    bedrock: Cloud, monkeypatch: pytest.MonkeyPatch, model: str | None
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of-another-tenant")
    params = bedrock_params(bedrock.url, **NO_KEYS, api_key=EMULATED_BEDROCK_API_KEY)
    async with counting({**params, **({"model": model} if model else {})}) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
    assert bedrock.headers[0]["authorization"] == f"Bearer {EMULATED_BEDROCK_API_KEY}"
    if model:
        assert bedrock.headers[1]["authorization"] == f"Bearer {EMULATED_BEDROCK_API_KEY}"


@pytest.mark.parametrize("model", ["anthropic.claude-sonnet-4-6", NEW_CLAUDE_ON_BEDROCK])
async def test_a_profiles_keys_are_used(bedrock: Cloud, tmp_path: Path, model: str) -> None:
    (tmp_path / "credentials").write_text(
        f"[team]\naws_access_key_id={EMULATED_ACCESS_KEY_ID}\n"
        f"aws_secret_access_key={EMULATED_SECRET_ACCESS_KEY}\n"
    )
    named = {"aws_profile_name": "team", "model": f"bedrock/{model}"}
    async with counting(bedrock_params(bedrock.url, **NO_KEYS, **named)) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens == count(BODY)


async def test_credentials_are_looked_for_once_for_all_who_wait_for_them(
    bedrock: Cloud, tmp_path: Path
) -> None:
    """A profile's program prints the credentials, and appends a line on every run."""
    keys = {
        "Version": 1,
        "AccessKeyId": EMULATED_ACCESS_KEY_ID,
        "SecretAccessKey": EMULATED_SECRET_ACCESS_KEY,
    }
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "program").write_text(f"cd {tmp_path}; echo run >> runs; cat keys.json")
    (tmp_path / "config").write_text(
        f"[profile team]\ncredential_process = /bin/sh {tmp_path}/program\n"
    )
    bodies = [{**BODY, "system": str(number)} for number in range(8)]
    params = bedrock_params(bedrock.url, **NO_KEYS, aws_profile_name="team")
    async with counting(params) as count_tokens:
        counted = await asyncio.gather(*map(count_tokens.count, bodies))
    assert [answer.input_tokens for answer in counted] == [count(body) for body in bodies]
    assert (tmp_path / "runs").read_text() == "run\n"


async def test_the_default_chain_is_used_where_nothing_is_configured(
    bedrock: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", EMULATED_ACCESS_KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", EMULATED_SECRET_ACCESS_KEY)
    async with counting(bedrock_params(bedrock.url, **NO_KEYS)) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens == count(BODY)


STS_ANSWER = f"""<{{action}}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<{{action}}Result><Credentials><AccessKeyId>{EMULATED_ACCESS_KEY_ID}</AccessKeyId>
<SecretAccessKey>{EMULATED_SECRET_ACCESS_KEY}</SecretAccessKey><SessionToken>{EMULATED_SESSION_TOKEN}</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>
<AssumedRoleId>i:s</AssumedRoleId></AssumedRoleUser></{{action}}Result></{{action}}Response>"""


class Sts:
    """STS emulator that issues the emulated keys to every caller, and records the requests."""

    def __init__(self, status: int = 200) -> None:
        self.requests: list[str] = []
        self.status = status
        self.app = Starlette(routes=[Route("/", self.assume, methods=["POST"])])

    async def assume(self, request: Request) -> Response:
        form = (await request.body()).decode()
        self.requests.append(form)
        action = form.partition("Action=")[2].partition("&")[0]
        return Response(STS_ANSWER.format(action=action), self.status, media_type="text/xml")


@pytest.mark.parametrize("model", [None, NEW_CLAUDE_ON_BEDROCK])
async def test_a_role_is_assumed_with_its_session_name_and_external_id(
    bedrock: Cloud, model: str | None
) -> None:
    sts = Sts()
    with cloud(sts.app) as endpoint:
        params = bedrock_params(
            bedrock.url,
            aws_role_name="arn:aws:iam::123456789012:role/r",
            aws_session_name="counting",
            aws_external_id="ext-1",
            aws_sts_endpoint=endpoint.url,
        )
        if model:
            params["model"] = f"bedrock/{model}"
        async with counting(params) as count_tokens:
            assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
            await count_tokens.count(BODY)
    (form,) = sts.requests
    assert "Action=AssumeRole&" in form
    assert "RoleSessionName=counting" in form
    assert "ExternalId=ext-1" in form


def role_params(url: str, sts: str) -> dict[str, Any]:
    role = "arn:aws:iam::123456789012:role/r"
    return bedrock_params(url, aws_role_name=role, aws_sts_endpoint=sts)


async def test_a_role_is_assumed_once_for_all_who_wait_for_it(bedrock: Cloud) -> None:
    sts = Sts()
    with cloud(sts.app) as endpoint:
        async with counting(role_params(bedrock.url, endpoint.url)) as count_tokens:
            bodies = [{**BODY, "system": str(number)} for number in range(8)]
            counted = await asyncio.gather(*map(count_tokens.count, bodies))
    assert [answer.input_tokens for answer in counted] == [count(body) for body in bodies]
    assert len(sts.requests) == 1


async def test_a_token_service_where_nobody_listens_is_a_502(bedrock: Cloud) -> None:
    with serving(Sts().app) as url:  # unlike `cloud`, it has ended after its block
        pass
    async with counting(role_params(bedrock.url, url)) as count_tokens:
        with pytest.raises(UpstreamUnreachable, match="could not be reached for credentials"):
            await count_tokens.count(BODY)
    assert not bedrock.paths


async def test_a_token_service_that_talks_nonsense_is_a_502(bedrock: Cloud) -> None:
    reply = sending(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>")
    async with (
        raw_server(reply) as sts,
        counting(role_params(bedrock.url, sts.url)) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable, match="without credentials"):
            await count_tokens.count(BODY)
    assert not bedrock.paths


@pytest.mark.parametrize("as_file", [True, False])
async def test_a_role_is_assumed_by_a_web_identity(
    bedrock: Cloud, tmp_path: Path, as_file: bool
) -> None:
    (tmp_path / "token").write_text("eyJ.web.identity\n")
    sts = Sts()
    with cloud(sts.app) as endpoint:
        params = bedrock_params(
            bedrock.url,
            **NO_KEYS,
            aws_role_name="arn:aws:iam::123456789012:role/r",
            aws_web_identity_token=str(tmp_path / "token") if as_file else "eyJ.web.identity",
            aws_sts_endpoint=endpoint.url,
        )
        async with counting(params) as count_tokens:
            assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
    assert "WebIdentityToken=eyJ.web.identity" in sts.requests[0]


@pytest.mark.parametrize(
    ("more", "model"),
    [
        (NO_KEYS, None),
        (NO_KEYS, "mantle"),
        ({**NO_KEYS, "aws_profile_name": "nobody"}, None),
        ({**NO_KEYS, "aws_role_name": "arn:aws:iam::123456789012:role/r"}, None),
        ({"aws_role_name": "arn:aws:iam::123456789012:role/r"}, "refused"),
    ],
)
async def test_credentials_that_cannot_be_had_are_a_500_not_to_be_tried_again(
    bedrock: Cloud, more: dict[str, Any], model: str | None
) -> None:
    with cloud(Sts(403).app) as sts:
        params = bedrock_params(bedrock.url, aws_sts_endpoint=sts.url, **more)
        if model == "mantle":
            params["count_tokens_via"] = "mantle"
        async with counting(params) as count_tokens:
            with pytest.raises(CredentialsUnavailable) as raised:
                await count_tokens.count(BODY)
    assert raised.value.status == 500
    assert raised.value.headers["x-should-retry"] == "false"
    assert not bedrock.paths


# bedrock-mantle


async def test_a_model_that_the_runtime_does_not_support_is_counted_by_mantle(
    bedrock: Cloud,
) -> None:
    params = bedrock_params(bedrock.url, model=f"bedrock/us.{NEW_CLAUDE_ON_BEDROCK}")
    async with counting(params) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
        assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
    runtime = f"/model/{NEW_CLAUDE_ON_BEDROCK}/count-tokens"
    assert bedrock.paths == [runtime, MANTLE, MANTLE]
    assert "/bedrock-mantle/aws4_request" in bedrock.headers[1]["authorization"]


async def test_what_the_runtime_does_not_support_is_remembered_for_an_hour(bedrock: Cloud) -> None:
    now = [0.0]
    params = bedrock_params(bedrock.url)
    http = HttpClient()
    provider = Bedrock(BedrockParams.model_validate(params), http, clock=lambda: now[0])

    async def count(model: str) -> None:
        request = request_from_mapping({**BODY, "model": model})
        try:
            await provider.send(provider.prepare(request))
        except PrepareAgain:
            await provider.send(provider.prepare(request))

    try:
        for seconds in (0, 3599, 3601):
            now[0] = float(seconds)
            await count(NEW_CLAUDE_ON_BEDROCK)
        await count(params["model"])
    finally:
        await provider.aclose()
        await http.aclose()
    by = ["mantle" if path == MANTLE else "runtime" for path in bedrock.paths]
    assert by == ["runtime", "mantle", "mantle", "runtime", "mantle", "runtime"]


@pytest.mark.parametrize(("via", "path"), [("mantle", MANTLE), ("runtime", None)])
async def test_one_of_the_two_can_be_chosen(bedrock: Cloud, via: str, path: str | None) -> None:
    named = {"model": f"bedrock/{NEW_CLAUDE_ON_BEDROCK}", "count_tokens_via": via}
    async with counting(bedrock_params(bedrock.url, **named)) as count_tokens:
        if path:
            await count_tokens.count(BODY)
            assert bedrock.paths == [path]
        else:
            with pytest.raises(CannotCount, match="doesn't support counting tokens"):
                await count_tokens.count(BODY)


async def test_another_models_arn_is_counted_for_its_base_model(bedrock: Cloud) -> None:
    arn = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
    params = bedrock_params(bedrock.url, model=f"bedrock/converse/{arn}")
    info = {"base_model": "us.anthropic.claude-sonnet-4-6"}
    async with counting(params, info) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
    assert bedrock.paths == ["/model/anthropic.claude-sonnet-4-6/count-tokens"]


# answers of AWS


def aws(*answers: tuple[int, dict[str, Any], dict[str, str]]) -> Starlette:
    """Return a server with the first answer for the runtime, and the second for mantle."""

    async def answer(request: Request) -> Response:
        status, body, headers = answers[request.url.path == MANTLE]
        return JSONResponse(body, status, {"x-amzn-RequestId": "amzn-1", **headers})

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


INVALID = ("ValidationException", "invalid_request_error")
UNSUPPORTED: Any = (400, {"message": "The provided model doesn't support counting tokens."}, {})


@pytest.mark.parametrize(
    ("status", "kind", "error_type", "message"),
    [
        (400, *INVALID, "messages: at least one message is required"),
        (400, *INVALID, "tools.0.custom.strict: Extra inputs are not permitted"),
        (400, *INVALID, "prompt is too long: 250000 tokens > 200000 maximum"),
        (403, "AccessDeniedException", "permission_error", "You don't have access to the model."),
        (404, "ResourceNotFoundException", "not_found_error", "Not found."),
        (429, "ThrottlingException", "rate_limit_error", "Too many requests."),
        (500, "InternalServerException", "api_error", "Internal."),
        (503, "ServiceUnavailableException", "api_error", "Unavailable."),
    ],
)
async def test_an_error_of_aws_keeps_status_and_message_and_is_tried_once(
    status: int, kind: str, error_type: str, message: str
) -> None:
    headers = {"x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/", "retry-after": "15"}
    hook = Recorder()
    with cloud(aws((status, {"message": message}, headers))) as upstream:
        async with (
            counting(bedrock_params(upstream.url), hooks=[hook]) as count_tokens,
            mounted(count_tokens) as client,
        ):
            response = await client.post("/v1/messages/count_tokens", json=BODY)
    assert response.status_code == status
    assert response.json() == {
        "type": "error",
        "error": {"type": error_type, "message": message},
        "request_id": "amzn-1",
    }
    assert response.headers["retry-after"] == "15"
    (attempt,) = hook.event.attempts
    assert (attempt.upstream_code, attempt.upstream_request_id) == (kind, "amzn-1")
    assert len(upstream.paths) == 1


@pytest.mark.parametrize(
    "mantle",
    [
        (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}, {}),
        (400, {"error": {"message": "The model 'x' does not support the '/anthropic' API"}}, {}),
    ],
)
async def test_what_both_refuse_cannot_be_counted(mantle: Any) -> None:
    with cloud(aws(UNSUPPORTED, mantle)) as upstream:
        async with counting(bedrock_params(upstream.url)) as count_tokens:
            with pytest.raises(CannotCount):
                await count_tokens.count(BODY)
    assert upstream.paths[-1] == MANTLE


async def test_another_error_of_mantle_is_told_as_it_is() -> None:
    body = {"type": "error", "error": {"type": "permission_error", "message": "no CountTokens"}}
    with cloud(aws(UNSUPPORTED, (403, body, {}))) as upstream:
        async with counting(bedrock_params(upstream.url)) as count_tokens:
            with pytest.raises(UpstreamError, match="no CountTokens"):
                await count_tokens.count(BODY)


@pytest.mark.parametrize("body", [{}, {"inputTokens": None}, {"inputTokens": -1}])
async def test_an_answer_without_a_count_is_a_502(body: dict[str, Any]) -> None:
    with cloud(aws((200, body, {}))) as upstream:
        async with counting(bedrock_params(upstream.url)) as count_tokens:
            with pytest.raises(UpstreamUnusable):
                await count_tokens.count(BODY)


async def test_a_port_where_nobody_listens_is_a_502() -> None:
    with serving(aws()) as url:
        pass
    async with counting(bedrock_params(url)) as count_tokens:
        with pytest.raises(UpstreamUnusable):
            await count_tokens.count(BODY)


async def test_a_silent_bedrock_is_a_504() -> None:
    async with (
        raw_server(never) as server,
        counting(bedrock_params(server.url, timeout=0.1)) as count_tokens,
    ):
        with pytest.raises(DeadlineExceeded):
            await count_tokens.count(BODY)


async def test_an_answer_that_is_no_json_is_a_502() -> None:
    reply = sending(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>")
    async with (
        raw_server(reply) as server,
        counting(bedrock_params(server.url)) as count_tokens,
    ):
        with pytest.raises(UpstreamUnusable):
            await count_tokens.count(BODY)


def all_subclasses(root: type[Exception]) -> set[type[Exception]]:
    return {root}.union(*(all_subclasses(child) for child in root.__subclasses__()))


@pytest.mark.parametrize("error_type", sorted(all_subclasses(BotoCoreError), key=repr))
def test_every_exception_of_botocore_becomes_one_of_ours(error_type: type[Exception]) -> None:
    """Including exceptions that a later version of botocore adds."""
    with pytest.raises(CountError) as raised, aws_errors():
        raise error_type.__new__(error_type)
    expected = {
        NoCredentialsError: 500,
        ProfileNotFound: 500,
        ReadTimeoutError: 504,
        ConnectTimeoutError: 504,
        EndpointConnectionError: 502,
    }
    assert raised.value.status == expected.get(error_type, raised.value.status)


async def test_the_environments_endpoints_are_not_used(
    bedrock: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with counting(bedrock_params(bedrock.url)) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens == count(BODY)


def count_tokens_for(params: dict[str, Any], **settings: Any) -> CountTokens:
    config = {"model_list": [{"model_name": "m", "litellm_params": params}]}
    return count_tokens_with(FakeUpstream(), config, settings=settings, http_client=None)


@pytest.mark.parametrize("role", [False, True])
def test_one_object_counts_on_one_event_loop_after_another(bedrock: Cloud, role: bool) -> None:
    bodies = [{**BODY, "system": str(number)} for number in range(5)]

    async def once() -> list[int]:
        async with count_tokens.lifespan():
            counts = await asyncio.gather(*map(count_tokens.count, bodies))
        return [count.input_tokens for count in counts]

    with cloud(Sts().app) as sts:
        params = role_params(bedrock.url, sts.url) if role else bedrock_params(bedrock.url)
        count_tokens = count_tokens_for(params, cache={"ttl": 0})
        assert asyncio.run(once()) == asyncio.run(once()) == [count(body) for body in bodies]


def test_a_first_count_that_came_too_late_does_not_spoil_the_next_ones(bedrock: Cloud) -> None:
    params = bedrock_params(bedrock.url)
    count_tokens = count_tokens_for({**params, "timeout": 0.001})
    patient = count_tokens_for(params)

    async def once(object_: CountTokens) -> None:
        async with object_.lifespan():
            await object_.count(BODY)

    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            asyncio.run(once(count_tokens))
    asyncio.run(once(patient))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"[]", 502),
        (200, b"null", 502),
        (200, b"5", 502),
        (200, b'{"inputTokens": 1e400}', 502),
        (200, b'{"inputTokens": "7"}', 502),
        (200, b'{"inputTokens": 1.5}', 502),
        (301, b"{}", 502),
        (304, b"", 502),
        (400, b"[]", 400),
        (403, b"\xff\xfe", 403),
        (503, b"<html>busy</html>", 503),
    ],
)
async def test_nonsense_is_no_count_and_no_failure_of_ours(
    status: int, body: bytes, expected: int
) -> None:
    async def answer(request: Request) -> Response:
        return Response(body, status, {"x-amzn-RequestId": "amzn-1"})

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    hook = Recorder()
    with cloud(app) as upstream:
        async with counting(bedrock_params(upstream.url), hooks=[hook]) as count_tokens:
            with pytest.raises(CountError) as raised:
                await count_tokens.count(BODY)
    assert raised.value.status == expected
    assert not isinstance(raised.value, InternalError)
    assert hook.event.upstream_request_id == "amzn-1"


async def test_an_error_of_mantle_about_the_request_stays_a_400() -> None:
    body = {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "This model does not support the effort parameter.",
        },
    }
    with cloud(aws(UNSUPPORTED, (400, body, {}))) as upstream:
        async with counting(bedrock_params(upstream.url)) as count_tokens:
            with pytest.raises(UpstreamError) as raised:
                await count_tokens.count(BODY)
    assert raised.value.status == 400
    assert json.loads(raised.value.body or b"") == body


async def test_what_cannot_be_counted_still_tells_aws_request_id() -> None:
    hook = Recorder()
    with cloud(aws(UNSUPPORTED)) as upstream:
        params = bedrock_params(upstream.url, count_tokens_via="runtime")
        async with counting(params, hooks=[hook]) as count_tokens:
            with pytest.raises(CannotCount):
                await count_tokens.count(BODY)
    assert hook.event.upstream_request_id == "amzn-1"


async def test_betas_in_several_lines_all_reach_mantle(bedrock: Cloud) -> None:
    params = bedrock_params(bedrock.url, count_tokens_via="mantle")
    lines = [("anthropic-beta", "context-1m-2025-08-07"), ("anthropic-beta", "pdfs-2024-09-25")]
    async with counting(params) as count_tokens, mounted(count_tokens) as client:
        await client.post("/v1/messages/count_tokens", json=BODY, headers=lines)
    assert bedrock.headers[0]["anthropic-beta"] == "context-1m-2025-08-07,pdfs-2024-09-25"


async def test_a_profile_of_the_environment_has_no_say_over_given_keys(
    bedrock: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    key = {**NO_KEYS, "api_key": EMULATED_BEDROCK_API_KEY}
    for params in (bedrock_params(bedrock.url), bedrock_params(bedrock.url, **key)):
        async with counting(params) as count_tokens:
            assert (await count_tokens.count(BODY)).input_tokens == count(BODY)


async def test_the_environments_endpoint_for_roles_is_not_used(
    bedrock: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, sts = Sts(), Sts()
    with cloud(elsewhere.app) as other, cloud(sts.app) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", other.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", other.url)
        role = {"aws_role_name": "arn:aws:iam::123456789012:role/r"}
        params = bedrock_params(bedrock.url, aws_sts_endpoint=endpoint.url, **role)
        async with counting(params) as count_tokens:
            await count_tokens.count(BODY)
    assert not elsewhere.requests
    assert len(sts.requests) == 1


@pytest.mark.parametrize(
    "token",
    [f"eyJhbGciOiJSUzI1NiJ9.{'c' * 600}.{'s' * 300}", "/nowhere/canary-token", "x" * 5000],
)
async def test_a_web_identity_token_never_stands_in_a_log(
    bedrock: Cloud, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    """A token is too long for a file name, and the exception for that quotes it."""
    caplog.set_level("DEBUG", "count_tokens_mw")
    sts = Sts()
    with cloud(sts.app) as endpoint:
        params = bedrock_params(
            bedrock.url,
            **NO_KEYS,
            aws_role_name="arn:aws:iam::123456789012:role/r",
            aws_web_identity_token=token,
            aws_sts_endpoint=endpoint.url,
        )
        async with counting(params) as count_tokens:
            if token.startswith("eyJ"):
                assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
            else:
                with pytest.raises(CredentialsUnavailable):
                    await count_tokens.count(BODY)
    assert token not in caplog.text


async def test_what_is_remembered_of_models_is_bounded(upstream: FakeUpstream) -> None:
    upstream.answers(400, b'{"message":"%b does not support counting tokens."}' % (b"m" * 1000))
    now = [0.0]
    params = BedrockParams.model_validate(bedrock_params("http://127.0.0.1:1"))
    provider = Bedrock(params, HttpClient(upstream.client()), clock=lambda: now[0])
    for number in range(500):
        provider._refusals[b"%d" % number] = "no"
    assert len(provider._refusals) <= 100
    now[0] = 3601.0
    call = UpstreamCall("bedrock", "http://h/" + "m" * 20_000, (), b"", kind="runtime")
    with pytest.raises(PrepareAgain):
        await provider.send(call)
    ((kept, text),) = provider._refusals.items()
    assert (len(kept), len(text)) == (16, 500)
