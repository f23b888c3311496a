"""The emulated upstreams over HTTP: their counts and their refusals."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import urllib3
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from google.auth import jwt
from google.auth.crypt import RSASigner
from google.auth.transport.urllib3 import Request
from google.oauth2 import service_account

from demo_app.emulators import (
    EMULATED_ACCESS_KEY_ID,
    EMULATED_BEDROCK_API_KEY,
    EMULATED_EXPRESS_KEY,
    EMULATED_GEMINI_KEY,
    EMULATED_KEY,
    EMULATED_REGION,
    EMULATED_SECRET_ACCESS_KEY,
    EmulatedGoogle,
    count,
    count_gemini,
    emulated_anthropic,
    emulated_bedrock,
)
from demo_app.emulators.google_fields import VERTEX
from demo_app.loopback import serving

SONNET: Final = "anthropic.claude-sonnet-4-20250514-v1:0"
OPUS: Final = "anthropic.claude-opus-4-7"
HELLO: Final[list[dict[str, Any]]] = [{"role": "user", "content": "Hello, Claude"}]
INVOKE: Final[dict[str, Any]] = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 1,
    "messages": HELLO,
}
MANTLE: Final[dict[str, Any]] = {"model": OPUS, "messages": HELLO}
COUNT: Final = "/v1/messages/count_tokens"
ON_MANTLE: Final = f"/anthropic{COUNT}"
VERSION: Final = {"anthropic-version": "2023-06-01"}
VERTEX_AT: Final = "/v1/projects/p/locations/us-east5/publishers"
ON_VERTEX: Final = f"{VERTEX_AT}/anthropic/models/count-tokens:rawPredict"
CLAUDE: Final[dict[str, Any]] = {"model": "claude-sonnet-4-5", "messages": HELLO}
VERTEX_GEMINI: Final = f"{VERTEX_AT}/google/models/gemini-2.5-flash:countTokens"
GEMINI: Final = "/v1beta/models/gemini-2.5-flash:countTokens"
GEMINI_KEY: Final = {"x-goog-api-key": EMULATED_GEMINI_KEY}
ENDPOINT: Final = "/v1/projects/p/locations/us-east5/endpoints/1234:countTokens"
EXPRESS: Final = "/v1/publishers/google/models/gemini-2.5-flash:countTokens"
EXPRESS_KEY: Final = {"x-goog-api-key": EMULATED_EXPRESS_KEY}
HI: Final[dict[str, Any]] = {"role": "user", "parts": [{"text": "hi"}]}
CALL: Final[dict[str, Any]] = {
    "role": "model",
    "parts": [{"functionCall": {"name": "f", "args": {"text": "a", "more": "b c"}}}],
}
RESPONSE: Final[dict[str, Any]] = {
    "role": "user",
    "parts": [{"functionResponse": {"name": "f", "response": {"output": "done"}}}],
}
PICTURE: Final = {"inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}}
FUNCTION: Final = {"name": "f", "parametersJsonSchema": {"type": "object", "$schema": "s"}}
SCOPES: Final = ["https://www.googleapis.com/auth/cloud-platform"]

# One session for all tests, because each session reads botocore's data again.
BOTOCORE: Final = get_session()


@pytest.fixture(autouse=True)
def _no_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)


@pytest.fixture(scope="module")
def anthropic() -> Iterator[str]:
    with serving(emulated_anthropic()) as url:
        yield url


@pytest.fixture(scope="module")
def bedrock() -> Iterator[str]:
    with serving(emulated_bedrock()) as url:
        yield url


@pytest.fixture(scope="module")
def google() -> EmulatedGoogle:
    return EmulatedGoogle()


@pytest.fixture(scope="module")
def google_url(google: EmulatedGoogle) -> Iterator[str]:
    with serving(google.app) as url:
        yield url


@pytest.fixture(scope="module")
def bearer(google: EmulatedGoogle, google_url: str) -> dict[str, str]:
    """Return the header with an access token that Google's own library has fetched."""
    return fetch_token(google, google_url)


def fetch_token(google: EmulatedGoogle, url: str) -> dict[str, str]:
    info = google.service_account(f"{url}/token")
    credentials = service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
    with urllib3.PoolManager() as pool:
        credentials.refresh(Request(pool))
    return {"authorization": f"Bearer {credentials.token}"}


def post(url: str, body: object, headers: Mapping[str, str] | None = None) -> httpx.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(url, content=raw, headers=headers)


def user(*content: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def replace(body: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with members replaced, or left out where the new value is None."""
    return {name: value for name, value in {**body, **change}.items() if value is not None}


def wrap(body: object) -> dict[str, Any]:
    blob = base64.b64encode(json.dumps(body).encode()).decode()
    return {"input": {"invokeModel": {"body": blob}}}


async def count_with_botocore(url: str, body: object, model: str = SONNET, **change: Any) -> Any:
    """Return the result or the error of a count by AWS's own client."""
    options: dict[str, Any] = {
        "region_name": EMULATED_REGION,
        "aws_access_key_id": EMULATED_ACCESS_KEY_ID,
        "aws_secret_access_key": EMULATED_SECRET_ACCESS_KEY,
        "config": AioConfig(retries={"total_max_attempts": 1}),
        **change,
    }
    async with BOTOCORE.create_client("bedrock-runtime", endpoint_url=url, **options) as client:
        invoke = {"invokeModel": {"body": json.dumps(body)}}
        try:
            return await client.count_tokens(modelId=model, input=invoke)
        except ClientError as error:
            return error.response


async def test_what_awss_own_client_signs_is_counted(bedrock: str) -> None:
    body = {**INVOKE, "system": "You are helpful.", "anthropic_beta": ["output-128k-2025-02-19"]}
    answer = await count_with_botocore(bedrock, body)
    assert answer["inputTokens"] == count(body)
    assert answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"aws_access_key_id": "AKIAOTHER"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "other"}, "InvalidSignatureException"),
        ({"aws_session_token": "of-a-session"}, "UnrecognizedClientException"),
        ({"region_name": "eu-west-1"}, "InvalidSignatureException"),
    ],
)
async def test_what_other_keys_sign_or_for_another_region_is_refused(
    bedrock: str, change: dict[str, str], kind: str
) -> None:
    answer = await count_with_botocore(bedrock, INVOKE, **change)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert answer["Error"]["Code"] == kind


