"""What a deployment is configured with, for each provider: `litellm_params` as frozen models.

The names are LiteLLM's: https://docs.litellm.ai/docs/providers. `completed` of a model adds what is
taken from the environment where the file does not say it.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

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

from count_tokens_mw.value_types import (
    BaseUrl,
    Credential,
    ExtraHeaders,
    HeaderName,
    PathSegment,
    Seconds,
)

__all__ = [
    "ANTHROPIC_API",
    "GEMINI_API",
    "AnthropicParams",
    "AzureParams",
    "BedrockParams",
    "GeminiParams",
    "Params",
    "PassthroughParams",
    "VertexParams",
]

ANTHROPIC_API: Final = "https://api.anthropic.com"
GEMINI_API: Final = "https://generativelanguage.googleapis.com"

Raw: TypeAlias = Mapping[str, object]


def _without(pattern: str) -> AfterValidator:
    """Takes from a base URL what of the endpoint was written too."""
    return AfterValidator(lambda url: re.sub(f"{pattern}$", "", url))


MessagesUrl: TypeAlias = Annotated[BaseUrl, _without(r"(?<![/:])/v1(/messages(/count_tokens)?)?")]
GoogleUrl: TypeAlias = Annotated[BaseUrl, _without(r"(?<![/:])/(v1|v1beta|v1beta1)(/.*)?")]


class Params(BaseModel):
    """What every deployment has. `timeout` is in seconds, for one attempt."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    timeout: Seconds | None = None

    @classmethod
    def completed(cls, params: Raw, environ: Mapping[str, str]) -> Raw:
        """The parameters with what the environment says where they do not."""
        return params


