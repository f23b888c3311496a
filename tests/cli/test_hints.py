"""The hints for an operator whose provider refuses a count."""

import pytest

from count_tokens_mw import (
    CannotCount,
    CountError,
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamError,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.cli.hints import hint_for


def refusal(status: int, message: str = "no") -> UpstreamError:
    return UpstreamError(status, message, headers={})


@pytest.mark.parametrize(
    ("provider", "error", "excerpt"),
    [
        (
            "bedrock",
            refusal(403, "not authorized to perform: bedrock:CountTokens"),
            "bedrock:CountT",
        ),
        (
            "bedrock",
            refusal(403, "not authorized to perform: bedrock-mantle:X"),
            "bedrock-mantle:C",
        ),
        ("bedrock", refusal(401), "Bedrock API key"),
        ("bedrock", refusal(400, "The provided model identifier is invalid."), "this region"),
        ("bedrock", refusal(404), "request access"),
        ("vertex_ai", refusal(403), "aiplatform.endpoints.predict"),
        ("vertex_ai", refusal(404), "vertex_count_tokens_location"),
        ("vertex_ai", refusal(400, "x is not supported for token counting"), "another vertex"),
        ("vertex_ai", refusal(401), "vertex_credentials"),
        ("gemini", refusal(403), "Generative Language API"),
        ("gemini", refusal(401), "the credential is refused"),
        ("azure_ai", refusal(404), "name of the deployment"),
        ("anthropic", refusal(403), "lacks a permission"),
        ("anthropic", refusal(404), "no model of this name"),
        ("anthropic", refusal(429), "rate limit"),
        ("bedrock", CannotCount("no"), "token_count_model"),
        ("bedrock", CredentialsUnavailable("no"), "the credential's source"),
        ("vertex_ai", DeadlineExceeded("no"), "timeout too short"),
        ("gemini", UpstreamUnreachable("no"), "reachable from here"),
        ("gemini", UpstreamUnusable("no"), "reachable from here"),
    ],
)
def test_the_hint_names_what_to_look_at(provider: str, error: CountError, excerpt: str) -> None:
    assert excerpt in (hint_for(provider, error) or "")


# As public reports have them; docs/providers.md names each report.
ABOUT_SCHEMAS = {
    "reference to undefined schema at properties.target_object.anyOf.1": "$defs",
    "schema at properties.draft can only contain properties starting with '$' when $ref is "
    "present": "$defs",
    "Schema.ref 'QuestionOption' was set alongside unsupported fields.": "$defs",
    "The specified schema produces a constraint that has too many states for serving.": "levels",
    "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.": (
        "levels"
    ),
    "* GenerateContentRequest.tools[0].function_declarations[2].parameters.properties: should be "
    "non-empty for OBJECT type": "this place",
    "CountTokensRequest.generate_content_request.tools[0].function_declarations[0]."
    "parameters_json_schema: must be an object": "this place",
    "Invalid value at 'generation_config.response_json_schema' (type.googleapis.com/x)": (
        "this place"
    ),
    "Unable to submit request because `readFile` functionDeclaration parameters schema should be "
    "of type OBJECT": "this place",
    "Unable to submit request because one or more response schemas specified unsupported field "
    "pattern.": "this place",
    "tools[0].function_declarations[53].name: [FIELD_INVALID] Invalid function name.": "this place",
    "Request contains an invalid argument.": "halve the tools",
}


@pytest.mark.parametrize("provider", ["gemini", "vertex_ai"])
@pytest.mark.parametrize(("message", "excerpt"), ABOUT_SCHEMAS.items())
def test_a_schema_that_gemini_complains_about_has_a_hint(
    provider: str, message: str, excerpt: str
) -> None:
    hint = hint_for(provider, refusal(400, message)) or ""
    assert excerpt in hint
    assert "docs/providers.md" in hint


@pytest.mark.parametrize(
    "message",
    [
        "API key expired. Please renew the API key.",
        "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.",
        "Request contains an invalid argument. It is too long.",
        "Please ensure that the number of function response parts is equal to ...",
    ],
)
def test_another_400_of_gemini_has_no_hint_at_schemas(message: str) -> None:
    assert hint_for("gemini", refusal(400, message)) is None


@pytest.mark.parametrize("status", [400, 413, 422, 500, 529])
def test_where_the_error_says_it_all_there_is_no_hint(status: int) -> None:
    assert hint_for("anthropic", refusal(status)) is None
