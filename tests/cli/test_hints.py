"""What an operator is told to look at first."""

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


def said(status: int, message: str = "no") -> UpstreamError:
    return UpstreamError(status, message, headers={})


@pytest.mark.parametrize(
    ("provider", "error", "words"),
    [
        ("bedrock", said(403, "not authorized to perform: bedrock:CountTokens"), "bedrock:CountT"),
        ("bedrock", said(403, "not authorized to perform: bedrock-mantle:X"), "bedrock-mantle:C"),
        ("bedrock", said(401), "Bedrock API key"),
        ("bedrock", said(400, "The provided model identifier is invalid."), "this region"),
        ("bedrock", said(404), "request access"),
        ("vertex_ai", said(403), "aiplatform.endpoints.predict"),
        ("vertex_ai", said(404), "vertex_count_tokens_location"),
        ("vertex_ai", said(400, "x is not supported for token counting"), "strip_version"),
        ("vertex_ai", said(401), "vertex_credentials"),
        ("gemini", said(403), "Generative Language API"),
        ("gemini", said(401), "the credential is refused"),
        ("azure_ai", said(404), "name of the deployment"),
        ("anthropic", said(403), "permissions"),
        ("anthropic", said(404), "does not know this model"),
        ("anthropic", said(429), "rate limit"),
        ("bedrock", CannotCount("no"), "token_count_model"),
        ("bedrock", CredentialsUnavailable("no"), "where the credential comes from"),
        ("vertex_ai", DeadlineExceeded("no"), "timeout too short"),
        ("gemini", UpstreamUnreachable("no"), "reachable from here"),
        ("gemini", UpstreamUnusable("no"), "reachable from here"),
    ],
)
def test_the_hint_names_what_to_look_at(provider: str, error: CountError, words: str) -> None:
    assert words in (hint_for(provider, error) or "")


@pytest.mark.parametrize("status", [400, 413, 422, 500, 529])
def test_where_the_error_says_it_all_there_is_no_hint(status: int) -> None:
    assert hint_for("anthropic", said(status)) is None
