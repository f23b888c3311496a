"""LiteLLM's references to identity tokens, `oidc/env/NAME` and `oidc/file/PATH`.

https://docs.litellm.ai/docs/oidc
"""

from typing import Final

__all__ = ["OIDC", "file_in", "unsupported_problem", "variable_in"]

OIDC: Final = "oidc/"
"""The prefix of a reference to an identity token."""

_FILE: Final = f"{OIDC}file/"
_VARIABLE: Final = f"{OIDC}env/"


def file_in(value: object) -> str | None:
    """Return the path of `oidc/file/PATH`, or None for anything else."""
    return _after(_FILE, value)


def variable_in(value: object) -> str | None:
    """Return the name of `oidc/env/NAME`, or None for anything else."""
    return _after(_VARIABLE, value)


def unsupported_problem(value: str) -> str | None:
    """Return why a value that was to be resolved is still a reference, or None."""
    if value.startswith(_VARIABLE):
        return "the environment variable of oidc/env/NAME is not set"
    if value.startswith(OIDC):
        return "only oidc/env/NAME and oidc/file/PATH are supported; use one of these"
    return None


def _after(prefix: str, value: object) -> str | None:
    is_reference = isinstance(value, str) and value.startswith(prefix)
    return str(value).removeprefix(prefix) if is_reference else None
