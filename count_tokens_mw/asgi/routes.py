"""The three paths, a request's path relative to its mount, and the message for any other path."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from starlette.types import Scope

from count_tokens_mw.events import EntryPoint

__all__ = ["PATHS", "describe_not_found", "path_below_mount"]

# The pass-through first, because the next path is a suffix of it.
PATHS: Final[Mapping[str, EntryPoint]] = {
    "/anthropic/v1/messages/count_tokens": "passthrough",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/messages/count_tokens/breakdown": "breakdown",
}
_MESSAGES: Final = "/v1/messages"
_MAX_PREFIX: Final = 256
_NOT_QUOTED: Final = "/!$&'()*+,;=:@"  # https://www.rfc-editor.org/rfc/rfc3986#section-3.3


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


def describe_not_found(scope: Scope) -> str:
    """Return the message of a 404: its reason, and the served paths as a client calls them.

    The prefix of a mount may hold text of the client, as in `Mount("/{tenant}", ...)`. It is
    percent-encoded and capped, and nothing else of the request is repeated.
    """
    root: str = scope.get("root_path", "").rstrip("/")
    path = root + path_below_mount(scope)
    prefix = quote(root, _NOT_QUOTED, errors="replace")
    if len(prefix) > _MAX_PREFIX:
        prefix = "..." + prefix[3 - _MAX_PREFIX :]
    if "/v1/v1/" in path:
        reason = "The base URL ends in /v1; remove it, because clients append /v1 themselves."
    elif path.endswith(_MESSAGES):
        reason = "This package only counts tokens, and has no /v1/messages."
    else:
        reason = "There is nothing at this path."
    served = ", ".join(dict.fromkeys(_served_at(prefix, path) for path in PATHS))
    return (
        f"{reason} POST is served at {served}. The host's own routes below {prefix or '/'}, such "
        f"as {_served_at(prefix, _MESSAGES)}, must be declared before the mount."
    )


def _served_at(prefix: str, path: str) -> str:
    """Return a path below a mount; a prefix such as `/v1` is already the beginning of the path."""
    segments = path.split("/")
    beginnings = ("/".join(segments[:count]) for count in range(len(segments), 1, -1))
    shared = next((beginning for beginning in beginnings if prefix.endswith(beginning)), "")
    return prefix + path.removeprefix(shared)
