"""Facts about the betas that clouds take, from the table in LiteLLM's wheel.

The table is of what a cloud takes for generating. Counting differs, so the table is one source of
several.
"""

import json
import zipfile
from email import message_from_string
from pathlib import Path
from typing import Any, Final

from tests.facts import Facts

__all__ = ["COLUMNS", "generate"]

COLUMNS: Final = (
    "anthropic",
    "azure_ai",
    "bedrock",
    "bedrock_mantle",
    "vertex_ai",
    "vertex_ai_header_only",
)
"""The table's columns of upstreams that this package counts by; LiteLLM's others are only named."""

_PACKAGE: Final = "litellm"
_TABLE: Final = "anthropic_beta_headers_config.json"


def generate(path: Path) -> Facts:
    """Return the facts of a wheel, or of the folder that the package is installed in.

    A column maps each beta to the name under which LiteLLM sends it, or to null if it does not.

    Raises:
        LookupError: the path has no LiteLLM, or no table.
    """
    root = zipfile.Path(path) if path.is_file() else path
    table = json.loads(_read(root / _PACKAGE / _TABLE))
    columns = {name: column for name, column in table.items() if isinstance(column, dict)}
    return {
        "package": _PACKAGE,
        "version": _version_of(root),
        "columns": {name: columns[name] for name in COLUMNS if name in columns},
        "other_columns": sorted(columns.keys() - set(COLUMNS)),
    }


def _version_of(root: Path | zipfile.Path) -> str:
    for folder in root.iterdir():
        if folder.name.startswith(f"{_PACKAGE}-") and folder.name.endswith(".dist-info"):
            metadata = message_from_string(_read(folder / "METADATA"))
            return str(metadata["Version"])
    raise LookupError(f"{root}: no metadata of {_PACKAGE}")


def _read(file: Any) -> str:
    if not file.exists():
        raise LookupError(f"{file}: no such file")
    return str(file.read_text(encoding="utf-8"))
