"""How a check is told: as JSON for machines, or drawn by rich."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from count_tokens_mw.check import Row, State
from count_tokens_mw.config_reader import Reading

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["as_json", "draw"]

_STYLES: Final[dict[State, str]] = {
    "configured": "default",
    "counted": "green",
    "cannot_count": "yellow",
    "failed": "red",
    "problem": "red",
    "pattern": "dim",
    "alias": "dim",
}


def as_json(reading: Reading, rows: Sequence[Row], *, well: bool) -> str:
    """One JSON object: `ok`, `deployments`, `problems`, `warnings`."""
    said = {
        "ok": well,
        "deployments": [_members(row) for row in rows],
        "problems": reading.problems,
        "warnings": reading.warnings,
    }
    return json.dumps(said, indent=2)


def draw(console: "Console", reading: Reading, rows: Sequence[Row]) -> None:
    """A table of the rows, and lists of what is wrong."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("model", "deployment", "upstream: model, host, credential", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        # As text, not as markup: an upstream's words are not ours.
        cells = (row.model_name, _deployment(row), _upstream(row), _state(row))
        table.add_row(*map(Text, cells), style=_STYLES[row.state])
    console.print(table)
    _draw_list(console, "problems", reading.problems, "red")
    _draw_list(console, "warnings", reading.warnings, "yellow")


def _draw_list(console: "Console", heading: str, items: Sequence[str], style: str) -> None:
    from rich.text import Text

    if items:
        console.print(Text(f"\n{heading}: {len(items)}", style=f"bold {style}"))
    for item in items:
        console.print(Text(f"  {item}", style=style), soft_wrap=True)


def _members(row: Row) -> dict[str, object]:
    found = row.deployment
    return {
        "model_name": row.model_name,
        "id": found.id if found else None,
        "provider": found.provider if found else None,
        "upstream_model": found.upstream_model if found else None,
        "order": found.order if found else None,
        "weight": found.weight if found else None,
        "host": row.host,
        "credential": row.credential,
        "state": row.state,
        "words": row.words,
        "hint": row.hint,
        "input_tokens": row.input_tokens,
        "milliseconds": row.milliseconds,
    }


def _deployment(row: Row) -> str:
    found = row.deployment
    if found is None:
        return ""
    order = f"\norder {found.order}" if found.order is not None else ""
    weight = f"\nweight {found.weight:g}" if found.weight is not None else ""
    return f"{found.id}{order}{weight}"


def _upstream(row: Row) -> str:
    found = row.deployment
    model = f"{found.provider}/{found.upstream_model}" if found else None
    return "\n".join(filter(None, (model, row.host, row.credential)))


def _state(row: Row) -> str:
    if row.state == "counted":
        return f"{row.input_tokens} tokens, {row.milliseconds} ms"
    words = row.words or ("ready" if row.state == "configured" else "any model that fits")
    return f"{words}\n→ {row.hint}" if row.hint else words
