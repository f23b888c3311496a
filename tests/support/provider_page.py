"""The page about providers: its tables, and the names that its cells have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["PAGE", "names_in", "occurrences", "part", "rows_of"]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")


def part(marker: str) -> str:
    """Return what stands between a comment of the page and the comment of its end."""
    (found,) = re.findall(
        rf"^<!-- {marker}\b.*? -->\n(.*?)^<!-- end", PAGE, re.DOTALL | re.MULTILINE
    )
    return str(found)


def rows_of(table: str) -> list[list[str]]:
    """Return the cells of a table, its head included."""
    head, _, *rows = table.strip().splitlines()
    # A cell has no escaped bar.
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows)]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def values_at(value: Any, path: list[str]) -> Iterator[Any]:
    """Yield the values at a path from here, through lists."""
    if isinstance(value, list):
        for item in value:
            yield from values_at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:])


def occurrences(value: Any, name: str) -> int:
    """Return how often `path` or `path: value` occurs, from any object."""
    path, colon, expected = name.partition(": ")
    here = [
        found
        for found in values_at(value, path.split("."))
        if not colon or (found if isinstance(found, str) else json.dumps(found)) == expected
    ]
    inner = value.values() if isinstance(value, dict) else value
    rest = inner if isinstance(value, dict | list) else ()
    nested = sum(occurrences(item, name) for item in rest)
    return nested + (len(here) if isinstance(value, dict) else 0)
