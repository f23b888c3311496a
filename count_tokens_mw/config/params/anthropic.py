"""The `litellm_params` of Anthropic, its pass-through, and Claude in Azure AI Foundry."""

from collections.abc import Mapping
from typing import ClassVar, Final, Self

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from count_tokens_mw.config.fields import (
    CREDENTIAL_HEADERS,
    Credential,
    CredentialHeaders,
    ExtraHeaders,
    MessagesUrl,
)
from count_tokens_mw.config.params.base import FILE_VARIABLE, Params, Raw

__all__ = ["ANTHROPIC_API", "AnthropicParams", "AzureParams", "PassthroughParams"]

ANTHROPIC_API: Final = "https://api.anthropic.com"


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
