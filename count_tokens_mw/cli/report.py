"""The output of a check: JSON, or a plain listing for a terminal of 80 columns."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from count_tokens_mw.cli.check import Row, State
from count_tokens_mw.config.reader import Reading

__all__ = ["as_json", "as_text"]

_WIDTH: Final = 80
_MARKS: Final[dict[State, str]] = {
    "configured": "configured",
    "counted": "counted",
    "cannot_count": "cannot count",
    "failed": "FAILED",
    "problem": "PROBLEM",
    "pattern": "pattern",
    "alias": "alias",
}


def as_json(reading: Reading, rows: Sequence[Row], *, ok: bool) -> str:
    """Return the check as a JSON object: `ok`, `deployments`, `problems` and `warnings`."""
    report = {
        "ok": ok,
        "deployments": [_members(row) for row in rows],
        "problems": (*reading.problems, *reading.faults),
        "warnings": (*reading.warnings, *reading.remarks),
    }
    return json.dumps(report, indent=2)


def as_text(source: str, reading: Reading, rows: Sequence[Row]) -> str:
    """Return a block of lines for each model name, and lists of problems and warnings.

    A line is wrapped only between words, so that no name is broken. A name that is wider than the
    terminal runs over. A control character, which an upstream may send, is a question mark.
    """
    blocks = [
        "\n".join([_to_literal(name), *(line for row in group for line in _lines(row))])
        for name, group in groupby(rows, key=attrgetter("model_name"))
    ]
    problems = (*reading.problems, *reading.faults)
    if not rows and not problems:
        blocks.append("No deployment is configured; add entries to model_list.")
    for heading, items in (
        ("problems", problems),
        ("warnings", (*reading.warnings, *reading.remarks)),
    ):
        if items:
            title = f"{_to_literal(source)}: {heading}: {len(items)}"
            blocks.append("\n".join([title, *(_wrap(item, "  ", "    ") for item in items)]))
    return "\n\n".join(blocks)


def _members(row: Row) -> dict[str, object]:
    def of_deployment(*names: str) -> dict[str, object]:
        return {name: getattr(row.deployment, name, None) for name in names}

    return {
        "model_name": row.model_name,
        **of_deployment("id", "provider", "upstream_model"),
        "asked_model": row.asked_model,
        **of_deployment("order", "weight"),
        "host": row.host,
        "credential": row.credential,
        "network": row.network,
        "state": row.state,
        "words": row.message,
        "hint": row.hint,
        "input_tokens": row.input_tokens,
        "milliseconds": row.milliseconds,
    }


def _lines(row: Row) -> Iterator[str]:
    yield _wrap(_state(row), "  ", "      ")
    for label, value in _fields(row):
        yield f"    {label:<10}  {_to_literal(value)}"
    details = (("credential", row.credential), ("network", row.network), ("hint", row.hint))
    for label, text in details:
        if text:
            yield _wrap(text, f"    {label:<10}  ", " " * 16)


def _state(row: Row) -> str:
    if row.state == "counted":
        counted = f"counted: {row.input_tokens} tokens, {row.milliseconds} ms"
        return f"{counted}; {row.message}" if row.message else counted
    if row.state == "alias" and row.message:
        return row.message
    mark = _MARKS[row.state]
    return f"{mark}: {row.message}" if row.message else mark


def _fields(row: Row) -> Iterator[tuple[str, str]]:
    """Yield the labels and values of a deployment, each a name that is not wrapped."""
    deployment = row.deployment
    if deployment is None:
        return
    yield "deployment", deployment.id
    order = None if deployment.order is None else f"order {deployment.order}"
    weight = None if deployment.weight is None else f"weight {deployment.weight:g}"
    if routing := ", ".join(filter(None, (order, weight))):
        yield "routing", routing
    yield "model", f"{deployment.provider}/{deployment.upstream_model}"
    if row.asked_model and row.asked_model != deployment.upstream_model:
        yield "asked for", row.asked_model
    if row.host:
        yield "host", row.host


def _wrap(content: str, indent: str, hanging: str) -> str:
    return textwrap.fill(
        _to_literal(content),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _to_literal(content: str) -> str:
    """Return one line of text without control characters, which an upstream may send."""
    line = content.replace("\n", " ")
    return "".join(letter if letter.isprintable() else "?" for letter in line)
