"""The results as JSON, and as the tables of docs/performance.md and the README."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.bench.bounds import Bound
from tests.bench.scenes import Result
from tests.bench.targets import Figure

__all__ = [
    "PAGE",
    "README",
    "RESULTS",
    "as_json",
    "comparison",
    "read_results",
    "tables",
    "write_between",
    "write_pages",
]

RESULTS: Final = Path(__file__).with_name("results.json")
README: Final = Path(__file__).parents[2] / "README.md"
PAGE: Final = README.with_name("docs") / "performance.md"
_COLUMNS: Final = ("body, connections", "who", "requests/s", "p50 ms", "p99 ms", "errors")
_BOUNDS: Final = (
    *("hostile request", "size", "status", "longest stall ms", "against plain text"),
    *("memory MB", "against its size"),
)
_BEGIN: Final = "<!-- bench: written by `make bench` -->\n"
_END: Final = "<!-- end of bench -->\n"
_COMPARED: Final = ("ours", "litellm")


def as_json(
    about: Mapping[str, str],
    figures: Sequence[Figure],
    results: Iterable[Result],
    once: Mapping[str, float],
    bounds: Iterable[Bound] = (),
) -> dict[str, Any]:
    """Return all measurements as JSON, rounds included."""
    rows = [
        {
            "scene": result.scene.title,
            "model": result.scene.model,
            "contender": result.contender,
            "per_second": result.per_second,
            "p50_ms": result.p50,
            "p99_ms": result.p99,
            "errors": result.errors,
            "rounds": [asdict(load) for load in result.rounds],
        }
        for result in results
    ]
    measured = [asdict(figure) for figure in figures]
    return {
        "about": dict(about),
        "figures": measured,
        "results": rows,
        "once": dict(once),
        "bounds": [bound.as_json() for bound in bounds],
    }


def comparison(report: Mapping[str, Any]) -> str:
    """Return the README's table: three figures beside LiteLLM's proxy."""
    rates = {
        (row["scene"], row["contender"]): _digits(row["per_second"])
        for row in report["results"]
        if row["model"] == "anthropic"
    }
    memory = {name: f"{report['once'].get(f'{name}_mb', 0):.0f} MB" for name in _COMPARED}
    rows = {
        "counts per second, small, each from the upstream": "uncached, small, 16",
        "counts per second, a conversation of 880 KB": "uncached, large, 4",
    }
    lines = [
        [words, *(rates.get((scene, name), "") for name in _COMPARED)]
        for words, scene in rows.items()
    ]
    lines.append(["resident memory", *memory.values()])
    head = ["| | count_tokens_mw | LiteLLM's proxy |", _line(3)]
    return "\n".join([*head, *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


def tables(report: Mapping[str, Any]) -> str:
    """Return the page's tables of a report: its setting, its figures, and the rest folded."""
    about, once = report["about"], report["once"]
    where = (
        f"Measured on {about['date']}: {about['machine']}, {about['load']}; {about['versions']}."
    )
    figures = [
        f"| {figure['words']} | {figure['target']} {figure['unit']} | {_value(figure)} |"
        for figure in report["figures"]
    ]
    rows = [
        f"| {row['scene']} | {_name(row)} | {_digits(row['per_second'])} | {row['p50_ms']:.2f} "
        f"| {row['p99_ms']:.1f} | {row['errors']} |"
        for row in report["results"]
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
        _bounds_table(report),
        ["</details>"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _bounds_table(report: Mapping[str, Any]) -> list[str]:
    """Return the table of hostile requests, or nothing if they were not measured."""
    rows = [
        f"| {row['shape']} | {row['size'] / 1e6:.0f} MB | {row['status']} "
        f"| {_digits(row['stall_ms'])} | {row['stall_ratio']:.1f} x "
        f"| {_digits(row['growth_mb'])} | {row['growth_ratio']:.1f} x |"
        for row in report.get("bounds", ())
    ]
    return [f"| {' | '.join(_BOUNDS)} |", _line(len(_BOUNDS)), *rows] if rows else []


def _line(columns: int) -> str:
    return "|" + "---|" * columns


def write_pages(report: Mapping[str, Any]) -> None:
    """Replace the tables of the page and of the README by those of a report."""
    write_between(PAGE, _BEGIN, _END, tables(report))
    write_between(README, _BEGIN, _END, comparison(report))


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace the text between two marks in a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def read_results() -> dict[str, Any]:
    """Read the report of the last run that was kept."""
    report: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return report


def _name(row: Mapping[str, Any]) -> str:
    return (
        row["contender"] if row["model"] == "anthropic" else f"{row['contender']}, {row['model']}"
    )


def _value(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "not measured"
    return f"{_digits(figure['value'])} {figure['unit']}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
