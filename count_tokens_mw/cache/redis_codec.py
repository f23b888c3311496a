"""How a count is kept in a Redis that others may write to: as JSON, and read back strictly."""

import json
from collections.abc import Mapping
from typing import Any, Final

from count_tokens_mw.types import TokenCount

__all__ = ["decode_count", "name_of", "value_of"]

# The number changes with the shape of the values: two releases may run behind one Redis.
_PREFIX: Final = "count_tokens:1:"
_LONGEST_VALUE: Final = 64 * 1024


def name_of(key: bytes) -> str:
    """The name under which the count of a key is kept."""
    return _PREFIX + key.hex()


def value_of(count: TokenCount, key: bytes, ttl: float) -> bytes | None:
    """A count as JSON, without its headers, which are for the first asker.

    It holds its key, so that what is read under another one is known for what it is, and for how
    many seconds it is kept in all, so that one who keeps counts for less can tell its age. None if
    the provider's answer is too long, or has words in it: they might be the prompt's.
    """
    members: dict[str, str | float] = {
        "key": key.hex(),
        "ttl": ttl,
        "input_tokens": count.input_tokens,
    }
    if count.body is not None:
        said = _json_object(count.body)
        if not said or _has_words(said):
            return None
        members["body"] = count.body.decode()
    value = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return value if len(value) <= _LONGEST_VALUE else None


def decode_count(value: object, key: bytes) -> tuple[TokenCount, float] | None:
    """The count that `value_of` wrote, and its `ttl`; None for anything else, as if it were not
    there."""
    if not isinstance(value, bytes) or len(value) > _LONGEST_VALUE:
        return None
    members = _json_object(value)
    count, body = members.pop("input_tokens", None), members.pop("body", None)
    ttl = members.pop("ttl", None)
    if members != {"key": key.hex()} or not _is_count(count) or type(ttl) not in {int, float}:
        return None
    if body is None:
        return TokenCount(count, source="cache"), ttl
    if not isinstance(body, str):
        return None
    try:
        raw = body.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    said = _json_object(raw).get("input_tokens")
    is_the_same = _is_count(said) and said == count
    return (TokenCount(count, source="cache", body=raw), ttl) if is_the_same else None


def _has_words(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_words, value.values()))
    if isinstance(value, list):
        return any(map(_has_words, value))
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0  # a bool is an int too


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
