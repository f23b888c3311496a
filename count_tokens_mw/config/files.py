"""The YAML files of a configuration: the main file and the files that it includes.

https://docs.litellm.ai/docs/proxy/config_management
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

__all__ = ["Document", "read_documents"]

# PyYAML lets these of Python's errors through for an invalid number, date or tag.
_STRAY: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data. `name` is its name in the file that includes it; the main file has none."""

    name: str
    data: object = field(repr=False)

    def place(self, where: str) -> str:
        """Return a place in this file for messages."""
        return f"{self.name}: {where}" if self.name else where


def read_documents(path: Path) -> tuple[list[Document], list[str]]:
    """Read a file and all that it includes, in LiteLLM's order, and return them with problems.

    An included file is looked up beside the file that includes it, then beside the main file. No
    file is read twice.
    """
    problems: list[str] = []
    documents: list[Document] = []
    waiting = [("", path)]
    seen: set[Path] = set()
    for name, file in waiting:
        if _resolve(file) in seen:
            continue
        seen.add(_resolve(file))
        data, problem = _read(file)
        document = Document(name, data)
        if problem:
            problems.append(document.place(problem))
            continue
        documents.append(document)
        waiting += _list_includes(document, file, path, problems)
    return documents, problems


def _resolve(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a cycle of links, or an invalid path
        return path


def _list_includes(
    document: Document, included_by: Path, main: Path, problems: list[str]
) -> Iterator[tuple[str, Path]]:
    names = document.data.get("include") if isinstance(document.data, Mapping) else None
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | None) or not all(isinstance(name, str) for name in names or ()):
        problems.append(document.place("include: a list of files is required"))
        return
    for name in names or ():
        beside = included_by.parent / name
        yield name, beside if _exists(beside) else main.parent / name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder without permission
        return False


def _read(path: Path) -> tuple[object, str | None]:
    """Read a YAML file and return its data, or None and the problem."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(path.read_bytes(), loader), None  # noqa: S506 - both are safe
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except (yaml.YAMLError, *_STRAY) as error:
        # The error's message is not shown, because it quotes the file, which may hold keys.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        return None, f"cannot be read as YAML{where}"
