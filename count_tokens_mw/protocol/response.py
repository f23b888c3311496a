"""Anthropic's HTTP contract for answers: from a `TokenCount` or an error to bytes.

https://docs.claude.com/en/api/messages-count-tokens and https://docs.claude.com/en/api/errors
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from count_tokens_mw.errors import CountError, InvalidRequest, RequestTooLarge, UpstreamError
from count_tokens_mw.protocol.omissions import OMITTED_HEADER, encode_places
from count_tokens_mw.types import TokenCount

__all__ = ["HttpAnswer", "http_answer", "is_sendable_header", "is_sendable_status"]

_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110, 5.6.2
_LATIN_1_TEXT: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_BODY_HEADERS: Final = {
    "content-encoding",
    "content-length",
    "content-type",
    "transfer-encoding",
}


class HttpAnswer(NamedTuple):
    """An answer as ASGI sends it, with header names in lower case."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


def http_answer(outcome: TokenCount | CountError, request_id: str) -> HttpAnswer:
    """Return the HTTP answer of a count or an error.

    A count is a 200 with the provider's own JSON, or with exactly `{"input_tokens": N}`. An error
    is the upstream's own envelope byte for byte, or else an envelope of the gateway's.
    """
    if isinstance(outcome, CountError):
        return _answer_error(outcome, request_id)
    return _answer_count(outcome, request_id)


def is_sendable_status(status: object) -> bool:
    """Return whether a server can send a status as that of an error."""
    return isinstance(status, int) and 400 <= status < 600


def is_sendable_header(name: object, value: object) -> bool:
    """Return whether a server can send a header; a value may be Latin-1."""
    return bool(
        isinstance(name, str) and isinstance(value, str) and _TOKEN(name) and _LATIN_1_TEXT(value)
    )


def _answer_count(count: TokenCount, request_id: str) -> HttpAnswer:
    body = count.body or b'{"input_tokens": %d}' % count.input_tokens
    headers = _select_sendable(count.headers) if count.headers else {}
    request_id = headers.pop("request-id", request_id)
    answer = _build_answer(200, request_id, count.source, headers, body)
    if not count.omitted:
        return answer
    omitted = (OMITTED_HEADER, encode_places(count.omitted))
    return answer._replace(headers=[*answer.headers, omitted])


def _answer_error(error: CountError, request_id: str) -> HttpAnswer:
    headers = _select_sendable(error.headers)
    request_id = headers.pop("request-id", request_id)
    # Otherwise the provider's 401 looks like the gateway's.
    source = "provider" if isinstance(error, UpstreamError) else None
    if isinstance(error, UpstreamError) and error.body is not None:
        return _build_answer(error.status, request_id, source, headers, error.body)
    detail: dict[str, object] = {"type": error.type, "message": error.message}
    if isinstance(error, InvalidRequest | RequestTooLarge) and error.error_code:
        detail["details"] = {"error_code": error.error_code}
    envelope = {"type": "error", "error": detail, "request_id": request_id}
    return _build_answer(error.status, request_id, source, headers, json.dumps(envelope).encode())


def _select_sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers in lower case, without invalid ones: a host may have set any value.

    White space around a value is removed, because some servers refuse to send it.
    """
    return {
        name.lower(): value.strip(" \t")
        for name, value in headers.items()
        if is_sendable_header(name, value) and _PRINTABLE(value)
        if name.lower() not in _BODY_HEADERS
    }


def _build_answer(
    status: int, request_id: str, source: str | None, extra: Mapping[str, str], body: bytes
) -> HttpAnswer:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"request-id", request_id.encode()),
    ]
    if extra:
        headers += [(name.encode(), value.encode()) for name, value in extra.items()]
    if source is not None:
        headers.append((b"x-count-tokens-source", source.encode()))
    return HttpAnswer(status, headers, body)
