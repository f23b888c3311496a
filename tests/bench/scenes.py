"""The requests that each contender gets, and the results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.bench.bodies import large, small
from tests.bench.gateway import MODELS
from tests.bench.load import Load, Requests, generate
from tests.bench.processes import Process

__all__ = ["Result", "Scene", "measure", "ratio", "scenes", "select"]

_BODIES: Final = {"small": small, "large": large}
_TRANSLATED: Final = {"gemini", "vertex-gemini"}
_BATCH: Final = 1_000_000  # more than one round sends


@dataclass(frozen=True, slots=True)
class Scene:
    """A kind of request over some connections, sent to each of the contenders in turn."""

    body: str
    cached: bool
    connections: int
    contenders: Sequence[str]
    model: str = "anthropic"

    @property
    def title(self) -> str:
        return f"{'cached' if self.cached else 'uncached'}, {self.body}, {self.connections}"


@dataclass(frozen=True, slots=True)
class Result:
    """The rounds of one contender in one scene."""

    scene: Scene
    contender: str
    rounds: Sequence[Load]

    @property
    def per_second(self) -> float:
        return median(load.per_second for load in self.rounds)

    @property
    def p50(self) -> float:
        return median(load.p50 for load in self.rounds)

    @property
    def p99(self) -> float:
        return median(load.p99 for load in self.rounds)

    @property
    def errors(self) -> int:
        return sum(load.errors for load in self.rounds)


def scenes(*, with_litellm: bool) -> Iterator[Scene]:
    """Yield all scenes; LiteLLM's proxy, which caches no counts, is in those with a target.

    The bare proxy forwards the body of any model unchanged, to the same path. It is measured with
    the first model, and with those whose large bodies have to be translated.
    """
    for body, connections in (("small", (1, 16, 64)), ("large", (1, 4, 16, 64))):
        for number in connections:
            more = ("mounted",) if number in {4, 16} else ()
            yield Scene(body, True, number, ("bare", "route", "ours", *more))
            asked = with_litellm and (body, number) in {("small", 16), ("large", 4)}
            others = ("litellm",) if asked else ()
            yield Scene(body, False, number, ("proxy", "ours", *more, *others))
    for model in MODELS[1:]:
        yield Scene("small", True, 16, ("ours",), model)
        yield Scene("small", False, 16, ("ours",), model)
        against = ("proxy",) if model in _TRANSLATED else ()
        yield Scene("large", False, 4, (*against, "ours"), model)


def select(every: Iterable[Scene], part: str) -> list[Scene]:
    """Return the scenes whose titles contain a text."""
    return [scene for scene in every if part in scene.title]


def measure(
    scene: Scene, servers: Mapping[str, Process], numbers: Iterator[int], rounds: int, seconds: int
) -> list[Result]:
    """Measure the contenders by turns, so that other load on the machine affects all alike."""
    body = _BODIES[scene.body](scene.model)
    loads: dict[str, list[Load]] = {name: [] for name in scene.contenders}
    for turn in range(rounds + 1):
        for name in scene.contenders:
            first = next(numbers) * _BATCH if not scene.cached else 0
            requests = Requests(body, not scene.cached, first)
            load = generate(servers[name].url, requests, scene.connections, seconds if turn else 1)
            if turn:  # the first one is to warm up
                loads[name].append(load)
    return [Result(scene, name, loads[name]) for name in scene.contenders]


def ratio(
    results: Iterable[Result], scene: str, ours: str, other: str, model: str = "anthropic"
) -> float | None:
    """Return the ratio of requests a second, or None where a contender was not measured.

    The ratio is the median of the ratios of the rounds.
    """
    rounds = {
        result.contender: result.rounds
        for result in results
        if result.scene.title == scene and result.scene.model == model
    }
    if ours not in rounds or other not in rounds:
        return None
    pairs = zip(rounds[ours], rounds[other], strict=True)
    return median(mine.per_second / theirs.per_second for mine, theirs in pairs)
