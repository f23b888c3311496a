"""Keys of LiteLLM's file, and suggestions for misspelt ones."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

__all__ = ["ADDS_TO_PROMPT", "misspelt", "nearest", "unknown_key"]

ADDS_TO_PROMPT: Final = frozenset({"prompt_id", "vector_store_ids"})
"""Keys by which LiteLLM's proxy adds text to a prompt, which no count has.

https://docs.litellm.ai/docs/proxy/prompt_management and /docs/completion/knowledgebase
"""

# LiteLLM has hundreds of other keys, and more with each release. These are like one of ours.
_OTHERS: Final = frozenset(
    {
        "anthropic_identity_source",
        "aws_session_tags",
        "bedrock_tags",
        "dd_api_key",
        "mode",
        "models",
        "openai_identity_token_file",
        "openai_service_account_id",
        "region_name",
        "s3_access_key_id",
        "s3_region_name",
        "s3_secret_access_key",
        "watsonx_region_name",
    }
)
_MIN_LIKENESS: Final = 0.8


def misspelt(key: str, known: Iterable[str]) -> str | None:
    """Return the known key that an unknown one was probably meant to be, or None."""
    return None if key in _OTHERS else nearest(key, known, likeness=_MIN_LIKENESS)


def nearest(key: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the most similar known key, if its similarity (1 for equal) is at least `likeness`."""
    return next(iter(get_close_matches(key, sorted(known), n=1, cutoff=likeness)), None)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key, with the nearest known one."""
    meant = nearest(key, known)
    return "unknown key" + (f"; did you mean {meant}?" if meant else "")
