"""The places of a request that were left out of its count, bounded, and as a response header."""

import re
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["OMITTED_HEADER", "Omissions", "bound_places", "encode_places"]

OMITTED_HEADER: Final = b"x-count-tokens-omitted"
"""Response header of a count that names what was left out of it."""

_MOST_PLACES: Final = 16
_LONGEST_PLACE: Final = 256
_LONGEST_VALUE: Final = 1024
_ROOM_FOR_NUMBER: Final = len(",+1000000000")

_NUMBER: Final = re.compile(r"\+[0-9]{1,9}").fullmatch
_ENCODED: Final = re.compile(rb"[^A-Za-z0-9_.:-]")


class Omissions:
    """Collector of places, which keeps the first 16 and counts the others.

    A request may have millions of places, so an uncounted list would take too much memory.
    """

    __slots__ = ("_more", "_places")

    def __init__(self) -> None:
        self._places: list[str] = []
        self._more = 0

    def add(self, place: Callable[[], str]) -> None:
        """Add a place, which is built only if it is kept."""
        if len(self._places) < _MOST_PLACES:
            self._places.append(place()[:_LONGEST_PLACE])
        else:
            self._more += 1

    def places(self) -> tuple[str, ...]:
        """Return the places as `bound_places` does."""
        return (*self._places, f"+{self._more}") if self._more else tuple(self._places)


def bound_places(places: Sequence[str]) -> tuple[str, ...]:
    """Return at most 16 places, each cut to 256 characters, then `+N` for N more.

    Bounded places stay as they are.
    """
    named, more = _split(places)
    kept = tuple([place[:_LONGEST_PLACE] for place in named[:_MOST_PLACES]])
    more += len(named) - len(kept)
    return (*kept, f"+{more}") if more else kept


def encode_places(places: Sequence[str]) -> bytes:
    """Return bounded places as the value of the header, in 1 KB at most.

    They are comma-separated and percent-encoded by their UTF-8 bytes, with a lone surrogate escaped
    first. The last item is `+N` for N further places.
    """
    named, more = _split(places)
    sent: list[bytes] = []
    size = 0
    for place in named:
        text = _ENCODED.sub(_percent_encode, place.encode(errors="backslashreplace"))
        size += len(text) + 1
        if size > _LONGEST_VALUE - _ROOM_FOR_NUMBER:
            break
        sent.append(text)
    more += len(named) - len(sent)
    return b",".join([*sent, b"+%d" % more] if more else sent)


def _split(places: Sequence[str]) -> tuple[Sequence[str], int]:
    """Return the places, and the number of further ones, which only a seventeenth item can be."""
    if len(places) == _MOST_PLACES + 1 and _NUMBER(places[-1]):
        return places[:-1], int(places[-1])
    return places, 0


def _percent_encode(byte: re.Match[bytes]) -> bytes:
    return b"%%%02X" % ord(byte[0])
