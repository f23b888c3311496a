"""How a check is told: as JSON for machines, or drawn by rich."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from count_tokens_mw.cli.check import Row, State
from count_tokens_mw.config.reader import Reading

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

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
    """One JSON object: `ok`, `deployments`, `problems`, `warnings`; the states are `State`."""
    said = {
        "ok": well,
        "deployments": [_members(row) for row in rows],
        "problems": reading.problems,
        "warnings": reading.warnings,
    }
    return json.dumps(said, indent=2)


def draw(console: "Console", source: str, reading: Reading, rows: Sequence[Row]) -> None:
    """A table of the rows, and lists of what is wrong in a file."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("model", "deployment", "upstream: model, host, credential", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (row.model_name, _deployment(row), _upstream(row), _state(row))
        table.add_row(*map(_text, cells), style=_STYLES[row.state])
    if rows:
        console.print(table)
    elif not reading.problems:
        console.print(Text("There is nothing in it that could be counted.", style="red"))
    _draw_list(console, f"{source}: problems", reading.problems, "red")
    _draw_list(console, f"{source}: warnings", reading.warnings, "yellow")


def _draw_list(console: "Console", heading: str, items: Sequence[str], style: str) -> None:
    from rich.text import Text

    if items:
        console.print(Text(f"\n{heading}: {len(items)}", style=f"bold {style}"))
    for item in items:
        console.print(_text(f"  {item}", style), soft_wrap=True)


def _text(words: str, style: str = "") -> "Text":
    """As text, not as markup, and without control characters: an upstream's words are not ours."""
    from rich.text import Text

    shown = (letter if letter.isprintable() or letter == "\n" else "?" for letter in words)
    return Text("".join(shown), style=style)


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
    words = row.words or row.state
    return f"{words}\n→ {row.hint}" if row.hint else words
