"""Anthropic's HTTP contract, pure: bytes to `CountRequest`, and `TokenCount` or error to bytes.

https://docs.claude.com/en/api/messages-count-tokens and https://docs.claude.com/en/api/errors
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from count_tokens_mw.errors import CountError, InvalidRequest, UpstreamError
from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import CountRequest, Headers, TokenCount, unreadable

__all__ = [
    "HttpAnswer",
    "credential_headers",
    "http_answer",
    "native_headers",
    "parse_request",
    "request_from_mapping",
]

_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_VISIBLE: Final = re.compile(r"[\x21-\x7e]*").fullmatch
_OF_A_BODY: Final = {"content-length", "content-type"}
_LONGEST_QUERY: Final = 4096


class HttpAnswer(NamedTuple):
    """An answer as ASGI sends it; header names in lower case."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


def parse_request(
    raw: bytes, headers: Headers = (), *, query: str = "", credentials: Headers = ()
) -> CountRequest:
    """Read a request body, and require no more of it than any count needs.

    The rest is the upstream's to judge: new fields, roles, blocks and tools appear monthly.

    Raises:
        InvalidRequest: not JSON, not an object, no `model` string or no `messages` list.
    """
    try:
        body = JsonObject.parse(raw)
        model, user = body.get("model"), _user(body)
    except ValueError as error:
        raise unreadable(error) from None
    if not isinstance(model, str) or not model:
        raise InvalidRequest("model: a non-empty string is required.")
    messages = body.member("messages")
    if messages is None or not messages.is_list:
        raise InvalidRequest("messages: a list is required.")
    if len(query) > _LONGEST_QUERY or not _VISIBLE(query):
        raise InvalidRequest("The query string is too long or has characters that it may not have.")
    return CountRequest(model, body, headers, query, credentials, user)


def _user(body: JsonObject) -> str | None:
    """Whom the body says that it is for: https://docs.claude.com/en/api/messages, or OpenAI's."""
    metadata = body.get("metadata")
    user_id = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    named = (user_id, body.get("user"))
    return next((user for user in named if isinstance(user, str) and user), None)


def request_from_mapping(body: Mapping[str, object], headers: Headers = ()) -> CountRequest:
    """The same for a request that never was HTTP.

    Raises:
        InvalidRequest: as above, or there is something in the mapping that JSON cannot hold.
    """
    try:
        raw = json.dumps(dict(body), allow_nan=False, default=_plain).encode()
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest("The body has a value that JSON cannot hold.") from None
    return parse_request(raw, headers)


def _plain(value: object) -> object:
    """Any mapping or sequence as the dict or list that `json` knows."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    raise TypeError


def native_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """The `anthropic-*` headers of a request, as the caller sent them and in their order.

    Names are in lower case, as in ASGI.

    Raises:
        InvalidRequest: one has characters that cannot be passed on unchanged.
    """
    return _unchanged([item for item in headers if item[0].startswith("anthropic-")])


def credential_headers(headers: Iterable[tuple[str, str]], names: Sequence[str]) -> Headers:
    """Return the headers of these names that have a value, as the caller sent them.

    Raises:
        InvalidRequest: as above.
    """
    return _unchanged([item for item in headers if item[0] in names and item[1]])


def _unchanged(headers: Sequence[tuple[str, str]]) -> Headers:
    for name, value in headers:
        if not _PRINTABLE(value):
            raise InvalidRequest(f"{name}: the header has characters that it may not have.")
    return tuple(headers) if headers else ()


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
