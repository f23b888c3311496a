"""JSON text of translated requests, pure."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.providers.translation.content import Part
from count_tokens_mw.providers.translation.request import Translation
from count_tokens_mw.rawjson.object import JsonObject

__all__ = ["encode_translation"]

_PRIVATE: Final = re.compile(rb"\xee[\x80-\xbf]{2}")
_SHIFT: Final = 0xE000 - 0xD000


def encode_translation(
    body: JsonObject,
    translate: Callable[[JsonObject], Translation],
    wrap: Callable[[Part], Part] = lambda content: content,
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body of a call, and the bounded places of the request that it leaves out.

    `wrap` puts the translated request into the call's. A lone surrogate, such as half of an emoji,
    goes up as the caller wrote it, and the upstream decides.

    Raises:
        CannotCount: a part of the input has no counterpart.
        InvalidRequest: the body is malformed.
    """

    def encode(body: JsonObject) -> tuple[bytes, tuple[str, ...]]:
        content, omitted = translate(body)
        return msgspec.json.encode(wrap(content)), omitted

    try:
        return encode(body)
    except InvalidRequest:
        if not _can_mask_surrogates(body.raw):
            raise
    text, omitted = encode(JsonObject.parse(_mask_surrogates(body.raw)))
    return _unmask_surrogates(text), omitted


def _can_mask_surrogates(raw: bytes) -> bool:
    """Return whether text may have surrogates, and has no characters of the private use area."""
    may_have_private_use = b"\xee" in raw or b"\\ue" in raw or b"\\uE" in raw
    return (b"\\ud" in raw or b"\\uD" in raw) and not may_have_private_use


def _mask_surrogates(raw: bytes) -> bytes:
    """Return text with U+D000 to U+DFFF moved to the private use area."""
    return raw.replace(b"\\ud", b"\\ue").replace(b"\\uD", b"\\uE")


def _unmask_surrogates(text: bytes) -> bytes:
    text = text.replace(b"\\ue", b"\\ud").replace(b"\\uE", b"\\uD")
    if b"\xee" not in text:
        return text
    return _PRIVATE.sub(lambda match: b"\\u%04x" % (ord(match[0].decode()) - _SHIFT), text)
