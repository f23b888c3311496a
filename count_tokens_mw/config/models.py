"""What a configuration consists of: deployments, how they are routed, and our own settings."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from count_tokens_mw.config.fields import Amount, Duration, HeaderName, RedisUrl, Seconds
from count_tokens_mw.config.params.anthropic import PassthroughParams
from count_tokens_mw.config.params.base import Params

__all__ = [
    "PASSTHROUGH_ID",
    "BreakdownSettings",
    "CacheSettings",
    "Deployment",
    "HttpSettings",
    "PassthroughSettings",
    "RouterSettings",
    "Settings",
]

PASSTHROUGH_ID: Final = "passthrough/anthropic"
"""The deployment id of the pass-through, which no entry may have."""


class Deployment(BaseModel):
    """One entry of `model_list`: a model at a provider, under the name that callers use.

    `model_name` and `upstream_model` may have stars. `params` is None where the provider has no
    counting API that this package speaks, or where `problem` says why it cannot be asked. Those of
    a lower `order` are tried first; among equals, those with `weight` are drawn by it, and the rest
    follow. `by_provider` is for an entry whose provider only a caller's model tells.
    `credential_source` says where the credential comes from, and nothing of it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    model_name: str
    provider: str
    upstream_model: str
    params: SerializeAsAny[Params] | None = None
    order: int | None = None
    weight: Duration | None = None
    problem: str | None = None
    credential_source: str | None = None
    by_provider: Mapping[str, "Deployment"] = {}


class PassthroughSettings(BaseModel):
    """The upstreams that are served as they are, under their own path; false turns one off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anthropic: PassthroughParams | None = None


class CacheSettings(BaseModel):
    """How long a count is remembered, in seconds, and how many are; a `ttl` of 0 turns it off.

    `url` is that of a Redis by which processes share their counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ttl: Duration = 300
    max_entries: Amount = 10_000
    url: RedisUrl | None = None


class BreakdownSettings(BaseModel):
    """How many counts one breakdown may take, and how many of them at once; 0 turns it off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_counts: Annotated[int, Field(ge=0)] = 500
    max_concurrency: Amount = 8


class HttpSettings(BaseModel):
    """Our own connections to the upstreams; a host's `http_client` has its own.

    At most `max_connections` to one host at a time, None for as many as there are counts under way;
    further calls wait for one. An idle one is kept open for `keepalive_expiry` seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_connections: Amount | None = None
    keepalive_expiry: Duration = 30


class Settings(BaseModel):
    """The section `count_tokens`.

    `timeout` is in seconds, for one count with all its attempts, and `cooldown` is how long a
    deployment that failed is tried last. `end_user_headers` are looked at in their order to learn
    for whom a request is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: Seconds = 20
    cooldown: Duration = 30
    cache: CacheSettings = CacheSettings()
    http: HttpSettings = HttpSettings()
    # Anthropic's own limit: https://docs.claude.com/en/api/errors#request-size-limits
    max_body_bytes: Amount = 32 * 1024 * 1024
    max_concurrency: Amount = 256
    end_user_headers: tuple[HeaderName, ...] = (
        "x-end-user-id",
        "x-litellm-end-user-id",
        "x-litellm-customer-id",
    )
    breakdown: BreakdownSettings = BreakdownSettings()
    passthrough: PassthroughSettings = PassthroughSettings()


def _target_of(alias: object) -> object:
    """Where an alias leads; LiteLLM also takes `{model: ..., hidden: true}`."""
    return alias.get("model") if isinstance(alias, Mapping) else alias


class RouterSettings(BaseModel):
    """What of LiteLLM's section `router_settings` concerns a count.

    `model_group_alias` leads from further names to a `model_name`. `timeout` is in seconds, for one
    attempt of a deployment that has none of its own. With `num_retries: 0` a broken connection is
    not tried once more.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_group_alias: Mapping[
        str, Annotated[str, BeforeValidator(_target_of), Field(min_length=1)]
    ] = {}
    timeout: Seconds | None = None
    num_retries: Annotated[int, Field(ge=0)] | None = None
