"""Codec of counts in Redis: JSON, decoded strictly because others may write to the same Redis."""

import json
from collections.abc import Mapping
from typing import Any, Final

from count_tokens_mw.cache.bounds import is_small
from count_tokens_mw.types import TokenCount

__all__ = ["LONGEST_VALUE", "decode_count", "encode_count", "redis_key"]

# A version that changes with the format of the values: two releases may share one Redis.
_PREFIX: Final = "count_tokens:1:"
_MOST_SECONDS: Final = 10**12

LONGEST_VALUE: Final = 9 * 1024
"""The bytes of the longest value: an answer of 4 KB, escaped as a JSON string, and the rest."""


def redis_key(key: bytes) -> str:
    """Return the Redis key of a cache key."""
    return _PREFIX + key.hex()


def encode_count(count: TokenCount, key: bytes, ttl: float) -> bytes | None:
    """Return a count as JSON, without its headers, which concern only the original caller.

    The value holds its key, so that an answer to another command is detected. It holds its `ttl`,
    so that a reader with a shorter one can compute its age. A provider's answer that is too long or
    contains text is not stored (None), because the text might be the prompt's.
    """
    members: dict[str, str | float] = {
        "key": key.hex(),
        "ttl": ttl,
        "input_tokens": count.input_tokens,
    }
    if count.body is not None:
        answer = _json_object(count.body)
        if not answer or _has_text(answer):
            return None
        members["body"] = count.body.decode()
    value = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return value if len(value) <= LONGEST_VALUE else None


def decode_count(value: object, key: bytes) -> tuple[TokenCount, float] | None:
    """Return the count and the `ttl` that `encode_count` wrote, or None for any other value."""
    if not isinstance(value, bytes) or len(value) > LONGEST_VALUE:
        return None
    members = _json_object(value)
    count, body = members.pop("input_tokens", None), members.pop("body", None)
    ttl = members.pop("ttl", None)
    if members != {"key": key.hex()} or not _is_count(count) or not _is_ttl(ttl):
        return None
    if body is None:
        return _if_small(TokenCount(count, source="cache"), ttl)
    if not isinstance(body, str):
        return None
    try:
        raw = body.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    in_body = _json_object(raw).get("input_tokens")
    is_consistent = _is_count(in_body) and in_body == count
    return _if_small(TokenCount(count, source="cache", body=raw), ttl) if is_consistent else None


def _if_small(count: TokenCount, ttl: float) -> tuple[TokenCount, float] | None:
    return (count, ttl) if is_small(count) else None


def _has_text(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_text, value.values()))
    if isinstance(value, list):
        return any(map(_has_text, value))
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0  # a bool is an int too


def _is_ttl(value: Any) -> bool:
    # The range excludes NaN, infinity, and integers that no float can hold.
    return type(value) in {int, float} and 0 <= value <= _MOST_SECONDS


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
