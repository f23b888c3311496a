"""Bodies of calls to Gemini, pure."""

from collections.abc import Callable

from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.translation import generate_content_request
from count_tokens_mw.providers.translation.content import Part
from count_tokens_mw.providers.translation.encoding import encode_translation
from count_tokens_mw.rawjson.object import JsonObject

__all__ = ["google_body"]


def google_body(
    body: JsonObject, dialect: Dialect, wrap: Callable[[Part], Part] = lambda content: content
) -> tuple[bytes, tuple[str, ...]]:
    """Return the body of a call as `encode_translation` does.

    Raises:
        CannotCount: a part of the input has no counterpart in Gemini.
        InvalidRequest: the body is malformed.
    """
    return encode_translation(body, lambda body: generate_content_request(body, dialect), wrap)
