"""Anthropic's HTTP contract for requests: from bytes or a mapping to a `CountRequest`.

https://docs.claude.com/en/api/messages-count-tokens
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from count_tokens_mw.errors import HeadersTooLarge, InvalidRequest
from count_tokens_mw.protocol.attribution import long_fields, read_attribution
from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import CountRequest, Headers, unreadable

__all__ = [
    "MOST_NATIVE_BYTES",
    "native_headers",
    "parse_request",
    "request_from_mapping",
    "require_printable",
    "require_short",
]

_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_VISIBLE: Final = re.compile(r"[\x21-\x7e]*").fullmatch
_MAX_QUERY_LENGTH: Final = 4096
_MAX_MODEL_LENGTH: Final = 256
MOST_NATIVE_BYTES: Final = 64 * 1024
"""The limit of a request's native headers."""
_LONGEST_ESCAPE: Final = len(r"\ud83d\ude00")


def parse_request(
    raw: bytes, headers: Headers = (), *, query: str = "", credentials: Headers = ()
) -> CountRequest:
    """Read a request body, and validate only `model` and `messages`.

    The upstream validates the rest: new fields, roles, blocks and tools appear monthly. The fields
    that may name an end user are read up to 64 KB each; a longer one is `unread`.

    Raises:
        InvalidRequest: the body is no JSON object, or has no `model` of at most 256 characters, or
            no `messages` list.
    """
    try:
        body = JsonObject.parse(raw)
        model, attribution = _read_model(body), read_attribution(body)
    except ValueError as error:
        raise unreadable(error) from None
    messages = body.member("messages")
    if messages is None or not messages.is_list:
        raise InvalidRequest("messages: a list is required.")
    if len(query) > _MAX_QUERY_LENGTH or not _VISIBLE(query):
        raise InvalidRequest("The query string is too long or has invalid characters.")
    unread = long_fields(body)
    return CountRequest(model, body, headers, query, credentials, attribution, unread=unread)


def _read_model(body: JsonObject) -> str:
    member = body.member("model")
    if member is not None and len(member) > _MAX_MODEL_LENGTH * _LONGEST_ESCAPE + len('""'):
        raise InvalidRequest("model: a string of at most 256 characters is required.")
    model = member.value if member is not None and member.is_string else None
    if not isinstance(model, str) or not model:
        raise InvalidRequest("model: a non-empty string is required.")
    if len(model) > _MAX_MODEL_LENGTH:
        raise InvalidRequest("model: a string of at most 256 characters is required.")
    return model


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
        HeadersTooLarge: they have more than 64 KB.
        InvalidRequest: a value has characters that cannot be forwarded unchanged.
    """
    native = [item for item in headers if item[0].startswith("anthropic-")]
    require_short(native)
    return require_printable(native)


def require_short(native: Sequence[tuple[str, str]]) -> None:
    """Require native headers of 64 KB at most.

    Raises:
        HeadersTooLarge: they have more.
    """
    if sum(len(name) + len(value) for name, value in native) > MOST_NATIVE_BYTES:
        raise HeadersTooLarge("The anthropic-* headers have more than 64 KB.")


def require_printable(headers: Sequence[tuple[str, str]]) -> Headers:
    """Return the headers.

    Raises:
        InvalidRequest: a value has characters that cannot be forwarded unchanged.
    """
    for name, value in headers:
        if not _PRINTABLE(value):
            raise InvalidRequest(f"{name}: the header has invalid characters.")
    return tuple(headers) if headers else ()
