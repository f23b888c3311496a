"""Counts on Vertex AI and the Gemini API over real HTTP: tokens, keys, and Google's errors."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from count_tokens_mw import CannotCount, CredentialsUnavailable, UpstreamError
from count_tokens_mw.config.params.google import VertexParams
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.google.credentials import GoogleTokens, _parse_credentials
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.vertex import Vertex
from count_tokens_mw.providers.http import HttpClient
from demo_app.emulators import (
    EMULATED_EXPRESS_KEY,
    EMULATED_GEMINI_KEY,
    EmulatedGoogle,
    count,
    count_gemini,
)
from demo_app.loopback import serving
from tests.support.cloud import Cloud, cloud, counting, vertex_params
from tests.support.fakes import FakeUpstream, Recorder, count_tokens_with, mounted
from tests.support.gemini import GEMINI_2, VERTEX_2, VERTEX_3, translate
from tests.support.requests import HELLO, STANDARD

BODY: dict[str, Any] = {"model": "m", "messages": HELLO}
COUNT = "/v1/messages/count_tokens"


@pytest.fixture
def google() -> EmulatedGoogle:
    return EmulatedGoogle()


@pytest.fixture
def endpoint(google: EmulatedGoogle) -> Iterator[Cloud]:
    with cloud(google.app) as endpoint:
        yield endpoint


def gemini_params(url: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "gemini/gemini-2.5-flash",
        "api_key": EMULATED_GEMINI_KEY,
        "api_base": url,
        **more,
    }


def expected_count(body: dict[str, Any], dialect: Dialect = GEMINI_2) -> int:
    return count_gemini(translate(body, dialect))


TRANSLATABLE = {name: body for name, body in STANDARD.items() if name != "built-in tools"}


async def test_claude_on_vertex_counts_with_a_token_of_the_service_account(
    google: EmulatedGoogle, endpoint: Cloud
) -> None:
    params = vertex_params(google, endpoint.url, "claude-3-5-sonnet-v2@20241022")
    hook = Recorder()
    async with counting(params, hooks=[hook]) as count_tokens, mounted(count_tokens) as client:
        response = await client.post(
            COUNT, json={**BODY, "max_tokens": 5}, headers={"anthropic-beta": "beta-of-2027"}
        )
    assert response.json() == {"input_tokens": count(BODY)}
    assert endpoint.paths[0] == "/token"
    assert endpoint.paths[1].endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert hook.event.provider == "vertex_ai"


async def test_what_vertex_ais_counter_refuses_is_its_own_400(
    google: EmulatedGoogle, endpoint: Cloud
) -> None:
    """It is input, so a count without it would be wrong: litellm 39597."""
    params = vertex_params(google, endpoint.url, "claude-sonnet-4-5")
    tool = {**STANDARD["tools"]["tools"][0], "defer_loading": True}
    async with counting(params) as count_tokens, mounted(count_tokens) as client:
        response = await client.post(COUNT, json={**BODY, "tools": [tool]})
    assert response.status_code == 400
    assert response.json()["error"] == {
        "type": "invalid_request_error",
        "message": "tools.0.custom.defer_loading: Extra inputs are not permitted",
    }
    assert response.headers["request-id"].startswith("req_vrtx_emulated_")


@pytest.mark.parametrize("body", TRANSLATABLE.values(), ids=TRANSLATABLE)
async def test_gemini_on_vertex_counts_every_kind_of_request(
    google: EmulatedGoogle, endpoint: Cloud, body: dict[str, Any]
) -> None:
    async with counting(vertex_params(google, endpoint.url, "gemini-2.5-flash")) as count_tokens:
        counted = await count_tokens.count({"model": "m", **body, "max_tokens": 5})
    assert counted.input_tokens == expected_count(body, VERTEX_2)


@pytest.mark.parametrize("body", TRANSLATABLE.values(), ids=TRANSLATABLE)
async def test_the_gemini_api_counts_every_kind_of_request(
    endpoint: Cloud, body: dict[str, Any]
) -> None:
    async with counting(gemini_params(endpoint.url)) as count_tokens:
        counted = await count_tokens.count({"model": "m", **body, "max_tokens": 5})
    assert counted.input_tokens == expected_count(body)
    assert counted.body is None


async def test_express_mode_counts_by_a_key_and_asks_for_no_token(endpoint: Cloud) -> None:
    params = {
        "model": "vertex_ai/gemini-3.6-flash",
        "api_key": EMULATED_EXPRESS_KEY,
        "api_base": endpoint.url,
    }
    for name, body in TRANSLATABLE.items():
        async with counting(params) as count_tokens:
            counted = await count_tokens.count({"model": "m", **body})
        assert counted.input_tokens == expected_count(body, VERTEX_3), name
    path = "/v1/publishers/google/models/gemini-3.6-flash:countTokens"
    assert set(endpoint.paths) == {path}
    assert "authorization" not in endpoint.headers[0]


async def test_a_key_of_express_mode_that_is_refused_is_an_authentication_error(
    endpoint: Cloud,
) -> None:
    params = {"model": "vertex_ai/gemini-3.6-flash", "api_base": endpoint.url, "api_key": "AQ.no"}
    async with counting(params) as count_tokens, mounted(count_tokens) as client:
        response = await client.post(COUNT, json=BODY)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert "AQ.no" not in response.text


@pytest.mark.parametrize("model", ["tunedModels/mine", "models/gemini-2.5-flash", "gemma-4-31b-it"])
async def test_the_gemini_api_counts_for_any_of_its_resources(endpoint: Cloud, model: str) -> None:
    params = gemini_params(endpoint.url, model=f"gemini/{model}")
    async with counting(params) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens > 0
    assert endpoint.paths[0].endswith(f"{model.rpartition('/')[2]}:countTokens")


@pytest.mark.parametrize("model", ["gemini/123", "123", "endpoints/123"])
async def test_vertex_counts_for_a_tuned_model_at_its_endpoint(
    google: EmulatedGoogle, endpoint: Cloud, model: str
) -> None:
    async with counting(vertex_params(google, endpoint.url, model)) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens > 0
    assert endpoint.paths[1].endswith("/endpoints/123:countTokens")


async def test_the_answer_of_another_provider_is_exactly_the_count(endpoint: Cloud) -> None:
    async with (
        counting(gemini_params(endpoint.url)) as count_tokens,
        mounted(count_tokens) as client,
    ):
        answer = (await client.post(COUNT, json=BODY)).json()
    assert answer == {"input_tokens": expected_count(BODY)}


async def test_a_key_that_is_not_valid_is_an_authentication_error(endpoint: Cloud) -> None:
    """Google itself answers 400."""
    hook = Recorder()
    params = gemini_params(endpoint.url, api_key="AIza-other")
    async with counting(params, hooks=[hook]) as count_tokens, mounted(count_tokens) as client:
        response = await client.post(COUNT, json=BODY)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert "API key not valid" in response.json()["error"]["message"]
    assert hook.event.attempts[0].upstream_code == "API_KEY_INVALID"
    assert "AIza-other" not in response.text


async def test_the_keys_of_the_environment_are_taken_in_order(endpoint: Cloud) -> None:
    params = {"model": "gemini/gemini-2.5-flash", "api_base": endpoint.url}
    config = {"model_list": [{"model_name": "m", "litellm_params": params}]}
    for environ in (
        {"GOOGLE_API_KEY": EMULATED_GEMINI_KEY},
        {"GEMINI_API_KEY": EMULATED_GEMINI_KEY, "GOOGLE_API_KEY": "AIza-other"},
    ):
        count_tokens = count_tokens_with(FakeUpstream(), config, environ=environ, http_client=None)
        async with count_tokens.lifespan():
            assert (await count_tokens.count(BODY)).input_tokens > 0


@pytest.mark.parametrize(
    ("block", "place"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "messages.1.content.1"),
        (
            {"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {}},
            "messages.1.content.1",
        ),
    ],
)
async def test_what_gemini_has_no_word_for_is_a_501_that_names_its_place(
    google: EmulatedGoogle, endpoint: Cloud, block: dict[str, Any], place: str
) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "canary"}, block]}
    body = {"model": "m", "messages": [*HELLO, message]}
    for params in (
        gemini_params(endpoint.url),
        vertex_params(google, endpoint.url, "gemini-2.5-flash"),
    ):
        async with counting(params) as count_tokens:
            with pytest.raises(CannotCount) as raised:
                await count_tokens.count(body)
        assert place in raised.value.message
        assert "canary" not in raised.value.message
    assert not endpoint.paths


@pytest.mark.parametrize("model", ["claude-opus-4-8", "gemini-2.5-flash"])
async def test_a_wrong_location_is_told_in_googles_words(
    google: EmulatedGoogle, endpoint: Cloud, model: str
) -> None:
    params = vertex_params(
        google, endpoint.url, model.replace("flash", "does-not-exist"), vertex_location="global"
    )
    if model.startswith("gemini"):
        params["model"] = "vertex_ai/gemini-does-not-exist"
    hook = Recorder()
    async with counting(params, hooks=[hook]) as count_tokens:
        with pytest.raises(UpstreamError, match="was not found") as raised:
            await count_tokens.count(BODY)
    assert raised.value.status == 404
    assert hook.event.attempts[0].upstream_code == "NOT_FOUND"


# tokens


async def test_many_counts_at_once_ask_for_one_token(
    google: EmulatedGoogle, endpoint: Cloud
) -> None:
    async with counting(vertex_params(google, endpoint.url, "gemini-2.5-flash")) as count_tokens:
        await asyncio.gather(*(count_tokens.count(BODY) for _ in range(20)))
        await count_tokens.count(BODY)
    assert google.issued == 1


async def test_a_refused_token_is_renewed_once_and_the_count_tried_again(
    google: EmulatedGoogle, endpoint: Cloud
) -> None:
    async with counting(vertex_params(google, endpoint.url, "gemini-2.5-flash")) as count_tokens:
        await count_tokens.count(BODY)
        google.revoke_all()
        endpoint.paths.clear()
        await asyncio.gather(*(count_tokens.count(BODY) for _ in range(5)))
    assert google.issued == 2
    assert endpoint.paths.count("/token") == 1


async def test_a_token_is_renewed_ahead_of_its_expiry(endpoint: Cloud) -> None:
    """google-auth calls a token stale in about its last four minutes."""
    brief = EmulatedGoogle(token_lifetime=60)
    with cloud(brief.app) as endpoint:
        async with counting(vertex_params(brief, endpoint.url, "gemini-2.5-flash")) as count_tokens:
            while brief.issued < 2:  # the renewal runs in the background
                await count_tokens.count(BODY)
    assert brief.issued == 2


async def test_a_token_that_is_still_good_is_used_where_its_renewal_fails() -> None:
    brief = EmulatedGoogle(token_lifetime=200)
    with serving(brief.app) as url:  # unlike `cloud`, it has ended after its block
        tokens = GoogleTokens(brief.service_account(f"{url}/token"))
        token = await tokens.token()
    assert await tokens.token() == token
    with pytest.raises(CredentialsUnavailable):
        await tokens.replace(token)


async def test_the_quota_project_of_the_credentials_is_named(
    google: EmulatedGoogle, endpoint: Cloud, upstream: FakeUpstream
) -> None:
    """The project is as `gcloud auth application-default set-quota-project` writes it."""
    tokens = GoogleTokens(google.service_account(f"{endpoint.url}/token"))
    await tokens.token()
    assert tokens.quota_project is None
    tokens._credentials = tokens._credentials.with_quota_project("quota-1")  # type: ignore[union-attr]
    params = {"vertex_project": "p", "vertex_location": "us"}
    http = HttpClient(upstream.client())
    provider = Vertex(VertexParams.model_validate(params), http, tokens)
    upstream.answers(200, b'{"totalTokens": 3}')
    request = request_from_mapping({**BODY, "model": "gemini-x"})
    assert (await provider.send(provider.prepare(request))).input_tokens == 3
    assert upstream.request.headers["x-goog-user-project"] == "quota-1"


async def test_a_401_that_stays_is_the_answer_after_one_more_try(upstream: FakeUpstream) -> None:
    error = {"error": {"code": 401, "message": "Bad token.", "status": "UNAUTHENTICATED"}}
    upstream.answers(401, json.dumps(error).encode())
    google = EmulatedGoogle()
    with cloud(google.app) as endpoint:
        params = vertex_params(google, endpoint.url, "gemini-2.5-flash")
        async with counting(params, http_client=upstream.client()) as count_tokens:
            with pytest.raises(UpstreamError, match="Bad token"):
                await count_tokens.count(BODY)
    assert len(upstream.requests) == 2
    tokens = {request.headers["authorization"] for request in upstream.requests}
    assert len(tokens) == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"private_key": "not a key"},
        {"type": "no such type"},
        {"token_uri": "http://127.0.0.1:1/token"},
        {"type": "impersonated_service_account", "source_credentials": 5},
    ],
)
async def test_credentials_that_cannot_be_had_are_a_500_without_their_content(
    google: EmulatedGoogle, endpoint: Cloud, broken: dict[str, Any]
) -> None:
    params = vertex_params(google, endpoint.url, "gemini-2.5-flash")
    params["vertex_credentials"] = {**params["vertex_credentials"], **broken}
    async with counting(params) as count_tokens, mounted(count_tokens) as client:
        response = await client.post(COUNT, json=BODY)
    assert response.status_code == 500
    assert response.headers["x-should-retry"] == "false"
    assert response.json()["error"]["message"] == (
        "vertex_ai: the gateway's Google credentials are unavailable."
    )


@pytest.mark.parametrize("form", ["path", "text", "default"])
async def test_credentials_come_as_a_path_as_text_or_by_default(
    google: EmulatedGoogle,
    endpoint: Cloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    params = vertex_params(google, endpoint.url, "claude-opus-4-8")
    info = params.pop("vertex_credentials")
    params.pop("vertex_project")
    (tmp_path / "key.json").write_text(json.dumps(info))
    if form == "default":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    else:
        text = json.dumps(info)
        params["vertex_credentials"] = str(tmp_path / "key.json") if form == "path" else text
    async with counting(params) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens == count(BODY)
    assert f"/projects/{info['project_id']}/" in endpoint.paths[-1]


async def test_default_credentials_that_name_no_project_are_said_to(
    google: EmulatedGoogle, endpoint: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = vertex_params(google, endpoint.url, "claude-opus-4-8")
    info = {**params.pop("vertex_credentials")}
    info.pop("project_id")
    params.pop("vertex_project")
    (tmp_path / "key.json").write_text(json.dumps(info))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    async with counting(params) as count_tokens:
        with pytest.raises(CredentialsUnavailable, match="no vertex_project"):
            await count_tokens.count(BODY)


@pytest.mark.parametrize(
    "info",
    [
        {
            "type": "authorized_user",
            "client_id": "c",
            "client_secret": "s",
            "refresh_token": "r",
        },
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": "/nowhere/token"},
        },
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {
                "environment_id": "aws1",
                "regional_cred_verification_url": "https://sts.{region}.amazonaws.com",
            },
        },
        {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects"
            "/-/serviceAccounts/a@b.iam.gserviceaccount.com:generateAccessToken",
            "source_credentials": {
                "type": "authorized_user",
                "client_id": "c",
                "client_secret": "s",
                "refresh_token": "r",
            },
        },
    ],
    ids=lambda info: f"{info['type']} {info.get('subject_token_type', '')}",
)
def test_every_kind_of_google_credentials_is_understood(info: dict[str, Any]) -> None:
    """No token is exchanged, because that needs Google."""
    assert _parse_credentials(info).token is None


def test_the_emulator_answers_the_plain_client_too(endpoint: Cloud) -> None:
    response = httpx.post(f"{endpoint.url}/v1beta/models/gemini-2.5-flash:countTokens", json={})
    assert response.status_code == 400
