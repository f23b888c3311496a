"""What was read in the bodies that came lately, so that none is parsed twice byte for byte.

https://cachetools.readthedocs.io
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from count_tokens_mw.json_object import JsonObject
from count_tokens_mw.types import CountRequest, Headers

if TYPE_CHECKING:
    from cachetools import LRUCache

__all__ = ["RecentRequests"]

_MOST_PLACES: Final = 8

# Plain tuples of strings and bytes, in which the garbage collector has nothing to look for.
_Seen: TypeAlias = tuple[str, str | None, Sequence[tuple[str, str, bytes]]]


class RecentRequests:
    """The requests that were counted lately, by the SHA-256 of their bytes; never the bytes."""

    def __init__(self, most: int) -> None:
        # Not at the top, as everything that only a count needs.
        from cachetools import LRUCache

        self._seen: LRUCache[Hashable, _Seen] = LRUCache(most)
        self._lock = threading.Lock()  # a host may run several event loops

    def __len__(self) -> int:
        with self._lock:
            return len(self._seen)

    def find(self, key: tuple[bytes, Headers, str], raw: bytes) -> CountRequest | None:
        """The request of this digest, these headers and this query.

        Its body is parsed only where that is needed.
        """
        try:
            with self._lock:
                model, user, led_to = self._seen[key]
        except KeyError:
            return None
        _, headers, query = key
        return CountRequest(model, JsonObject(raw), headers, query, (), user, key, led_to)

    def keep(self, request: CountRequest, place: tuple[str, str], fingerprint: bytes) -> None:
        """Find a request from now on, with the account and the model that it led to."""
        if request.key is None:
            return
        model = str(request.body.get("model"))  # as it was asked for
        now = (*place, fingerprint)
        led_to = (now, *(each for each in request.led_to if each != now))[:_MOST_PLACES]
        with self._lock:
            self._seen[request.key] = (model, request.user, led_to)
