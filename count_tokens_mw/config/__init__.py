"""The frozen configuration, which is read from a LiteLLM `config.yaml`.

https://docs.litellm.ai/docs/proxy/configs describes `model_list`, `credential_list`,
`router_settings`, `general_settings`, `environment_variables` and `include`. The section
`count_tokens` is this package's, and strict. Any other fault is that of its entry. All other
sections are ignored. No other module reads the environment.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from count_tokens_mw.config.files import Document, read_documents
from count_tokens_mw.config.models import Deployment, RouterSettings, Settings
from count_tokens_mw.config.reader import Reading, read
from count_tokens_mw.config.rows import read_rows
from count_tokens_mw.errors import ConfigError

__all__ = ["Config", "read_yaml"]

_MOST_LOGGED: Final = 20
_logger = logging.getLogger("count_tokens_mw")


@dataclass(frozen=True, slots=True)
class Config:
    """Configuration of the package: deployments and settings.

    `warnings` name what is wrong with single entries, and the parts of the file that have no
    effect or differ from LiteLLM's chat. The first 20 of a file or mapping are also logged.
    """

    deployments: tuple[Deployment, ...] = ()
    settings: Settings = field(default_factory=Settings)
    router_settings: RouterSettings = field(default_factory=RouterSettings)
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_yaml(cls, path: str | Path, environ: Mapping[str, str] | None = None) -> Self:
        """Read a file and its includes; `environ` replaces the process's environment.

        Raises:
            ConfigError: the file cannot be read or used; the error lists every problem.
        """
        return cls._from_reading(read_yaml(path, environ), str(path))

    @classmethod
    def from_mapping(
        cls,
        data: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        *,
        source: str = "configuration",
    ) -> Self:
        """Read a mapping in the shape of the file; `source` is its name in errors.

        A mapping with `include` is refused, because it has no folder to include from.

        Raises:
            ConfigError: the mapping cannot be used; the error lists every problem.
        """
        document = Document("", data)
        includes = isinstance(document.data, Mapping) and document.data.get("include")
        problems = ("include: a mapping cannot include files; use a file",) if includes else ()
        return cls._from_reading(_read([document], environ, problems), source)

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Mapping[str, Any]],
        *,
        allow_base: Callable[[str], bool] | None = None,
    ) -> Self:
        """Read tenants' rows, which are entries of `model_list` that the host does not trust.

        A row has keys and values of its own, and nothing of the host's: no environment variable or
        default, file, profile, role or entry of `credential_list`. Its deployment has a `problem`
        if it wants more. `warnings` have all problems; none is logged, because the rows are not the
        operator's. `allow_base(url)` is asked about each `api_base`, as scheme, host and path; None
        allows no `api_base`.
        """
        deployments, warnings = read_rows(rows, allow_base)
        return cls(deployments, warnings=warnings)

    @classmethod
    def _from_reading(cls, reading: Reading, source: str) -> Self:
        if reading.problems or (reading.settings.strict and reading.faults):
            raise ConfigError(source, (*reading.problems, *reading.faults))
        warnings = (*reading.faults, *reading.warnings, *reading.remarks)
        for warning in warnings[:_MOST_LOGGED]:
            _logger.warning("%s: %s", source, warning)
        if len(warnings) > _MOST_LOGGED:
            more = len(warnings) - _MOST_LOGGED
            _logger.warning("%s: %d more warnings; count-tokens-mw check lists all", source, more)
        return cls(reading.deployments, reading.settings, reading.router_settings, warnings)


def read_yaml(path: str | Path, environ: Mapping[str, str] | None = None) -> Reading:
    """Read a file, and return its configuration together with its problems."""
    with _pause_garbage_collection():
        documents, problems = read_documents(Path(path))
        return _read(documents, environ, tuple(problems))


def _read(
    documents: list[Document], environ: Mapping[str, str] | None, problems: tuple[str, ...]
) -> Reading:
    # Without HOME, a vendor's library takes the home directory from the system's users.
    own = {"HOME": os.path.expanduser("~"), **os.environ}
    reading = read(documents, own if environ is None else environ)
    return replace(reading, problems=(*problems, *reading.problems))


@contextmanager
def _pause_garbage_collection() -> Iterator[None]:
    """Pause the collector, which takes more than half the time of reading a large file."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
