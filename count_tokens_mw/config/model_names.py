"""Model names: the provider of one, whether it can be counted, and Claude Code's suffix.

A name that is still encrypted by LiteLLM is recognised here too.

https://docs.litellm.ai/docs/providers and https://docs.litellm.ai/docs/wildcard_routing
"""

import re
from typing import Final

from count_tokens_mw.config.providers import PROVIDERS

__all__ = [
    "ANY_PROVIDER",
    "UNKNOWN_PROVIDER",
    "is_encrypted",
    "kind_of_uncounted",
    "may_count",
    "provider_of",
    "without_context_suffix",
]

ANY_PROVIDER: Final = "*"
"""The provider of an entry whose wildcard may match any provider."""

UNKNOWN_PROVIDER: Final = "unknown"
"""The provider of an entry that neither names one nor lets one be inferred."""

_CONTEXT_SUFFIX: Final = "[1m]"
_LONGEST_NAME: Final = 1024
# Base64 of at least 40 bytes, in either alphabet: LiteLLM wrote `+` and `/` until 2025.
_CIPHERTEXT: Final = re.compile(r"[\w+/-]{54,}={0,2}", re.ASCII).fullmatch
_AES_GCM: Final = re.compile(r"v2:gcm:[\w-]{38,}={0,2}", re.ASCII).fullmatch
_CAPITAL_INSIDE: Final = re.compile(r"[a-z0-9](?=[A-Z])")
_LEAST_CAPITALS: Final = 5


def provider_of(model: str, named: str | None = None) -> tuple[str, str]:
    """Return the provider of a LiteLLM model, and the provider's own name for the model.

    The provider is `named` (`custom_llm_provider`), else the prefix of `provider/model`, else it is
    inferred. It is `unknown` if none of these applies, and `ANY_PROVIDER` if the prefix has a
    wildcard.
    """
    if named:
        return _resolve_alias(named, model.removeprefix(f"{named}/"))
    for spec in PROVIDERS.values():
        if spec.bare.match(model):
            return spec.name, model
    prefix, slash, upstream_model = model.partition("/")
    if "*" in prefix:
        return ANY_PROVIDER, model
    return _resolve_alias(prefix, upstream_model) if slash else (UNKNOWN_PROVIDER, model)


def may_count(provider: str, upstream_model: str) -> bool:
    """Return whether the provider has a counting API for the model."""
    if provider not in PROVIDERS or kind_of_uncounted(provider, upstream_model):
        return False
    return bool(PROVIDERS[provider].models.match(upstream_model))


def kind_of_uncounted(provider: str, upstream_model: str) -> str | None:
    """Return what a model is that the provider can never count, if it is known; else None."""
    spec = PROVIDERS.get(provider)
    kinds = spec.uncounted if spec else ()
    return next((kind for pattern, kind in kinds if pattern.match(upstream_model)), None)


def is_encrypted(value: str) -> bool:
    """Return whether the value of `model` is a ciphertext, as LiteLLM's database has it.

    A ciphertext is base64 of a nonce (24 bytes), a tag (16 bytes) and the text, or `v2:gcm:` and
    base64 of AES-GCM. Capitals after a small letter or a digit distinguish base64 from a name: the
    shortest ciphertext has twelve on average, and fewer than five once in 20,000. No name that
    LiteLLM 1.108 lists has more than three.
    """
    if _AES_GCM(value):
        return True
    is_base64 = len(value) % 4 == 0 and _CIPHERTEXT(value) is not None
    return is_base64 and len(_CAPITAL_INSIDE.findall(value)) >= _LEAST_CAPITALS


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


def _resolve_alias(prefix: str, model: str) -> tuple[str, str]:
    for spec in PROVIDERS.values():
        if prefix in spec.aliases:
            return spec.name, spec.aliases[prefix] + model
    return prefix, model
