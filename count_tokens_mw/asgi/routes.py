"""Our paths, and where in a host a request asked for one of them."""

from collections.abc import Mapping
from typing import Final

from starlette.types import Scope

from count_tokens_mw.events import EntryPoint

__all__ = ["PATHS", "path_below_mount"]

# The pass-through before the one that it ends like.
PATHS: Final[Mapping[str, EntryPoint]] = {
    "/anthropic/v1/messages/count_tokens": "passthrough",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/messages/count_tokens/breakdown": "breakdown",
}


def path_below_mount(scope: Scope) -> str:
    """The path without its mount, and without a slash at its end."""
    path: str = scope["path"].rstrip("/")
    root: str = scope.get("root_path", "").rstrip("/")
    if not root:
        return path
    # FastAPI(root_path=...) sets a root that a proxy has already taken off the path; what Starlette
    # mounts added to it is still there.
    mounts = root.removeprefix(scope.get("app_root_path", ""))
    for prefix in (root, mounts):
        if path == prefix or path.startswith(f"{prefix}/"):
            return path.removeprefix(prefix)
    return path
