"""What a deployment is configured with: `litellm_params` as frozen models, and Anthropic's.

The names are LiteLLM's: https://docs.litellm.ai/docs/providers. Those of the clouds are in
`cloud_params`.
"""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, model_validator

from count_tokens_mw.config.fields import (
    CREDENTIAL_HEADERS,
    Credential,
    CredentialHeaders,
    ExtraHeaders,
    MessagesUrl,
    Seconds,
)

__all__ = [
    "ANTHROPIC_API",
    "FILE_VARIABLE",
    "AnthropicParams",
    "AzureParams",
    "Params",
    "PassthroughParams",
]

ANTHROPIC_API: Final = "https://api.anthropic.com"
FILE_VARIABLE: Final = "environment_variables."
"""How the file's own variables are called, to be told from those of the process."""

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


class AnthropicParams(Params):
    """How to reach Anthropic, or a server that speaks its format, and as whom.

    One of `api_key` (sent as `x-api-key`; an OAuth token `sk-ant-oat…` as bearer) and `auth_token`
    (sent as bearer). Without either, the key is that of ANTHROPIC_API_KEY; where that is not set
    either, a server other than Anthropic's is asked without a credential.
    `api_base` is the server with or without `/v1/messages`. `extra_headers` win over the caller's;
    their betas are added to the caller's.
    """

    credentials: ClassVar = ("api_key", "auth_token")

    api_key: Credential | None = None
    auth_token: Credential | None = None
    api_base: MessagesUrl = Field(
        default=ANTHROPIC_API, validation_alias=AliasChoices("base_url", "api_base")
    )
    extra_headers: ExtraHeaders = Field({}, repr=False)

    @classmethod
    def from_environment(cls, given: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables: dict[str, tuple[str, ...]] = {}
        if given.get("api_key") is None and given.get("auth_token") is None:
            variables["api_key"] = ("ANTHROPIC_API_KEY",)
        # Only the file's own: in the process's, ANTHROPIC_BASE_URL may well lead to this gateway.
        variables["api_base"] = tuple(
            f"{FILE_VARIABLE}{name}" for name in ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")
        )
        return cls.first_set(variables, given, environ)

    @property
    def credential_field(self) -> str | None:
        own_header = self.extra_headers.keys() & CREDENTIAL_HEADERS  # which wins over the others
        return "extra_headers" if own_header else super().credential_field

    @property
    def endpoint(self) -> str:
        """The URL under which `/v1/messages/count_tokens` is."""
        return self.api_base

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.api_key and self.auth_token:
            raise ValueError("api_key and auth_token cannot both be given")
        missing = self._missing()
        if missing:
            raise ValueError(missing)
        return self

    def _missing(self) -> str | None:
        if self._has_credential() or self.api_base != ANTHROPIC_API:
            return None
        return "api_key is missing, and ANTHROPIC_API_KEY is not set"

    def _has_credential(self) -> bool:
        return bool(self.api_key or self.auth_token)


class PassthroughParams(AnthropicParams):
    """The same for the pass-through, which is part of our own, strict section.

    `forward_client_credentials` names the headers in which callers send their own credential for
    this upstream: `authorization`, `x-api-key` or both. They go there instead of a credential of
    the gateway, never beside one. A key by which `api_key` recognised the caller never goes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    forward_client_credentials: CredentialHeaders = ()

    @classmethod
    def from_environment(cls, given: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables = super().from_environment(given, environ)
        is_forwarding = given.get("forward_client_credentials")
        own = {"api_key"} if is_forwarding else set()
        return {field: name for field, name in variables.items() if field not in own}

    @model_validator(mode="after")
    def _whose_credential(self) -> Self:
        own = self.extra_headers.keys() & CREDENTIAL_HEADERS
        if self.forward_client_credentials and (self.api_key or self.auth_token or own):
            raise ValueError("forward_client_credentials excludes a credential of the gateway's")
        return self

    def _has_credential(self) -> bool:
        return bool(self.forward_client_credentials) or super()._has_credential()


class AzureParams(AnthropicParams):
    """Claude in Azure AI Foundry: a resource's own host, and the deployment's name as the model.

    `api_base` is `https://{resource}.services.ai.azure.com`, with or without `/anthropic`. It and
    the key default to AZURE_AI_API_BASE and AZURE_AI_API_KEY.
    """

    auth_token: Credential | None = Field(
        default=None, validation_alias=AliasChoices("auth_token", "azure_ad_token")
    )

    @classmethod
    def from_environment(cls, given: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        # Never ANTHROPIC_API_KEY: it is not for Microsoft's hosts.
        variables = {"api_base": ("AZURE_AI_API_BASE",)}
        if not given.get("auth_token"):
            variables["api_key"] = ("AZURE_AI_API_KEY",)
        return cls.first_set(variables, given, environ)

    @property
    def endpoint(self) -> str:
        return self.api_base.removesuffix("/anthropic") + "/anthropic"

    def _missing(self) -> str | None:
        if self.api_base == ANTHROPIC_API:
            return "api_base is missing, and AZURE_AI_API_BASE is not set"
        if not self._has_credential():
            return "api_key or auth_token is missing, and AZURE_AI_API_KEY is not set"
        return None
