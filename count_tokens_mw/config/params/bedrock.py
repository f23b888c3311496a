"""The `litellm_params` of Amazon Bedrock."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self, TypeAlias, get_args

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator

from count_tokens_mw.config.fields import (
    BaseUrl,
    Credential,
    HeaderName,
    HeaderValue,
    Location,
    PathSegment,
)
from count_tokens_mw.config.params.aws_profiles import region_of_profile
from count_tokens_mw.config.params.base import Params, Raw, V
from count_tokens_mw.config.params.bedrock_endpoints import (
    MantleUrl,
    mantle_endpoint,
    mantle_region,
    region_of_mantle,
    runtime_endpoint,
)
from count_tokens_mw.config.params.bedrock_names import is_on_mantle, model_id_of, region_in

__all__ = ["BedrockParams", "Rung"]

Rung: TypeAlias = Literal["runtime", "mantle", "runtime_messages"]
"""An API that counts: CountTokens, mantle's Messages API, or the runtime's."""

_AWS_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_MANTLE_PROVIDER: Final = "bedrock_mantle"


def _parse_rungs(value: object) -> object:
    """Return `auto`, or the rungs in their order; one is a string."""
    if value == "auto":
        return value
    rungs = value if isinstance(value, list | tuple) else [value]
    if not rungs or not all(isinstance(rung, str) and rung in get_args(Rung) for rung in rungs):
        names = ", ".join(get_args(Rung))
        raise ValueError(f"not an API that counts; use auto, or one or a list of {names}")
    return tuple(dict.fromkeys(rungs))


class BedrockParams(Params):
    """Parameters of Amazon Bedrock.

    Credentials take precedence in the order of their fields, before AWS's own chain.
    `count_tokens_via` are the APIs to ask, each for the models that those before it do not count.
    `auto` is the runtime's CountTokens, then mantle, and mantle first if the model's route is
    mantle. `bedrock_mantle_region` is mantle's region, or `geography` for that of the model's
    profile. `aws_bedrock_project_id` is the project that mantle counts in.

    `count_tokens_model` is the foundation model to count for, and `base_model` is the foundation
    model behind an ARN. `model_id` is the ARN that LiteLLM calls instead of the model; only its
    region matters to a count. `bedrock_betas` replaces the list of betas that the runtime is known
    to accept.
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
        "aws_bedrock_project_id",
        "aws_region_name",
        "aws_secret_access_key",
        "aws_session_token",
        "base_model",
        "base_url",
        "bedrock_betas",
        "bedrock_mantle_region",
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
    aws_bedrock_mantle_endpoint: MantleUrl | None = None
    bedrock_mantle_region: Location | None = None
    bedrock_mantle_service_name: PathSegment = "bedrock-mantle"
    aws_bedrock_project_id: HeaderValue | None = None
    count_tokens_via: Annotated[
        tuple[Rung, ...] | Literal["auto"], BeforeValidator(_parse_rungs)
    ] = "auto"
    count_tokens_model: str | None = None
    base_model: str | None = None
    bedrock_betas: tuple[HeaderName, ...] | None = None

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        is_mantle = _is_mantle(raw)
        variables: dict[str, tuple[str, ...]] = {
            "aws_region_name": ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"),
            "aws_bedrock_runtime_endpoint": ("AWS_BEDROCK_RUNTIME_ENDPOINT",),
            "aws_bedrock_mantle_endpoint": ("BEDROCK_MANTLE_API_BASE",),
        }
        if is_mantle:
            regions = ("BEDROCK_MANTLE_REGION", *variables["aws_region_name"])
            variables["aws_region_name"] = regions
        if _region_in(raw):
            del variables["aws_region_name"]
        fields = ("api_key", "aws_access_key_id", "aws_profile_name", "aws_web_identity_token")
        if any(raw.get(name) for name in fields):
            return cls.first_set(variables, raw, environ)
        keys = ("BEDROCK_MANTLE_API_KEY",) if is_mantle else ()
        keys = (*keys, "AWS_BEARER_TOKEN_BEDROCK")
        if any(environ.get(name) for name in keys) and not raw.get("aws_role_name"):
            variables["api_key"] = keys
        elif all(environ.get(name) for name in _AWS_KEYS[:2]):
            # AWS's own chain begins with them too, but does not see the file's variables.
            variables |= {name.lower(): (name,) for name in _AWS_KEYS}
        return cls.first_set(variables, raw, environ)

    @classmethod
    def canonical(cls, raw: Mapping[str, V]) -> dict[str, V]:
        """Return `raw` with field names; the base of a model whose route is mantle is mantle's."""
        renamed = super().canonical(raw)
        runtime, mantle = "aws_bedrock_runtime_endpoint", "aws_bedrock_mantle_endpoint"
        if _is_mantle(renamed) and runtime in renamed:
            renamed = {mantle: renamed.pop(runtime), **renamed}
        return renamed

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
        """Set the region from an ARN, LiteLLM's `bedrock/{region}/{model}`, or mantle's host."""
        mantle = raw.get("aws_bedrock_mantle_endpoint")
        region = raw.get("aws_region_name") or _region_in(raw) or region_of_mantle(str(mantle))
        if not region:
            raise ValueError("aws_region_name is missing; set it or AWS_REGION")
        return {**raw, "aws_region_name": region}

    def countable_model(self, model: str) -> str:
        """Return the base model's id without route, region or profile; CountTokens takes no other.

        Raises:
            CannotCount: the ARN does not name its model, or the model is not Anthropic's.
        """
        return model_id_of(self.count_tokens_model or model, self.base_model)

    def credential_source(self, origins: Mapping[str, str]) -> str:
        source = super().credential_source(origins)
        return f"{source}, assuming aws_role_name" if self.aws_role_name else source

    @property
    def endpoint(self) -> str:
        return self.endpoint_for("")

    def endpoint_for(self, model: str) -> str:
        return self.endpoint_of(self.rungs(model)[0], model)

    def rungs(self, model: str) -> tuple[Rung, ...]:
        """Return the APIs that count for a model, in their order.

        By `auto`, an endpoint of its own for the first API (a VPC endpoint, a proxy) rules out the
        default endpoint of the second.
        """
        if self.count_tokens_via != "auto":
            return self.count_tokens_via
        own: dict[Rung, str | None] = {
            "runtime": self.aws_bedrock_runtime_endpoint,
            "mantle": self.aws_bedrock_mantle_endpoint,
        }
        first, second = reversed(own) if is_on_mantle(model) else own
        return (first,) if own[first] and not own[second] else (first, second)

    def mantle_region_of(self, model: str) -> str:
        """Return the region of mantle's default endpoint for a model."""
        names = (self.count_tokens_model, model, self.base_model)
        return mantle_region(self.bedrock_mantle_region, names, self.aws_region_name)

    def endpoint_of(self, rung: Rung, model: str) -> str:
        """Return the base URL of an API for a model."""
        if rung == "mantle":
            region = self.mantle_region_of(model)
            return self.aws_bedrock_mantle_endpoint or mantle_endpoint(region)
        runtime = self.aws_bedrock_runtime_endpoint or runtime_endpoint(self.aws_region_name)
        return runtime if rung == "runtime" else f"{runtime}/anthropic"

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if bool(self.aws_access_key_id) != bool(self.aws_secret_access_key):
            raise ValueError("aws_access_key_id and aws_secret_access_key are a pair; set both")
        if self.aws_web_identity_token and not self.aws_role_name:
            raise ValueError("aws_web_identity_token requires a role; set aws_role_name")
        return self


def _is_mantle(raw: Raw) -> bool:
    provider = raw.get("custom_llm_provider")
    return provider == _MANTLE_PROVIDER or is_on_mantle(str(raw.get("model")))


def _region_in(raw: Raw) -> str | None:
    regions = (region_in(str(raw.get(name))) for name in ("model_id", "model"))
    return next(filter(None, regions), None)
