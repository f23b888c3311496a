"""Anthropic's HTTP contract for requests: from bytes or a mapping to a `CountRequest`.

https://docs.claude.com/en/api/messages-count-tokens
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import CountRequest, Headers, unreadable

__all__ = [
    "native_headers",
    "parse_request",
    "request_from_mapping",
    "require_printable",
]

_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_VISIBLE: Final = re.compile(r"[\x21-\x7e]*").fullmatch
_MAX_QUERY_LENGTH: Final = 4096


def parse_request(
    raw: bytes, headers: Headers = (), *, query: str = "", credentials: Headers = ()
) -> CountRequest:
    """Read a request body, and validate only `model` and `messages`.

    The upstream validates the rest: new fields, roles, blocks and tools appear monthly.

    Raises:
        InvalidRequest: the body is no JSON object, or has no `model` string or `messages` list.
    """
    try:
        body = JsonObject.parse(raw)
        model, user = body.get("model"), _read_user(body)
    except ValueError as error:
        raise unreadable(error) from None
    if not isinstance(model, str) or not model:
        raise InvalidRequest("model: a non-empty string is required.")
    messages = body.member("messages")
    if messages is None or not messages.is_list:
        raise InvalidRequest("messages: a list is required.")
    if len(query) > _MAX_QUERY_LENGTH or not _VISIBLE(query):
        raise InvalidRequest("The query string is too long or has invalid characters.")
    return CountRequest(model, body, headers, query, credentials, user)


def _read_user(body: JsonObject) -> str | None:
    """Return the end user: Anthropic's `metadata.user_id`, or OpenAI's `user`.

    https://docs.claude.com/en/api/messages
    """
    metadata = body.get("metadata")
    user_id = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    users = (user_id, body.get("user"))
    return next((user for user in users if isinstance(user, str) and user), None)


def request_from_mapping(body: Mapping[str, object], headers: Headers = ()) -> CountRequest:
    """Read a request from a mapping, as `parse_request` does from bytes.

    Raises:
        InvalidRequest: as for `parse_request`, or JSON cannot represent a value of the mapping.
    """
    try:
        raw = json.dumps(dict(body), allow_nan=False, default=_to_plain).encode()
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest("The body has a value that JSON cannot represent.") from None
    return parse_request(raw, headers)


def _to_plain(value: object) -> object:
    """Return any mapping or sequence as a dict or list, for `json`."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    raise TypeError


def native_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the `anthropic-*` headers of a request, unchanged and in their order.

    Names are in lower case, as in ASGI.

    Raises:
        InvalidRequest: a value has characters that cannot be forwarded unchanged.
    """
    return require_printable([item for item in headers if item[0].startswith("anthropic-")])


def require_printable(headers: Sequence[tuple[str, str]]) -> Headers:
    """Return the headers.

    Raises:
        InvalidRequest: a value has characters that cannot be forwarded unchanged.
    """
    for name, value in headers:
        if not _PRINTABLE(value):
            raise InvalidRequest(f"{name}: the header has invalid characters.")
    return tuple(headers) if headers else ()
