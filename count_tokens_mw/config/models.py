"""The models of a configuration: deployments, router settings, and the package's settings."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from count_tokens_mw.config.fields import Amount, Duration, HeaderName, RedisUrl, Seconds
from count_tokens_mw.config.http_settings import HttpSettings
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
"""The deployment id of the pass-through, which is reserved."""


class Deployment(BaseModel):
    """An entry of `model_list`: a model at a provider, under the name that callers use.

    `model_name` and `upstream_model` may have wildcards. `litellm_model` is the entry's
    `litellm_params.model`. `params` is None if this package supports no counting API of the
    provider, or if the entry has a `problem`. Deployments of a lower `order` are tried first. Among
    equals, deployments with a `weight` are drawn by it, and the rest follow. `by_provider` has one
    deployment per provider for an entry of any provider. `credential_source` names the origin of
    the credential, and discloses nothing of it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    model_name: str
    provider: str
    upstream_model: str
    litellm_model: str = ""
    params: SerializeAsAny[Params] | None = None
    order: int | None = None
    weight: Duration | None = None
    problem: str | None = None
    credential_source: str | None = None
    by_provider: Mapping[str, "Deployment"] = {}


class PassthroughSettings(BaseModel):
    """Upstreams that are passed through under a path of their own; false turns one off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anthropic: PassthroughParams | None = None


class CacheSettings(BaseModel):
    """Settings of the cache: the seconds that a count is kept, and the number of counts.

    A `ttl` of 0 turns the cache off. `url` is the Redis server by which processes share counts.
    With `scope: caller`, each caller has counts, calls in flight and parsed bodies of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ttl: Duration = 300
    max_entries: Amount = 10_000
    scope: Literal["shared", "caller"] = "shared"
    url: RedisUrl | None = None


class BreakdownSettings(BaseModel):
    """Limits of a breakdown: its counts in all (0 turns breakdowns off), and counts in flight.

    `timeout` is in seconds, for all counts together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_counts: Annotated[int, Field(ge=0)] = 500
    max_concurrency: Amount = 8
    timeout: Seconds = 60


class Settings(BaseModel):
    """The section `count_tokens`.

    `timeout` is in seconds, for all that a request takes but its upload: the host's callables and
    all attempts together. `upload_timeout` is for its body, and as long as `timeout` if it is None.
    A deployment that failed is tried last for `cooldown` seconds. With `omissions: refuse`, a
    deployment cannot count a request if its call leaves out anything that may matter to the count.
    With `strict`, a fault of any entry refuses the whole file. The bodies of all requests together
    have `max_total_bytes`, and never less than one body. `end_user_headers` may name the end
    user, in order of precedence; those of the file's `general_settings` follow them. With
    `end_user_safety_identifier`, the body's `safety_identifier` names it if nothing else does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: Seconds = 20
    upload_timeout: Seconds | None = None
    cooldown: Duration = 30
    omissions: Literal["allow", "refuse"] = "allow"
    strict: bool = False
    cache: CacheSettings = CacheSettings()
    http: HttpSettings = HttpSettings()
    # Anthropic's own limit: https://docs.claude.com/en/api/errors#request-size-limits
    max_body_bytes: Amount = 32 * 1024 * 1024
    max_total_bytes: Amount = 128 * 1024 * 1024
    max_concurrency: Amount = 256
    end_user_headers: tuple[HeaderName, ...] = (
        "x-end-user-id",
        "x-litellm-customer-id",
        "x-litellm-end-user-id",
    )
    end_user_safety_identifier: bool = False
    breakdown: BreakdownSettings = BreakdownSettings()
    passthrough: PassthroughSettings = PassthroughSettings()


def _target_of(alias: object) -> object:
    """Return the target of an alias, which may also be LiteLLM's `{model: ..., hidden: true}`."""
    return alias.get("model") if isinstance(alias, Mapping) else alias


class RouterSettings(BaseModel):
    """Settings of LiteLLM's section `router_settings` that concern a count.

    `model_group_alias` maps further names to a `model_name`. `timeout` is in seconds, for one
    attempt of a deployment without its own. `num_retries: 0` disables the retry after a broken
    connection.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_group_alias: Mapping[
        str, Annotated[str, BeforeValidator(_target_of), Field(min_length=1)]
    ] = {}
    timeout: Seconds | None = None
    num_retries: Annotated[int, Field(ge=0)] | None = None