def sign(
    url: str, raw: bytes, service: str, at: datetime | None = None, digest: str | None = None
) -> dict[str, str]:
    """Sign a request with botocore, at any time, and return its headers."""
    fields = replace({"content-type": "application/json"}, {"x-amz-content-sha256": digest})
    request = AWSRequest("POST", url, headers={**fields, **VERSION}, data=raw)
    stamp = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    request.headers["x-amz-date"] = request.context["timestamp"] = stamp
    keys = Credentials(EMULATED_ACCESS_KEY_ID, EMULATED_SECRET_ACCESS_KEY)
    auth = SigV4Auth(keys, service, EMULATED_REGION)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    names = auth.signed_headers(auth.headers_to_sign(request))
    request.headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={names}, "
        f"Signature={auth.signature(text, request)}"
    )
    return dict(request.headers.items())


@pytest.mark.parametrize(
    ("path", "body", "service", "other"),
    [
        ("/model/anthropic.claude-sonnet-4-6/count-tokens", wrap(INVOKE), "bedrock", "s3"),
        (f"/model/{SONNET.replace(':', '%3A')}/count-tokens", wrap(INVOKE), "bedrock", "s3"),
        (ON_MANTLE, MANTLE, "bedrock-mantle", "bedrock"),
    ],
)
def test_a_signature_holds_for_one_service_body_query_time_and_set_of_headers(
    bedrock: str, path: str, body: object, service: str, other: str
) -> None:
    url, raw, now = bedrock + path, json.dumps(body).encode(), datetime.now(UTC)
    proper = sign(url, raw, service)
    late, early = now - timedelta(minutes=16), now + timedelta(minutes=16)
    assert post(url, raw, proper).status_code == 200
    assert post(f"{url}?a=b&c", raw, sign(f"{url}?a=b&c", raw, service)).status_code == 200
    for sent in (
        post(url, raw + b" ", proper),
        post(f"{url}?a=b", raw, proper),
        post(url, raw, {**proper, "content-type": "text/plain"}),
        post(url, raw, {**proper, "x-amz-more": "unsigned"}),
        post(url, raw, {**proper, "x-amz-date": "99999999T999999Z"}),
        post(url, raw, {**proper, "authorization": proper["authorization"][:-1]}),
        post(url, raw, {**proper, "authorization": "AWS4-HMAC-SHA256"}),
        post(url, raw, sign(url, raw, other)),
        post(url, raw, sign(url, raw, service, late)),
        post(url, raw, sign(url, raw, service, early)),
        post(url, raw, sign(url, raw, service, digest="UNSIGNED-PAYLOAD")),
    ):
        assert sent.status_code == 403, sent.request.headers
        assert "Exception" in sent.headers.get("x-amzn-errortype", "Exception")


KEY: Final = {"authorization": f"Bearer {EMULATED_BEDROCK_API_KEY}"}


@pytest.mark.parametrize(
    ("headers", "runtime", "mantle"),
    [
        (KEY, 200, 200),
        ({"x-api-key": EMULATED_BEDROCK_API_KEY}, 403, 200),
        ({"authorization": "Bearer other"}, 403, 401),
        ({"authorization": "Basic other"}, 403, 403),
        ({"x-api-key": "other", **KEY}, 200, 401),
        ({}, 403, 401),
    ],
)
def test_a_bedrock_api_key_is_a_bearer_token_and_at_mantle_also_an_x_api_key(
    bedrock: str, headers: dict[str, str], runtime: int, mantle: int
) -> None:
    at_runtime = post(f"{bedrock}/model/{SONNET}/count-tokens", wrap(INVOKE), headers)
    at_mantle = post(bedrock + ON_MANTLE, MANTLE, {**VERSION, **headers})
    assert (at_runtime.status_code, at_mantle.status_code) == (runtime, mantle)
    assert at_runtime.headers["x-amzn-requestid"]
    assert at_mantle.headers["request-id"]
    if runtime == 200:
        assert at_runtime.json() == {"inputTokens": count(INVOKE)}
    if mantle == 200:
        assert at_mantle.json() == {"input_tokens": count(MANTLE)}


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "anthropic.claude-3-7-sonnet-20250219-v1:0",
        "anthropic.claude-opus-4-1-20250805-v1:0",
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic.claude-sonnet-4-6",
        "anthropic.claude-opus-4-6-v1",
    ],
)
async def test_base_models_up_to_4_6_are_counted_by_the_runtime(bedrock: str, model: str) -> None:
    assert (await count_with_botocore(bedrock, INVOKE, model))["inputTokens"] == count(INVOKE)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (OPUS, "The provided model doesn't support counting tokens."),
        ("anthropic.claude-opus-5-5", "The provided model doesn't support counting tokens."),
        (f"us-gov.{SONNET}", "The provided model doesn't support counting tokens."),
        (f"global.{SONNET}", "The provided model doesn't support counting tokens."),
        (f"in.{SONNET}", "The provided model doesn't support counting tokens."),
        ("us.anthropic.claude-nobody", "The provided model identifier is invalid."),
        ("anthropic.claude-haiku-4-5", "The provided model identifier is invalid."),
        (
            "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc",
            "The provided model doesn't support counting tokens.",
        ),
        ("amazon.nova-pro-v1:0", "The provided model identifier is invalid."),
        ("anthropic.claude-sonnet-4-5", "The provided model identifier is invalid."),
    ],
)
async def test_other_models_are_refused_by_the_runtime(
    bedrock: str, model: str, message: str
) -> None:
    answer = await count_with_botocore(bedrock, INVOKE, model)
    assert answer["Error"] == {"Code": "ValidationException", "Message": message}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


