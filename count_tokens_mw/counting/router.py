"""Model names: from what a caller asks for to the deployments that can answer, in their order.

https://docs.litellm.ai/docs/routing and https://docs.litellm.ai/docs/wildcard_routing
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from count_tokens_mw.config.model_names import (
    ANY_PROVIDER,
    may_count,
    provider_of,
    without_context_suffix,
)
from count_tokens_mw.errors import NotFound

if TYPE_CHECKING:
    from count_tokens_mw.config.models import Deployment

__all__ = ["Router", "in_order"]

_LONGEST_NAME: Final = 256


class Router:
    """Deployments by name: an exact one, found without a scan, else the most specific star.

    Args:
        deployments: all of them, in the file's order.
        aliases: further names, each with the name that it leads to; `name_of` resolves them.
        chance: what weights are drawn by.
    """

    def __init__(
        self,
        deployments: Iterable[Deployment],
        aliases: Mapping[str, str] | None = None,
        chance: random.Random | None = None,
    ) -> None:
        exact: dict[str, list[Deployment]] = {}
        starred: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            names = starred if "*" in deployment.model_name else exact
            names.setdefault(deployment.model_name, []).append(deployment)
        self._exact = exact
        # Most names have nothing to be put into an order, and are asked for again and again.
        self._settled = {name: found for name, found in exact.items() if not _is_ordered(found)}
        self._aliases = {
            alias: target if target in exact else without_context_suffix(target)
            for alias, target in (aliases or {}).items()
        }
        # The more of a name is spelt out, the more specific it is.
        by_specificity = sorted(starred, key=lambda name: len(name.replace("*", "")), reverse=True)
        self._starred = [(name.split("*"), starred[name]) for name in by_specificity]
        self._chance = chance or random.Random()  # noqa: S311 - it balances load

    def has_model(self, model: str) -> bool:
        """Whether a model is configured by this name, or by an alias."""
        return model in self._exact or model in self._aliases

    def name_of(self, model: str) -> str:
        """Return the name by which a model is authorised, looked up and reported.

        A name or an alias that is configured exactly as it was sent is taken. Any other loses each
        trailing `[1m]` of Claude Code's. Then an alias is resolved. This is the one normalisation:
        whatever comes after it takes the name as it is.
        """
        name = model if self.has_model(model) else without_context_suffix(model)
        return name if name in self._exact else self._aliases.get(name, name)

    def find(self, name: str) -> Sequence[Deployment]:
        """Return the deployments of a name that `name_of` gave, at least one, in the order to try.

        What a star in `model_name` stood for takes the place of the star in `upstream_model`, and
        tells the provider where the entry leaves that open.

        Raises:
            NotFound: no entry has this name.
        """
        if name in self._settled:
            return self._settled[name]
        found = self._exact.get(name) or self._like(name)
        if not found:
            raise _unknown(name)
        return in_order(found, self._chance)

    def among(self, deployments: Sequence[Deployment], model: str) -> Sequence[Deployment]:
        """Deployments that somebody else found for a model, in the order to try them.

        Raises:
            NotFound: there are none.
        """
        if not deployments:
            raise _unknown(model)
        found = []
        for deployment in deployments:
            stars = _stars(deployment.model_name.split("*"), model)
            found.append(_with_stars(deployment, model, stars) if stars else deployment)
        return in_order(found, self._chance)

    def _like(self, name: str) -> Sequence[Deployment]:
        """Return those whose star stands for the name, or for the name behind its provider."""
        if len(name) > _LONGEST_NAME or "*" in name:
            return ()
        provider, model = provider_of(name)
        return self._matching(name) or self._matching(f"{provider}/{model}")

    def _matching(self, name: str) -> Sequence[Deployment]:
        for pieces, deployments in self._starred:
            stars = _stars(pieces, name)
            if stars:
                return [_with_stars(deployment, name, stars) for deployment in deployments]
        return ()


def in_order(deployments: Sequence[Deployment], chance: random.Random) -> Sequence[Deployment]:
    """By `order`, those without one last; among equals by a draw of weights; else as given."""
    if not _is_ordered(deployments):
        return deployments

    def place(deployment: Deployment) -> tuple[float, float]:
        order = math.inf if deployment.order is None else deployment.order
        # Of exponential times, the first is that of a weight as often as the weight is of the sum.
        turn = chance.expovariate(deployment.weight) if deployment.weight else math.inf
        return order, turn

    return sorted(deployments, key=place)


def _is_ordered(deployments: Sequence[Deployment]) -> bool:
    return any(each.order is not None or each.weight for each in deployments)


def _unknown(model: str) -> NotFound:
    return NotFound(f"model: {model[:_LONGEST_NAME]}")


def _stars(pieces: Sequence[str], name: str) -> list[str]:
    """What the stars between the pieces of a pattern stand for in a name; empty if it is no match.

    An earlier star takes as much as it can. In linear time, unlike a regular expression: the names
    are anybody's.
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


def _with_stars(deployment: Deployment, name: str, stars: Sequence[str]) -> Deployment:
    model = deployment.upstream_model
    if 0 < model.count("*") < len(stars):
        model = name  # as in LiteLLM: nothing says which of the stars is meant
    left = iter(stars)
    model = re.sub(r"\*", lambda _: next(left, "*"), model)
    there, provider = deployment, deployment.provider
    if provider == ANY_PROVIDER:
        provider, model = provider_of(model)
        there = deployment.by_provider.get(provider, deployment)
    model = model.removeprefix(f"{provider}/")
    found: dict[str, object] = {"provider": provider, "upstream_model": model}
    if not may_count(provider, model):
        found |= {"params": None, "problem": None}
    return there.model_copy(update=found)
