"""The results as JSON, and as the tables of the README."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.bench.scenes import Result
from tests.bench.targets import Figure

__all__ = [
    "README",
    "RESULTS",
    "as_json",
    "read_results",
    "tables",
    "write_between",
    "write_readme",
]

RESULTS: Final = Path(__file__).with_name("results.json")
README: Final = Path(__file__).parents[2] / "README.md"
_COLUMNS: Final = ("body, connections", "who", "requests/s", "p50 ms", "p99 ms", "errors")
_BEGIN: Final = "<!-- bench: written by `make bench` -->\n"
_END: Final = "<!-- end of bench -->\n"


def as_json(
    about: Mapping[str, str],
    figures: Sequence[Figure],
    results: Iterable[Result],
    once: Mapping[str, float],
) -> dict[str, Any]:
    """All that was measured, rounds included."""
    rows = [
        {
            "scene": each.scene.words,
            "model": each.scene.model,
            "contender": each.contender,
            "per_second": each.per_second,
            "p50_ms": each.p50,
            "p99_ms": each.p99,
            "errors": each.errors,
            "rounds": [asdict(load) for load in each.rounds],
        }
        for each in results
    ]
    measured = [asdict(each) for each in figures]
    return {"about": dict(about), "figures": measured, "results": rows, "once": dict(once)}


def tables(said: Mapping[str, Any]) -> str:
    """Of what `as_json` made: where and when, the figures, and folded all else."""
    about, once = said["about"], said["once"]
    where = (
        f"Measured on {about['date']}: {about['machine']}, {about['load']}; {about['versions']}."
    )
    figures = [
        f"| {each['words']} | {each['target']} {each['unit']} | {_value(each)} |"
        for each in said["figures"]
    ]
    rows = [
        f"| {row['scene']} | {_who(row)} | {_digits(row['per_second'])} | {row['p50_ms']:.2f} "
        f"| {row['p99_ms']:.1f} | {row['errors']} |"
        for row in said["results"]
    ]
    processes = [
        f"| {name} | {once[f'{name}_mb']:.0f} | {once[f'{name}_start']:.2f} |"
        for name in ("proxy", "ours", "litellm")
        if f"{name}_mb" in once
    ]
    parts = [
        [where],
        ["| figure | target | measured |", _line(3), *figures],
        ["<details><summary>Every request that was measured</summary>"],
        [f"| {' | '.join(_COLUMNS)} |", _line(len(_COLUMNS)), *rows],
        ["| who | resident MB after 10,000 counts | seconds to start |", _line(3), *processes],
        ["</details>"],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _line(columns: int) -> str:
    return "|" + "---|" * columns


def write_readme(said: Mapping[str, Any]) -> None:
    """Put the tables where the last ones are."""
    write_between(_BEGIN, _END, tables(said))


def write_between(begin: str, end: str, words: str) -> None:
    """Put words between two marks in the README, in place of those that are there."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{begin}{words}{end}{after}", encoding="utf-8")


def read_results() -> dict[str, Any]:
    """Those of the last run that was kept."""
    said: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return said


def _who(row: Mapping[str, Any]) -> str:
    return (
        row["contender"] if row["model"] == "anthropic" else f"{row['contender']}, {row['model']}"
    )


def _value(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "not measured"
    value = f"{_digits(figure['value'])} {figure['unit']}"
    return value if figure["reached"] else f"**{value}**, short of it"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
