"""What a deployment is configured with, for each provider: `litellm_params` as frozen models.

The names are LiteLLM's: https://docs.litellm.ai/docs/providers/anthropic
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

__all__ = [
    "ANTHROPIC_API",
    "Amount",
    "AnthropicParams",
    "HeaderName",
    "PassthroughParams",
    "Seconds",
]

ANTHROPIC_API: Final = "https://api.anthropic.com"

# Ours to set: each of them describes how the request is framed.
_FRAMING: Final = {"connection", "content-encoding", "content-length", "transfer-encoding"}
_ENDPOINT: Final = re.compile(r"(/v1(/messages(/count_tokens)?)?)?/*$")
_NO_URL: Final = f"a URL is required, as in {ANTHROPIC_API}"
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+").fullmatch
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*").fullmatch


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is required")
    return value


def _usable_credential(credential: SecretStr) -> SecretStr:
    if not _VISIBLE(credential.get_secret_value()):
        raise ValueError("it is empty, or has a space, a line break or another unusable character")
    return credential


def _base_url(url: str) -> str:
    """The part before `/v1/messages/count_tokens`, however much of that was written too."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # its text quotes the URL
        raise ValueError(_NO_URL) from None
    if not usable or not _VISIBLE(url):
        raise ValueError(_NO_URL)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("the URL may have a host and a path, and nothing more")
    return f"{parts.scheme}://{parts.netloc}{_ENDPOINT.sub('', parts.path, count=1)}"


def _header_name(name: str) -> str:
    if not _HEADER_NAME(name):
        raise ValueError("it is not the name of a header")
    return name.lower()


def _extra_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME(name) or not _PRINTABLE(value):
            raise ValueError("a header has characters that it may not have")
        if name.lower() in _FRAMING:
            raise ValueError(f"{name} cannot be set")
    return {name.lower(): value for name, value in headers.items()}


Seconds: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
Amount: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Field(gt=0)]
Credential: TypeAlias = Annotated[SecretStr, AfterValidator(_usable_credential)]
BaseUrl: TypeAlias = Annotated[str, AfterValidator(_base_url)]
HeaderName: TypeAlias = Annotated[str, AfterValidator(_header_name)]
ExtraHeaders: TypeAlias = Annotated[Mapping[str, str], AfterValidator(_extra_headers)]


class AnthropicParams(BaseModel):
    """How to reach Anthropic, or a server that speaks its format, and as whom.

    One of `api_key` (sent as `x-api-key`; an OAuth token `sk-ant-oat…` as bearer) and `auth_token`
    (sent as bearer). Without either, the key is that of ANTHROPIC_API_KEY; where that is not set
    either, a server other than Anthropic's is asked without a credential.
    `api_base` is the server with or without `/v1/messages`. `timeout` is in seconds, for one
    attempt. `extra_headers` win over the caller's; their betas are added to the caller's.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    api_key: Credential | None = None
    auth_token: Credential | None = None
    api_base: BaseUrl = Field(ANTHROPIC_API, validation_alias=AliasChoices("api_base", "base_url"))
    timeout: Seconds | None = None
    extra_headers: ExtraHeaders = Field({}, repr=False)

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.api_key and self.auth_token:
            raise ValueError("api_key and auth_token cannot both be given")
        if not self._has_credential() and self.api_base == ANTHROPIC_API:
            raise ValueError("api_key is missing, and ANTHROPIC_API_KEY is not set")
        return self

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
