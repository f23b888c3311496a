"""The `litellm_params` of Anthropic, its pass-through, and Claude in Azure AI Foundry."""

from collections.abc import Mapping
from typing import ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from count_tokens_mw.config.fields import (
    CREDENTIAL_HEADERS,
    Credential,
    CredentialHeaders,
    ExtraHeaders,
    MessagesUrl,
)
from count_tokens_mw.config.params.base import FILE_VARIABLE, Params, Raw
from count_tokens_mw.config.params.entra import EntraParams
from count_tokens_mw.config.params.federation import FederationParams
from count_tokens_mw.config.params.oidc import OIDC

__all__ = [
    "ANTHROPIC_API",
    "AnthropicParams",
    "AzureParams",
    "MessagesParams",
    "PassthroughParams",
]

ANTHROPIC_API: Final = "https://api.anthropic.com"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class MessagesParams(Params):
    """Parameters of a server that speaks Anthropic's format.

    At most one credential is set: `api_key` (sent as `x-api-key`; an OAuth token `sk-ant-oat…` as
    bearer), `auth_token` (sent as bearer), or what a token server issues. `api_base` may end with
    `/v1/messages`. `extra_headers` take precedence over the caller's headers, but their betas are
    added to the caller's.

    With `key_is_bearer`, every key is sent as bearer. With `needs_source`, an answer without
    `litellm_count_source` is no count, because the upstream estimates by itself.
    """

    key_is_bearer: ClassVar[bool] = False
    needs_source: ClassVar[bool] = False
    credentials: ClassVar[tuple[str, ...]] = ("api_key", "auth_token")
    row_keys: ClassVar = Params.row_keys | {"api_base", "api_key", "auth_token", "base_url"}

    api_key: Credential | None = None
    auth_token: Credential | None = None
    api_base: MessagesUrl = Field(
        default=ANTHROPIC_API, validation_alias=AliasChoices("base_url", "api_base")
    )
    extra_headers: ExtraHeaders = Field({}, repr=False)

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
    def issued_by(self) -> str | None:
        """The parameter that names the issuer of the access tokens, or None without one."""
        return None

    @property
    def is_own_server(self) -> bool:
        """Whether the upstream is another than Anthropic, and may lack its API or differ."""
        return self.endpoint != ANTHROPIC_API

    @model_validator(mode="after")
    def _check_credential(self) -> Self:
        named = [name for name in ("api_key", "auth_token") if getattr(self, name)]
        if self.issued_by is not None:
            has_header = self.extra_headers.keys() & CREDENTIAL_HEADERS
            named += [self.issued_by, *(["extra_headers"] if has_header else [])]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named[:2])} are both set; keep one of them")
        problem = self._find_missing()
        if problem:
            raise ValueError(problem)
        return self

    def _find_missing(self) -> str | None:
        if self._has_credential() or self.api_base != ANTHROPIC_API:
            return None
        return "api_key is missing; set it or ANTHROPIC_API_KEY"

    def _has_credential(self) -> bool:
        return bool(self.api_key or self.auth_token or self.issued_by)


class AnthropicParams(FederationParams, MessagesParams):
    """Parameters of Anthropic, or of a server that speaks its format.

    The key defaults to ANTHROPIC_API_KEY. A server other than Anthropic's needs no credential.
    """

    credentials: ClassVar = (
        *MessagesParams.credentials,
        "anthropic_identity_token_file",
        "anthropic_identity_token",
    )

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables: dict[str, tuple[str, ...]] = {}
        is_federated = cls.asks_for_federation(raw)
        if raw.get("api_key") is None and raw.get("auth_token") is None and not is_federated:
            variables["api_key"] = ("ANTHROPIC_API_KEY",)
        # Only the file's own, because the process's ANTHROPIC_BASE_URL may be this gateway.
        variables["api_base"] = tuple(
            f"{FILE_VARIABLE}{name}" for name in ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")
        )
        first = cls.first_set(variables, raw, environ)
        return {**first, **cls.federation_variables(raw, environ)}

    def credential_source(self, origins: Mapping[str, str]) -> str:
        source = super().credential_source(origins)
        return f"{source}, exchanged for Anthropic's token" if self.issued_by else source

    @property
    def issued_by(self) -> str | None:
        return "anthropic_federation_rule_id" if self.federates else None

    @model_validator(mode="after")
    def _require_https(self) -> Self:
        parts = urlsplit(self.api_base)
        if self.federates and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ValueError(
                "api_base: the token exchange requires https://; use a URL that begins with it"
            )
        return self


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
        if self.forward_client_credentials and (super()._has_credential() or has_header):
            raise ValueError(
                "forward_client_credentials excludes a credential of the gateway's; remove one"
            )
        return self

    def _has_credential(self) -> bool:
        return bool(self.forward_client_credentials) or super()._has_credential()


class AzureParams(EntraParams, MessagesParams):
    """Parameters of Claude in Azure AI Foundry, where the model is the deployment's name.

    `api_base` is `https://{resource}.services.ai.azure.com`, with or without `/anthropic`. It
    defaults to AZURE_AI_API_BASE, and the key to AZURE_AI_API_KEY. Without a key, Entra ID issues
    a token.
    """

    credentials: ClassVar = (
        *MessagesParams.credentials,
        "client_secret",
        "azure_federated_token_file",
        "azure_managed_identity",
    )
    # No file, no identity of the host's machine, and no other authority than Microsoft's.
    row_keys: ClassVar = MessagesParams.row_keys | {
        "azure_ad_token",
        "azure_scope",
        "client_id",
        "client_secret",
        "tenant_id",
    }

    auth_token: Credential | None = Field(
        default=None, validation_alias=AliasChoices("auth_token", "azure_ad_token")
    )

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        # Never ANTHROPIC_API_KEY, which Microsoft's hosts must not see.
        variables = {"api_base": ("AZURE_AI_API_BASE",)}
        has_token = bool(raw.get("auth_token")) and not cls.is_path("auth_token", raw["auth_token"])
        if not has_token and not cls.asks_for_entra(raw):
            variables["api_key"] = ("AZURE_AI_API_KEY",)
        first = cls.first_set(variables, raw, environ)
        if has_token or "api_key" in first or "api_key" in raw:
            return first
        return {**first, **cls.entra_variables(raw, environ)}

    @classmethod
    def is_path(cls, key: str, value: object) -> bool:
        return key in cls.names("auth_token") and str(value).startswith(OIDC)

    @property
    def endpoint(self) -> str:
        return self.api_base.removesuffix("/anthropic") + "/anthropic"

    def credential_source(self, origins: Mapping[str, str]) -> str:
        source = super().credential_source(origins)
        return f"{source}, for a token of Entra ID" if self.issued_by else source

    @property
    def issued_by(self) -> str | None:
        return self.entra_source

    def _find_missing(self) -> str | None:
        if self.api_base == ANTHROPIC_API:
            return "api_base is missing; set it or AZURE_AI_API_BASE"
        if (self.tenant_id or self.client_id) and not self._has_credential():
            return (
                "client_secret is missing; set it or azure_federated_token_file, or "
                "AZURE_CLIENT_SECRET"
            )
        if not self._has_credential():
            return "api_key is missing; set it or auth_token, or AZURE_AI_API_KEY"
        return None
