"""Anthropic's HTTP contract for answers: from a `TokenCount` or an error to bytes.

https://docs.claude.com/en/api/messages-count-tokens and https://docs.claude.com/en/api/errors
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from count_tokens_mw.errors import CountError, InvalidRequest, UpstreamError
from count_tokens_mw.types import TokenCount

__all__ = ["HttpAnswer", "http_answer"]

_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_OF_A_BODY: Final = {"content-length", "content-type"}


class HttpAnswer(NamedTuple):
    """An answer as ASGI sends it; header names in lower case."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


def http_answer(outcome: TokenCount | CountError, request_id: str) -> HttpAnswer:
    """A count is 200 with the provider's own JSON, or with exactly `{"input_tokens": N}`.

    An error is the upstream's own envelope byte for byte if it is one, else ours.
    """
    if isinstance(outcome, CountError):
        return _error_answer(outcome, request_id)
    return _count_answer(outcome, request_id)


def _count_answer(count: TokenCount, request_id: str) -> HttpAnswer:
    body = count.body or b'{"input_tokens": %d}' % count.input_tokens
    headers = _sendable(count.headers) if count.headers else {}
    return _answer(200, headers.pop("request-id", request_id), count.source, headers, body)


def _error_answer(error: CountError, request_id: str) -> HttpAnswer:
    headers = _sendable(error.headers)
    request_id = headers.pop("request-id", request_id)
    of_upstream = isinstance(error, UpstreamError)
    source = "provider" if of_upstream else None  # so that its 401 is not taken for ours
    if isinstance(error, UpstreamError) and error.body is not None:
        return _answer(error.status, request_id, source, headers, error.body)
    words: dict[str, object] = {"type": error.type, "message": error.message}
    if isinstance(error, InvalidRequest) and error.error_code:
        words["details"] = {"error_code": error.error_code}
    envelope = {"type": "error", "error": words, "request_id": request_id}
    return _answer(error.status, request_id, source, headers, json.dumps(envelope).encode())


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """In lower case, without what cannot be sent: a host may have put anything into them."""
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() not in _OF_A_BODY and _PRINTABLE(name) and _PRINTABLE(value)
    }


def _answer(
    status: int, request_id: str, source: str | None, more: Mapping[str, str], body: bytes
) -> HttpAnswer:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"request-id", request_id.encode()),
    ]
    if more:
        headers += [(name.encode(), value.encode()) for name, value in more.items()]
    if source is not None:
        headers.append((b"x-count-tokens-source", source.encode()))
    return HttpAnswer(status, headers, body)
