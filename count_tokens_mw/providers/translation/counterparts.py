"""Errors for input that another vendor's format has no counterpart of, and their places."""

import re
from typing import Final

from count_tokens_mw.errors import CannotCount, CountError

__all__ = ["add_place", "no_counterpart", "with_format"]

_NAMELESS: Final = "the provider's format"
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch


def no_counterpart(place: str, what: str, kind: str | None = None) -> CannotCount:
    """Return the error for an input without a counterpart: `what`, and its type.

    `with_format` names the format.
    """
    named = "" if kind is None else f" of type {kind if _PRINTABLE(kind) else 'unknown'}"
    return CannotCount(f"{place}: {_NAMELESS} has no counterpart of {what}{named}.")


def with_format(error: CannotCount, name: str) -> CannotCount:
    """Return an error of a translation with the name of the format."""
    return CannotCount(error.message.replace(f": {_NAMELESS} has", f": {name} has", 1))


def add_place(error: CountError, place: str) -> CountError:
    """Return an error whose message begins with the place of what it contains."""
    return type(error)(f"{place}{error.message}")
