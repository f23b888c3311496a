"""Scope of a cache key: all callers, or one of them.

https://docs.python.org/3/library/hashlib.html
"""

import hashlib

from count_tokens_mw.types import Caller

__all__ = ["key_of_caller"]


def key_of_caller(key: bytes, caller: Caller | None) -> bytes:
    """Return the key that a SHA-256 has for one caller, or for the host without a caller.

    The caller's id is hashed, so it is neither stored nor visible in Redis. A key of 32 bytes and
    the length of the id before it leave no two splits of one text.
    """
    name = "" if caller is None else f"{len(caller.id)}:{caller.id}"
    return hashlib.sha256(key + name.encode(errors="surrogatepass")).digest()
