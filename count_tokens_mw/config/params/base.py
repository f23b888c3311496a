"""The base class of every vendor's `litellm_params`, a frozen model.

The names are LiteLLM's: https://docs.litellm.ai/docs/providers
"""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, SecretStr

from count_tokens_mw.config.fields import Seconds

__all__ = ["FILE_VARIABLE", "Params", "Raw"]

FILE_VARIABLE: Final = "environment_variables."
"""The prefix of the file's own variables, which keeps them apart from the process's."""

Raw: TypeAlias = Mapping[str, object]
V = TypeVar("V")


class Params(BaseModel):
    """What every deployment has. `timeout` is in seconds, for one attempt.

    `credentials` are the fields that say as whom the provider is asked, the one that counts first;
    `without_credentials` says who it is where none of them is set.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    credentials: ClassVar[tuple[str, ...]] = ()
    without_credentials: ClassVar[str] = "none"

    timeout: Seconds | None = None

    @classmethod
    def from_environment(cls, given: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        """The fields that the environment fills beside those that are given, by their own names.

        Each with the name of its variable, which is set.
        """
        return {}

    @classmethod
    def first_set(
        cls, variables: Mapping[str, tuple[str, ...]], given: Raw, environ: Mapping[str, str]
    ) -> dict[str, str]:
        """For each field that is not given, the first of its variables that is set."""
        found = {
            field: next((name for name in names if environ.get(name)), None)
            for field, names in variables.items()
            if not given.get(field)
        }
        return {field: name for field, name in found.items() if name is not None}

    @classmethod
    def canonical(cls, given: Mapping[str, V]) -> dict[str, V]:
        """The same with every field under its own name; of several names the first one counts."""
        renamed = dict(given)
        for field, names in _of_several_names(cls):
            values = [renamed.pop(name) for name in names if name in renamed]
            if values:
                renamed[field] = values[0]
        return renamed

    @classmethod
    def names(cls, field: str) -> tuple[str, ...]:
        """What a field may be called in a file."""
        alias = cls.model_fields[field].validation_alias
        return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (field,)

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The URL of the server that is asked: scheme and host, and a path where one is given."""

    @property
    def credential_field(self) -> str | None:
        """Which of `credentials` is used, None if none of them is set."""
        return next((name for name in self.credentials if getattr(self, name)), None)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, whose account and identity are its own."""
        copy = super().model_copy(update=update, deep=deep)
        for name in ("account", "identity"):
            copy.__dict__.pop(name, None)
        return copy

    @cached_property
    def account(self) -> str:
        """A hash that is the same in every process for equal parameters, and tells none of them."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        text = json.dumps([type(self).__name__, values], sort_keys=True, default=_revealed)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def identity(self) -> Hashable:
        """Equal for equal parameters, which lead to one place under one account."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return (type(self), *map(_hashable, values))


@cache
def _of_several_names(params: type[Params]) -> Sequence[tuple[str, tuple[str, ...]]]:
    named = ((field, params.names(field)) for field in params.model_fields)
    return [(field, names) for field, names in named if len(names) > 1]


def _revealed(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else repr(value)


def _hashable(value: object) -> Hashable:
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value
