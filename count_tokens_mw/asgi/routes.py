"""The three paths, and a request's path relative to its mount."""

from collections.abc import Mapping
from typing import Final

from starlette.types import Scope

from count_tokens_mw.events import EntryPoint

__all__ = ["PATHS", "path_below_mount"]

# The pass-through first, because the next path is a suffix of it.
PATHS: Final[Mapping[str, EntryPoint]] = {
    "/anthropic/v1/messages/count_tokens": "passthrough",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/messages/count_tokens/breakdown": "breakdown",
}


def path_below_mount(scope: Scope) -> str:
    """Return the path without its mount, and without a slash at its end."""
    path: str = scope["path"].rstrip("/")
    root: str = scope.get("root_path", "").rstrip("/")
    if not root:
        return path
    # FastAPI(root_path=...) sets a root that a proxy has already stripped from the path. The path
    # still has the prefixes of Starlette's mounts.
    mounts = root.removeprefix(scope.get("app_root_path", ""))
    for prefix in (root, mounts):
        if path == prefix or path.startswith(f"{prefix}/"):
            return path.removeprefix(prefix)
    return path
