"""Requests to Vertex AI and the Gemini API, validated by Google's and Anthropic's schemas."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from count_tokens_mw import CannotCount
from count_tokens_mw.config.params.google import GeminiParams, VertexParams
from count_tokens_mw.protocol.request import parse_request, request_from_mapping
from count_tokens_mw.providers.claude.fields import NOT_INPUT
from count_tokens_mw.providers.google.credentials import GoogleTokens
from count_tokens_mw.providers.google.gemini import Gemini
from count_tokens_mw.providers.google.vertex import Vertex
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.types import Headers, UpstreamCall
from tests.providers.test_bedrock_wire import SHAPES
from tests.providers.test_bedrock_wire import prepare as bedrock
from tests.support.anthropic_judge import anthropic_judge
from tests.support.judges import gemini_judge, vertex_judge
from tests.support.requests import STANDARD, without_beta_fields

CLAUDE = "claude-3-5-sonnet-v2"
HELLO = STANDARD["text as a string"]
TRANSLATABLE = {name: body for name, body in STANDARD.items() if name != "built-in tools"}
"""Requests with a counterpart in Gemini."""
LEFT_OUT = {**dict.fromkeys(NOT_INPUT, 1), "anthropic_beta": []}


def vertex(body: dict[str, Any], model: str, headers: Headers = (), **params: Any) -> UpstreamCall:
    validated = VertexParams.model_validate(
        {"vertex_project": "my-project", "vertex_location": "us-east5", **params}
    )
    request = request_from_mapping({"model": model, **body}, headers)
    return Vertex(validated, HttpClient(), GoogleTokens(None)).prepare(request)


def gemini(body: dict[str, Any], model: str = "gemini-2.5-flash", **params: Any) -> UpstreamCall:
    validated = GeminiParams.model_validate({"api_key": "AIza-key", **params})
    request = request_from_mapping({"model": model, **body})
    return Gemini(validated, HttpClient()).prepare(request)


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_claude_on_vertex_is_sent_anthropics_body_with_its_model(body: dict[str, Any]) -> None:
    sent = json.loads(vertex({**body, **LEFT_OUT}, CLAUDE).body)
    assert sent.pop("anthropic_version") == "vertex-2023-10-16"
    assert sent == {"model": CLAUDE, **without_beta_fields(body)}
    anthropic_judge(sent)


@pytest.mark.parametrize("body", TRANSLATABLE.values(), ids=TRANSLATABLE)
def test_googles_schemas_accept_what_both_gemini_apis_are_sent(body: dict[str, Any]) -> None:
    flat = json.loads(vertex(body, "gemini-2.5-flash").body)
    vertex_judge(flat, model="gemini-2.5-flash")
    assert flat.keys() <= {"contents", "systemInstruction", "tools", "generationConfig"}
    wrapped = json.loads(gemini(body).body)
    assert wrapped.keys() == {"generateContentRequest"}
    content = wrapped["generateContentRequest"]
    gemini_judge(content)
    assert content.pop("model") == "models/gemini-2.5-flash"
    content.pop("toolConfig", None)
    assert content == flat


@pytest.mark.parametrize(
    ("location", "counts_at", "host"),
    [
        ("us-east5", None, "us-east5-aiplatform.googleapis.com"),
        ("global", None, "aiplatform.googleapis.com"),
        ("us", None, "aiplatform.us.rep.googleapis.com"),
        ("eu", None, "aiplatform.eu.rep.googleapis.com"),
        ("global", "europe-west1", "europe-west1-aiplatform.googleapis.com"),
        (None, "us-east5", "us-east5-aiplatform.googleapis.com"),
    ],
)
def test_the_host_is_that_of_the_location_where_tokens_are_counted(
    location: str | None, counts_at: str | None, host: str
) -> None:
    """Not every location with inference has counting: litellm 18665, 20348, 23907."""
    locations: dict[str, Any] = {
        "vertex_location": location,
        "vertex_count_tokens_location": counts_at,
    }
    where = f"https://{host}/v1/projects/my-project/locations/{counts_at or location}"
    claude = vertex(HELLO, CLAUDE, **locations).target
    assert claude == f"{where}/publishers/anthropic/models/count-tokens:rawPredict"
    flash = vertex(HELLO, "gemini-2.5-flash", **locations).target
    assert flash == f"{where}/publishers/google/models/gemini-2.5-flash:countTokens"


def test_without_any_location_the_configuration_is_refused() -> None:
    with pytest.raises(ValidationError, match="set it or vertex_count_tokens_location"):
        VertexParams.model_validate({"vertex_project": "p"})


@pytest.mark.parametrize(
    "base", ["https://h:8443/proxy", "https://h:8443/proxy/", "https://h:8443/proxy/v1"]
)
def test_api_base_replaces_scheme_and_host(base: str) -> None:
    assert vertex(HELLO, CLAUDE, api_base=base).target.startswith("https://h:8443/proxy/v1/proj")
    target = gemini(HELLO, api_base=base.replace("/v1", "/v1beta")).target
    assert target == "https://h:8443/proxy/v1beta/models/gemini-2.5-flash:countTokens"


@pytest.mark.parametrize(
    ("model", "strip", "sent"),
    [
        ("claude-sonnet-4-5@20250929", False, "claude-sonnet-4-5@20250929"),
        ("claude-sonnet-4-5@20250929", True, "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", None, "claude-sonnet-4-5"),
        ("claude-opus-4-6@default", None, "claude-opus-4-6"),
        ("claude-opus-4-6@latest", None, "claude-opus-4-6"),
        ("claude-opus-4-6@default", False, "claude-opus-4-6@default"),
        ("claude-opus-4-8", True, "claude-opus-4-8"),
    ],
)
def test_a_models_version_is_removed_unless_it_is_configured_to_stay(
    model: str, strip: bool | None, sent: str
) -> None:
    """Token counting supports no version: litellm 25798."""
    more: dict[str, Any] = {} if strip is None else {"strip_version": strip}
    assert json.loads(vertex(HELLO, model, **more).body)["model"] == sent


BETAS = (
    ("anthropic-beta", "context-1m-2025-08-07,web-search-2025-03-05"),
    ("anthropic-version", "2026-10-21"),
)


@pytest.mark.parametrize(
    ("forward", "sent", "omitted"),
    [
        ({"forward_beta": False}, None, ("context-1m-2025-08-07", "web-search-2025-03-05")),
        ({"forward_beta": True}, "context-1m-2025-08-07,web-search-2025-03-05", ()),
        ({"forward_beta": "auto"}, "context-1m-2025-08-07", ("web-search-2025-03-05",)),
        ({}, "context-1m-2025-08-07", ("web-search-2025-03-05",)),
    ],
)
def test_vertex_gets_the_betas_that_it_is_not_known_to_refuse(
    forward: dict[str, Any], sent: str | None, omitted: tuple[str, ...]
) -> None:
    """Vertex rejects a request for one unknown beta: litellm 39597."""
    call = vertex(HELLO, CLAUDE, BETAS, **forward)
    headers = dict(call.headers)
    assert headers.get("anthropic-beta") == sent
    assert call.omitted == tuple(f"anthropic-beta:{name}" for name in omitted)
    assert "anthropic-version" not in headers


@pytest.mark.parametrize(
    "model",
    [
        *("mistral-large@2407", "meta/llama-4", "text-bison", "claude/../x", "gemini x"),
        *("gemma/gemma-3-12b-it", "endpoints/12a", "endpoints/", "projects/p/endpoints/1"),
    ],
)
def test_other_publishers_and_names_that_are_none_cannot_be_counted(model: str) -> None:
    with pytest.raises(CannotCount):
        vertex(HELLO, model)


@pytest.mark.parametrize(
    ("model", "resource"),
    [
        ("gemini-2.5-flash", "models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "models/gemini-2.5-flash"),
        ("gemma-4-31b-it", "models/gemma-4-31b-it"),
        ("tunedModels/mine-4x7", "tunedModels/mine-4x7"),
    ],
)
def test_the_gemini_api_counts_by_a_models_resource_name(model: str, resource: str) -> None:
    call = gemini(HELLO, model)
    assert call.target.endswith(f"/v1beta/{resource}:countTokens")
    content = json.loads(call.body)["generateContentRequest"]
    assert content["model"] == resource
    gemini_judge(content)


PUBLISHED = "/v1/projects/my-project/locations/us-east5/publishers/google/models"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", f"{PUBLISHED}/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", f"{PUBLISHED}/gemini-2.5-flash"),
        ("gemini/gemini-2.5-flash", f"{PUBLISHED}/gemini-2.5-flash"),
        ("publishers/google/models/gemini-3.6-flash", f"{PUBLISHED}/gemini-3.6-flash"),
        ("gemini/4965075652664360960", "/us-east5/endpoints/4965075652664360960"),
        ("4965075652664360960", "/us-east5/endpoints/4965075652664360960"),
        ("endpoints/4965075652664360960", "/us-east5/endpoints/4965075652664360960"),
    ],
)
def test_vertex_counts_by_a_model_or_by_a_tuned_ones_endpoint(model: str, path: str) -> None:
    assert vertex(HELLO, model).target.endswith(f"{path}:countTokens")


WITH_MEDIA = STANDARD["a tool result"]


@pytest.mark.parametrize(
    ("model", "base_model", "has_media"),
    [
        ("gemini-2.5-flash", None, False),
        ("gemini-3.6-flash", None, True),
        ("123", None, True),
        ("123", "vertex_ai/gemini-2.5-flash", False),
        ("gemini/123", "gemini-2.0-flash-001", False),
    ],
)
def test_the_base_model_tells_the_generation_of_a_tuned_one(
    model: str, base_model: str | None, has_media: bool
) -> None:
    body = json.loads(vertex(WITH_MEDIA, model, base_model=base_model).body)
    assert ("parts" in body["contents"][2]["parts"][0]["functionResponse"]) is has_media
    tuned = gemini(WITH_MEDIA, "tunedModels/mine", base_model=base_model or model)
    content = json.loads(tuned.body)["generateContentRequest"]
    assert ("parts" in content["contents"][2]["parts"][0]["functionResponse"]) is has_media


def test_express_mode_counts_by_a_key_without_a_project() -> None:
    params = VertexParams.model_validate({"api_key": "AQ.express"})
    provider = Vertex(params, HttpClient())
    call = provider.prepare(request_from_mapping({"model": "gemini-2.5-flash", **HELLO}))
    base = "https://aiplatform.googleapis.com/v1/publishers/google/models"
    assert call.target == f"{base}/gemini-2.5-flash:countTokens"
    assert dict(call.headers)["x-goog-api-key"] == "AQ.express"
    vertex_judge(json.loads(call.body), model="gemini-2.5-flash")
    assert "AQ.express" not in repr(call)
    assert "AQ.express" not in repr(params)


def test_express_mode_counts_no_claude_and_no_tuned_model() -> None:
    provider = Vertex(VertexParams.model_validate({"api_key": "AQ.express"}), HttpClient())
    for model in ("claude-opus-4-8", "gemini/123"):
        with pytest.raises(CannotCount, match="set vertex_location"):
            provider.prepare(request_from_mapping({"model": model, **HELLO}))


def test_with_a_location_claude_and_tuned_models_are_counted_in_the_project() -> None:
    where = "https://us-east5-aiplatform.googleapis.com/v1/projects/my-project/"
    for model in (CLAUDE, "123"):
        call = vertex(HELLO, model, api_key="AQ.express")
        assert call.target.startswith(where)
        assert "x-goog-api-key" not in dict(call.headers)


def test_configured_credentials_are_used_rather_than_a_key() -> None:
    call = vertex(
        HELLO, "gemini-2.5-flash", api_key="AQ.x", vertex_credentials={"type": "service_account"}
    )
    assert "/projects/my-project/" in call.target
    assert "x-goog-api-key" not in dict(call.headers)


@pytest.mark.parametrize(
    ("setting", "signatures"),
    [({}, 0), ({"thought_signatures": "none"}, 0), ({"thought_signatures": "placeholder"}, 1)],
)
def test_the_placeholder_of_a_signature_is_a_setting(
    setting: dict[str, Any], signatures: int
) -> None:
    calls = [
        gemini(WITH_MEDIA, "gemini-3.6-flash", **setting),
        vertex(WITH_MEDIA, "gemini-3.6-flash", **setting),
    ]
    for call in calls:
        sent = b'"thoughtSignature":"skip_thought_signature_validator"'
        assert call.body.count(sent) == signatures
    assert gemini(WITH_MEDIA, "gemini-2.5-flash", **setting).body.count(b"thoughtSignature") == 0


@pytest.mark.parametrize(
    "model",
    [
        *("gemini-2.5-flash/../x", "tuned models", "a:b", "models/", "models/models/x", "/x"),
        *("cachedContents/x", "tunedModels/..", "models/x?y", "x\n"),
    ],
)
def test_a_name_that_would_change_the_url_cannot_be_counted(model: str) -> None:
    with pytest.raises(CannotCount):
        gemini(HELLO, model)


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_a_schema_of_the_output_is_said_so_that_gemini_counts_what_it_counts(field: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    output: Any = {"type": "json_schema", "schema": schema}
    body = {**HELLO, field: {"format": output} if field == "output_config" else output}
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert json.loads(vertex(body, "gemini-x").body)["generationConfig"] == config
    content = json.loads(gemini(body).body)["generateContentRequest"]
    assert content["generationConfig"] == config


@pytest.mark.parametrize(
    "more",
    [
        {"container": {"skills": [{"skill_id": "pptx"}]}},
        {"field_of_next_year": 1},
        {
            "tools": [*STANDARD["tools"]["tools"], *STANDARD["server tools"]["tools"]],
            "tool_choice": {"type": "tool", "name": "web_search"},
        },
    ],
)
def test_a_field_that_may_be_input_is_not_left_out_silently(more: dict[str, Any]) -> None:
    with pytest.raises(CannotCount):
        gemini({**HELLO, **more})


def test_an_unknown_project_is_left_for_the_default_credentials_to_tell() -> None:
    target = vertex(HELLO, CLAUDE, vertex_project=None).target
    assert "/projects/{project}/locations/" in target


@pytest.mark.parametrize("as_text", [True, False])
def test_the_project_is_that_of_the_credentials_where_none_is_configured(as_text: bool) -> None:
    info = {"type": "service_account", "project_id": "of-the-key"}
    credentials = json.dumps(info) if as_text else info
    call = vertex(HELLO, CLAUDE, vertex_project=None, vertex_credentials=credentials)
    assert "/projects/of-the-key/" in call.target


def test_the_key_of_the_gemini_api_is_in_its_header_alone() -> None:
    """A key in the query string ends up in logs and in the text of exceptions."""
    call = gemini(HELLO)
    assert dict(call.headers)["x-goog-api-key"] == "AIza-key"
    assert "AIza-key" not in call.target
    assert "AIza-key" not in repr(call)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "-0", "1.0e2", "12345678901234567890123"])
def test_a_number_reaches_gemini_as_the_caller_wrote_it(number: str) -> None:
    """Python parses some as infinity, and would write others differently."""
    raw = (
        '{"model": "gemini-x", "messages": [{"role": "user", "content": "a"},'
        ' {"role": "assistant", "content": [{"type": "tool_use", "id": "i", "name": "n",'
        ' "input": {"x": ' + number + "}}]}]}"
    )
    provider = Gemini(GeminiParams.model_validate({"api_key": "k"}), HttpClient())
    assert (
        b'"args":{"x": %b}' % number.encode() in provider.prepare(parse_request(raw.encode())).body
    )


@pytest.mark.parametrize("part", ["system", "tools", "an image", "a tool result"])
def test_what_a_part_of_the_request_says_changes_what_every_provider_is_sent(part: str) -> None:
    with_part: dict[str, dict[str, Any]] = {
        "system": STANDARD["system as a string"],
        "tools": STANDARD["tools"],
        "an image": STANDARD["an image"],
        "a tool result": STANDARD["a tool result"],
    }
    body = with_part[part]
    without = {
        "system": {key: value for key, value in body.items() if key != "system"},
        "tools": {key: value for key, value in body.items() if key != "tools"},
        "an image": {"messages": [{"role": "user", "content": body["messages"][0]["content"][1:]}]},
        "a tool result": {**body, "messages": body["messages"][:1]},
    }[part]
    prepares: list[Callable[[dict[str, Any]], UpstreamCall | None]] = [
        lambda body: vertex(body, CLAUDE),
        lambda body: vertex(body, "gemini-2.5-flash"),
        gemini,
        bedrock,
        lambda body: bedrock(body, count_tokens_via="mantle"),
    ]
    for prepare in prepares:
        whole, reduced = prepare(body), prepare(without)
        assert whole is not None
        assert reduced is not None
        assert whole.body != reduced.body
