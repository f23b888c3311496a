"""The figures of the benchmark beside their targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.scenes import Result, ratio

__all__ = ["Figure", "figures"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure beside its target; `value` is None where it was not measured."""

    words: str
    target: str
    value: float | None
    reached: bool | None
    unit: str = "x"


_RATIOS: Final = (
    ("uncached, small, 16", "anthropic", "proxy", 0.60),
    ("uncached, large, 4", "anthropic", "proxy", 0.60),
    ("uncached, large, 4", "gemini", "proxy", 0.30),
    ("uncached, large, 4", "vertex-gemini", "proxy", 0.30),
    ("cached, small, 16", "anthropic", "route", 0.80),
    ("cached, large, 16", "anthropic", "bare", 0.85),
)
_PROVIDERS: Final = {
    "anthropic": "",
    "gemini": "Gemini API, ",
    "vertex-gemini": "Gemini on Vertex AI, ",
}
_NAMES: Final = {
    "bare": "a bare ASGI app that reads and hashes",
    "litellm": "LiteLLM's proxy",
    "proxy": "a bare Starlette + aiohttp proxy",
    "route": "a bare Starlette route that parses",
}


def figures(results: Sequence[Result], once: Mapping[str, float]) -> list[Figure]:
    """Return the figures of the page's table, in its order: the comparison with LiteLLM first."""
    ratios = [
        _at_least(
            f"{scene} connections, {_PROVIDERS[model]}against {_NAMES[other]}",
            least,
            ratio(results, scene, "ours", other, model),
        )
        for scene, model, other, least in _RATIOS
    ]
    compared = []
    slow = _per_second(results, "litellm")
    for kind, least in (("uncached", 20), ("cached", 75)):
        mine = _per_second(results, "ours", kind)
        words = f"{kind}, small, 16 connections, against {_NAMES['litellm']}, uncached"
        compared.append(_at_least(words, least, mine / slow if mine and slow else None))
    return [
        *compared,
        _at_most(
            "resident memory after 10,000 counts, against LiteLLM's proxy",
            0.25,
            once.get("memory_ratio"),
        ),
        *ratios,
        _at_most(
            "import and `Config.from_yaml` of a small file, against `import fastapi`",
            1.0,
            once.get("start_ratio"),
        ),
        _at_least(
            "Bedrock, uncached, small, against bare aiobotocore", 0.80, once.get("bedrock_ratio")
        ),
        _at_most(
            "`/health` at worst, with 100 counts of 5 MB under way",
            100,
            once.get("health_ms"),
            "ms",
        ),
        _at_most(
            "the event loop held at a stretch by one count of 5 MB, the worst provider",
            20,
            once.get("longest_hold_ms"),
            "ms",
        ),
        _at_most(
            "memory after 200,000 distinct counts, above that after 20,000",
            10,
            once.get("growth_mb"),
            "MB",
        ),
        _at_most(
            "longest stall by a hostile body against plain text of its size, the worst shape",
            3.0,
            once.get("worst_stall_ratio"),
        ),
        _at_most(
            "memory by a hostile body against its size, the worst shape",
            8.0,
            once.get("worst_growth_ratio"),
        ),
    ]


def _per_second(results: Sequence[Result], contender: str, kind: str = "uncached") -> float | None:
    title = f"{kind}, small, 16"
    return next(
        (
            result.per_second
            for result in results
            if (result.contender, result.scene.title, result.scene.model)
            == (contender, title, "anthropic")
        ),
        None,
    )


def _at_least(words: str, least: float, value: float | None, unit: str = "x") -> Figure:
    return Figure(words, f"≥ {least:g}", value, None if value is None else value >= least, unit)


def _at_most(words: str, most: float, value: float | None, unit: str = "x") -> Figure:
    return Figure(words, f"≤ {most:g}", value, None if value is None else value <= most, unit)
