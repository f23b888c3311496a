"""Memo of recent request bodies, so that a byte-identical one is not parsed again.

https://cachetools.readthedocs.io
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Final, TypeAlias

from cachetools import LRUCache

from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import Attribution, CountRequest, Headers, KnownCall

__all__ = ["RequestMemo"]

_MAX_CALLS: Final = 8
_MAX_NAME: Final = 256  # bounds the memory
_MAX_NAMES: Final = 1024  # of an attribution, in characters
_MAX_TEXT: Final = 1024  # of upstream models and omissions, in characters

# Tuples of strings and bytes, which the garbage collector does not track. It would track a named
# one, so the names are those of an `Attribution` in their order.
_Names: TypeAlias = tuple[str | None, str | None, str | None, tuple[str, ...]]
_Entry: TypeAlias = tuple[str, _Names, Sequence[KnownCall]]
_NO_NAMES: Final[_Names] = (None, None, None, ())


class RequestMemo:
    """LRU memo of parsed requests by their SHA-256; the bodies themselves are not stored."""

    def __init__(self, max_entries: int) -> None:
        self._entries: LRUCache[bytes, _Entry] = LRUCache(max_entries)
        self._lock = threading.Lock()  # a host may run several event loops

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def get(self, digest: bytes, raw: bytes, headers: Headers, query: str) -> CountRequest | None:
        """Return the request with this body, headers and query, or None if it is not in the memo.

        Its body is parsed only when a member of it is read.
        """
        key = _key(digest, headers, query)
        try:
            with self._lock:
                model, names, known_calls = self._entries[key]
        except KeyError:
            return None
        attribution = Attribution(*names)
        return CountRequest(
            model, JsonObject(raw), headers, query, (), attribution, key, known_calls
        )

    def put(self, digest: bytes, request: CountRequest) -> None:
        """Set the memo key of a request; `put_call` stores the request under it."""
        request.memo_key = _key(digest, request.headers, request.query)

    def put_call(self, request: CountRequest, latest: KnownCall) -> None:
        """Store a request with its upstream call, and with earlier ones while they are short.

        A request is not stored if its names have more than 1024 characters, or a field with names
        was too long to be read.
        """
        names = request.attribution
        if request.memo_key is None or request.unread or _length_of(names) > _MAX_NAMES:
            return
        model = str(request.body.get("model"))  # as the caller sent it, before aliases
        others = [call for call in request.known_calls if call[:3] != latest[:3]]
        is_short = not others and not latest[3] and len(latest[1]) <= _MAX_NAME
        known_calls = (latest,) if is_short else _bound([latest, *others])
        with self._lock:
            stored = (*names[:3], names.tags) if any(names) else _NO_NAMES
            self._entries[request.memo_key] = (model, stored, known_calls)


def _length_of(names: Attribution) -> int:
    return sum(len(name or "") for name in (*names[:3], *names.tags))


def _bound(calls: Sequence[KnownCall]) -> Sequence[KnownCall]:
    """Return at most eight calls, up to the first whose text exceeds the room that is left."""
    room = _MAX_TEXT
    kept = []
    for call in calls[:_MAX_CALLS]:
        _, model, _, omitted = call
        room -= len(model) + sum(map(len, omitted))
        if room < 0:
            break
        kept.append(call)
    return tuple(kept)


def _key(digest: bytes, headers: Headers, query: str) -> bytes:
    """Return the memo key: the digest itself, or a hash of it with any headers and query."""
    if not headers and not query:
        return digest
    return hashlib.sha256(digest + repr((headers, query)).encode()).digest()
