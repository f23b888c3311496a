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
        ("vertex_ai", refusal(400, "x is not supported for token counting"), "strip_version"),
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


@pytest.mark.parametrize("status", [400, 413, 422, 500, 529])
def test_where_the_error_says_it_all_there_is_no_hint(status: int) -> None:
    assert hint_for("anthropic", refusal(status)) is None
