"""Which requests are asked of whom, and what came of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.bench.bodies import large, small
from tests.bench.gateway import MODELS
from tests.bench.load import Load, Requests, generate
from tests.bench.processes import Process

__all__ = ["Result", "Scene", "measured", "ratio", "scenes"]

_BODIES: Final = {"small": small, "large": large}
_BATCH: Final = 1_000_000  # more than are asked in one round


@dataclass(frozen=True, slots=True)
class Scene:
    """One kind of request over so many connections, asked of each of the contenders in turn."""

    body: str
    cached: bool
    connections: int
    contenders: Sequence[str]
    model: str = "anthropic"

    @property
    def words(self) -> str:
        return f"{'cached' if self.cached else 'uncached'}, {self.body}, {self.connections}"


@dataclass(frozen=True, slots=True)
class Result:
    """The rounds of one contender in one scene."""

    scene: Scene
    contender: str
    rounds: Sequence[Load]

    @property
    def per_second(self) -> float:
        return median(each.per_second for each in self.rounds)

    @property
    def p50(self) -> float:
        return median(each.p50 for each in self.rounds)

    @property
    def p99(self) -> float:
        return median(each.p99 for each in self.rounds)

    @property
    def errors(self) -> int:
        return sum(each.errors for each in self.rounds)


def scenes(*, with_litellm: bool) -> Iterator[Scene]:
    """All of them. LiteLLM's proxy is asked where it is a target; it has no cache of counts."""
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
        yield Scene("large", False, 4, ("ours",), model)


def measured(
    scene: Scene, servers: Mapping[str, Process], numbers: Iterator[int], rounds: int, seconds: int
) -> list[Result]:
    """The contenders by turns, so that what else the machine does concerns all alike."""
    body = _BODIES[scene.body](scene.model)
    loads: dict[str, list[Load]] = {name: [] for name in scene.contenders}
    for turn in range(rounds + 1):
        for name in scene.contenders:
            first = next(numbers) * _BATCH if not scene.cached else 0
            requests = Requests(body, not scene.cached, first)
            load = generate(servers[name].url, requests, scene.connections, seconds if turn else 1)
            if turn:  # the first one is to warm up
                loads[name].append(load)
    return [Result(scene, name, each) for name, each in loads.items()]


def ratio(results: Iterable[Result], scene: str, ours: str, other: str) -> float | None:
    """How many times as many requests a second; None where one of them was not measured.

    Round by round, and of these ratios the median.
    """
    found = {
        each.contender: each.rounds
        for each in results
        if each.scene.words == scene and each.scene.model == "anthropic"
    }
    if ours not in found or other not in found:
        return None
    pairs = zip(found[ours], found[other], strict=True)
    return median(mine.per_second / theirs.per_second for mine, theirs in pairs)
