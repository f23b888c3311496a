"""Model names: from what a caller asks for to the deployments that can answer, in their order."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from count_tokens_mw.config_models import Deployment
from count_tokens_mw.errors import NotFound

__all__ = ["Router"]

_LONGEST_NAME: Final = 256


class Router:
    """Exact names first, found without a scan; then the most specific name with a star.

    https://docs.litellm.ai/docs/wildcard_routing
    """

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        exact: dict[str, list[Deployment]] = {}
        starred: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            names = starred if "*" in deployment.model_name else exact
            names.setdefault(deployment.model_name, []).append(deployment)
        self._exact = exact
        # The more of a name is spelt out, the more specific it is.
        by_specificity = sorted(starred, key=lambda name: len(name.replace("*", "")), reverse=True)
        self._starred = [(_pattern(name), starred[name]) for name in by_specificity]

    def find(self, model: str) -> Sequence[Deployment]:
        """The deployments of a model, at least one, in the order to try them.

        What a star in the name stood for takes the place of the star in `upstream_model`.

        Raises:
            NotFound: no entry has this name.
        """
        if model in self._exact:
            return self._exact[model]
        if len(model) <= _LONGEST_NAME:
            for pattern, deployments in self._starred:
                match = pattern.fullmatch(model)
                if match:
                    return [_with_stars(deployment, match.groups()) for deployment in deployments]
        raise NotFound(f"model: {model[:_LONGEST_NAME]}")


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, name.split("*"))), re.DOTALL)


def _with_stars(deployment: Deployment, stars: Iterable[str]) -> Deployment:
    left = iter(stars)
    model = re.sub(r"\*", lambda _: next(left, "*"), deployment.upstream_model)
    return deployment.model_copy(update={"upstream_model": model})
