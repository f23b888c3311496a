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
from count_tokens_mw.config.secret_files import KeyFile

__all__ = ["FILE_VARIABLE", "Params", "Raw", "V"]

FILE_VARIABLE: Final = "environment_variables."
"""The prefix of the file's own variables, which keeps them apart from the process's."""

Raw: TypeAlias = Mapping[str, object]
V = TypeVar("V")


class Params(BaseModel):
    """The parameters of every deployment. `timeout` is in seconds, for one attempt.

    `credentials` are the fields that authenticate the gateway at the provider, in order of
    precedence. `without_credentials` names the source that is used if none of them is set.
    `row_keys` are the names of parameters that a tenant's row may use (see `config.rows`); a new
    parameter is not allowed there until it is listed. With `needs_opt_in`, `may_count` depends on
    the parameters.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    credentials: ClassVar[tuple[str, ...]] = ()
    without_credentials: ClassVar[str] = "none"
    row_keys: ClassVar[frozenset[str]] = frozenset({"timeout"})
    needs_opt_in: ClassVar[bool] = False

    timeout: Seconds | None = None

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        """Return the fields that `raw` leaves to the environment, each with its set variable."""
        return {}

    @classmethod
    def from_files(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        """Return the fields that `raw` leaves to the vendor's own files, each with its value.

        `environ` is the process's, as for the vendor's library. The files are read only while a
        configuration is.
        """
        return {}

    @classmethod
    def first_set(
        cls, variables: Mapping[str, tuple[str, ...]], raw: Raw, environ: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the first set variable of each field that `raw` does not have.

        An empty credential has none: another account's would count for the wrong one.
        """
        first = {
            field: next((name for name in names if environ.get(name)), None)
            for field, names in variables.items()
            if not raw.get(field) and not (field in raw and field in cls.credentials)
        }
        return {field: name for field, name in first.items() if name is not None}

    @classmethod
    def base_field(cls) -> str:
        """Return the field that `api_base` sets."""
        return next(name for name in cls.model_fields if "api_base" in cls.names(name))

    @classmethod
    def canonical(cls, raw: Mapping[str, V]) -> dict[str, V]:
        """Return `raw` with aliases replaced by field names; the field's first alias wins."""
        renamed = dict(raw)
        for field, names in _aliases_of(cls):
            values = [renamed.pop(name) for name in names if name in renamed]
            if values:
                renamed[field] = values[0]
        return renamed

    @classmethod
    def names(cls, field: str) -> tuple[str, ...]:
        """Return the names that a file may use for a field."""
        alias = cls.model_fields[field].validation_alias
        return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (field,)

    @classmethod
    def may_count(cls, raw: Raw) -> bool:
        """Return whether an entry with these parameters can have a count.

        If not, it is read no further, so that nothing in it is a problem. The values come from the
        entry and the environment, and may be invalid.
        """
        return True

    @classmethod
    @cache
    def all_names(cls) -> frozenset[str]:
        """Return the names that a file may use for any field."""
        return frozenset().union(*map(cls.names, cls.model_fields))

    def countable_model(self, model: str) -> str:
        """Return the name under which the provider counts for an upstream model.

        Raises:
            CannotCount: the provider does not count for it, whatever the content.
        """
        return model

    def endpoint_for(self, model: str) -> str:
        """Return the base URL that is asked first for an upstream model."""
        return self.endpoint

    @classmethod
    def is_path(cls, key: str, value: object) -> bool:
        """Return whether the value of a parameter is the path of a file."""
        return False

    def row_problem(self) -> str | None:
        """Return what a tenant's row lacks, or has and must not have, as `key: text`; or None."""
        if self.credential_field is None:
            names = " or ".join(name for name in self.credentials if name in self.row_keys)
            return f"{names}: a tenant's row needs a credential of its own; set it"
        return None

    def credential_source(self, origins: Mapping[str, str]) -> str:
        """Return the source of the credential, given the origin of each field that is set."""
        return origins.get(self.credential_field or "", self.without_credentials)

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The upstream's base URL: scheme, host and, if configured, a path."""

    @property
    def credential_field(self) -> str | None:
        """The first of `credentials` that is set, or None."""
        return next((name for name in self.credentials if getattr(self, name)), None)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy that computes its own account and identity."""
        copy = super().model_copy(update=update, deep=deep)
        for name in ("account", "identity"):
            copy.__dict__.pop(name, None)
        return copy

    @cached_property
    def account(self) -> str:
        """A hash of the parameters that is stable across processes and discloses none of them."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        text = json.dumps([type(self).__name__, values], sort_keys=True, default=_reveal)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def identity(self) -> Hashable:
        """A key that is equal for equal parameters, which share one endpoint and one account."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return (type(self), *map(_to_hashable, values))


@cache
def _aliases_of(params: type[Params]) -> Sequence[tuple[str, tuple[str, ...]]]:
    named = ((field, params.names(field)) for field in params.model_fields)
    return [(field, names) for field, names in named if len(names) > 1]


def _reveal(value: object) -> object:
    if isinstance(value, KeyFile):
        return value.identity
    return value.get_secret_value() if isinstance(value, SecretStr) else repr(value)


def _to_hashable(value: object) -> Hashable:
    if isinstance(value, Mapping):
        return frozenset((key, _to_hashable(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_to_hashable, value))
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value
