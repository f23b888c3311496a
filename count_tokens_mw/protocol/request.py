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
    "credential_headers",
    "native_headers",
    "parse_request",
    "request_from_mapping",
]

_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_VISIBLE: Final = re.compile(r"[\x21-\x7e]*").fullmatch
_LONGEST_QUERY: Final = 4096


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
