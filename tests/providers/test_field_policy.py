"""Fields and betas of requests to Claude's upstreams: small requests from public reports."""

import base64
import json
from typing import Any, get_args

import pytest

from count_tokens_mw import InvalidRequest
from count_tokens_mw.config.params.anthropic import AnthropicParams, AzureParams, PassthroughParams
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.params.google import VertexParams
from count_tokens_mw.protocol.request import parse_request, request_from_mapping
from count_tokens_mw.providers.anthropic import create
from count_tokens_mw.providers.bedrock.provider import Bedrock
from count_tokens_mw.providers.claude.fields import NOT_INPUT, RULES, Treatment, Upstream
from count_tokens_mw.providers.google.vertex import Vertex
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.types import CountRequest, UpstreamCall
from tests.support.gemini import translate

CLAUDE_ON_BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HI = {"messages": [{"role": "user", "content": "hi"}]}
ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1.38.abc; cc_entrypoint=cli; cch=00000;"
UPSTREAMS = get_args(Upstream)
CLOUDS = ("runtime", "mantle", "vertex")


def call_for(upstream: str, request: CountRequest) -> UpstreamCall:
    http = HttpClient()
    match upstream:
        case "anthropic":
            params = AnthropicParams.model_validate({"api_key": "k"})
            return create(params, http).prepare(request)
        case "foundry":
            azure = {"api_key": "k", "api_base": "https://r.services.ai.azure.com/anthropic"}
            return create(AzureParams.model_validate(azure), http).prepare(request)
        case "passthrough":
            return create(PassthroughParams.model_validate({"api_key": "k"}), http).prepare(request)
        case "vertex":
            vertex = {"vertex_location": "us-east5", "vertex_project": "p"}
            return Vertex(VertexParams.model_validate(vertex), http).prepare(
                request.for_model("claude-sonnet-4-5")
            )
    bedrock = {"aws_region_name": "us-west-2", "count_tokens_via": upstream}
    return Bedrock(BedrockParams.model_validate(bedrock), http).prepare(
        request.for_model(CLAUDE_ON_BEDROCK)
    )


def sent_by(call: UpstreamCall) -> dict[str, Any]:
    """Return the body that the model would see, whatever wraps it."""
    body = json.loads(call.body)
    if "input" in body:
        body = json.loads(base64.b64decode(body["input"]["invokeModel"]["body"]))
    assert isinstance(body, dict)
    return body


def prepared(
    upstream: str, body: dict[str, Any], betas: str | None = None
) -> tuple[dict[str, Any], list[str], tuple[str, ...]]:
    """Return the body that is sent, the betas that are sent, and the places left out."""
    headers = (("anthropic-beta", betas),) if betas is not None else ()
    call = call_for(upstream, request_from_mapping({"model": "m", **body}, headers))
    sent = sent_by(call)
    line = dict(call.headers).get("anthropic-beta", "")
    return (
        sent,
        sent.get("anthropic_beta", [name for name in line.split(",") if name]),
        call.omitted,
    )


# K4: no input


@pytest.mark.parametrize("upstream", [*UPSTREAMS, "foundry"])
@pytest.mark.parametrize(
    "fields",
    [
        {
            "inference_geo": "us",
            "fallbacks": "default",
            "fallback_credit_token": "t",
            "diagnostics": {"previous_message_id": "m"},
        },
        {"temperature": 1, "top_k": 1, "top_p": 0.5, "user": "u"},
        {"workspace_id": "w", "user_profile_id": "p", "anthropic_version": "2023-06-01"},
        {"litellm_metadata": {"a": 1}, "safety_identifier": "s", "stream": True},
        dict.fromkeys(NOT_INPUT),
        {"container": None, "thread": None},
    ],
)
def test_what_is_no_input_is_left_out_without_a_word(upstream: str, fields: dict[str, Any]) -> None:
    sent, _, omitted = prepared(upstream, {**HI, **fields})
    own = {"anthropic_version", "max_tokens"} if upstream in {"runtime", "vertex"} else set()
    own |= {"user_profile_id"} if upstream == "mantle" and fields.get("user_profile_id") else set()
    assert set(sent) - {"model", "messages"} - own == set()
    assert omitted == ()