TOOL: Final = {"name": "t", "input_schema": {"type": "object"}}
BY_URL: Final = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
RESULT_BY_URL: Final = {"type": "tool_result", "tool_use_id": "t", "content": [BY_URL]}
CODE: Final = {"type": "code_execution_20250825", "name": "code_execution"}
SEARCH: Final = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "m"}, "model: Extra inputs are not permitted"),
        ({"stream": False}, "stream: Extra inputs are not permitted"),
        ({"context_management": {}}, "context_management: Extra inputs are not permitted"),
        ({"anthropic_version": None}, "anthropic_version: Field required"),
        ({"anthropic_version": "2026-10-21"}, "anthropic_version: Input should be"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be"),
        ({"max_tokens": True}, "max_tokens: Input should be"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": [{"role": "ctx", "content": ""}]}, "messages.0.role"),
        ({"anthropic_beta": ["oauth-2025-04-20"]}, "invalid beta flag"),
        ({"anthropic_beta": ["advanced-tool-use-2025-11-20"]}, "invalid beta flag"),
        ({"anthropic_beta": "output-128k-2025-02-19"}, "invalid beta flag"),
        ({"anthropic_beta": [[]]}, "invalid beta flag"),
        (user(BY_URL), "messages.0.content.0.image.source: Input tag 'url'"),
        (user(RESULT_BY_URL), "messages.0.content.0.tool_result.content.0.image.source"),
        ({"tools": [CODE]}, "tools.0: Input tag 'code_execution_20250825'"),
        ({"tools": [{**TOOL, "eager_input_streaming": True}]}, "eager_input_streaming: Extra"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools.0.custom.defer_loading: Extra"),
    ],
)
def test_the_runtime_is_strict_about_the_body(
    bedrock: str, change: dict[str, Any], message: str
) -> None:
    body = wrap(replace(INVOKE, change))
    answer = post(f"{bedrock}/model/{SONNET}/count-tokens", body, KEY)
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"].startswith("ValidationException:")
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": {}},
        {"input": {"converse": {"messages": []}}},
        {"input": {"invokeModel": {"body": ""}, "converse": {}}},
        {"input": {"invokeModel": {}}},
        {"input": {"invokeModel": {"body": "not base64"}}},
        {"input": {"invokeModel": {"body": "aGVsbG8="}}},
        {**wrap(INVOKE), "more": 1},
    ],
)
def test_the_runtime_is_strict_about_the_union(bedrock: str, body: object) -> None:
    answer = post(f"{bedrock}/model/{SONNET}/count-tokens", body, KEY)
    assert answer.status_code == 400
    assert answer.json().keys() == {"message"}


def test_a_beta_makes_its_fields_known_to_the_runtime(bedrock: str) -> None:
    betas = ["context-management-2025-06-27", "tool-search-tool-2025-10-19"]
    body = {**INVOKE, "anthropic_beta": betas, "context_management": {"edits": []}}
    body["tools"] = [{**TOOL, "defer_loading": True}]
    answer = post(f"{bedrock}/model/{SONNET}/count-tokens", wrap(body), KEY)
    assert answer.json() == {"inputTokens": count(body)}


@pytest.mark.parametrize(
    ("headers", "change", "message"),
    [
        ({"anthropic-version": "1"}, {}, "anthropic-version"),
        ({}, {"max_tokens": 1}, "max_tokens: Extra inputs are not permitted"),
        ({}, {"context_management": {}}, "context_management: Extra inputs"),
        ({}, {"model": "openai.gpt-oss-120b"}, "The model 'openai.gpt-oss-120b' does not support"),
        ({}, {"model": "claude-opus-4-7"}, "does not support the '/anthropic/v1/messages' API"),
        ({}, {"model": None}, "model: Field required"),
        ({}, {"tools": [{**TOOL, "strict": True}]}, "tools.0.custom.strict: Extra inputs"),
        ({}, user(BY_URL), "messages.0.content.0.image.source"),
    ],
)
def test_mantle_is_strict_in_anthropics_envelope(
    bedrock: str, headers: dict[str, str], change: dict[str, Any], message: str
) -> None:
    answer = post(bedrock + ON_MANTLE, replace(MANTLE, change), {**VERSION, **KEY, **headers})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["request_id"] == answer.headers["request-id"]
    assert message in answer.json()["error"]["message"]


def test_a_token_that_googles_own_library_fetches_is_good_until_it_is_revoked(
    google: EmulatedGoogle, google_url: str
) -> None:
    before, bearer = google.issued, fetch_token(google, google_url)
    assert google.issued == before + 1
    assert post(google_url + ON_VERTEX, CLAUDE, bearer).json() == {"input_tokens": count(CLAUDE)}
    google.revoke_all()
    for headers in (bearer, {"authorization": "Bearer other"}, {"authorization": "Basic a"}, {}):
        for path in (ON_VERTEX, VERTEX_GEMINI):
            answer = post(google_url + path, CLAUDE, headers)
            assert answer.status_code == 401
            assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


