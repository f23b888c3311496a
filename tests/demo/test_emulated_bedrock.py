"""The emulated Bedrock under the host names of its regions, and mantle's own ids."""

import json
from typing import Any, Final

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette

from demo_app.emulators import (
    EMULATED_ACCESS_KEY_ID,
    EMULATED_BEDROCK_API_KEY,
    EMULATED_SECRET_ACCESS_KEY,
    MANTLE_REGIONS,
    count,
    emulated_bedrock,
    emulated_runtime,
)

PATH: Final = "/anthropic/v1/messages/count_tokens"
BODY: Final[dict[str, Any]] = {
    "model": "anthropic.claude-opus-5-5",
    "messages": [{"role": "user", "content": "Hello, Claude"}],
}
HEADERS: Final = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
KEY: Final = {"authorization": f"Bearer {EMULATED_BEDROCK_API_KEY}"}


def sign(url: str, raw: bytes, service: str, region: str) -> dict[str, str]:
    keys = Credentials(EMULATED_ACCESS_KEY_ID, EMULATED_SECRET_ACCESS_KEY)
    request = AWSRequest("POST", url, headers=HEADERS, data=raw)
    SigV4Auth(keys, service, region).add_auth(request)
    return dict(request.headers.items())


async def post(app: Starlette, url: str, body: object, headers: dict[str, str]) -> httpx.Response:
    raw = json.dumps(body).encode()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        return await client.post(url, content=raw, headers={**HEADERS, **headers})


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "us-west-2"])
async def test_a_signature_is_for_the_region_of_the_host(region: str) -> None:
    app = emulated_bedrock()
    url = f"https://bedrock-mantle.{region}.api.aws{PATH}"
    for signed_for in {region, "us-east-1", "us-west-2"}:
        headers = sign(url, json.dumps(BODY).encode(), "bedrock-mantle", signed_for)
        answer = await post(app, url, BODY, headers)
        assert answer.status_code == (200 if signed_for == region else 403), signed_for


@pytest.mark.parametrize(
    ("region", "model", "status"),
    [
        ("us-east-1", "anthropic.claude-mythos-preview", 200),
        ("us-west-2", "anthropic.claude-mythos-preview", 404),
        ("us-west-2", "anthropic.claude-haiku-4-5", 200),
        ("us-west-2", "anthropic.claude-haiku-4-5-20251001-v1:0", 404),
        ("us-west-2", "us.anthropic.claude-opus-5-5", 404),
        ("us-gov-west-1", "anthropic.claude-opus-5-5", 200),
        ("us-gov-west-1", "anthropic.claude-opus-4-8", 404),
        ("us-west-2", "claude-opus-5-5", 400),
        ("us-west-1", "anthropic.claude-opus-5-5", 404),
    ],
)
async def test_mantle_has_ids_of_its_own_in_each_region(
    region: str, model: str, status: int
) -> None:
    url = f"https://bedrock-mantle.{region}.api.aws{PATH}"
    answer = await post(emulated_bedrock(), url, {**BODY, "model": model}, KEY)
    assert answer.status_code == status
    assert "us-west-1" not in MANTLE_REGIONS
    if status != 200:
        assert answer.json()["error"]["type"] in ("invalid_request_error", "not_found_error")
        assert model in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "headers", "message"),
    [
        ({"user_profile_id": "uprof_1"}, {"anthropic-workspace-id": "my-project"}, None),
        ({"user_profile_id": 1}, {}, "user_profile_id: Input should be a valid string"),
        ({"workspace_id": "w"}, {}, "workspace_id: Extra inputs are not permitted"),
        ({}, {"anthropic-user-profile-id": "uprof_1"}, "reads user_profile_id only"),
    ],
)
async def test_mantle_reads_the_user_profile_in_the_body_and_the_project_in_a_header(
    change: dict[str, Any], headers: dict[str, str], message: str | None
) -> None:
    url = f"https://bedrock-mantle.us-west-2.api.aws{PATH}"
    answer = await post(emulated_bedrock(), url, {**BODY, **change}, {**KEY, **headers})
    if message is None:
        assert answer.json() == {"input_tokens": count(BODY)}
    else:
        assert answer.status_code == 400
        assert message in answer.json()["error"]["message"]


async def test_the_runtimes_messages_api_counts_only_where_it_is_turned_on() -> None:
    url = f"https://bedrock-runtime.eu-west-1.amazonaws.com{PATH}"
    unknown = await post(emulated_runtime(), url, BODY, KEY)
    assert unknown.status_code == 404
    assert "UnknownOperation" in unknown.text
    app = emulated_runtime(messages=True)
    for service, status in (("bedrock", 200), ("bedrock-mantle", 403)):
        headers = sign(url, json.dumps(BODY).encode(), service, "eu-west-1")
        assert (await post(app, url, BODY, headers)).status_code == status
    counted = await post(app, url, BODY, KEY)
    assert counted.json() == {"input_tokens": count(BODY)}
    other = await post(app, url, {**BODY, "model": "amazon.nova-pro-v1:0"}, KEY)
    assert other.json()["error"]["message"] == "model: amazon.nova-pro-v1:0"
    assert other.status_code == 404


async def test_the_runtime_alone_counts_too() -> None:
    url = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-sonnet-4-6"
    answer = await post(emulated_runtime(), f"{url}/count-tokens", {}, KEY)
    assert answer.json() == {
        "message": "input: exactly one of invokeModel and converse is required."
    }