@pytest.mark.parametrize("upstream", [*UPSTREAMS, "foundry"])
@pytest.mark.parametrize(
    "fields",
    [
        {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}},
        {"thread": {"id": "thread_1"}},
        {"field_of_2027": {"x": [1]}},
        {"system": None},
        {"tools": None, "thinking": None},
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        {"mcp_servers": [{"type": "url", "name": "n", "url": "https://h"}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}, "of_2027": {"a": 1}}]},
        {"messages": [{"role": "user", "content": [{"type": "hologram", "x": 1}]}]},
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "system", "clear_at": "never", "output_config": {"task_budget": 1}},
            ]
        },
    ],
)
def test_what_is_input_or_unknown_passes_and_the_upstream_decides(
    upstream: str, fields: dict[str, Any]
) -> None:
    sent, _, omitted = prepared(upstream, {**HI, **fields})
    assert {name: sent[name] for name in fields} == fields
    assert omitted == ()


@pytest.mark.parametrize("upstream", [*UPSTREAMS, "foundry", "gemini", "passthrough"])
@pytest.mark.parametrize(
    "fields",
    [
        {"user": "NAME"},
        {"metadata": {"user_id": "NAME", "tags": ["NAME"]}},
        {"metadata": json.dumps({"user_id": "NAME"})},
        {"litellm_metadata": {"user": "NAME", "tags": ["NAME"]}},
        {"safety_identifier": "NAME"},
    ],
)
def test_only_the_pass_through_sends_the_bodys_names(upstream: str, fields: dict[str, Any]) -> None:
    request = request_from_mapping({"model": "m", **HI, **fields})
    if upstream == "gemini":
        sent = json.dumps(translate({**HI, **fields}))
    else:
        call = call_for(upstream, request)
        sent = json.dumps(sent_by(call)) + repr(call.headers) + call.target
    assert ("NAME" in sent) is (upstream == "passthrough")
    assert any(request.attribution)


def test_the_pass_through_sends_every_byte() -> None:
    raw = b'{ "model":"m", "messages" :[], "user":1, "anthropic_beta":["b"], "container":null}'
    assert call_for("passthrough", parse_request(raw)).body == raw