def test_a_token_is_good_for_its_lifetime() -> None:
    google = EmulatedGoogle(token_lifetime=0)
    with serving(google.app) as url:
        answer = post(url + ON_VERTEX, CLAUDE, fetch_token(google, url))
    assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_EXPIRED"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, None),
        ({"iss": "other@example.com"}, "invalid_grant"),
        ({"aud": "https://oauth2.googleapis.com/token"}, None),
        ({"aud": "https://other.example/token"}, "invalid_grant"),
        ({"exp": time.time() - 1, "iat": time.time() - 60}, "invalid_grant"),
        ({"exp": time.time() + 7200}, "invalid_grant"),
        ({"exp": "soon"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
    ],
)
def test_the_token_endpoint_checks_every_claim(
    google: EmulatedGoogle, google_url: str, change: dict[str, Any], error: str | None
) -> None:
    info = google.service_account(f"{google_url}/token")
    now = int(time.time())
    claims = {"iss": info["client_email"], "aud": info["token_uri"], "iat": now, "exp": now + 3600}
    claims |= {"scope": f"openid {SCOPES[0]}", **change}
    assertion = jwt.encode(RSASigner.from_service_account_info(info), claims).decode()
    answer = request_token(google_url, assertion)
    assert answer.json().get("error") == error
    assert answer.status_code == (400 if error else 200)


def request_token(url: str, assertion: str, grant: str = "jwt-bearer") -> httpx.Response:
    grant_type = f"urn:ietf:params:oauth:grant-type:{grant}"
    return httpx.post(f"{url}/token", data={"grant_type": grant_type, "assertion": assertion})


def test_the_token_endpoint_takes_no_other_signature_and_no_other_grant(
    google: EmulatedGoogle, google_url: str
) -> None:
    other = EmulatedGoogle().service_account(f"{google_url}/token")
    signer = RSASigner.from_service_account_info(other)
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode() + ".e30."
    for forged in (jwt.encode(signer, {}).decode(), unsigned, "a", "é.é.é", ".."):
        answer = request_token(google_url, forged)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert request_token(google_url, "").json()["error"] == "invalid_request"
    refused = request_token(google_url, "a", "token-exchange").json()
    assert refused["error"] == "unsupported_grant_type"
    assert google.service_account("u")["token_uri"] == "u"


@pytest.mark.parametrize(
    ("headers", "change", "status", "message"),
    [
        ({}, {"anthropic_version": "vertex-2023-10-16"}, 200, ""),
        ({}, {"model": "claude-sonnet-4-5@20250929"}, 400, "is not supported for token counting"),
        ({"anthropic-beta": "output-128k-2025-02-19, effort-2025-11-24"}, {}, 200, ""),
        ({}, {"anthropic_version": "2023-06-01"}, 400, "anthropic_version"),
        (
            {},
            {"model": "claude-sonnet-4-6@default"},
            400,
            "claude-sonnet-4-6@default is not supported for token counting",
        ),
        ({}, {"model": "claude-opus-4@latest"}, 400, "is not supported for token counting"),
        ({}, {"tools": [{**TOOL, "defer_loading": True}]}, 400, "tools.0.custom.defer_loading"),
        ({}, {"tools": [SEARCH]}, 400, "tools.0: Input tag 'tool_search_tool_regex_20251119'"),
        ({}, {"model": "gemini-2.5-flash"}, 404, "model: gemini-2.5-flash"),
        ({}, {"max_tokens": 1}, 400, "max_tokens: Extra inputs are not permitted"),
        ({}, {"stream": True}, 400, "stream: Extra inputs are not permitted"),
        ({}, user(BY_URL), 400, "messages.0.content.0.image.source"),
        (
            {"anthropic-beta": "web-search-2025-03-05,tool-search-tool-2025-10-19"},
            {},
            400,
            "Unexpected value(s) `web-search-2025-03-05`, `tool-search-tool-2025-10-19` for the",
        ),
    ],
)
def test_claude_on_vertex_is_strict_in_anthropics_envelope(
    google_url: str,
    bearer: dict[str, str],
    headers: dict[str, str],
    change: dict[str, Any],
    status: int,
    message: str,
) -> None:
    body = replace(CLAUDE, change)
    answer = post(google_url + ON_VERTEX, body, {**bearer, **headers})
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"input_tokens": count(body)}
    else:
        assert message in answer.json()["error"]["message"]
        assert answer.json()["request_id"] == answer.headers["request-id"]


def test_the_global_location_counts_no_claude(google_url: str, bearer: dict[str, str]) -> None:
    for location, status in (("global", 404), ("us", 200), ("asia-southeast1", 200)):
        path = ON_VERTEX.replace("us-east5", location)
        answer = post(google_url + path, CLAUDE, bearer)
        assert answer.status_code == status
        assert status == 200 or answer.json()["error"]["status"] == "NOT_FOUND"


def test_gemini_on_vertex_counts_a_flat_body(google_url: str, bearer: dict[str, str]) -> None:
    body = {
        "systemInstruction": {"parts": [{"text": "You are a helpful chatbot."}]},
        "contents": [{"role": "user", "parts": [{"text": "h i"}, PICTURE]}, CALL, RESPONSE],
        "tools": [{"functionDeclarations": [FUNCTION]}],
    }
    answer = post(google_url + VERTEX_GEMINI, body, bearer).json()
    assert answer["totalTokens"] == count_gemini(body)
    assert answer["totalBillableCharacters"] > len("Youareahelpfulchatbot.hi")
    by_modality = {part["modality"]: part["tokenCount"] for part in answer["promptTokensDetails"]}
    assert by_modality.keys() == {"IMAGE", "TEXT"}
    assert sum(by_modality.values()) == answer["totalTokens"]


