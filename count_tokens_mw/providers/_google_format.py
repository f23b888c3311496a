"""What the calls to the Gemini API and to Vertex AI have in common, pure."""

import json
import re
from collections.abc import Mapping
from typing import Final

from count_tokens_mw.errors import CannotCount
from count_tokens_mw.json_object import JsonValue

__all__ = ["google_json", "model_name"]

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
    """The body of a call. What JSON cannot hold, `_gemini_format` has refused already."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
