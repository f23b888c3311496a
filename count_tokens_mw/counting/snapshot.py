"""Snapshot of a configuration for counting. A request keeps the snapshot that it started with."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable
from functools import cached_property
from itertools import chain

from count_tokens_mw.config import Config
from count_tokens_mw.config.models import PASSTHROUGH_ID, Deployment
from count_tokens_mw.counting.cooldown import Cooldown
from count_tokens_mw.counting.router import Router

__all__ = ["ConfigSnapshot"]


class ConfigSnapshot:
    """A configuration's settings, router and pass-through, and the cooldown of its deployments.

    `identities` are the identities of the parameters of all its deployments.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = config.settings
        self.retries = config.router_settings.num_retries != 0
        self.attempt_timeout = config.router_settings.timeout
        self.router = Router(config.deployments, config.router_settings.model_group_alias)
        self.cooldown = Cooldown(config.settings.cooldown, clock)
        self.passthrough = _passthrough_deployment(config)
        self._deployments = config.deployments

    @cached_property
    def identities(self) -> Collection[Hashable]:
        own = [*self._deployments, *([self.passthrough] if self.passthrough else [])]
        deployments = chain(own, *(deployment.by_provider.values() for deployment in own))
        return {deployment.params.identity for deployment in deployments if deployment.params}


def _passthrough_deployment(config: Config) -> Deployment | None:
    params = config.settings.passthrough.anthropic
    if params is None:
        return None
    return Deployment(
        id=PASSTHROUGH_ID,
        model_name="*",
        provider="anthropic",
        upstream_model="*",
        params=params,
    )
