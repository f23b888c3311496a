"""The configuration: a LiteLLM `config.yaml`, read once, checked whole, frozen.

https://docs.litellm.ai/docs/proxy/configs describes `model_list`, `credential_list`,
`router_settings`, `environment_variables` and `include`; the section `count_tokens` is ours, and
strict; all others are ignored. This is the only module that reads the environment.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from count_tokens_mw.errors import ConfigError

if TYPE_CHECKING:
    from count_tokens_mw.config.files import Document
    from count_tokens_mw.config.models import Deployment, RouterSettings, Settings
    from count_tokens_mw.config.reader import Reading

__all__ = ["Config", "read_yaml"]

_logger = logging.getLogger("count_tokens_mw")


def _nothing_read() -> Reading:
    # Not at the top: pydantic takes longer to build the models than all else takes to import. The
    # reader with them, or a host's `resolve` that makes deployments would load it in a request.
    from count_tokens_mw.config.reader import Reading

    return Reading()


@dataclass(frozen=True, slots=True)
class Config:
    """All that the package is told at start.

    `warnings` are about what was read and has no effect; they are logged too.
    """

    deployments: tuple[Deployment, ...] = ()
    settings: Settings = field(default_factory=lambda: _nothing_read().settings)
    router_settings: RouterSettings = field(default_factory=lambda: _nothing_read().router_settings)
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_yaml(cls, path: str | Path, environ: Mapping[str, str] | None = None) -> Self:
        """Read a file, and those that it includes. `environ` stands in for the process's own.

        Raises:
            ConfigError: it cannot be read or used; all its problems are named at once.
        """
        return cls._of(read_yaml(path, environ), str(path))

    @classmethod
    def from_mapping(
        cls,
        data: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        *,
        source: str = "configuration",
    ) -> Self:
        """The same for a mapping of the file's shape; `source` is its name in errors.

        Only a file can `include` others: here that is a problem.
        """
        from count_tokens_mw.config.files import Document

        document = Document("", data)
        includes = isinstance(document.data, Mapping) and document.data.get("include")
        problems = ("include: only a file can include files",) if includes else ()
        return cls._of(_read([document], environ, problems), source)

    @classmethod
    def _of(cls, reading: Reading, source: str) -> Self:
        if reading.problems:
            raise ConfigError(source, reading.problems)
        for warning in reading.warnings:
            _logger.warning("%s: %s", source, warning)
        return cls(reading.deployments, reading.settings, reading.router_settings, reading.warnings)


def read_yaml(path: str | Path, environ: Mapping[str, str] | None = None) -> Reading:
    """What a file says, with all that is wrong with it beside what is not."""
    from count_tokens_mw.config.files import read_documents

    with _without_garbage_collection():
        documents, problems = read_documents(Path(path))
        return _read(documents, environ, tuple(problems))


def _read(
    documents: list[Document], environ: Mapping[str, str] | None, problems: tuple[str, ...]
) -> Reading:
    from count_tokens_mw.config.reader import Reading, read

    try:
        reading = read(documents, os.environ if environ is None else environ)
    except RecursionError:
        return Reading(problems=(*problems, "an alias refers to itself"))
    return replace(reading, problems=(*problems, *reading.problems))


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """A large file is objects by the million; collecting among them takes more than half."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
