"""Facts about vendors' types as files: what the code knows of them, with package and version.

`python -m tests.facts` writes the files from the installed packages. `make test` compares the code
with the files, and `make drift` compares the files with the newest packages. So a vendor's release
never breaks the build.
"""

import json
from pathlib import Path
from typing import Any, Final, TypeAlias

__all__ = [
    "ANTHROPIC",
    "FOLDER",
    "LITELLM_BETAS",
    "LITELLM_LOGGED",
    "LITELLM_MODELS",
    "LITELLM_PARAMS",
    "LITELLM_PAYLOAD",
    "LITELLM_PROVIDERS",
    "Facts",
    "as_text",
    "read_facts",
    "write_facts",
]

Facts: TypeAlias = dict[str, Any]
"""The JSON object of a file; it has a `package`, its `version`, and sorted data."""

FOLDER: Final = Path(__file__).parent
ANTHROPIC: Final = "anthropic.json"
LITELLM_BETAS: Final = "litellm_betas.json"
LITELLM_MODELS: Final = "litellm_models.json"
LITELLM_LOGGED: Final = "litellm_logged.json"
LITELLM_PARAMS: Final = "litellm_params.json"
LITELLM_PAYLOAD: Final = "litellm_payload.json"
LITELLM_PROVIDERS: Final = "litellm_providers.json"


def as_text(facts: Facts) -> str:
    """Return the text of a file, one name a line, so that a diff shows what a release changed."""
    return json.dumps(facts, indent=1, sort_keys=True) + "\n"


def read_facts(name: str, folder: Path = FOLDER) -> Facts:
    facts: Facts = json.loads((folder / name).read_text(encoding="utf-8"))
    return facts


def write_facts(name: str, facts: Facts, folder: Path = FOLDER) -> None:
    (folder / name).write_text(as_text(facts), encoding="utf-8")
