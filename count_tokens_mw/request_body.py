"""A request's body, read within bounds and hashed as it comes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import ClientDisconnect, Request

from count_tokens_mw.auth import host_refusals
from count_tokens_mw.errors import (
    ClientClosedRequest,
    DeadlineExceeded,
    InvalidRequest,
    RequestTooLarge,
)
from count_tokens_mw.fingerprint import update
from count_tokens_mw.time_limit import within
from count_tokens_mw.turns import LARGE, Turns

if TYPE_CHECKING:
    from count_tokens_mw.config_models import Settings

__all__ = ["RequestBody", "read_body"]


class RequestBody(NamedTuple):
    """The bytes, and their SHA-256."""

    raw: bytes
    digest: bytes


async def read_body(
    request: Request, headers: Mapping[str, str], settings: Settings, turns: Turns
) -> RequestBody:
    """Read it to its end, from the client or from a host that has read it before.

    Raises:
        RequestTooLarge: it says so, or is.
        InvalidRequest: it is compressed.
        ClientClosedRequest: the client left.
        DeadlineExceeded: it stalls.
        Refused: the host has a limit of its own.
    """
    limit = settings.max_body_bytes
    if _announced_length(headers) > limit:
        raise _too_large(limit)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise InvalidRequest(
            "content-encoding: this gateway reads no compressed bodies.",
            error_code="request_body_encoding_unsupported",
        )
    try:
        # The host may have a body limit of its own, and a client may stall for ever.
        with host_refusals():
            return await within(settings.timeout, _read(request, limit, turns))
    except ClientDisconnect:
        raise ClientClosedRequest("The client left.") from None
    except TimeoutError:
        raise DeadlineExceeded("The request body did not arrive in time.") from None


async def _read(request: Request, limit: int, turns: Turns) -> RequestBody:
    chunks: list[bytes] = []
    size = since = 0  # in all, and since the last turn
    digest = hashlib.sha256()
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        since += len(chunk)
        if since <= LARGE:
            digest.update(chunk)
        else:
            await turns.next()
            await update(digest, chunk, turns)
            since = 0
    return RequestBody(b"".join(chunks), digest.digest())


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request body is larger than {limit} bytes.")


def _announced_length(headers: Mapping[str, str]) -> int:
    """By content-length; 0 where there is none, or none that is a number."""
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0
