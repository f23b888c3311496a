"""A validator of request bodies for Anthropic's API, by the types of Anthropic's own SDK."""

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from pydantic import ConfigDict, TypeAdapter, with_config

__all__ = ["Judge", "anthropic_judge"]


def anthropic_judge(body: Mapping[str, Any]) -> None:
    """Validate a body of the counting API with standard fields only.

    Raises:
        pydantic.ValidationError: a field is unknown or of a wrong type.
        AssertionError: the SDK does not know a nested field.
    """
    assert _standard_judge().judge(json.dumps(body).encode()) == body


def drain(value: object) -> object:
    """Iterate every `Iterable` into a list, because pydantic validates it only then."""
    if isinstance(value, Mapping):
        return {key: drain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [drain(item) for item in value]
    return value


class Judge:
    """A validator by a parameter type of the SDK, which refuses unknown fields."""

    def __init__(self, params: Any) -> None:
        strict = with_config(ConfigDict(extra="forbid"))(params)
        self._adapter: TypeAdapter[Any] = TypeAdapter(strict)

    def judge(self, body: bytes) -> object:
        return drain(self._adapter.validate_python(json.loads(body)))


@functools.cache
def _standard_judge() -> Judge:
    return Judge(MessageCountTokensParams)
