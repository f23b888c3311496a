"""Model names and bodies of calls to the Gemini API and to Vertex AI, pure."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain, repeat
from typing import Final

from count_tokens_mw.errors import CannotCount
from count_tokens_mw.rawjson.object import JsonValue

__all__ = ["google_json", "model_name"]

_encode: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*").fullmatch


def model_name(provider: str, model: str) -> str:
    """Return a model's name, once it is safe in a URL.

    Raises:
        CannotCount: no model can have this name.
    """
    if not _MODEL(model):
        raise CannotCount(f"{provider} has no model of the name {model[:200]!r}.")
    return model


def google_json(value: Mapping[str, JsonValue]) -> bytes:
    """Return the body of a call, whose values `generate_content_request` has validated.

    The body is encoded item by item, because encoding a long one at once would block all threads.
    """
    return "".join(_encode_items(value, nested=3)).encode()


def _encode_items(value: JsonValue, nested: int) -> Iterator[str]:
    if nested and value and isinstance(value, Mapping):
        for before, (name, item) in zip(chain("{", repeat(",")), value.items(), strict=False):
            yield f"{before}{_encode(name)}:"
            yield from _encode_items(item, nested - 1)
        yield "}"
    elif nested and value and isinstance(value, list):
        for before, item in zip(chain("[", repeat(",")), value, strict=False):
            yield before
            yield from _encode_items(item, nested - 1)
        yield "]"
    else:
        yield _encode(value)
