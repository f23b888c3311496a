"""Model names: the provider of one, whether it can be counted, and Claude Code's suffix.

https://docs.litellm.ai/docs/providers and https://docs.litellm.ai/docs/wildcard_routing
"""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["ANY_PROVIDER", "may_count", "provider_of", "without_context_suffix"]

ANY_PROVIDER: Final = "*"
"""The provider of an entry whose wildcard may match any provider."""

_UNKNOWN: Final = "unknown"
_ALIASES: Final = {"bedrock_mantle": "bedrock", "vertex_ai_beta": "vertex_ai"}

# LiteLLM infers Vertex AI from a bare Gemini name, not AI Studio.
_INFERRED: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"(?:[a-z]{2}(?:-[a-z]+)+-\d/)?(?:[a-z-]+\.)?anthropic\.claude"), "bedrock"),
    (re.compile(r"arn:aws[a-z-]*:bedrock:"), "bedrock"),
    (re.compile(r"gemini-"), "vertex_ai"),
)

# Clouds also offer models of vendors that have no counting API there.
_COUNTABLE: Final[Mapping[str, re.Pattern[str]]] = {
    "anthropic": re.compile(""),
    "azure_ai": re.compile(r"claude|\*"),
    "bedrock": re.compile(r"(?:.*[./])?anthropic\.|.*arn:|.*\*"),
    "gemini": re.compile(""),
    "vertex_ai": re.compile(r"claude|gemini|\*"),
}

_CONTEXT_SUFFIX: Final = "[1m]"
_LONGEST_NAME: Final = 1024


def provider_of(model: str, named: str | None = None) -> tuple[str, str]:
    """Return the provider of a LiteLLM model, and the provider's own name for the model.

    The provider is `named` (`custom_llm_provider`), else the prefix of `provider/model`, else it is
    inferred. It is `unknown` if none of these applies, and `ANY_PROVIDER` if the prefix has a
    wildcard.
    """
    if named:
        return _ALIASES.get(named, named), model.removeprefix(f"{named}/")
    for pattern, provider in _INFERRED:
        if pattern.match(model):
            return provider, model
    provider, slash, upstream_model = model.partition("/")
    if "*" in provider:
        return ANY_PROVIDER, model
    if slash:
        return _ALIASES.get(provider, provider), upstream_model
    return _UNKNOWN, model


def may_count(provider: str, upstream_model: str) -> bool:
    """Return whether the provider has a counting API for the model."""
    return provider in _COUNTABLE and bool(_COUNTABLE[provider].match(upstream_model))


def without_context_suffix(model: str) -> str:
    """Return a model's name without every `[1m]` at its end, in either case.

    Claude Code requests a context of a million tokens by this suffix. A name that consists of
    suffixes is returned unchanged, and so is a name over 1,024 characters, which no configuration
    has.

    https://code.claude.com/docs/en/model-config
    """
    end = len(model)
    if end > _LONGEST_NAME:
        return model
    while model[:end].lower().endswith(_CONTEXT_SUFFIX):
        end -= len(_CONTEXT_SUFFIX)
    return model[:end] or model
