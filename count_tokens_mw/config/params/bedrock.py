"""The `litellm_params` of Amazon Bedrock."""

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator

from count_tokens_mw.config.fields import (
    BaseUrl,
    Credential,
    HeaderName,
    Location,
    MessagesUrl,
    PathSegment,
)
from count_tokens_mw.config.params.aws_profiles import region_of_profile
from count_tokens_mw.config.params.base import Params, Raw
from count_tokens_mw.errors import CannotCount

__all__ = ["BedrockParams"]

# The domains of AWS's partitions other than amazonaws.com, by prefix of the region.
_AWS_DOMAINS: Final = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
_ROUTE: Final = re.compile(r"^(?:bedrock/|converse/|invoke/|[a-z]{2}(?:-[a-z]+)+-\d/)+")
_CROSS_REGION: Final = re.compile(r"^(?:us-gov|us|eu|apac|jp|au|ca|global)\.")
_ARN: Final = re.compile(
    r"^arn:aws[a-z-]*:bedrock:[^:]*:[^:]*:(foundation-model|inference-profile)/"
)
_REGION: Final = re.compile(r"(?:^|/|:bedrock:)([a-z]{2}(?:-[a-z]+)+-\d)[/:]").search
_MODEL: Final = re.compile(r"anthropic\.[A-Za-z0-9._:-]+").fullmatch
_AWS_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class BedrockParams(Params):
    """Parameters of Amazon Bedrock.

    Credentials take precedence in the order of their fields, before AWS's own chain.
    `count_tokens_via` selects the API: the runtime's CountTokens, bedrock-mantle, or (`auto`) the
    second if the first does not support the model. `count_tokens_model` is the foundation model to
    count for, and `base_model` is the foundation model behind an ARN. `model_id` is the ARN that
    LiteLLM calls instead of the model; only its region matters to a count. `bedrock_betas` replaces
    the list of betas that the runtime is known to accept.
    """

    credentials: ClassVar = (
        "api_key",
        "aws_web_identity_token",
        "aws_access_key_id",
        "aws_profile_name",
    )
    without_credentials: ClassVar = "AWS's own chain"
    row_keys: ClassVar = Params.row_keys | {
        "api_base",
        "api_key",
        "aws_access_key_id",
        "aws_region_name",
        "aws_secret_access_key",
        "aws_session_token",
        "base_model",
        "base_url",
        "bedrock_betas",
        "count_tokens_model",
        "count_tokens_via",
        "model_id",
    }

    aws_region_name: Location
    model_id: str | None = None
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
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables: dict[str, tuple[str, ...]] = {
            "aws_region_name": ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"),
            "aws_bedrock_runtime_endpoint": ("AWS_BEDROCK_RUNTIME_ENDPOINT",),
        }
        if _region_in(raw):
            del variables["aws_region_name"]
        fields = ("api_key", "aws_access_key_id", "aws_profile_name", "aws_web_identity_token")
        if any(raw.get(name) for name in fields):
            return cls.first_set(variables, raw, environ)
        bearer = environ.get("AWS_BEARER_TOKEN_BEDROCK") and not raw.get("aws_role_name")
        if bearer:
            variables["api_key"] = ("AWS_BEARER_TOKEN_BEDROCK",)
        elif all(environ.get(name) for name in _AWS_KEYS[:2]):
            # AWS's own chain begins with them too, but does not see the file's variables.
            variables |= {name.lower(): (name,) for name in _AWS_KEYS}
        return cls.first_set(variables, raw, environ)

    @classmethod
    def from_files(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        if raw.get("aws_region_name") or _region_in(raw):
            return {}
        profile = raw.get("aws_profile_name")
        region = region_of_profile(str(profile) if profile else None, environ)
        return {"aws_region_name": region} if region else {}

    @model_validator(mode="before")
    @classmethod
    def _set_region(cls, raw: Raw) -> Raw:
        """Set the region from an ARN, or from LiteLLM's `bedrock/{region}/{model}`."""
        region = raw.get("aws_region_name") or _region_in(raw)
        if not region:
            raise ValueError("aws_region_name is missing; set it or AWS_REGION")
        return {**raw, "aws_region_name": region}

    def countable_model(self, model: str) -> str:
        """Return the base model's id without route, region or profile; CountTokens takes no other.

        Raises:
            CannotCount: the ARN does not name its model, or the model is not Anthropic's.
        """
        name = self.count_tokens_model or _ROUTE.sub("", model)
        if name.startswith("arn:"):
            stated = _ARN.sub("", name)
            name = stated if stated != name else self.base_model or name
        name = _CROSS_REGION.sub("", _ROUTE.sub("", name))
        if name.startswith("arn:"):
            raise CannotCount(
                "bedrock: the ARN does not name its model; set model_info.base_model."
            )
        if not _MODEL(name):
            raise CannotCount(
                f"bedrock can count tokens only for Anthropic's models, not {name[:200]}."
            )
        return name

    def credential_source(self, origins: Mapping[str, str]) -> str:
        source = super().credential_source(origins)
        return f"{source}, assuming aws_role_name" if self.aws_role_name else source

    @property
    def endpoint(self) -> str:
        """https://docs.aws.amazon.com/general/latest/gr/bedrock.html"""
        if self.count_tokens_via == "mantle":
            return self.mantle_endpoint
        if self.aws_bedrock_runtime_endpoint:
            return self.aws_bedrock_runtime_endpoint
        region = self.aws_region_name
        domains = (domain for start, domain in _AWS_DOMAINS.items() if region.startswith(start))
        return f"https://bedrock-runtime.{region}.{next(domains, 'amazonaws.com')}"

    @property
    def may_use_mantle(self) -> bool:
        """Whether counts may go to bedrock-mantle.

        A runtime endpoint of its own (a VPC endpoint, a proxy) rules out mantle's default endpoint.
        """
        if self.count_tokens_via == "auto":
            has_own_runtime = self.aws_bedrock_runtime_endpoint is not None
            return self.aws_bedrock_mantle_endpoint is not None or not has_own_runtime
        return self.count_tokens_via == "mantle"

    @property
    def mantle_endpoint(self) -> str:
        """https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html"""
        default = f"https://bedrock-mantle.{self.aws_region_name}.api.aws/anthropic"
        return self.aws_bedrock_mantle_endpoint or default

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if bool(self.aws_access_key_id) != bool(self.aws_secret_access_key):
            raise ValueError("aws_access_key_id and aws_secret_access_key are a pair; set both")
        if self.aws_web_identity_token and not self.aws_role_name:
            raise ValueError("aws_web_identity_token requires a role; set aws_role_name")
        return self


def _region_in(raw: Raw) -> str | None:
    regions = (_REGION(str(raw.get(name))) for name in ("model_id", "model"))
    return next((region[1] for region in regions if region), None)
