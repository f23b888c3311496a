"""SHA-256 of what is asked, so that what was asked before is known again."""

import hashlib
from typing import Any, Final

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.types import UpstreamCall

__all__ = ["fingerprint", "update"]

_PIECE: Final = 1024 * 1024


async def fingerprint(call: UpstreamCall, account: str, fairness: LoopFairness) -> bytes:
    """What tells a call from every other: provider, place, headers, account, body.

    The account is the lasting identity of the credentials, so that every process comes to the same.
    """
    headers = [text for line in call.headers for text in line]
    parts = [call.provider, call.target, account, str(len(headers)), *headers]
    # With their lengths, or two parts could be told otherwise and look the same.
    digest = hashlib.sha256("".join([f"{len(part)}:{part}" for part in parts]).encode())
    if call.fallback is not None:
        digest.update(await fingerprint(call.fallback, account, fairness))
    await update(digest, call.body, fairness)
    return digest.digest()


async def update(digest: Any, data: bytes, fairness: LoopFairness) -> None:
    """Hash so much at a time that others have their turn in between."""
    if len(data) <= _PIECE:
        digest.update(data)
        return
    view = memoryview(data)
    for start in range(0, len(data), _PIECE):
        await fairness.checkpoint()
        digest.update(view[start : start + _PIECE])
