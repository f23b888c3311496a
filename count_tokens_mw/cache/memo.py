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

__all__ = ["RequestMemo"]

_MOST_PLACES: Final = 8
_LONGEST_NAME: Final = 256  # no configured model is longer, nor what a log has of a user

# Plain tuples of strings and bytes, in which the garbage collector has nothing to look for.
_Seen: TypeAlias = tuple[str, str | None, Sequence[tuple[str, str, bytes]]]


class RequestMemo:
    """The requests that were counted lately, by a SHA-256 of them; never their bytes."""

    def __init__(self, most: int) -> None:
        # Not at the top, as everything that only a count needs.
        from cachetools import LRUCache

        self._seen: LRUCache[bytes, _Seen] = LRUCache(most)
        self._lock = threading.Lock()  # a host may run several event loops

    def __len__(self) -> int:
        with self._lock:
            return len(self._seen)

    def get(self, digest: bytes, raw: bytes, headers: Headers, query: str) -> CountRequest | None:
        """The request with a body of this SHA-256, these headers and this query.

        Its body is parsed only where that is needed.
        """
        key = _key(digest, headers, query)
        try:
            with self._lock:
                model, user, known_calls = self._seen[key]
        except KeyError:
            return None
        return CountRequest(model, JsonObject(raw), headers, query, (), user, key, known_calls)

    def put(self, digest: bytes, request: CountRequest) -> None:
        """Give a request the key by which it is found once it is kept."""
        request.memo_key = _key(digest, request.headers, request.query)

    def put_call(self, request: CountRequest, place: tuple[str, str], fingerprint: bytes) -> None:
        """Find a request from now on, with the account and the model that it led to."""
        if request.memo_key is None:
            return
        model = str(request.body.get("model"))  # as it was asked for
        if len(model) > _LONGEST_NAME:
            return
        user = request.user and request.user[:_LONGEST_NAME]
        now = (*place, fingerprint)
        known_calls = (now, *(each for each in request.known_calls if each != now))[:_MOST_PLACES]
        with self._lock:
            self._seen[request.memo_key] = (model, user, known_calls)


def _key(digest: bytes, headers: Headers, query: str) -> bytes:
    """The digest itself where there is nothing else, as mostly; callers may send long headers."""
    if not headers and not query:
        return digest
    return hashlib.sha256(digest + repr((headers, query)).encode()).digest()
