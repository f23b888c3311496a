"""Hints for an operator whose provider refuses a count."""

import re
from typing import Final

from count_tokens_mw.errors import (
    CannotCount,
    CountError,
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamUnusable,
)

__all__ = ["hint_for"]

_ANY: Final = ""

# By provider, status and the upstream's message, the most specific first.
_HINTS: Final = (
    (
        "bedrock",
        403,
        "mantle",
        "allow bedrock-mantle:CountTokens (keys: CallWithBearerToken) in IAM",
    ),
    ("bedrock", 403, _ANY, "allow bedrock:CountTokens on this foundation model in IAM"),
    ("bedrock", 401, _ANY, "the Bedrock API key is refused; check its expiry and its account"),
    (
        "bedrock",
        400,
        "identifier is invalid",
        "is this model id right, and offered in this region?",
    ),
    ("bedrock", 404, _ANY, "request access to this model, or try another aws_region_name"),
    ("vertex_ai", 403, _ANY, "grant aiplatform.endpoints.predict (roles/aiplatform.user)"),
    ("vertex_ai", 404, _ANY, "try another vertex_count_tokens_location, or enable the model there"),
    (
        "vertex_ai",
        400,
        "not supported",
        "try strip_version, or another vertex_count_tokens_location",
    ),
    ("vertex_ai", 401, _ANY, "the Google credentials are refused; check vertex_credentials"),
    ("gemini", 403, _ANY, "enable the Generative Language API for this key's project"),
    ("azure_ai", 404, _ANY, "set the model to the name of the deployment in this resource"),
    (_ANY, 401, _ANY, "the credential is refused; check its source"),
    (_ANY, 403, _ANY, "the credential lacks a permission; check its role or policy"),
    (_ANY, 404, _ANY, "the provider has no model of this name; check its spelling"),
    (_ANY, 429, _ANY, "the provider's rate limit or quota is exhausted; retry later"),
)


def hint_for(provider: str, error: CountError) -> str | None:
    """Return a hint at the likely cause, or None if the error needs none."""
    match error:
        case CredentialsUnavailable():
            return "check the credential's source, and that it is available on this machine"
        case CannotCount():
            return "set model_info.token_count_model to a model that can be counted"
        case DeadlineExceeded():
            return "is the endpoint right, and reachable from here? or is its timeout too short?"
        case UpstreamUnusable():
            return "is the endpoint right, and reachable from here? (proxies are not used)"
    for where, status, pattern, hint in _HINTS:
        if where not in {provider, _ANY} or status != error.status:
            continue
        if re.search(pattern, error.message, re.IGNORECASE):
            return hint
    return None
