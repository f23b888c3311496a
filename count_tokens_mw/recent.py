"""What was read in the bodies that came lately, so that none is parsed twice byte for byte.

https://cachetools.readthedocs.io
"""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from count_tokens_mw.json_object import JsonObject
from count_tokens_mw.types import CountRequest, Headers

if TYPE_CHECKING:
    from cachetools import LRUCache

__all__ = ["RecentRequests"]

_MOST_FINGERPRINTS = 100

_Key: TypeAlias = tuple[bytes, Headers, str]


class _Seen(NamedTuple):
    """What a count needs of a body whose count is remembered."""

    model: str
    user: str | None
    fingerprints: MutableMapping[tuple[str, str], bytes]


class RecentRequests:
    """The requests whose bytes came lately, by the SHA-256 of the bytes; never the bytes."""

    def __init__(self, most: int) -> None:
        # Not at the top, as everything that only a count needs.
        from cachetools import LRUCache

        self._seen: LRUCache[_Key, _Seen] = LRUCache(most)
        self._lock = threading.Lock()  # a host may run several event loops

    def find(
        self, digest: bytes, raw: bytes, headers: Headers, query: str = ""
    ) -> CountRequest | None:
        """The request that these bytes were, whose body is parsed only where that is needed."""
        try:
            with self._lock:
                seen = self._seen[digest, headers, query]
        except KeyError:
            return None
        body = JsonObject(raw)
        return CountRequest(seen.model, body, headers, query, (), seen.user, seen.fingerprints)

    def keep(self, digest: bytes, request: CountRequest) -> CountRequest:
        """The same request, which is found from now on, and what is learnt of it with it."""
        seen = _Seen(request.model, request.user, _Fingerprints())
        with self._lock:
            self._seen[digest, request.headers, request.query] = seen
        return CountRequest(
            request.model, request.body, request.headers, request.query, (), *seen[1:]
        )


class _Fingerprints(dict[tuple[str, str], bytes]):
    """Bounded: a host's `resolve` may lead one body to any number of places."""

    def __setitem__(self, place: tuple[str, str], fingerprint: bytes) -> None:
        if len(self) >= _MOST_FINGERPRINTS:
            self.clear()
        super().__setitem__(place, fingerprint)
