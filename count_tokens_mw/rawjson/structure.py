"""Size of a JSON text's structure, found without parsing it."""

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["has_more", "refuse_many_values"]

# A value takes some 100 bytes of memory, however short its text is. So many are taken in any text,
# or one in so many bytes of it.
_FEW_VALUES: Final = 200_000
_LEAST_BYTES: Final = 32
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"')


def refuse_many_values(text: bytes) -> None:
    """Refuse JSON text that would take many times its memory, if its values were parsed.

    Raises:
        ValueError: it has over 200,000 values, and more than one in 32 bytes.
    """
    if has_more(text, (b",", b"[", b"{"), max(_FEW_VALUES, len(text) // _LEAST_BYTES)):
        raise ValueError("it has too many values")


def has_more(text: bytes, marks: Sequence[bytes], most: int) -> bool:
    """Return whether JSON text has more than so many of these characters outside its strings."""
    if len(text) <= most or sum(map(text.count, marks)) <= most:
        return False
    number = at = 0
    for string in _STRING.finditer(text):  # all at once would take much memory themselves
        number += sum(text.count(mark, at, string.start()) for mark in marks)
        at = string.end()
        if number > most:
            return True
    return number + sum(text.count(mark, at) for mark in marks) > most
