"""The size of a count that the caches keep."""

from typing import Final

from count_tokens_mw.types import TokenCount

__all__ = ["is_small"]

_MAX_BODY_BYTES: Final = 4096  # an answer of today has 30
_MAX_TOKENS: Final = 2**63


def is_small(count: TokenCount) -> bool:
    """Return whether a count may be cached: its answer has at most 4 KB, and its number 64 bits."""
    body = count.body
    return (body is None or len(body) <= _MAX_BODY_BYTES) and count.input_tokens < _MAX_TOKENS
