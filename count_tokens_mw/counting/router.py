"""Routing: from the model name of a request to its deployments, in the order to try them.

https://docs.litellm.ai/docs/routing and https://docs.litellm.ai/docs/wildcard_routing
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from count_tokens_mw.config.model_names import (
    ANY_PROVIDER,
    may_count,
    provider_of,
    without_context_suffix,
)
from count_tokens_mw.config.models import Deployment
from count_tokens_mw.counting.chance import CHANCE
from count_tokens_mw.errors import NotFound

__all__ = ["Router", "in_order"]

_LONGEST_NAME: Final = 256


class Router:
    """Deployments by model name: an exact match, else the most specific wildcard, else the model.

    The last is a deployment's own `litellm_params.model`, if it stands under a single `model_name`.

    Args:
        deployments: all deployments, in the file's order.
        aliases: the target name of each alias; `name_of` resolves them.
        chance: the random generator for weights.
    """

    def __init__(
        self,
        deployments: Iterable[Deployment],
        aliases: Mapping[str, str] | None = None,
        chance: random.Random | None = None,
    ) -> None:
        exact: dict[str, list[Deployment]] = {}
        starred: dict[str, list[Deployment]] = {}
        own: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            if deployment.litellm_model and "*" not in deployment.litellm_model:
                own.setdefault(deployment.litellm_model, []).append(deployment)
            by_name = starred if "*" in deployment.model_name else exact
            by_name.setdefault(deployment.model_name, []).append(deployment)
        self._exact = exact
        self._own = {model: found for model, found in own.items() if _have_one_name(found)}
        self._aliases = {
            alias: target if target in exact else without_context_suffix(target)
            for alias, target in (aliases or {}).items()
        }
        # A pattern with more literal characters is more specific.
        by_specificity = sorted(starred, key=lambda name: len(name.replace("*", "")), reverse=True)
        self._starred = [(name.split("*"), starred[name]) for name in by_specificity]
        self._chance = chance or CHANCE

    def has_model(self, model: str) -> bool:
        """Whether a model is configured by this name, by an alias, or as an entry's own model."""
        return model in self._exact or model in self._aliases or model in self._own

    def name_of(self, model: str) -> str:
        """Return the name by which a model is looked up and reported.

        A name or an alias that is configured exactly as sent is kept. Any other name loses every
        trailing `[1m]` of Claude Code. Then an alias is resolved. No later step normalises again.
        """
        if model in self._exact:
            return model
        name = model if model in self._aliases else without_context_suffix(model)
        return name if name in self._exact else self._aliases.get(name, name)

    def authorized_name_of(self, name: str) -> str:
        """Return the name by which a name from `name_of` is authorised.

        That is the `model_name` of the entry if the name is only the entry's own model.
        """
        if name in self._exact or name not in self._own or self._match_wildcard(name):
            return name
        return self._own[name][0].model_name

    def find(self, name: str) -> Sequence[Deployment]:
        """Return the deployments of a name from `name_of`, at least one, in the order to try.

        Raises:
            NotFound: no entry has this name.
        """
        return in_order(self.find_all(name), self._chance)

    def find_all(self, name: str) -> Sequence[Deployment]:
        """Return the deployments of a name in the file's order, with those that have a problem.

        The text that a star in `model_name` matches replaces the star in `upstream_model`. It also
        determines the provider if the entry leaves that open.

        Raises:
            NotFound: no entry has this name.
        """
        found = self._exact.get(name) or self._match_wildcard(name) or self._own.get(name)
        if not found:
            raise _not_found(name)
        return found

    def arrange(self, deployments: Sequence[Deployment], model: str) -> Sequence[Deployment]:
        """Return the host's deployments of a model, stars replaced, in the order to try them.

        Raises:
            NotFound: there are no deployments.
        """
        if not deployments:
            raise _not_found(model)
        replaced = []
        for deployment in deployments:
            stars = _match(deployment.model_name.split("*"), model)
            replaced.append(_replace_stars(deployment, model, stars) if stars else deployment)
        return in_order(replaced, self._chance)

    def _match_wildcard(self, name: str) -> Sequence[Deployment]:
        """Return the deployments whose wildcard matches the name, or `provider/name`."""
        if len(name) > _LONGEST_NAME or "*" in name:
            return ()
        provider, model = provider_of(name)
        return self._first_match(name) or self._first_match(f"{provider}/{model}")

    def _first_match(self, name: str) -> Sequence[Deployment]:
        for pieces, deployments in self._starred:
            stars = _match(pieces, name)
            if stars:
                return [_replace_stars(deployment, name, stars) for deployment in deployments]
        return ()


def in_order(deployments: Sequence[Deployment], chance: random.Random) -> Sequence[Deployment]:
    """Sort by `order` (none is last), then by a weighted draw; equals keep their order.

    A deployment with a problem is left out if another can count; if none can, only those stay.
    """
    if len(deployments) == 1:
        return deployments
    if any(deployment.problem for deployment in deployments):
        none_counts = all(deployment.params is None for deployment in deployments)
        deployments = [each for each in deployments if bool(each.problem) == none_counts]

    def rank(deployment: Deployment) -> tuple[float, float]:
        order = math.inf if deployment.order is None else deployment.order
        # The least of exponential draws belongs to a weight with probability weight / sum.
        turn = chance.expovariate(deployment.weight) if deployment.weight else math.inf
        return order, turn

    return sorted(deployments, key=rank)


def _have_one_name(deployments: Iterable[Deployment]) -> bool:
    return len({deployment.model_name for deployment in deployments}) == 1


def _not_found(model: str) -> NotFound:
    return NotFound(f"model: {model[:_LONGEST_NAME]}")


def _match(pieces: Sequence[str], name: str) -> list[str]:
    """Return the text that each star between a pattern's pieces matches; empty without a match.

    Stars are greedy, as in a regular expression. The time is linear, because callers choose the
    names and a regular expression could backtrack.
    """
    first, *middle, last = pieces if len(pieces) > 1 else (*pieces, "")
    end = len(name) - len(last)
    if len(pieces) == 1 or end < len(first) or not name.startswith(first) or name[end:] != last:
        return []
    stars: list[str] = []
    for piece in reversed(middle):
        at = name.rfind(piece, len(first), end)
        if at < 0:
            return []
        stars.append(name[at + len(piece) : end])
        end = at
    return [name[len(first) : end], *reversed(stars)]


def _replace_stars(deployment: Deployment, name: str, stars: Sequence[str]) -> Deployment:
    model = deployment.upstream_model
    if 0 < model.count("*") < len(stars):
        model = name  # as in LiteLLM: the stars are ambiguous
    left = iter(stars)
    model = re.sub(r"\*", lambda _: next(left, "*"), model)
    base, provider = deployment, deployment.provider
    if provider == ANY_PROVIDER:
        provider, model = provider_of(model)
        base = deployment.by_provider.get(provider, deployment)
    model = model.removeprefix(f"{provider}/")
    update: dict[str, object] = {"provider": provider, "upstream_model": model}
    if not may_count(provider, model):
        update |= {"params": None, "problem": None}
    return base.model_copy(update=update)
