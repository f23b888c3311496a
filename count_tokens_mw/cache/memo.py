"""What was read in the bodies that came lately, so that none is parsed twice byte for byte.

https://cachetools.readthedocs.io
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import CountRequest, Headers

if TYPE_CHECKING:
    from cachetools import LRUCache

__all__ = ["RecentRequests"]

_MOST_PLACES: Final = 8
_LONGEST_NAME: Final = 256  # no configured model is longer, nor what a log has of a user

# Plain tuples of strings and bytes, in which the garbage collector has nothing to look for.
_Seen: TypeAlias = tuple[str, str | None, Sequence[tuple[str, str, bytes]]]


class RecentRequests:
    """The requests that were counted lately, by a SHA-256 of them; never their bytes."""

    def __init__(self, most: int) -> None:
        # Not at the top, as everything that only a count needs.
        from cachetools import LRUCache

        self._seen: LRUCache[bytes, _Seen] = LRUCache(most)
        self._lock = threading.Lock()  # a host may run several event loops

    def __len__(self) -> int:
        with self._lock:
            return len(self._seen)

    def find(self, digest: bytes, raw: bytes, headers: Headers, query: str) -> CountRequest | None:
        """The request with a body of this SHA-256, these headers and this query.

        Its body is parsed only where that is needed.
        """
        key = _key(digest, headers, query)
        try:
            with self._lock:
                model, user, led_to = self._seen[key]
        except KeyError:
            return None
        return CountRequest(model, JsonObject(raw), headers, query, (), user, key, led_to)

    def mark(self, digest: bytes, request: CountRequest) -> None:
        """Give a request the key by which it is found once it is kept."""
        request.key = _key(digest, request.headers, request.query)

    def keep(self, request: CountRequest, place: tuple[str, str], fingerprint: bytes) -> None:
        """Find a request from now on, with the account and the model that it led to."""
        if request.key is None:
            return
        model = str(request.body.get("model"))  # as it was asked for
        if len(model) > _LONGEST_NAME:
            return
        user = request.user and request.user[:_LONGEST_NAME]
        now = (*place, fingerprint)
        led_to = (now, *(each for each in request.led_to if each != now))[:_MOST_PLACES]
        with self._lock:
            self._seen[request.key] = (model, user, led_to)


def _key(digest: bytes, headers: Headers, query: str) -> bytes:
    """The digest itself where there is nothing else, as mostly; callers may send long headers."""
    if not headers and not query:
        return digest
    return hashlib.sha256(digest + repr((headers, query)).encode()).digest()
