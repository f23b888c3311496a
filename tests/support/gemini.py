"""The translation to Gemini, from a mapping to parsed JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.providers.google.body import google_body
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.translation import anthropic_types, request, tools
from count_tokens_mw.rawjson.object import JsonObject
from tests.support.judges import (
    gemini_judge,
    vertex_judge,
)

__all__ = [
    "DIALECTS",
    "GEMINI_2",
    "GEMINI_3",
    "GONE",
    "TYPES",
    "VERTEX_2",
    "VERTEX_3",
    "contents_of",
    "omitted_from",
    "replace_at",
    "translate",
    "translate_and_judge",
    "translate_bytes",
    "translate_text",
]

GEMINI_2: Final = Dialect("gemini_api", 2)
GEMINI_3: Final = Dialect("gemini_api", 3)
VERTEX_2: Final = Dialect("vertex", 2)
VERTEX_3: Final = Dialect("vertex", 3)
TYPES: Final[Sequence[type[Struct]]] = [
    kind
    for module in (anthropic_types, tools, request)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Struct) and kind is not Struct
]
"""The translation's types of Anthropic's format."""

DIALECTS: Final = {
    "gemini-1.5-pro at the Gemini API": Dialect("gemini_api", 1),
    "gemini-2.5-flash at the Gemini API": GEMINI_2,
    "gemini-3.6-flash at the Gemini API": GEMINI_3,
    "gemini-2.5-flash at Vertex AI": VERTEX_2,
    "gemini-3.6-flash at Vertex AI": VERTEX_3,
}
"""Dialects by a name that begins with a model of the generation."""


def translate(body: Mapping[str, Any], dialect: Dialect = GEMINI_3) -> dict[str, Any]:
    """Return the translation of a body."""
    return translate_text(json.dumps(body).encode(), dialect)


def translate_text(raw: bytes, dialect: Dialect = GEMINI_3) -> dict[str, Any]:
    """Return the translation of a body's JSON text."""
    content: dict[str, Any] = json.loads(translate_bytes(raw, dialect))
    return content


def translate_bytes(raw: bytes, dialect: Dialect = GEMINI_3) -> bytes:
    """Return the translation as it is sent."""
    return google_body(_parse(raw), dialect)[0]


def contents_of(*messages: Any, dialect: Dialect = GEMINI_3) -> Any:
    return translate({"messages": list(messages)}, dialect)["contents"]


def omitted_from(body: Mapping[str, Any], dialect: Dialect = GEMINI_3) -> tuple[str, ...]:
    """Return the places that a translation leaves out."""
    return google_body(_parse(json.dumps(body).encode()), dialect)[1]


def _parse(raw: bytes) -> JsonObject:
    try:
        return JsonObject.parse(raw)
    except ValueError as error:  # as `parse_request` does before a provider is asked
        raise InvalidRequest(f"The request body cannot be read: {error}.") from None


def translate_and_judge(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the translation of a body for a dialect, once Google's own schemas accept it."""
    translated = translate(body, DIALECTS[name])
    model = name.partition(" ")[0]
    if "Vertex" in name:
        vertex_judge(translated, model=model)
    else:
        gemini_judge({"model": f"models/{model}", **translated})
    return translated


def replace_at(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with another value at a path, or without that path if the value is `GONE`."""
    step, *rest = path
    copy = dict(whole) if isinstance(whole, dict) else list(whole)
    if not rest and value is GONE:
        del copy[step]
    else:
        copy[step] = replace_at(copy[step], tuple(rest), value) if rest else value
    return copy


GONE: Final = object()
