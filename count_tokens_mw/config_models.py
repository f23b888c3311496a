"""What a configuration consists of: deployments, and the settings of the section `count_tokens`."""

from typing import Final

from pydantic import BaseModel, ConfigDict, SerializeAsAny

from count_tokens_mw.params import Params, PassthroughParams
from count_tokens_mw.value_types import Amount, HeaderName, Seconds

__all__ = ["PASSTHROUGH_ID", "Deployment", "PassthroughSettings", "Settings"]

PASSTHROUGH_ID: Final = "passthrough/anthropic"
"""The deployment id of the pass-through, which no entry may have."""


class Deployment(BaseModel):
    """One entry of `model_list`: a model at a provider, under the name that callers use.

    `model_name` and `upstream_model` may have stars. `params` is None where the provider has no
    counting API that this package speaks.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    model_name: str
    provider: str
    upstream_model: str
    params: SerializeAsAny[Params] | None


class PassthroughSettings(BaseModel):
    """The upstreams that are served as they are, under their own path; false turns one off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anthropic: PassthroughParams | None = None


class Settings(BaseModel):
    """The section `count_tokens`.

    `timeout` is in seconds, for one count with all its attempts. `end_user_headers` are looked at
    in their order to learn for whom a request is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: Seconds = 20
    # Anthropic's own limit: https://docs.claude.com/en/api/errors#request-size-limits
    max_body_bytes: Amount = 32 * 1024 * 1024
    max_concurrency: Amount = 256
    end_user_headers: tuple[HeaderName, ...] = (
        "x-end-user-id",
        "x-litellm-end-user-id",
        "x-litellm-customer-id",
    )
    passthrough: PassthroughSettings = PassthroughSettings()
