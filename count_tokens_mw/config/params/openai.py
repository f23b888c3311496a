"""The `litellm_params` of OpenAI, of servers in its format, and of Azure OpenAI.

https://docs.litellm.ai/docs/providers/openai and https://docs.litellm.ai/docs/providers/azure
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field

from count_tokens_mw.config.fields import BaseUrl, Credential, PathSegment
from count_tokens_mw.config.params.base import Raw
from count_tokens_mw.config.params.oidc import OIDC
from count_tokens_mw.config.params.servers import ServerParams

__all__ = ["OPENAI_API", "AzureOpenAIParams", "OpenAIParams"]

OPENAI_API: Final = "https://api.openai.com/v1"
_ROUTE: Final = re.compile(r"(?:responses|gpt5_series|o_series)/")
_ENDPOINT: Final = re.compile(r"/(?:chat/completions|responses(?:/input_tokens)?)$")
_ANTHROPICS: Final = re.compile(r"(?<![/:])/v1(?:/messages(?:/count_tokens)?)?$")
_OF_AZURE: Final = re.compile(r"(?<![/:])/openai(?:/.*)?$")


def _first(value: object) -> object:
    """Return the first of several organizations: LiteLLM takes a list, and each counts alike."""
    return value[0] if isinstance(value, list) and value else value


class OpenAIParams(ServerParams):
    """Parameters of OpenAI, or of a server at `api_base` that has one of its counting APIs.

    `count_tokens_via` names the API of another server: OpenAI's (`responses`) or Anthropic's. It is
    required there, because a server that routes every path could generate an answer. The base
    defaults to OPENAI_BASE_URL or OPENAI_API_BASE, as in LiteLLM. OPENAI_API_KEY and the default
    organization are OpenAI's alone: no other server gets them.
    """

    row_keys: ClassVar = ServerParams.row_keys | {"count_tokens_via", "organization"}
    needs_opt_in: ClassVar = True

    api_base: BaseUrl = Field(
        default=OPENAI_API, validation_alias=AliasChoices("base_url", "api_base")
    )
    organization: Annotated[PathSegment, BeforeValidator(_first)] | None = None
    count_tokens_via: Literal["responses", "anthropic"] | None = None

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        base = cls.first_set({"api_base": ("OPENAI_BASE_URL", "OPENAI_API_BASE")}, raw, environ)
        url = environ[base["api_base"]] if base else raw.get("api_base")
        if not _is_openai(url):
            return base
        variables: dict[str, tuple[str, ...]] = {
            "organization": ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID")
        }
        if not raw.get("auth_token"):
            variables["api_key"] = ("OPENAI_API_KEY",)
        return {**base, **cls.first_set(variables, raw, environ)}

    @classmethod
    def may_count(cls, raw: Raw) -> bool:
        return raw.get("count_tokens_via") is not None or _is_openai(raw.get("api_base"))

    def countable_model(self, model: str) -> str:
        """Return the model without LiteLLM's routes before it."""
        route = _ROUTE.match(model)
        return model[route.end() :] if route else model

    @property
    def endpoint(self) -> str:
        """The base URL of `/responses/input_tokens`, or of `/v1/messages/count_tokens`."""
        if self.count_tokens_via == "anthropic":
            return _ANTHROPICS.sub("", self.api_base)
        base = _ENDPOINT.sub("", self.api_base)
        return base if urlsplit(base).path else f"{base}/v1"

    def _find_missing(self) -> str | None:
        if not _is_openai(self.api_base):
            return None
        if self.count_tokens_via == "anthropic":
            return "count_tokens_via: OpenAI has no API of Anthropic's; remove it"
        if self.credential_field is None:
            return "api_key is missing; set it or OPENAI_API_KEY"
        return None


class AzureOpenAIParams(OpenAIParams):
    """Parameters of Azure OpenAI, where the model is the deployment's name.

    It has no documented counting API, so `count_tokens_via: responses` has to try it. `api_base` is
    `https://{resource}.openai.azure.com`, whatever its path. It defaults to AZURE_API_BASE, the key
    to AZURE_OPENAI_API_KEY or AZURE_API_KEY, and the token to AZURE_AD_TOKEN.

    https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
    """

    row_keys: ClassVar = OpenAIParams.row_keys | {"azure_ad_token"}

    auth_token: Credential | None = Field(
        default=None, validation_alias=AliasChoices("auth_token", "azure_ad_token")
    )
    count_tokens_via: Literal["responses"] | None = None

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        variables: dict[str, tuple[str, ...]] = {"api_base": ("AZURE_API_BASE",)}
        if not raw.get("auth_token"):
            variables["api_key"] = ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY")
        found = cls.first_set(variables, raw, environ)
        if raw.get("api_key") or "api_key" in found:
            return found
        return {**found, **cls.first_set({"auth_token": ("AZURE_AD_TOKEN",)}, raw, environ)}

    @classmethod
    def may_count(cls, raw: Raw) -> bool:
        return raw.get("count_tokens_via") is not None

    @property
    def endpoint(self) -> str:
        return _OF_AZURE.sub("", self.api_base) + "/openai/v1"

    def _find_missing(self) -> str | None:
        if "api_base" not in self.model_fields_set:
            return "api_base is missing; set it or AZURE_API_BASE"
        if self.auth_token and self.auth_token.get_secret_value().startswith(OIDC):
            return "azure_ad_token: oidc/ is supported for azure_ai only; use a token or api_key"
        if self.credential_field is None:
            return "api_key is missing; set it or AZURE_API_KEY"
        return None


def _is_openai(url: object) -> bool:
    """Return whether a base is OpenAI's own, as the default is; nothing else may get its key."""
    if not url:
        return True
    try:
        parts = urlsplit(str(url))
        return (parts.scheme, parts.hostname, parts.port or 443) == (
            "https",
            "api.openai.com",
            443,
        )
    except ValueError:
        return False
