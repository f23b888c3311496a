"""What Anthropic's API takes, by the types of its own SDK: they judge what we send."""

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from pydantic import ConfigDict, TypeAdapter, with_config

__all__ = ["Judge", "anthropic_judge"]


def anthropic_judge(body: Mapping[str, Any]) -> None:
    """A body of the counting API with standard fields only.

    Raises:
        pydantic.ValidationError: a field that is unknown or of a wrong type.
        AssertionError: a nested field that the SDK does not know.
    """
    assert _standard_judge().judge(json.dumps(body).encode()) == body


def drained(value: object) -> object:
    """Pydantic validates an `Iterable` only while it is iterated."""
    if isinstance(value, Mapping):
        return {key: drained(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [drained(item) for item in value]
    return value


class Judge:
    """One of the SDK's parameter types, refusing what it does not know."""

    def __init__(self, params: Any) -> None:
        strict = with_config(ConfigDict(extra="forbid"))(params)
        self._adapter: TypeAdapter[Any] = TypeAdapter(strict)

    def judge(self, body: bytes) -> object:
        return drained(self._adapter.validate_python(json.loads(body)))


@functools.cache
def _standard_judge() -> Judge:
    return Judge(MessageCountTokensParams)
