"""Requests to Bedrock, validated by botocore's service model and the `anthropic` SDK's types."""

import base64
import json
from typing import Any
from urllib.parse import unquote, urlsplit

import botocore.session
import pytest
from botocore.model import OperationModel, ServiceModel
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from hypothesis import given, settings

from count_tokens_mw import CannotCount
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.bedrock.provider import Bedrock
from count_tokens_mw.providers.claude.betas import BETAS
from count_tokens_mw.providers.claude.fields import NOT_INPUT
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.types import Headers, UpstreamCall
from tests.support.anthropic_judge import anthropic_judge
from tests.support.invented import INVENTED
from tests.support.requests import STANDARD, without_beta_fields
from tests.support.translated_shapes import OWN

# Anthropic's own types allow a result to omit its content, but not a null content.
SHAPES = {
    name: body for name, body in {**STANDARD, **OWN}.items() if name != "own: result of nothing"
}
MODEL = "anthropic.claude-3-5-sonnet-20241022-v2:0"
LEFT_OUT = {**dict.fromkeys(NOT_INPUT, 1), "anthropic_beta": []}


def params(**more: Any) -> BedrockParams:
    return BedrockParams.model_validate({"aws_region_name": "us-west-2", **more})


def prepare(
    body: dict[str, Any], headers: Headers = (), model: str = MODEL, **more: Any
) -> UpstreamCall:
    request = request_from_mapping({"model": model, **body}, headers)
    return Bedrock(params(**more), HttpClient()).prepare(request)


def blob(call: UpstreamCall) -> bytes:
    """Return the body of InvokeModel in a call to the runtime."""
    return base64.b64decode(json.loads(call.body)["input"]["invokeModel"]["body"], validate=True)


