"""What the calls to the Gemini API and to Vertex AI have in common, pure."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain, repeat
from typing import Final

from count_tokens_mw.errors import CannotCount
from count_tokens_mw.rawjson.object import JsonValue

__all__ = ["google_json", "model_name"]

_written: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*").fullmatch


def model_name(provider: str, model: str) -> str:
    """The model as it may stand in a URL and as it is.

    Raises:
        CannotCount: it cannot be the name of a model.
    """
    if not _MODEL(model):
        raise CannotCount(f"{provider} has no model of the name {model[:200]!r}.")
    return model


def google_json(value: Mapping[str, JsonValue]) -> bytes:
    """The body of a call. What JSON cannot hold, `_gemini_format` has refused already.

    Item by item: written as a whole, a long one would let no other thread run.
    """
    return "".join(_pieces(value, nested=3)).encode()


def _pieces(value: JsonValue, nested: int) -> Iterator[str]:
    if nested and value and isinstance(value, Mapping):
        for before, (name, item) in zip(chain("{", repeat(",")), value.items(), strict=False):
            yield f"{before}{_written(name)}:"
            yield from _pieces(item, nested - 1)
        yield "}"
    elif nested and value and isinstance(value, list):
        for before, item in zip(chain("[", repeat(",")), value, strict=False):
            yield before
            yield from _pieces(item, nested - 1)
        yield "]"
    else:
        yield _written(value)