@pytest.mark.parametrize("nested", [True, False])
def test_the_gemini_api_counts_a_whole_request_or_bare_contents(
    google_url: str, nested: bool
) -> None:
    request: dict[str, Any] = {"contents": [HI]}
    if nested:
        request |= {
            "model": "models/gemini-2.5-flash",
            "system_instruction": {"parts": {"text": "snake_case and lone values are read too"}},
            "tools": [{"functionDeclarations": [FUNCTION]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        }
    body = {"generateContentRequest": request} if nested else request
    answer = post(google_url + GEMINI, body, GEMINI_KEY).json()
    assert answer["promptTokensDetails"] == [
        {"modality": "TEXT", "tokenCount": answer["totalTokens"]}
    ]
    assert answer["totalTokens"] == 2 or nested


FUNCTION_PARTS: Final = "number of function response parts is equal to the number"
UNKNOWN: Final = 'Invalid JSON payload received. Unknown name "{}"'
GEMINI_REFUSALS: Final[list[tuple[dict[str, Any], str]]] = [
    ({"extra": 1}, UNKNOWN.format("extra")),
    ({"contents": [{**HI, "name": "n"}]}, UNKNOWN.format("name")),
    ({"contents": [{"role": "user", "parts": [{"type": "text"}]}]}, "contents[0].parts[0]'"),
    ({"contents": [{"role": "user", "parts": [{"text": 1}]}]}, "(TYPE_STRING)"),
    ({"contents": [{"role": "user", "parts": [{"text": "a", **PICTURE}]}]}, "already set"),
    ({"contents": [{"role": "user", "parts": [{"thought": True}]}]}, "required oneof field"),
    ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
    ({"contents": [{"role": "assistant", "parts": HI["parts"]}]}, "valid role: user, model"),
    (
        {"contents": [{"role": "user", "parts": [{"inlineData": {"data": "aGk="}}]}]},
        "Unsupported MIME type",
    ),
    (
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "?"}}]}]},
        "Base64 decoding failed",
    ),
    ({"contents": [HI, RESPONSE]}, FUNCTION_PARTS),
    ({"contents": [HI, CALL, HI]}, FUNCTION_PARTS),
    ({"contents": [HI, CALL, RESPONSE, RESPONSE]}, FUNCTION_PARTS),
    ({"contents": [{"role": "model", "parts": [{"functionCall": {}}]}]}, "Name cannot be empty"),
    ({"systemInstruction": {"parts": [PICTURE]}}, "only text parts"),
    ({"tools": [{"web_search": {}}]}, UNKNOWN.format("web_search")),
    ({"tools": [{"functionDeclarations": [{"name": "1"}]}]}, "Invalid function name"),
    ({"tools": [{"functionDeclarations": [{**FUNCTION, "strict": True}]}]}, "declarations[0]'"),
    (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"$ref": "a"}}]}]},
        UNKNOWN.format("$ref"),
    ),
    (
        {"tools": [{"functionDeclarations": [{**FUNCTION, "parameters": {}}]}]},
        "mutually exclusive",
    ),
    ({"generationConfig": {"max_tokens": 1}}, UNKNOWN.format("max_tokens")),
]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *GEMINI_REFUSALS,
        ({"contents": None}, "at least one contents field"),
        ({"contents": [{"parts": HI["parts"]}]}, "valid role: user, model"),
        ({"contents": [{"role": "user", "parts": [{"text": ""}]}]}, "must have a text parameter"),
        ({"toolConfig": {}}, f"{UNKNOWN.format('toolConfig')}: Cannot find field."),
        ({"safetySettings": []}, UNKNOWN.format("safetySettings")),
        ({"generateContentRequest": {}}, UNKNOWN.format("generateContentRequest")),
    ],
)
def test_gemini_on_vertex_refuses_what_google_does_not_know(
    google_url: str, bearer: dict[str, str], change: dict[str, Any], message: str
) -> None:
    body = replace({"contents": [HI]}, change)
    assert_google_refuses(post(google_url + VERTEX_GEMINI, body, bearer), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *GEMINI_REFUSALS,
        ({"contents": None}, "generate_content_request.contents: contents is not specified"),
        ({"model": None}, "generate_content_request.model: model is not specified"),
        ({"model": "gemini-2.5-flash"}, "generate_content_request.model: unexpected model name"),
        (
            {"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}},
            "allowed_function_names should be set only",
        ),
        ({"toolConfig": {"functionCallingConfig": {"mode": "auto"}}}, "(Mode)"),
        ({"toolConfig": {"tool_choice": {}}}, UNKNOWN.format("tool_choice")),
        ({"instances": []}, UNKNOWN.format("instances")),
    ],
)
def test_the_gemini_api_refuses_what_google_does_not_know(
    google_url: str, change: dict[str, Any], message: str
) -> None:
    inner = replace({"model": "models/gemini-2.5-flash", "contents": [HI]}, change)
    body = {"generateContentRequest": inner}
    assert_google_refuses(post(google_url + GEMINI, body, GEMINI_KEY), message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "CountTokens requires generate_content_request or contents to be set."),
        ({"contents": [HI], "generateContentRequest": {"contents": [HI]}}, "Only one of"),
        ({"contents": [HI], "systemInstruction": HI}, UNKNOWN.format("systemInstruction")),
    ],
)
def test_the_gemini_api_wants_either_a_request_or_contents(
    google_url: str, body: object, message: str
) -> None:
    assert_google_refuses(post(google_url + GEMINI, body, GEMINI_KEY), message)