@pytest.fixture(scope="module")
def operation() -> OperationModel:
    service: ServiceModel = botocore.session.get_session().get_service_model("bedrock-runtime")
    return service.operation_model("CountTokens")


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_botocores_service_model_accepts_the_call_and_the_sdks_type_its_body(
    operation: OperationModel, body: dict[str, Any]
) -> None:
    call = prepare({**body, **LEFT_OUT})
    sent = {"modelId": MODEL, "input": {"invokeModel": {"body": blob(call)}}}
    report = ParamValidator().validate(sent, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    request = create_serializer("rest-json").serialize_to_request(sent, operation)
    assert unquote(request["url_path"]) == urlsplit(call.target).path
    assert request["body"] == call.body
    inner = json.loads(blob(call))
    assert inner.pop("anthropic_version") == "bedrock-2023-05-31"
    budget = body.get("thinking", {}).get("budget_tokens", 0)
    assert inner.pop("max_tokens") == budget + 1
    assert inner == without_beta_fields(body)
    anthropic_judge({"model": MODEL, **inner})


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_the_sdks_type_accepts_what_mantle_is_sent(body: dict[str, Any]) -> None:
    mantle = prepare({**body, **LEFT_OUT, "user_profile_id": "up_1"}, count_tokens_via="mantle")
    sent = json.loads(mantle.body)
    assert sent.pop("user_profile_id") == "up_1"
    assert sent == {"model": MODEL, **without_beta_fields(body)}
    anthropic_judge(sent)


def with_anthropic_types(value: Any) -> Any:
    """Return a generated request with object schemas, and without null contents."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if (key, item) != ("content", None)}
        return {
            key: {**item, "type": "object"} if key == "input_schema" else with_anthropic_types(item)
            for key, item in kept.items()
        }
    return [with_anthropic_types(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=50, deadline=None)
@given(INVENTED)
def test_the_schemas_accept_invented_conversations(
    operation: OperationModel, generated: dict[str, Any]
) -> None:
    body = with_anthropic_types(generated)
    call = prepare({**body, **LEFT_OUT})
    sent = {"modelId": MODEL, "input": {"invokeModel": {"body": blob(call)}}}
    assert not ParamValidator().validate(sent, operation.input_shape).has_errors()
    inner = json.loads(blob(call))
    assert inner.pop("anthropic_version")
    assert inner.pop("max_tokens") == 1
    anthropic_judge({"model": MODEL, **inner})
    anthropic_judge(json.loads(prepare(body, count_tokens_via="mantle").body))
    assert inner == body


def test_mantle_gets_the_callers_headers_and_a_version() -> None:
    call = prepare(STANDARD["tools"], (("anthropic-beta", "a"),), count_tokens_via="mantle")
    region = "https://bedrock-mantle.us-west-2.api.aws"
    assert call.target == f"{region}/anthropic/v1/messages/count_tokens"
    assert dict(call.headers) == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "a",
    }


@pytest.mark.parametrize(
    "endpoint",
    ["https://h/anthropic", "https://h/anthropic/", "https://h/anthropic/v1/messages"],
)
def test_mantles_endpoint_can_be_configured(endpoint: str) -> None:
    body = STANDARD["tools"]
    call = prepare(body, aws_bedrock_mantle_endpoint=endpoint, count_tokens_via="mantle")
    assert call.target == "https://h/anthropic/v1/messages/count_tokens"


def test_only_the_configured_api_is_prepared_for() -> None:
    runtime = prepare(STANDARD["tools"], count_tokens_via="runtime")
    assert runtime.target.startswith("https://bedrock-runtime.")
    mantle = prepare(STANDARD["tools"], count_tokens_via="mantle")
    assert mantle.target.startswith("https://bedrock-mantle.")


@pytest.mark.parametrize(
    ("header", "configured", "sent"),
    [
        (None, None, None),
        ("context-1m-2025-08-07", None, ["context-1m-2025-08-07"]),
        (
            "beta-of-2027, pdfs-2024-09-25,oauth-2025-04-20",
            None,
            ["beta-of-2027", "pdfs-2024-09-25"],
        ),
        ("advanced-tool-use-2025-11-20", None, ["tool-search-tool-2025-10-19"]),
        (
            "tool-search-tool-2025-10-19,advanced-tool-use-2025-11-20",
            None,
            ["tool-search-tool-2025-10-19"],
        ),
        ("beta-of-2027,pdfs-2024-09-25", ["beta-of-2027"], ["beta-of-2027"]),
        ("pdfs-2024-09-25", [], None),
        (",".join(BETAS["runtime"].taken), None, list(BETAS["runtime"].taken)),
        (",".join(BETAS["runtime"].refused), None, None),
    ],
)
def test_betas_that_the_runtime_takes_are_in_the_body(
    header: str | None, configured: list[str] | None, sent: list[str] | None
) -> None:
    headers = (("anthropic-beta", header),) if header else ()
    more: dict[str, Any] = {} if configured is None else {"bedrock_betas": configured}
    body = json.loads(blob(prepare(STANDARD["tools"], headers, **more)))
    assert body.get("anthropic_beta") == sent


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        f"converse/{MODEL}",
        f"invoke/{MODEL}",
        f"us-east-1/{MODEL}",
        f"us-gov-west-1/{MODEL}",
        f"invoke/us-east-1/{MODEL}",
        *(f"{area}.{MODEL}" for area in ("us", "eu", "apac", "jp", "au", "ca", "global", "us-gov")),
        f"converse/eu.{MODEL}",
        f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}",
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{MODEL}",
        f"arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.{MODEL}",
    ],
)
def test_only_the_base_models_id_is_counted_for(model: str) -> None:
    """CountTokens rejects any other id: litellm 34272, Portkey 1437, pydantic-ai 4001."""
    assert params().countable_model(model) == MODEL
    runtime = "https://bedrock-runtime.us-west-2.amazonaws.com"
    assert prepare(STANDARD["tools"], model=model).target == f"{runtime}/model/{MODEL}/count-tokens"


PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (PROFILE, {"base_model": f"bedrock/us.{MODEL}"}),
        (PROFILE, {"count_tokens_model": MODEL, "base_model": "anthropic.claude-other"}),
        ("us.anthropic.claude-opus-4-8", {"count_tokens_model": f"us.{MODEL}"}),
    ],
)
def test_an_arn_or_an_explicit_model_is_mapped_by_configuration(
    model: str, more: dict[str, str]
) -> None:
    assert params(**more).countable_model(model) == MODEL


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PROFILE, "set model_info.base_model"),
        ("amazon.nova-pro-v1:0", "only for Anthropic's models, not amazon.nova-pro-v1:0"),
        ("us.meta.llama3-1-70b-instruct-v1:0", "only for Anthropic's models"),
        ("anthropic.claude/../../x", "only for Anthropic's models"),
        ("anthropic.claude x", "only for Anthropic's models"),
        ("", "only for Anthropic's models"),
    ],
)
def test_what_cannot_be_counted_is_refused_before_any_call(model: str, message: str) -> None:
    with pytest.raises(CannotCount, match=message):
        params().countable_model(model)


def test_a_base_model_matters_to_arns_alone() -> None:
    """LiteLLM's users set it for prices, and under other providers' names."""
    assert params(base_model="claude-3-5-sonnet").countable_model(MODEL) == MODEL
