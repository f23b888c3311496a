"""Values of a metric's label, bounded in number and length."""

from typing import Final

__all__ = ["BoundedLabels"]

_LONGEST_LABEL: Final = 256


class BoundedLabels:
    """The values of a label, at most `most`; any further value, and a long one, is `other`."""

    def __init__(self, most: int, other: str) -> None:
        self._most = most
        self._other = other
        self._known: set[str] = set()

    def label(self, value: str | None, *, is_new_allowed: bool) -> str:
        """Return the label of a value, `none` for None; only an allowed new value is remembered."""
        if value is None:
            return "none"
        if is_new_allowed and len(self._known) < self._most and len(value) <= _LONGEST_LABEL:
            self._known.add(value)
        return value if value in self._known else self._other
