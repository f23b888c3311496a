"""What a deployment in a cloud is configured with: Gemini, Vertex AI, Bedrock.

The names are LiteLLM's: https://docs.litellm.ai/docs/providers.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator

from count_tokens_mw.config.fields import (
    BaseUrl,
    Credential,
    GoogleUrl,
    HeaderName,
    MessagesUrl,
    PathSegment,
)
from count_tokens_mw.config.params.anthropic import FILE_VARIABLE, Params, Raw

__all__ = ["GEMINI_API", "BedrockParams", "GeminiParams", "VertexParams"]

GEMINI_API: Final = "https://generativelanguage.googleapis.com"


class GeminiParams(Params):
    """The Gemini API (AI Studio). The key defaults to GEMINI_API_KEY, then GOOGLE_API_KEY."""

    credentials: ClassVar = ("api_key",)

    api_key: Credential
    api_base: GoogleUrl = Field(
        default=GEMINI_API, validation_alias=AliasChoices("base_url", "api_base")
    )

    @classmethod
    def from_environment(cls, given: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables = {
            "api_key": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            "api_base": ("GEMINI_API_BASE",),
        }
        return cls.first_set(variables, given, environ)

    @model_validator(mode="before")
    @classmethod
    def _with_a_key(cls, given: Raw) -> Raw:
        if given.get("api_key") is None:
            raise ValueError("api_key is missing, and GEMINI_API_KEY is not set")
        return given

    @property
    def endpoint(self) -> str:
        return self.api_base


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

    Tokens are counted at `vertex_count_tokens_location`, else at `vertex_location`, which defaults
    to VERTEXAI_LOCATION. The project defaults to VERTEXAI_PROJECT, and then is that of the
    credentials. `api_base` replaces scheme and host. `strip_version` takes a model's `@date` off,
    and `forward_beta` sends `anthropic-beta`; Vertex has at times refused each of them.
    """

    credentials: ClassVar = ("vertex_credentials",)
    without_credentials: ClassVar = "application default credentials"

    vertex_location: PathSegment | None = Field(
        default=None, validation_alias=AliasChoices("vertex_location", "vertex_ai_location")
    )
    vertex_count_tokens_location: PathSegment | None = None
    vertex_project: PathSegment | None = Field(
        default=None, validation_alias=AliasChoices("vertex_project", "vertex_ai_project")
    )
    vertex_credentials: Annotated[dict[str, object], BeforeValidator(_credentials_info)] | None = (
        Field(
            default=None,
            repr=False,
            validation_alias=AliasChoices("vertex_credentials", "vertex_ai_credentials"),
        )
    )
    api_base: GoogleUrl | None = Field(
        default=None, validation_alias=AliasChoices("base_url", "api_base")
    )
    strip_version: bool = False
    forward_beta: bool = False

    @classmethod
    def from_environment(cls, given: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables: dict[str, tuple[str, ...]] = {
            "api_base": ("VERTEXAI_API_BASE", "VERTEX_API_BASE"),
            "vertex_credentials": (
                "VERTEXAI_CREDENTIALS",
                # That of the process is the first of the application default credentials.
                f"{FILE_VARIABLE}GOOGLE_APPLICATION_CREDENTIALS",
            ),
        }
        if not given.get("vertex_count_tokens_location"):
            variables["vertex_location"] = ("VERTEXAI_LOCATION", "VERTEX_LOCATION")
        if not given.get("vertex_credentials"):  # a key file is of a project of its own
            variables["vertex_project"] = ("VERTEXAI_PROJECT",)
        return cls.first_set(variables, given, environ)

    @property
    def location(self) -> str:
        """Where tokens are counted."""
        return self.vertex_count_tokens_location or self.vertex_location or ""

    @property
    def endpoint(self) -> str:
        """https://cloud.google.com/vertex-ai/docs/reference/rest#rest_endpoints"""
        if self.api_base:
            return self.api_base
        if self.location == "global":
            return "https://aiplatform.googleapis.com"
        if self.location in {"us", "eu"}:
            return f"https://aiplatform.{self.location}.rep.googleapis.com"
        return f"https://{self.location}-aiplatform.googleapis.com"

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


# Where AWS's regions are not below amazonaws.com, by how their names begin.
_AWS_DOMAINS: Final = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
_AWS_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class BedrockParams(Params):
    """Amazon Bedrock. Credentials are looked for in the order of the fields, then AWS's own chain.

    `count_tokens_via` says which API counts: the runtime's CountTokens, bedrock-mantle, or the
    second where the first does not support the model. `count_tokens_model` is the foundation model
    to count for, and `base_model` the one that an ARN stands for. `bedrock_betas` replaces the list
    of betas that the runtime is known to take.
    """

    credentials: ClassVar = (
        "api_key",
        "aws_web_identity_token",
        "aws_access_key_id",
        "aws_profile_name",
    )
    without_credentials: ClassVar = "AWS's own chain"

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
    aws_bedrock_runtime_endpoint: BaseUrl | None = Field(
        default=None,
        validation_alias=AliasChoices("base_url", "api_base", "aws_bedrock_runtime_endpoint"),
    )
    aws_bedrock_mantle_endpoint: MessagesUrl | None = None
    bedrock_mantle_service_name: PathSegment = "bedrock-mantle"
    count_tokens_via: Literal["auto", "runtime", "mantle"] = "auto"
    count_tokens_model: str | None = None
    base_model: str | None = None
    bedrock_betas: tuple[HeaderName, ...] | None = None

    @classmethod
    def from_environment(cls, given: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables: dict[str, tuple[str, ...]] = {
            "aws_region_name": ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"),
            "aws_bedrock_runtime_endpoint": ("AWS_BEDROCK_RUNTIME_ENDPOINT",),
        }
        if _region_in(given):
            del variables["aws_region_name"]
        own = ("api_key", "aws_access_key_id", "aws_profile_name", "aws_web_identity_token")
        if any(given.get(name) for name in own):
            return cls.first_set(variables, given, environ)
        bearer = environ.get("AWS_BEARER_TOKEN_BEDROCK") and not given.get("aws_role_name")
        if bearer:
            variables["api_key"] = ("AWS_BEARER_TOKEN_BEDROCK",)
        elif all(environ.get(name) for name in _AWS_KEYS[:2]):
            # They come first in AWS's own chain too, which does not see those of the file.
            variables |= {name.lower(): (name,) for name in _AWS_KEYS}
        return cls.first_set(variables, given, environ)

    @model_validator(mode="before")
    @classmethod
    def _region_of_the_model(cls, given: Raw) -> Raw:
        """LiteLLM's `bedrock/{region}/{model}`, and that of an ARN."""
        region = given.get("aws_region_name") or _region_in(given)
        if not region:
            raise ValueError("aws_region_name is missing, and AWS_REGION is not set")
        return {**given, "aws_region_name": region}

    @property
    def endpoint(self) -> str:
        """https://docs.aws.amazon.com/general/latest/gr/bedrock.html"""
        if self.count_tokens_via == "mantle":
            return self.mantle_endpoint
        if self.aws_bedrock_runtime_endpoint:
            return self.aws_bedrock_runtime_endpoint
        region = self.aws_region_name
        elsewhere = (domain for start, domain in _AWS_DOMAINS.items() if region.startswith(start))
        return f"https://bedrock-runtime.{region}.{next(elsewhere, 'amazonaws.com')}"

    @property
    def may_use_mantle(self) -> bool:
        """Not in its default place where the runtime has one of its own: nobody named that."""
        if self.count_tokens_via == "auto":
            is_elsewhere = self.aws_bedrock_runtime_endpoint is not None
            return self.aws_bedrock_mantle_endpoint is not None or not is_elsewhere
        return self.count_tokens_via == "mantle"

    @property
    def mantle_endpoint(self) -> str:
        """https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html"""
        default = f"https://bedrock-mantle.{self.aws_region_name}.api.aws/anthropic"
        return self.aws_bedrock_mantle_endpoint or default

    @model_validator(mode="after")
    def _whole_credentials(self) -> Self:
        if bool(self.aws_access_key_id) != bool(self.aws_secret_access_key):
            raise ValueError("aws_access_key_id and aws_secret_access_key belong together")
        if self.aws_web_identity_token and not self.aws_role_name:
            raise ValueError("aws_web_identity_token requires aws_role_name")
        return self


def _region_in(given: Raw) -> str | None:
    region = re.search(r"(?:^|/|:bedrock:)([a-z]{2}(?:-[a-z]+)+-\d)[/:]", str(given.get("model")))
    return region[1] if region else None
