"""Differences of other servers with Anthropic's API: LiteLLM, vLLM, llama.cpp and SGLang, pure.

https://docs.litellm.ai/docs/anthropic_count_tokens and
https://fastapi.tiangolo.com/tutorial/handling-errors/
"""

import re
from collections.abc import Mapping
from typing import Final

from count_tokens_mw.errors import CannotCount

__all__ = [
    "MODEL_CODES",
    "SOURCE",
    "is_anthropics_type",
    "is_envelope",
    "refuse_estimate",
    "text_of_detail",
]

SOURCE: Final = "litellm_count_source"
"""The member of an answer in which a LiteLLM proxy names the source of its count."""

MODEL_CODES: Final = ("DeploymentNotFound", "model_not_found")
"""Codes of a 404 about the model, by a server that has the API: Azure's, and OpenAI's."""

# Ten of today's eleven are spelt alike; so will a type of tomorrow be.
_ANTHROPICS: Final = re.compile(r"[a-z]+(?:_[a-z]+)*_error|request_too_large").fullmatch
_OTHERS: Final = frozenset(
    {"internal_error", "internal_server_error", "request_timeout_error", "server_error"}
)
_NAME: Final = re.compile(r"\w{1,40}", re.ASCII).fullmatch
_MOST_ITEMS: Final = 16
_LONGEST_PLACE: Final = 8


def refuse_estimate(source: object) -> None:
    """Raise an error unless a LiteLLM proxy had its count from a provider.

    Raises:
        CannotCount: the count is or may be an estimate.
    """
    if source is None:
        raise CannotCount(
            f"The upstream names no source of this count ({SOURCE}), so it may only estimate."
        )
    if source != "provider":
        name = f" ({source})" if isinstance(source, str) and _NAME(source) else ""
        raise CannotCount(f"The upstream only estimates this count{name}.")


def is_envelope(payload: Mapping[str, object]) -> bool:
    """Return whether an answer is an error in Anthropic's envelope, whatever its type."""
    error = payload.get("error")
    if payload.get("type") != "error" or not isinstance(error, Mapping):
        return False
    return all(isinstance(error.get(name), str) for name in ("type", "message"))


def is_anthropics_type(error_type: object) -> bool:
    """Return whether an `error.type` is one of Anthropic's, of today or of tomorrow."""
    is_text = isinstance(error_type, str) and error_type not in _OTHERS
    return is_text and _ANTHROPICS(str(error_type)) is not None


def text_of_detail(detail: object) -> str:
    """Return the text of FastAPI's `detail`, without the input that it quotes."""
    if isinstance(detail, Mapping):
        texts = (detail.get(name) for name in ("message", "error"))
        return next((text for text in texts if isinstance(text, str)), "")
    items = detail[:_MOST_ITEMS] if isinstance(detail, list) else []
    return "; ".join(filter(None, map(_text_of_item, items)))


def _text_of_item(item: object) -> str:
    if not isinstance(item, Mapping):
        return ""
    place, message = item.get("loc"), item.get("msg")
    if not isinstance(place, list) or not isinstance(message, str):
        return ""
    return f"{'.'.join(str(name) for name in place[:_LONGEST_PLACE])}: {message}"
