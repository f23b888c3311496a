"""The YAML files of a configuration: the one that is named, and those that it includes.

https://docs.litellm.ai/docs/proxy/config_management
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Document", "read_documents"]

# What PyYAML lets through from Python for a number, a date or a tag that is none.
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
    """One file's data. `name` is how the file that includes it names it, empty for the first."""

    name: str
    data: object = field(repr=False)

    def place(self, where: str) -> str:
        """A place in this file as it is told to a person."""
        return f"{self.name}: {where}" if self.name else where


def read_documents(path: Path) -> tuple[list[Document], list[str]]:
    """A file and all that it includes, in LiteLLM's order, with what could not be read.

    An included file is looked for beside the one that names it, else beside the first one; no file
    is read twice.
    """
    problems: list[str] = []
    documents: list[Document] = []
    waiting = [("", path)]
    seen: set[Path] = set()
    for name, each in waiting:
        if _resolved(each) in seen:
            continue
        seen.add(_resolved(each))
        data, problem = _read(each)
        document = Document(name, data)
        if problem:
            problems.append(document.place(problem))
            continue
        documents.append(document)
        waiting += _included(document, each, path, problems)
    return documents, problems


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # links in a ring, or no path at all
        return path


def _included(
    document: Document, declared_in: Path, first: Path, problems: list[str]
) -> Iterator[tuple[str, Path]]:
    names = document.data.get("include") if isinstance(document.data, Mapping) else None
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | None) or not all(isinstance(name, str) for name in names or ()):
        problems.append(document.place("include: a list of files is required"))
        return
    for name in names or ():
        beside = declared_in.parent / name
        yield name, beside if _exists(beside) else first.parent / name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that is closed
        return False


def _read(path: Path) -> tuple[object, str | None]:
    """The data of a YAML file, or why there is none."""
    # Not at the top: a mapping needs none.
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(path.read_bytes(), loader), None  # noqa: S506 - both are safe
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except (yaml.YAMLError, *_STRAY) as error:
        # The text of none of these is shown: it quotes the file, which may hold keys.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        return None, f"cannot be read as YAML{where}"
