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
    """Parameters of Anthropic, or of a server that speaks its format.

    At most one of `api_key` (sent as `x-api-key`; an OAuth token `sk-ant-oat…` as bearer) and
    `auth_token` (sent as bearer) is set. The key defaults to ANTHROPIC_API_KEY. A server other than
    Anthropic's needs no credential. `api_base` may end with `/v1/messages`. `extra_headers` take
    precedence over the caller's headers, but their betas are added to the caller's.

    With `key_is_bearer`, every key is sent as bearer. With `needs_source`, an answer without
    `litellm_count_source` is no count, because the upstream estimates by itself.
    """

    key_is_bearer: ClassVar[bool] = False
    needs_source: ClassVar[bool] = False
    credentials: ClassVar = ("api_key", "auth_token")
    row_keys: ClassVar = Params.row_keys | {"api_base", "api_key", "auth_token", "base_url"}

    api_key: Credential | None = None
    auth_token: Credential | None = None
    api_base: MessagesUrl = Field(
        default=ANTHROPIC_API, validation_alias=AliasChoices("base_url", "api_base")
    )
    extra_headers: ExtraHeaders = Field({}, repr=False)

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables: dict[str, tuple[str, ...]] = {}
        if raw.get("api_key") is None and raw.get("auth_token") is None:
            variables["api_key"] = ("ANTHROPIC_API_KEY",)
        # Only the file's own, because the process's ANTHROPIC_BASE_URL may be this gateway.
        variables["api_base"] = tuple(
            f"{FILE_VARIABLE}{name}" for name in ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")
        )
        return cls.first_set(variables, raw, environ)

    @property
    def credential_field(self) -> str | None:
        has_header = self.extra_headers.keys() & CREDENTIAL_HEADERS  # takes precedence
        return "extra_headers" if has_header else super().credential_field

    def row_problem(self) -> str | None:
        """Return None, because the parameters are invalid without a credential that is needed."""
        return None

    @property
    def endpoint(self) -> str:
        """The base URL of `/v1/messages/count_tokens`."""
        return self.api_base

    @property
    def is_own_server(self) -> bool:
        """Whether the upstream is another than Anthropic, and may lack its API or differ."""
        return self.endpoint != ANTHROPIC_API

    @model_validator(mode="after")
    def _check_credential(self) -> Self:
        if self.api_key and self.auth_token:
            raise ValueError("api_key and auth_token are both set; keep one of them")
        problem = self._find_missing()
        if problem:
            raise ValueError(problem)
        return self

    def _find_missing(self) -> str | None:
        if self._has_credential() or self.api_base != ANTHROPIC_API:
            return None
        return "api_key is missing; set it or ANTHROPIC_API_KEY"

    def _has_credential(self) -> bool:
        return bool(self.api_key or self.auth_token)


class PassthroughParams(AnthropicParams):
    """Parameters of the pass-through, which is part of the strict section `count_tokens`.

    `forward_client_credentials` names the headers in which callers send their own credential for
    this upstream: `authorization`, `x-api-key` or both. They replace a credential of the gateway
    and cannot be combined with one. A key by which `api_key` recognised the caller is never
    forwarded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    forward_client_credentials: CredentialHeaders = ()

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables = super().from_environment(raw, environ)
        is_forwarding = raw.get("forward_client_credentials")
        excluded = {"api_key"} if is_forwarding else set()
        return {field: name for field, name in variables.items() if field not in excluded}

    @model_validator(mode="after")
    def _check_forwarding(self) -> Self:
        has_header = self.extra_headers.keys() & CREDENTIAL_HEADERS
        if self.forward_client_credentials and (self.api_key or self.auth_token or has_header):
            raise ValueError(
                "forward_client_credentials excludes a credential of the gateway's; remove one"
            )
        return self

    def _has_credential(self) -> bool:
        return bool(self.forward_client_credentials) or super()._has_credential()


class AzureParams(AnthropicParams):
    """Parameters of Claude in Azure AI Foundry, where the model is the deployment's name.

    `api_base` is `https://{resource}.services.ai.azure.com`, with or without `/anthropic`. It
    defaults to AZURE_AI_API_BASE, and the key to AZURE_AI_API_KEY.
    """

    row_keys: ClassVar = AnthropicParams.row_keys | {"azure_ad_token"}

    auth_token: Credential | None = Field(
        default=None, validation_alias=AliasChoices("auth_token", "azure_ad_token")
    )

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        # Never ANTHROPIC_API_KEY, which Microsoft's hosts must not see.
        variables = {"api_base": ("AZURE_AI_API_BASE",)}
        if not raw.get("auth_token"):
            variables["api_key"] = ("AZURE_AI_API_KEY",)
        return cls.first_set(variables, raw, environ)

    @property
    def endpoint(self) -> str:
        return self.api_base.removesuffix("/anthropic") + "/anthropic"

    def _find_missing(self) -> str | None:
        if self.api_base == ANTHROPIC_API:
            return "api_base is missing; set it or AZURE_AI_API_BASE"
        if not self._has_credential():
            return "api_key is missing; set it or auth_token, or AZURE_AI_API_KEY"
        return None