def assert_google_refuses(answer: httpx.Response, message: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert message in error["message"]


def count_by(url: str, body: dict[str, Any], bearer: Mapping[str, str], model: str) -> list[Any]:
    """Return the answers of the Gemini API and of Vertex to the same contents and tools."""
    inner = {"generateContentRequest": {"model": f"models/{model}", **body}}
    return [
        post(url + GEMINI.replace("gemini-2.5-flash", model), inner, GEMINI_KEY),
        post(url + VERTEX_GEMINI.replace("gemini-2.5-flash", model), body, bearer),
    ]


def answered(*media: dict[str, Any]) -> list[dict[str, Any]]:
    response = {**RESPONSE["parts"][0]["functionResponse"], "parts": list(media)}
    return [HI, CALL, {"role": "user", "parts": [{"functionResponse": response}]}]


FILE: Final = {"fileData": {"mimeType": "image/png", "fileUri": "gs://a/b.png"}}


def test_media_in_a_function_response_are_generation_3s_and_files_there_vertexs(
    google_url: str, bearer: dict[str, str]
) -> None:
    body = {"contents": answered(PICTURE)}
    for answer in count_by(google_url, body, bearer, "gemini-3.6-flash"):
        modalities = {detail["modality"] for detail in answer.json()["promptTokensDetails"]}
        assert modalities == {"IMAGE", "TEXT"}
    for model in ("gemini-1.5-pro", "gemini-2.5-flash"):
        on_gemini_api, on_vertex = count_by(google_url, body, bearer, model)
        assert_google_refuses(on_gemini_api, "Multimodal function responses are not supported")
        assert_google_refuses(on_vertex, "`function_response.parts` is not supported")
    by_file = {"contents": answered(FILE)}
    on_gemini_api, on_vertex = count_by(google_url, by_file, bearer, "gemini-3.6-flash")
    assert_google_refuses(on_gemini_api, UNKNOWN.format("fileData"))
    assert on_vertex.status_code == 200


@pytest.mark.parametrize("other", [{"text": "more"}, PICTURE, FILE])
def test_a_function_response_stands_alone_and_two_user_turns_may_follow_each_other(
    google_url: str, bearer: dict[str, str], other: dict[str, Any]
) -> None:
    beside: dict[str, Any] = {"role": "user", "parts": [*RESPONSE["parts"], other]}
    apart = {"contents": [HI, CALL, RESPONSE, {"role": "user", "parts": [other]}, HI]}
    for model in ("gemini-2.5-flash", "gemini-3.6-flash"):
        for answer in count_by(google_url, apart, bearer, model):
            assert answer.status_code == 200
    amid, ending = {"contents": [HI, CALL, beside, HI]}, {"contents": [HI, CALL, beside]}
    for answer in count_by(google_url, amid, bearer, "gemini-3.6-flash"):
        assert_google_refuses(answer, FUNCTION_PARTS)
    for answer in count_by(google_url, ending, bearer, "gemini-3.6-flash"):
        assert_google_refuses(answer, "Requests ending with a model turn are not supported.")


@pytest.mark.parametrize("other", [{"text": "more"}, PICTURE, FILE])
def test_before_generation_3_other_parts_may_stand_beside_a_single_function_response(
    google_url: str, bearer: dict[str, str], other: dict[str, Any]
) -> None:
    beside: dict[str, Any] = {"role": "user", "parts": [*RESPONSE["parts"], other]}
    for answer in count_by(
        google_url, {"contents": [HI, CALL, beside]}, bearer, "gemini-2.5-flash"
    ):
        assert answer.status_code == 200
    twice = {"role": "model", "parts": CALL["parts"] * 2}
    parallel = {"role": "user", "parts": [*RESPONSE["parts"] * 2, other]}
    for answer in count_by(
        google_url, {"contents": [HI, twice, parallel]}, bearer, "gemini-2.5-flash"
    ):
        assert_google_refuses(answer, FUNCTION_PARTS)


def test_only_the_models_calls_are_answered(google_url: str, bearer: dict[str, str]) -> None:
    for before in ({**CALL, "role": "user"}, HI):
        body = {"contents": [HI, before, RESPONSE]}
        for answer in count_by(google_url, body, bearer, "gemini-3.6-flash"):
            assert_google_refuses(answer, FUNCTION_PARTS)


@pytest.mark.parametrize("kind", ["codeExecution", "googleSearch", "urlContext"])
def test_a_built_in_tool_beside_functions_needs_consent_on_the_gemini_api(
    google_url: str, bearer: dict[str, str], kind: str
) -> None:
    body: dict[str, Any] = {"contents": [HI], "tools": [{"functionDeclarations": [FUNCTION]}]}
    both = {**body, "tools": [*body["tools"], {kind: {}}]}
    consent = {"toolConfig": {"includeServerSideToolInvocations": True}}
    without, on_vertex = count_by(google_url, both, bearer, "gemini-3.6-flash")
    assert_google_refuses(without, "Please enable tool_config.include_server_side_tool_invocations")
    assert on_vertex.status_code == 200
    consented, on_vertex = count_by(google_url, {**both, **consent}, bearer, "gemini-3.6-flash")
    assert consented.status_code == 200
    assert_google_refuses(on_vertex, UNKNOWN.format("toolConfig"))
    needless = count_by(google_url, {**body, **consent}, bearer, "gemini-3.6-flash")[0]
    assert_google_refuses(needless, "include_server_side_tool_invocations needs built-in tools")
    for older in (both, {**both, **consent}):
        refused = count_by(google_url, older, bearer, "gemini-2.5-flash")[0]
        assert_google_refuses(refused, "Tool use with function calling is unsupported")


def test_a_function_calling_config_needs_functions(google_url: str) -> None:
    config = {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}
    tools: list[dict[str, Any]] = [{"functionDeclarations": []}, {"urlContext": {}}]
    for some in (tools, tools[1:], []):
        body = {"contents": [HI], "tools": some, **config}
        refused = count_by(google_url, body, {}, "gemini-3.6-flash")[0]
        assert_google_refuses(refused, "config is set without function_declarations")


def test_generation_1_searches_by_another_name(google_url: str, bearer: dict[str, str]) -> None:
    for model, right, wrong in (
        ("gemini-1.5-pro", "googleSearchRetrieval", "googleSearch"),
        ("gemini-2.5-flash", "googleSearch", "googleSearchRetrieval"),
        ("gemini-3.6-flash", "googleSearch", "googleSearchRetrieval"),
    ):
        for answer in count_by(
            google_url, {"contents": [HI], "tools": [{right: {}}]}, bearer, model
        ):
            assert answer.status_code == 200
        for answer in count_by(
            google_url, {"contents": [HI], "tools": [{wrong: {}}]}, bearer, model
        ):
            assert_google_refuses(answer, "is not supported; please use google_search")


def test_a_signature_is_optional_not_counted_and_never_the_placeholders_base64(
    google_url: str, bearer: dict[str, str]
) -> None:
    placeholder = b"skip_thought_signature_validator"
    calls = [
        {"role": "model", "parts": [{**CALL["parts"][0], **signature}]}
        for signature in (
            {},
            {"thoughtSignature": placeholder.decode()},
            {"thoughtSignature": base64.b64encode(placeholder).decode()},
        )
    ]
    unsigned, signed, encoded = (
        count_by(google_url, {"contents": [HI, call, RESPONSE]}, bearer, "gemini-3.6-flash")
        for call in calls
    )
    for one, other in zip(unsigned, signed, strict=True):
        assert one.json()["totalTokens"] > 0
        assert one.json() == other.json()
    for answer in encoded:
        assert_google_refuses(answer, "Thought signature is not valid.")


def test_the_gemini_api_counts_tuned_models_and_gemma(google_url: str) -> None:
    for name in ("tunedModels/mine-1a", "models/gemma-4-31b-it"):
        path, body = f"{google_url}/v1beta/{name}:countTokens", {"contents": [HI]}
        assert post(path, body, GEMINI_KEY).json()["totalTokens"] == 2
        request = {"generateContentRequest": {"model": name, **body}}
        assert post(path, request, GEMINI_KEY).json()["totalTokens"] == 2
        other = {"generateContentRequest": {"model": f"models/{name.partition('/')[2]}x", **body}}
        assert_google_refuses(post(path, other, GEMINI_KEY), f"it has to be {name}, as in the path")
        # A tuned model is taken for one of the newest generation.
        newest = {"generateContentRequest": {"model": name, "contents": answered(PICTURE)}}
        assert post(path, newest, GEMINI_KEY).status_code == 200
    for name in (
        "tunedModels/does-not-exist",
        "tunedModels/A",
        "models/mine-1a",
        "gems/gemini-2.5",
    ):
        answer = post(f"{google_url}/v1beta/{name}:countTokens", {"contents": [HI]}, GEMINI_KEY)
        assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
        assert answer.json()["error"]["message"].startswith(f"{name} is not found")


def test_a_vertex_endpoint_has_a_number(google_url: str, bearer: dict[str, str]) -> None:
    body = {"contents": answered(PICTURE)}
    answer = post(google_url + ENDPOINT, body, bearer)
    assert answer.json()["totalTokens"] == count_gemini(body)
    assert answer.json()["totalBillableCharacters"] > 0
    assert post(google_url + ENDPOINT, body).status_code == 401
    assert_google_refuses(post(google_url + ENDPOINT, {"contents": []}, bearer), "at least one")
    unknown = post(google_url + ENDPOINT.replace("1234", "mine"), body, bearer)
    name = "projects/p/locations/us-east5/endpoints/mine"
    assert unknown.status_code == 404
    assert unknown.json()["error"]["message"] == f"Endpoint `{name}` not found."


def test_express_mode_is_by_its_key_and_every_other_path_of_vertex_is_not(
    google_url: str, bearer: dict[str, str]
) -> None:
    body = {"contents": [HI]}
    answer = post(google_url + EXPRESS, body, EXPRESS_KEY)
    assert answer.json()["totalTokens"] == count_gemini(body)
    assert answer.json()["totalBillableCharacters"] == 2
    wrong = post(google_url + EXPRESS, body, GEMINI_KEY)
    assert_google_refuses(wrong, "API key not valid. Please pass a valid API key.")
    assert wrong.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    service = wrong.json()["error"]["details"][0]["metadata"]["service"]
    assert service == "aiplatform.googleapis.com"
    url = f"{google_url}{EXPRESS}?key={EMULATED_EXPRESS_KEY}"
    assert_google_refuses(post(url, body, EXPRESS_KEY), "header only")
    for path, headers, message in (
        (EXPRESS, {}, "Request is missing required authentication credential."),
        (VERTEX_GEMINI, {}, "Request is missing required authentication credential."),
        (VERTEX_GEMINI, EXPRESS_KEY, "API keys are not supported by this API."),
        (ENDPOINT, EXPRESS_KEY, "API keys are not supported by this API."),
    ):
        error = post(google_url + path, body, headers).json()["error"]
        assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
        assert error["details"][0]["reason"] == "CREDENTIALS_MISSING"
        assert error["message"].startswith(message)
    assert post(google_url + VERTEX_GEMINI, body, {**EXPRESS_KEY, **bearer}).status_code == 200


def test_express_mode_checks_the_model_and_the_body(google_url: str) -> None:
    other = EXPRESS.replace("gemini-2.5-flash", "gemma-4-31b-it")
    error = post(google_url + other, {"contents": [HI]}, EXPRESS_KEY).json()["error"]
    assert error["status"] == "NOT_FOUND"
    assert "`publishers/google/models/gemma-4-31b-it` was not found" in error["message"]
    wrapped = {"generateContentRequest": {"contents": [HI]}}
    refused = post(google_url + EXPRESS, wrapped, EXPRESS_KEY)
    assert_google_refuses(refused, UNKNOWN.format("generateContentRequest"))
    refused = post(google_url + EXPRESS, {"contents": answered(PICTURE)}, EXPRESS_KEY)
    assert_google_refuses(refused, "`function_response.parts` is not supported")


def test_the_gemini_key_is_taken_in_its_header_only(google_url: str) -> None:
    for headers in ({"x-goog-api-key": "other"}, {}):
        error = post(google_url + GEMINI, {"contents": [HI]}, headers).json()["error"]
        assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
        assert error["details"][0]["reason"] == "API_KEY_INVALID"
    url = f"{google_url}{GEMINI}?key={EMULATED_GEMINI_KEY}"
    assert_google_refuses(post(url, {"contents": [HI]}, GEMINI_KEY), "header only")


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gemini-does-not-exist"])
def test_models_that_google_does_not_have_are_not_found(
    google_url: str, bearer: dict[str, str], model: str
) -> None:
    for path in (GEMINI, VERTEX_GEMINI):
        url = google_url + path.replace("gemini-2.5-flash", model)
        answer = post(url, {"contents": [HI]}, {**bearer, **GEMINI_KEY})
        assert answer.status_code == 404
        assert answer.json()["error"]["status"] == "NOT_FOUND"


def test_every_part_of_a_gemini_request_makes_its_count_grow() -> None:
    whole: dict[str, Any] = {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [{"role": "user", "parts": [{"text": "h"}, PICTURE]}, CALL, RESPONSE],
        "tools": [{"functionDeclarations": [FUNCTION]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }
    for name in ("systemInstruction", "tools", "toolConfig"):
        assert count_gemini(replace(whole, {name: None})) < count_gemini(whole)
    for index in range(3):
        contents = whole["contents"][:index] + whole["contents"][index + 1 :]
        assert count_gemini({**whole, "contents": contents}) < count_gemini(whole)
    without_picture = [{"role": "user", "parts": [{"text": "h"}]}, CALL, RESPONSE]
    assert count_gemini({**whole, "contents": without_picture}) < count_gemini(whole) - 85


def nest(levels: int, inside: str = '{"messages":[{"role":"user","content":[{}]}]}') -> bytes:
    block = '{"type":"a","b":' + "[" * levels + "]" * levels + "}"
    return inside.replace("{}", block).encode()


ODD: Final = [
    b"",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"9" * 5000,
    nest(100_000),
    *(nest(levels) for levels in (300, 700, 900, 950)),
    nest(900, '{"contents":[{"role":"user","parts":[{"functionCall":{"name":"f","args":{}}}]}]}'),
    b'{"model":[],"messages":{},"contents":"\\ud800","input":[],"generateContentRequest":1}',
    b'{"model":"\\ud800","messages":[{"role":"user","content":"\\ud800"}]}',
    b'{"model":"m","messages":[{"role":["user"],"content":1}],"tools":{"a":[1]}}',
    b'{"contents":[{"parts":[{"\\ud800":1}]}]}',
    b'{"contents":[{"parts":{"text":"\\ud800"},"role":"user"}],"tools":[[]]}',
    b'{"contents":[{"role":"user","parts":[{"text":"\\ud800"}]}]}',
    b'{"input":{"invokeModel":{"body":[1]}}}',
    b'{"input":{"invokeModel":{"body":"\\u00e9"}}}',
    *(
        json.dumps({"input": {"invokeModel": {"body": base64.b64encode(raw).decode()}}}).encode()
        for raw in (b"", b"[]", nest(100_000), nest(900), b'{"messages":[],"a":1}')
    ),
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_odd_input_is_refused_and_never_crashes(
    anthropic: str, bedrock: str, google_url: str, bearer: dict[str, str], number: int
) -> None:
    raw = ODD[number]
    claude, opus = (
        raw.replace(b'{"messages"', b'{"model":"%s","messages"' % model, 1)
        for model in (b"claude-a", OPUS.encode())
    )
    answers = [
        post(anthropic + COUNT, claude, {**VERSION, "x-api-key": EMULATED_KEY}),
        post(f"{bedrock}/model/{SONNET}/count-tokens", raw, KEY),
        post(f"{bedrock}/model/%ff%0a/count-tokens", raw, KEY),
        post(bedrock + ON_MANTLE, opus, {**VERSION, **KEY}),
        post(google_url + ON_VERTEX, claude, bearer),
        post(google_url + VERTEX_GEMINI, raw, bearer),
        post(google_url + GEMINI, raw, GEMINI_KEY),
        post(google_url + ENDPOINT, raw, bearer),
        post(google_url + EXPRESS, raw, EXPRESS_KEY),
        post(f"{google_url}/v1beta/%ff/%0a:countTokens", raw, GEMINI_KEY),
        post(f"{google_url}/token", raw, {"host": "["}),
    ]
    assert {answer.status_code for answer in answers} <= {200, 400, 404}


def test_googles_fields_are_those_of_its_discovery_document() -> None:
    """The emulator accepts no field that Google does not have."""
    library = pytest.importorskip("googleapiclient")
    documents = Path(library.__file__).parent / "discovery_cache" / "documents"
    schemas = json.loads((documents / "aiplatform.v1.json").read_text("utf-8"))["schemas"]
    for message, fields in VERTEX.items():
        real = schemas[f"GoogleCloudAiplatformV1{message or 'CountTokensRequest'}"]["properties"]
        assert fields.keys() <= real.keys(), message