def test_the_table_has_a_reason_for_each_row_and_each_row_once() -> None:
    assert len({rule.field for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.why
        columns = {getattr(rule, upstream) for upstream in UPSTREAMS}
        assert columns <= set(get_args(Treatment))
        assert ("with its beta" in columns) == bool(rule.beta)


# K5: the cloud's own rules


@pytest.mark.parametrize(
    ("thinking", "least"),
    [
        ({"type": "enabled", "budget_tokens": 2048}, 2049),
        ({"type": "enabled", "budget_tokens": 1}, 2),
        ({"type": "enabled", "budget_tokens": 2048.0}, 2049),
        ({"type": "enabled", "budget_tokens": 10**30}, 1),
        ({"type": "enabled", "budget_tokens": "many"}, 1),
        ({"type": "enabled", "budget_tokens": -7}, 1),
        ({"type": "adaptive"}, 1),
        (None, 1),
        ("odd", 1),
    ],
)
def test_the_runtime_gets_more_max_tokens_than_the_budget_of_thinking(
    thinking: object, least: int
) -> None:
    sent, _, _ = prepared("runtime", {**HI, "thinking": thinking, "max_tokens": 4096})
    assert sent["max_tokens"] == least
    for upstream in ("anthropic", "mantle", "vertex"):
        assert "max_tokens" not in prepared(upstream, {**HI, "thinking": thinking})[0]


@pytest.mark.parametrize(
    ("system", "rest", "place"),
    [
        (
            [{"type": "text", "text": ATTRIBUTION}, {"type": "text", "text": "You help."}],
            [{"type": "text", "text": "You help."}],
            "system.0",
        ),
        ([{"type": "text", "text": ATTRIBUTION}], None, "system.0"),
        (f"{ATTRIBUTION}\nYou help.\nAlways.", "You help.\nAlways.", "system"),
        (ATTRIBUTION, None, "system"),
    ],
)
def test_only_the_runtime_does_not_get_claude_codes_attribution(
    system: object, rest: object, place: str
) -> None:
    sent, _, omitted = prepared("runtime", {**HI, "system": system})
    assert sent.get("system") == rest
    assert omitted == (place,)
    for upstream in ("anthropic", "foundry", "mantle", "vertex"):
        sent, _, omitted = prepared(upstream, {**HI, "system": system})
        assert (sent["system"], omitted) == (system, ())


@pytest.mark.parametrize(
    "system",
    [
        "You help.\nx-anthropic-billing-header: is a header",
        [{"type": "text", "text": "a"}, {"type": "text", "text": ATTRIBUTION}],
        [{"type": "text"}],
        [ATTRIBUTION],
        [],
        7,
    ],
)
def test_a_text_that_only_speaks_of_the_attribution_stays(system: object) -> None:
    sent, _, omitted = prepared("runtime", {**HI, "system": system})
    assert (sent["system"], omitted) == (system, ())


# K6: betas in the header and in the body


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(
    ("header", "body", "both"),
    [
        (
            "context-1m-2025-08-07",
            ["computer-use-2025-01-24"],
            ["context-1m-2025-08-07", "computer-use-2025-01-24"],
        ),
        (None, ["of-2027-01-01"], ["of-2027-01-01"]),
        ("a-2027,b-2027", ["b-2027", "c-2027", "c-2027"], ["a-2027", "b-2027", "c-2027"]),
        (None, "a-2027, b-2027", ["a-2027", "b-2027"]),
        ("a-2027", None, ["a-2027"]),
    ],
)
def test_header_and_body_are_one_list(
    upstream: str, header: str | None, body: object, both: list[str]
) -> None:
    _, betas, omitted = prepared(upstream, {**HI, "anthropic_beta": body}, header)
    assert (betas, omitted) == (both, ())


def test_anthropic_gets_the_callers_header_verbatim() -> None:
    call = call_for(
        "anthropic", request_from_mapping({"model": "m", **HI}, (("anthropic-beta", "a , a,,b"),))
    )
    assert dict(call.headers)["anthropic-beta"] == "a , a,,b"


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(
    "names", [7, {"a": 1}, [7], ["a,b"], ["a\r\nx: y"], [""], ["é"], ["a"] * 65]
)
def test_betas_that_are_no_names_are_refused(upstream: str, names: object) -> None:
    with pytest.raises(InvalidRequest, match="anthropic_beta: a list of names is required"):
        prepared(upstream, {**HI, "anthropic_beta": names})


# K9: a beta that is left out, and its field

EFFORT = {"output_config": {"effort": "high"}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
SCOPED = {"type": "ephemeral", "scope": "global"}


@pytest.mark.parametrize(
    ("upstream", "beta", "fields", "left", "places"),
    [
        ("runtime", "effort-2025-11-24", EFFORT, {"output_config": {}}, ["output_config.effort"]),
        ("mantle", "fast-mode-2026-02-01", {"speed": "fast"}, {}, ["speed"]),
        ("vertex", "fast-mode-2026-02-01", {"speed": "fast"}, {}, ["speed"]),
        (
            "runtime",
            "prompt-caching-scope-2026-01-05",
            {"system": [{"type": "text", "text": "s", "cache_control": SCOPED}]},
            {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            ["system.0.cache_control.scope"],
        ),
        (
            "mantle",
            "prompt-caching-scope-2026-01-05",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "t",
                                "content": [{"type": "text", "text": "x", "cache_control": SCOPED}],
                                "cache_control": SCOPED,
                            }
                        ],
                    }
                ],
                "tools": [{**TOOL, "cache_control": SCOPED}],
                "cache_control": SCOPED,
            },
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "t",
                                "content": [
                                    {
                                        "type": "text",
                                        "text": "x",
                                        "cache_control": {"type": "ephemeral"},
                                    }
                                ],
                                "cache_control": {"type": "ephemeral"},
                            }
                        ],
                    }
                ],
                "tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}],
                "cache_control": {"type": "ephemeral"},
            },
            [
                "messages.0.content.0.content.0.cache_control.scope",
                "messages.0.content.0.cache_control.scope",
                "tools.0.custom.cache_control.scope",
                "cache_control.scope",
            ],
        ),
    ],
)
def test_a_field_that_is_no_input_goes_with_its_beta(
    upstream: str,
    beta: str,
    fields: dict[str, Any],
    left: dict[str, Any],
    places: list[str],
) -> None:
    sent, betas, omitted = prepared(upstream, {**HI, **fields}, beta)
    assert betas == []
    assert {name: sent[name] for name in fields if name in sent} == left
    assert sorted(omitted) == sorted([f"anthropic-beta:{beta}", *places])
    sent, betas, omitted = prepared("anthropic", {**HI, **fields}, beta)
    assert betas == [beta]
    assert {name: sent[name] for name in fields} == fields
    assert omitted == ()


