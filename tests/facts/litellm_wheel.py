"""Facts from LiteLLM's wheel: betas that clouds take, keys of `litellm_params`, and names.

The names are those of models, of providers and of the fields that loggers receive.

LiteLLM is read, not imported. Its table of betas is of what a cloud takes for generating; counting
differs, so the table is one source of several.
"""

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path
from typing import Any, Final

from tests.facts import Facts

__all__ = [
    "COLUMNS",
    "generate_betas",
    "generate_models",
    "generate_params",
    "generate_payload",
    "generate_providers",
]

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
_PRICES: Final = "model_prices_and_context_window_backup.json"
_MODEL: Final = "claude"
_COUNTED: Final = re.compile(r"anthropic|azure_ai|bedrock.*|vertex_ai-anthropic_models").fullmatch
_SOURCES: Final = ("types/router.py", "types/utils.py")
_DECLARING: Final = ("GenericLiteLLMParams", "LiteLLMParamsTypedDict")
_EVERY_ENTRYS: Final = "model"
_PAYLOAD_SOURCE: Final = "types/utils.py"
_PAYLOAD: Final = (
    "StandardLoggingHiddenParams",
    "StandardLoggingMetadata",
    "StandardLoggingModelInformation",
    "StandardLoggingPayload",
    "StandardLoggingPayloadErrorInformation",
    "StandardLoggingPayloadStatusFields",
)
_PROVIDERS: Final = "LlmProviders"
_COUNTER: Final = "BaseTokenCounter"
_MORE_PROVIDERS: Final = "llms/openai_like/providers.json"


def generate_betas(path: Path) -> Facts:
    """Return the table of a wheel, or of the folder that the package is installed in.

    A column maps each beta to the name under which LiteLLM sends it, or to null if it does not.

    Raises:
        LookupError: the path has no LiteLLM, or no table.
    """
    root = _open(path)
    table = json.loads(_read(root / _PACKAGE / _TABLE))
    columns = {name: column for name, column in table.items() if isinstance(column, dict)}
    return {
        "package": _PACKAGE,
        "version": _version_of(root),
        "columns": {name: columns[name] for name in COLUMNS if name in columns},
        "other_columns": sorted(columns.keys() - set(COLUMNS)),
    }


def generate_params(path: Path) -> Facts:
    """Return the keys of `litellm_params` that LiteLLM's types declare, but `model`.

    Raises:
        LookupError: the path has no LiteLLM, or LiteLLM has no such types.
    """
    root = _open(path)
    classes = {
        node.name: node
        for source in _SOURCES
        for node in ast.walk(ast.parse(_read(root / _PACKAGE / source)))
        if isinstance(node, ast.ClassDef)
    }
    declared = set().union(*(_fields_of(classes[name], classes) for name in _DECLARING))
    return {
        "package": _PACKAGE,
        "version": _version_of(root),
        "params": sorted(declared - {_EVERY_ENTRYS}),
    }


def generate_models(path: Path) -> Facts:
    """Return the names under which LiteLLM's price map has Claude, by `litellm_provider`.

    `other_providers` are those with Claude by which this package does not count.

    Raises:
        LookupError: the path has no LiteLLM, or no price map.
    """
    root = _open(path)
    names: dict[str, list[str]] = {}
    for name, price in json.loads(_read(root / _PACKAGE / _PRICES)).items():
        if _MODEL in name.lower() and "litellm_provider" in price:
            names.setdefault(price["litellm_provider"], []).append(name)
    return {
        "package": _PACKAGE,
        "version": _version_of(root),
        "models": {provider: sorted(names[provider]) for provider in names if _COUNTED(provider)},
        "other_providers": sorted(provider for provider in names if not _COUNTED(provider)),
    }


def generate_payload(path: Path) -> Facts:
    """Return the fields of `StandardLoggingPayload` and of its parts, by type.

    Raises:
        LookupError: the path has no LiteLLM, or LiteLLM has no such types.
    """
    root = _open(path)
    tree = ast.parse(_read(root / _PACKAGE / _PAYLOAD_SOURCE))
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    types = {name: _typed_dict(classes[name], classes) for name in _PAYLOAD}
    return {
        "package": _PACKAGE,
        "version": _version_of(root),
        "types": {
            name: {
                "required": sorted(field for field in fields if fields[field]),
                "optional": sorted(field for field in fields if not fields[field]),
            }
            for name, fields in types.items()
        },
    }


def _typed_dict(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> dict[str, bool]:
    """Return the fields of a `TypedDict` and of its bases, each with whether it is required."""
    names = [base.id for base in node.bases if isinstance(base, ast.Name)]
    fields: dict[str, bool] = {}
    for name in names:
        if name in classes:
            fields |= _typed_dict(classes[name], classes)
    is_total = not any(keyword.arg == "total" for keyword in node.keywords)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            annotation = ast.unparse(item.annotation).removeprefix("ReadOnly[")
            is_required = is_total and not annotation.startswith("NotRequired[")
            fields[item.target.id] = is_required or annotation.startswith("Required[")
    return fields


def generate_providers(path: Path) -> Facts:
    """Return the prefixes of all providers: those of LiteLLM's enumeration, and of its JSON file.

    `counters` are the folders of providers for which LiteLLM itself has a counting API.

    Raises:
        LookupError: the path has no LiteLLM, or LiteLLM has no such enumeration or file.
    """
    root = _open(path)
    tree = ast.parse(_read(root / _PACKAGE / _SOURCES[1]))
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    listed = {
        item.value.value
        for item in classes[_PROVIDERS].body
        if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant)
    }
    configured = json.loads(_read(root / _PACKAGE / _MORE_PROVIDERS))
    return {
        "package": _PACKAGE,
        "version": _version_of(root),
        "providers": sorted(listed.union(configured)),
        "counters": sorted(_counters_of(root / _PACKAGE / "llms")),
    }


def _counters_of(folder: Path | zipfile.Path) -> set[str]:
    """Return the subfolders with a class that inherits from LiteLLM's counter, at any depth."""
    return {child.name for child in folder.iterdir() if child.is_dir() and any(_has_counter(child))}


def _has_counter(folder: Path | zipfile.Path) -> Iterator[bool]:
    for child in folder.iterdir():
        if child.is_dir():
            yield from _has_counter(child)
        elif child.name.endswith(".py"):
            yield f"({_COUNTER})" in child.read_text(encoding="utf-8")


def _fields_of(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Return the annotated names of a class and of its bases, which LiteLLM itself defines."""
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    inherited = [_fields_of(classes[base], classes) for base in bases if base in classes]
    own = {
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    return own.union(*inherited)


def _open(path: Path) -> Path | zipfile.Path:
    return zipfile.Path(path) if path.is_file() else path


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
