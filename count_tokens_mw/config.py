"""The configuration: a LiteLLM `config.yaml`, read once, checked whole, frozen.

https://docs.litellm.ai/docs/proxy/configs describes `model_list`; the section `count_tokens` is
ours, and strict; all others are ignored. This is the only module that reads the environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from count_tokens_mw.config_models import Deployment, Settings
from count_tokens_mw.config_reader import ConfigReader
from count_tokens_mw.errors import ConfigError

__all__ = ["Config"]


@dataclass(frozen=True, slots=True)
class Config:
    """All that the package is told at start."""

    deployments: tuple[Deployment, ...] = ()
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def from_yaml(cls, path: str | Path, environ: Mapping[str, str] | None = None) -> Self:
        """Read a file. `environ` stands in for the process's environment.

        Raises:
            ConfigError: it cannot be read or used; all its problems are named at once.
        """
        # Not at the top: it takes a tenth of the import, and a mapping needs none.
        import yaml

        try:
            data = yaml.safe_load(Path(path).read_bytes())
        except OSError as error:
            raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from None
        except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
            # PyYAML lets a bad date or number through as whatever Python says of it. The text of
            # none of these is shown: it quotes the file, which may hold keys.
            mark = getattr(error, "problem_mark", None)
            where = f" at line {mark.line + 1}" if mark else ""
            raise ConfigError(str(path), [f"cannot be read as YAML{where}"]) from None
        return cls.from_mapping(data, environ, source=str(path))

    @classmethod
    def from_mapping(
        cls,
        data: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        *,
        source: str = "configuration",
    ) -> Self:
        """The same for a mapping of the file's shape; `source` is its name in errors."""
        reader = ConfigReader(os.environ if environ is None else environ)
        try:
            config = cls(*reader.read(data))
        except RecursionError:
            raise ConfigError(source, ["an alias refers to itself"]) from None
        if reader.problems:
            raise ConfigError(source, reader.problems)
        return config