@pytest.mark.parametrize(
    ("tool", "place"),
    [
        ({**TOOL, "eager_input_streaming": True}, "tools.1.custom.eager_input_streaming"),
        (
            {**TOOL, "type": "custom", "eager_input_streaming": False},
            "tools.1.custom.eager_input_streaming",
        ),
        (
            {"type": "bash_20250124", "name": "bash", "eager_input_streaming": None},
            "tools.1.bash_20250124.eager_input_streaming",
        ),
    ],
)
def test_a_tools_field_goes_with_its_beta_and_is_named_as_anthropic_names_it(
    tool: dict[str, Any], place: str
) -> None:
    # A schema may have a property of the name of the field.
    schema = {"type": "object", "properties": {"eager_input_streaming": {"type": "string"}}}
    body = {**HI, "tools": [{"name": "g", "input_schema": schema}, tool]}
    without = {name: value for name, value in tool.items() if name != "eager_input_streaming"}
    beta = "fine-grained-tool-streaming-2025-05-14"
    for upstream in CLOUDS:
        sent, _, omitted = prepared(upstream, body)
        assert sent["tools"] == [body["tools"][0], without]
        assert omitted == (place,)
        sent, betas, omitted = prepared(upstream, body, beta)
        assert (sent["tools"], betas, omitted) == (body["tools"], [beta], ())


@pytest.mark.parametrize("upstream", CLOUDS)
def test_the_rest_of_an_edited_body_keeps_its_text(upstream: str) -> None:
    raw = (
        b'{"model":"m","messages":[{"role":"user","content":"\\u00e9 1e2"}],"tools":[ {"name":"f",'
        b'"input_schema": {"maximum":1.0e2}, "eager_input_streaming" : true , "x":1e400}, 7 ]}'
    )
    request = parse_request(raw)
    body = call_for(upstream, request).body
    if upstream == "runtime":
        body = base64.b64decode(json.loads(body)["input"]["invokeModel"]["body"])
    assert b'[{"name":"f","input_schema": {"maximum":1.0e2},"x":1e400},7]' in body
    assert b"\\u00e9 1e2" in body


@pytest.mark.parametrize(
    "nested",
    [
        b'{"tools":[{"name":"a","name":"b","eager_input_streaming":1}],',
        b'{"output_config":{"effort":1,"effort":2},',
    ],
)
def test_an_object_with_a_name_twice_passes_as_it_is(nested: bytes) -> None:
    """A word elsewhere in the body must not decide whether it is taken."""
    request = parse_request(nested + b'"model":"m","messages":[]}')
    for upstream in ("mantle", "vertex", "anthropic"):
        call = call_for(upstream, request)
        assert call.body.startswith(nested)
        assert call.omitted == ()


def test_many_places_are_named_up_to_sixteen() -> None:
    tools = [{**TOOL, "name": f"f{n}", "eager_input_streaming": True} for n in range(40)]
    _, _, omitted = prepared("runtime", {**HI, "tools": tools})
    assert len(omitted) == 17
    assert omitted[-1] == "+24"


# Controls: Anthropic gets all of it, whatever a cloud would not get


@pytest.mark.parametrize("upstream", ["anthropic", "foundry"])
@pytest.mark.parametrize(
    "fields",
    [
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "system", "output_config": {"effort": "low"}, "clear_at": "never"},
            ]
        },
        {
            "output_config": {"effort": "high"},
            "output_format": {"type": "json_schema", "schema": {"type": "object"}},
            "speed": "fast",
        },
        {"system": [{"type": "text", "text": ATTRIBUTION}, {"type": "text", "text": "s"}]},
        {"tools": [{**TOOL, "eager_input_streaming": True, "cache_control": SCOPED}]},
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    ],
)
def test_anthropic_gets_what_only_clouds_refuse(upstream: str, fields: dict[str, Any]) -> None:
    beta = "effort-2025-11-24"
    sent, betas, omitted = prepared(upstream, {**HI, **fields}, beta)
    assert {name: sent[name] for name in fields} == fields
    assert (betas, omitted) == ([beta], ())