class AnthropicParams(Params):
    """How to reach Anthropic, or a server that speaks its format, and as whom.

    One of `api_key` (sent as `x-api-key`; an OAuth token `sk-ant-oat…` as bearer) and `auth_token`
    (sent as bearer). Without either, the key is that of ANTHROPIC_API_KEY; where that is not set
    either, a server other than Anthropic's is asked without a credential.
    `api_base` is the server with or without `/v1/messages`. `extra_headers` win over the caller's;
    their betas are added to the caller's.
    """

    api_key: Credential | None = None
    auth_token: Credential | None = None
    api_base: MessagesUrl = Field(
        ANTHROPIC_API, validation_alias=AliasChoices("api_base", "base_url")
    )
    extra_headers: ExtraHeaders = Field({}, repr=False)

    @classmethod
    def completed(cls, params: Raw, environ: Mapping[str, str]) -> Raw:
        own = ("api_key", "auth_token", "forward_client_credentials")
        if any(params.get(name) is not None for name in own):
            return params
        return {**params, "api_key": environ.get("ANTHROPIC_API_KEY") or None}

    @property
    def messages_base(self) -> str:
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

    `api_base` is `https://{resource}.services.ai.azure.com`, with or without `/anthropic`.
    """

    @classmethod
    def completed(cls, params: Raw, environ: Mapping[str, str]) -> Raw:
        return params  # Anthropic's key is not for Microsoft's hosts

    @property
    def messages_base(self) -> str:
        return self.api_base.removesuffix("/anthropic") + "/anthropic"

    def _missing(self) -> str | None:
        if self._has_credential() and self.api_base != ANTHROPIC_API:
            return None
        return "api_base, and api_key or auth_token, are required"


class GeminiParams(Params):
    """The Gemini API (AI Studio). The key defaults to GEMINI_API_KEY, then GOOGLE_API_KEY."""

    api_key: Credential
    api_base: GoogleUrl = Field(GEMINI_API, validation_alias=AliasChoices("api_base", "base_url"))

    @classmethod
    def completed(cls, params: Raw, environ: Mapping[str, str]) -> Raw:
        if params.get("api_key") is not None:
            return params
        key = environ.get("GEMINI_API_KEY") or environ.get("GOOGLE_API_KEY")
        return {**params, "api_key": key} if key else params


def _credentials_info(value: object) -> object:
    """`vertex_credentials` as LiteLLM takes them: a mapping, its JSON text, or a path to it."""
    if not isinstance(value, str):
        return value
    try:
        text = value if value.lstrip().startswith("{") else Path(value).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    except ValueError:  # its text quotes the credentials
        raise ValueError("it is neither JSON nor the path of a JSON file") from None


class VertexParams(Params):
    """Vertex AI. Without `vertex_credentials`, Google's application default credentials are used.

    Tokens are counted at `vertex_count_tokens_location`, else at `vertex_location`. The project is
    that of the credentials where `vertex_project` does not say it. `api_base` replaces scheme and
    host. `strip_version` takes a model's `@date` off, and `forward_beta` sends `anthropic-beta`;
    Vertex has at times refused each of them.
    """

    vertex_location: PathSegment | None = None
    vertex_count_tokens_location: PathSegment | None = None
    vertex_project: PathSegment | None = None
    vertex_credentials: Annotated[dict[str, object], BeforeValidator(_credentials_info)] | None = (
        Field(None, repr=False)
    )
    api_base: GoogleUrl | None = None
    strip_version: bool = False
    forward_beta: bool = False

    @property
    def location(self) -> str:
        """Where tokens are counted."""
        return self.vertex_count_tokens_location or self.vertex_location or ""

    @property
    def project(self) -> str | None:
        """The configured project, None if only the default credentials know it."""
        named = (self.vertex_credentials or {}).get("project_id")
        return self.vertex_project or (named if isinstance(named, str) else None)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.location:
            raise ValueError("vertex_location or vertex_count_tokens_location is required")
        return self


class BedrockParams(Params):
    """Amazon Bedrock. Credentials are looked for in the order of the fields, then AWS's own chain.

    `count_tokens_via` says which API counts: the runtime's CountTokens, bedrock-mantle, or the
    second where the first does not support the model. `count_tokens_model` is the foundation model
    to count for, and `base_model` the one that an ARN stands for. `bedrock_betas` replaces the list
    of betas that the runtime is known to take.
    """

    aws_region_name: PathSegment
    api_key: Credential | None = None
    aws_web_identity_token: SecretStr | None = None
    aws_role_name: str | None = None
    aws_session_name: str = "count-tokens-mw"
    aws_external_id: str | None = None
    aws_access_key_id: Credential | None = None
    aws_secret_access_key: Credential | None = None
    aws_session_token: Credential | None = None
    aws_profile_name: str | None = None
    aws_sts_endpoint: BaseUrl | None = None
    aws_bedrock_runtime_endpoint: BaseUrl | None = None
    aws_bedrock_mantle_endpoint: MessagesUrl | None = None
    bedrock_mantle_service_name: PathSegment = "bedrock-mantle"
    count_tokens_via: Literal["auto", "runtime", "mantle"] = "auto"
    count_tokens_model: str | None = None
    base_model: str | None = None
    bedrock_betas: tuple[HeaderName, ...] | None = None

    @classmethod
    def completed(cls, params: Raw, environ: Mapping[str, str]) -> Raw:
        added: dict[str, object] = {}
        if "aws_region_name" not in params:
            region = re.search(r"(?:^|/)([a-z]{2}(?:-[a-z]+)+-\d)/", str(params.get("model")))
            names = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
            found = (environ[name] for name in names if environ.get(name))
            added["aws_region_name"] = region[1] if region else next(found, None)
        own = ("api_key", "aws_access_key_id", "aws_profile_name", "aws_role_name")
        if not any(name in params for name in own) and environ.get("AWS_BEARER_TOKEN_BEDROCK"):
            added["api_key"] = environ["AWS_BEARER_TOKEN_BEDROCK"]
        return {**params, **{name: value for name, value in added.items() if value is not None}}

    @model_validator(mode="after")
    def _whole_credentials(self) -> Self:
        if bool(self.aws_access_key_id) != bool(self.aws_secret_access_key):
            raise ValueError("aws_access_key_id and aws_secret_access_key belong together")
        if self.aws_web_identity_token and not self.aws_role_name:
            raise ValueError("aws_web_identity_token requires aws_role_name")
        return self
