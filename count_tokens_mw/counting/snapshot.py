"""What one configuration means for counting. A request keeps to the plan that it began with."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable
from functools import cached_property
from typing import TYPE_CHECKING

from count_tokens_mw.config import Config
from count_tokens_mw.counting.cooldown import Cooldown
from count_tokens_mw.counting.router import Router

if TYPE_CHECKING:
    from count_tokens_mw.config.models import Deployment

__all__ = ["ConfigSnapshot"]


class ConfigSnapshot:
    """A configuration's settings, its router, its pass-through, and which deployments failed.

    `identities` are those of the parameters of all its deployments.
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
        every = [*self._deployments, *([self.passthrough] if self.passthrough else [])]
        every += [there for each in self._deployments for there in each.by_provider.values()]
        return {each.params.identity for each in every if each.params is not None}


def _passthrough_deployment(config: Config) -> Deployment | None:
    params = config.settings.passthrough.anthropic
    if params is None:
        return None
    from count_tokens_mw.config.models import PASSTHROUGH_ID, Deployment

    return Deployment(
        id=PASSTHROUGH_ID,
        model_name="*",
        provider="anthropic",
        upstream_model="*",
        params=params,
    )
