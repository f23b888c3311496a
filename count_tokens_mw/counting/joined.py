"""The error of a request that waited for the upstream call of another request.

The answer belongs to the request that started the call. A request that joined it gets the same
error without rate limits and ids, which concern only the first.
"""

from __future__ import annotations

import copy
import json
from typing import Final, TypeVar

from count_tokens_mw.errors import CountError, UpstreamError
from count_tokens_mw.providers.base import PrepareAgain
from count_tokens_mw.rawjson.object import JsonObject

__all__ = ["error_for_joiner"]

# The time to wait is the same for all who wait. `retry-after-ms` is `retry-after` in other units.
_HEADERS_FOR_ALL: Final = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})

E = TypeVar("E", bound=CountError)


def error_for_joiner(error: BaseException, request_id: str) -> BaseException | None:
    """Return the error for a request that joined the call of another, or None for a bug's.

    An unexpected exception needs no copy, because it is logged and never answered.
    """
    if isinstance(error, PrepareAgain):
        return PrepareAgain(_copy(error.error, request_id))
    return _copy(error, request_id) if isinstance(error, CountError) else None


def _copy(error: E, request_id: str) -> E:
    """Return the error without a traceback, with the headers for all and the joiner's own id."""
    joined = copy.copy(error)
    joined.headers = {
        name: value for name, value in error.headers.items() if name.lower() in _HEADERS_FOR_ALL
    }
    if isinstance(joined, UpstreamError) and joined.body is not None:
        joined.body = _replace_request_id(joined.body, request_id)
    return joined


def _replace_request_id(body: bytes, request_id: str) -> bytes | None:
    """Return an envelope with another `request_id`, if it has one, and else byte for byte.

    None stands for an envelope that cannot be edited, such as one with a member twice. It may hold
    the id of another, so the answer is an envelope of the gateway's with the same message.
    """
    try:
        member = JsonObject(body).member("request_id")
    except ValueError:
        return None
    if member is None:
        return body
    return body[: member.start] + json.dumps(request_id).encode() + body[member.end :]