@pytest.mark.parametrize("upstream", CLOUDS)
@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("messages.1.output_config.effort", {"role": "system", "output_config": {"effort": "low"}}),
        (
            "messages.1.content.0.source.content.0.cache_control.scope",
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {
                            "type": "content",
                            "content": [{"type": "text", "text": "x", "cache_control": SCOPED}],
                        },
                    }
                ],
            },
        ),
        (
            "messages.1.content.1.cache_control.scope",
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": '"scope"'},
                    {"type": "tool_use", "id": "t", "input": {}, "cache_control": SCOPED},
                ],
            },
        ),
    ],
)
def test_a_nested_field_is_left_out_at_any_depth(
    upstream: str, place: str, message: dict[str, Any]
) -> None:
    body = {"messages": [{"role": "user", "content": "a"}, message]}
    sent, _, omitted = prepared(upstream, body)
    assert omitted == (place,)
    assert '"effort"' not in json.dumps(sent)
    assert "global" not in json.dumps(sent)


@pytest.mark.parametrize("upstream", CLOUDS)
def test_a_field_of_that_name_elsewhere_stays(upstream: str) -> None:
    body = {
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "t", "input": {"scope": "a", "effort": "b"}},
                    {"type": "tool_use", "id": "u", "input": {"cache_control": SCOPED}},
                ],
            }
        ],
        "tools": [
            {**TOOL, "input_schema": {"properties": {"effort": {}, "scope": {}}}},
            {**TOOL, "input_schema": {"properties": {"cache_control": SCOPED}}},
            {**TOOL, "input_examples": [{"cache_control": SCOPED}]},
            {**TOOL, "output_schema": {"properties": {"cache_control": SCOPED}}},
            {"type": "function", "function": {"parameters": {"cache_control": SCOPED}}},
            {"type": "mcp_toolset", "configs": {"cache_control": SCOPED}},
        ],
        "output_config": {"format": {"type": "json_schema", "schema": {"cache_control": SCOPED}}},
    }
    sent, _, omitted = prepared(upstream, body)
    assert {name: sent[name] for name in body} == body
    assert omitted == ()


@pytest.mark.parametrize(
    "body",
    [
        {"x": [[[{"cache_control": SCOPED}]]]},
        {"system": "effort scope cache_control eager_input_streaming"},
        {"system": [[{"cache_control": SCOPED}], 7, None, "scope", {"cache_control": 7}]},
        {"tools": {"cache_control": SCOPED}},
        {"tools": [7, None, [], {"type": 7, "cache_control": [SCOPED]}]},
        {"output_config": ["effort"]},
        {"cache_control": ["scope"]},
        {"messages": [{"role": "user", "content": "cache_control scope output_config effort"}]},
        {"messages": [7, [{"cache_control": SCOPED}], {"content": {"cache_control": SCOPED}}]},
    ],
)
def test_odd_bodies_pass_as_they_are(body: dict[str, Any]) -> None:
    for upstream in CLOUDS:
        sent, _, omitted = prepared(upstream, {**HI, **body})
        assert {name: sent[name] for name in body} == body
        assert omitted == ()


def test_nesting_is_not_followed_and_takes_no_time() -> None:
    """A parse of all that is left at each level would be quadratic in the depth."""
    nested: Any = {"cache_control": SCOPED}
    for _ in range(150):
        nested = {"type": "tool_result", "content": [nested]}
    message = {"role": "user", "content": [nested]}
    call = call_for("mantle", request_from_mapping({"model": "m", "messages": [message]}))
    assert sent_by(call)["messages"] == [message]


def test_a_long_type_is_cut_in_the_name_of_a_place() -> None:
    tools = [{"type": "A" * 100_000, "cache_control": SCOPED}]
    _, _, omitted = prepared("mantle", {**HI, "tools": tools})
    assert omitted == (f"tools.0.{'A' * 64}.cache_control.scope",)


@pytest.mark.parametrize(
    "member",
    [
        b'"tools":[{"type":%b,"cache_control":{"scope":1}}]' % (b"9" * 5000),
        b'"system":[{"text":"\\ud800","cache_control":{"scope":1}}]',
        b'"messages":[{"content":[{"text":"\\udfff","cache_control":{"scope":1}}]}]',
    ],
)
def test_what_python_cannot_read_is_no_fault_of_the_gateways(member: bytes) -> None:
    raw = b'{"model":"m",%b}' % member
    if b'"messages"' not in member:
        raw = b'{"messages":[],' + raw[1:]
    for upstream in ("mantle", "vertex", "anthropic"):
        assert call_for(upstream, parse_request(raw)).body
