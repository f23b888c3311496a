"""What a deployment is configured with: `litellm_params` as frozen models, and Anthropic's.

The names are LiteLLM's: https://docs.litellm.ai/docs/providers. Those of the clouds are in
`cloud_params`.
"""

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from functools import cached_property
from typing import ClassVar, Final, Self, TypeAlias

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from count_tokens_mw.value_types import Credential, ExtraHeaders, MessagesUrl, Seconds

__all__ = ["ANTHROPIC_API", "AnthropicParams", "AzureParams", "Params", "PassthroughParams"]

ANTHROPIC_API: Final = "https://api.anthropic.com"

Raw: TypeAlias = Mapping[str, object]


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
        """The fields that the environment fills beside those that are given.

        Each with the name of its variable, which is set.
        """
        return {}

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

    @cached_property
    def identity(self) -> Hashable:
        """Equal for equal parameters, which lead to one place under one account."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return (type(self), *map(_hashable, values))


def _hashable(value: object) -> Hashable:
    if isinstance(value, Mapping):
        return tuple((key, _hashable(item)) for key, item in sorted(value.items()))
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    assert isinstance(value, Hashable)  # noqa: S101 - what else a file can hold
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
        default=ANTHROPIC_API, validation_alias=AliasChoices("api_base", "base_url")
    )
    extra_headers: ExtraHeaders = Field({}, repr=False)

    @classmethod
    def from_environment(cls, given: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        own = ("api_key", "auth_token", "forward_client_credentials")
        if any(given.get(name) is not None for name in own):
            return {}
        return {"api_key": "ANTHROPIC_API_KEY"} if environ.get("ANTHROPIC_API_KEY") else {}

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

    `forward_client_credentials` sends the caller's own `x-api-key` and `authorization` to this
    upstream instead of a credential of the gateway; never both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    forward_client_credentials: bool = False

    @model_validator(mode="after")
    def _whose_credential(self) -> Self:
        own = {"authorization", "x-api-key"} & self.extra_headers.keys()
        if self.forward_client_credentials and (self.api_key or self.auth_token or own):
            raise ValueError("forward_client_credentials excludes a credential of the gateway's")
        return self

    def _has_credential(self) -> bool:
        return self.forward_client_credentials or super()._has_credential()


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
        fields = {"api_base": "AZURE_AI_API_BASE", "api_key": "AZURE_AI_API_KEY"}
        if given.get("base_url"):
            del fields["api_base"]
        if any(given.get(name) for name in cls.names("auth_token")):
            del fields["api_key"]
        return {
            field: name
            for field, name in fields.items()
            if environ.get(name) and not given.get(field)
        }

    @property
    def endpoint(self) -> str:
        return self.api_base.removesuffix("/anthropic") + "/anthropic"

    def _missing(self) -> str | None:
        if self._has_credential() and self.api_base != ANTHROPIC_API:
            return None
        return "api_base, and api_key or auth_token, are required"
