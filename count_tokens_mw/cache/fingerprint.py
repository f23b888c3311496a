"""SHA-256 of an upstream call, the cache key of its count."""

import hashlib
from typing import Any, Final

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.types import UpstreamCall

__all__ = ["fingerprint", "update"]

_PIECE_BYTES: Final = 1024 * 1024


async def fingerprint(call: UpstreamCall, account: str, fairness: LoopFairness) -> bytes:
    """Return the SHA-256 of a call: provider, URL, account, headers and body.

    The account is the lasting identity of the credentials, so that all processes agree on the key.
    """
    headers = [text for line in call.headers for text in line]
    parts = [call.provider, call.target, account, str(len(headers)), *headers]
    # Length-prefixed, so that different splits of one text cannot collide.
    digest = hashlib.sha256("".join([f"{len(part)}:{part}" for part in parts]).encode())
    await update(digest, call.body, fairness)
    return digest.digest()


async def update(digest: Any, data: bytes, fairness: LoopFairness) -> None:
    """Hash data in pieces, with a turn of the event loop between them."""
    if len(data) <= _PIECE_BYTES:
        digest.update(data)
        return
    view = memoryview(data)
    for start in range(0, len(data), _PIECE_BYTES):
        await fairness.checkpoint()
        digest.update(view[start : start + _PIECE_BYTES])
