"""The output of a check: JSON, or a table drawn by rich."""

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


def as_json(reading: Reading, rows: Sequence[Row], *, ok: bool) -> str:
    """Return the check as a JSON object: `ok`, `deployments`, `problems` and `warnings`."""
    report = {
        "ok": ok,
        "deployments": [_members(row) for row in rows],
        "problems": reading.problems,
        "warnings": reading.warnings,
    }
    return json.dumps(report, indent=2)


def draw(console: "Console", source: str, reading: Reading, rows: Sequence[Row]) -> None:
    """Draw a table of the rows, and lists of problems and warnings."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("model", "deployment", "upstream: model, host, credential", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (row.model_name, _deployment(row), _upstream(row), _state(row))
        table.add_row(*map(_to_text, cells), style=_STYLES[row.state])
    if rows:
        console.print(table)
    elif not reading.problems:
        console.print(Text("No deployment is configured; add entries to model_list.", style="red"))
    _draw_list(console, f"{source}: problems", reading.problems, "red")
    _draw_list(console, f"{source}: warnings", reading.warnings, "yellow")


def _draw_list(console: "Console", heading: str, items: Sequence[str], style: str) -> None:
    from rich.text import Text

    if items:
        console.print(Text(f"\n{heading}: {len(items)}", style=f"bold {style}"))
    for item in items:
        console.print(_to_text(f"  {item}", style), soft_wrap=True)


def _to_text(content: str, style: str = "") -> "Text":
    """Return literal text without markup and control characters, which an upstream may send."""
    from rich.text import Text

    shown = (letter if letter.isprintable() or letter == "\n" else "?" for letter in content)
    return Text("".join(shown), style=style)


def _members(row: Row) -> dict[str, object]:
    names = ("id", "provider", "upstream_model", "order", "weight")
    return {
        "model_name": row.model_name,
        **{name: getattr(row.deployment, name, None) for name in names},
        "host": row.host,
        "credential": row.credential,
        "state": row.state,
        "words": row.message,
        "hint": row.hint,
        "input_tokens": row.input_tokens,
        "milliseconds": row.milliseconds,
    }


def _deployment(row: Row) -> str:
    deployment = row.deployment
    if deployment is None:
        return ""
    order = f"\norder {deployment.order}" if deployment.order is not None else ""
    weight = f"\nweight {deployment.weight:g}" if deployment.weight is not None else ""
    return f"{deployment.id}{order}{weight}"


def _upstream(row: Row) -> str:
    deployment = row.deployment
    model = f"{deployment.provider}/{deployment.upstream_model}" if deployment else None
    return "\n".join(filter(None, (model, row.host, row.credential)))


def _state(row: Row) -> str:
    if row.state == "counted":
        counted = f"{row.input_tokens} tokens, {row.milliseconds} ms"
        return f"{counted}\n{row.message}" if row.message else counted
    message = row.message or row.state
    return f"{message}\n→ {row.hint}" if row.hint else message
