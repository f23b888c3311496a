"""The places of a request that a count leaves out, bounded, and as a response header."""

from collections.abc import Collection
from itertools import islice
from typing import Final
from urllib.parse import quote

__all__ = ["OMITTED_HEADER", "bound_places", "encode_places"]

OMITTED_HEADER: Final = "x-count-tokens-omitted"
"""The header of a count that names what was left out of it."""

_MOST_PLACES: Final = 16
_MOST_LETTERS: Final = 256
_MOST_BYTES: Final = 1024
_MORE: Final = "+"


def bound_places(places: Collection[str]) -> tuple[str, ...]:
    """Return at most 16 places, each cut to 256 characters, then `+N` for the rest."""
    first = tuple(place[:_MOST_LETTERS] for place in islice(places, _MOST_PLACES))
    rest = len(places) - len(first)
    return (*first, f"{_MORE}{rest}") if rest else first


def encode_places(places: Collection[str]) -> str:
    """Return bounded places as the value of the header, at most 1 KB of them, then `+N`.

    Everything but letters, digits and `_.:-` is percent-encoded, so that a comma separates.
    """
    shown: list[str] = []
    rest = size = 0
    for place in places:
        if place.startswith(_MORE):
            rest += int(place)
            continue
        encoded = quote(place, safe=":", errors="replace").replace("~", "%7E")
        size += len(encoded) + 1
        if size > _MOST_BYTES:
            rest += 1
        else:
            shown.append(encoded)
    return ",".join([*shown, f"{_MORE}{rest}"] if rest else shown)
