"""Callers known by an API key, in whichever header an SDK sends it."""

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final, TypeAlias, overload

from starlette.requests import Request
from starlette.types import Scope

from count_tokens_mw.errors import Unauthenticated
from count_tokens_mw.types import Caller

__all__ = ["KeyLookup", "api_key", "holds_gateway_key"]

KeyTable: TypeAlias = Mapping[str, Caller | str]
KeyFunction: TypeAlias = Callable[[str], Caller | str | Awaitable[Caller | str | None] | None]
KeyLookup: TypeAlias = KeyTable | KeyFunction
"""Whose an API key is: a table of keys, or a callable, sync or async, that is given one.

An owner is a `Caller` or its id; None, or an empty id, is an unknown key. A table is read anew for
each request, so a key that the host adds or removes counts from the next one, and a look-up takes
the same time whatever the table's size. A callable that compares keys has to do so in constant
time, best by looking up their hash.
"""

# Strangers choose how long a key is, and it is hashed before anybody is authenticated.
_LONGEST_IN_TABLE: Final = 1024
_LONGEST_FOR_FUNCTION: Final = 16 * 1024  # which may take tokens
_RECOGNIZED: Final = "count_tokens_mw.recognized_keys"
_BEARER: Final = b"bearer "
_SEPARATORS: Final = re.compile(r"[\s,;]+")


@overload
def api_key(lookup: KeyTable) -> Callable[[Request], Caller]: ...
@overload
def api_key(lookup: KeyFunction) -> Callable[[Request], Awaitable[Caller]]: ...
def api_key(lookup: KeyLookup) -> Callable[[Request], Caller | Awaitable[Caller]]:
    """Return an `authenticate` that knows callers by an API key.

    The key is read from `x-api-key` and from `Authorization: Bearer`, as SDKs send it. Of a request
    with both, either may be the one that is known. A key over 1 KB (16 KB for a callable, which may
    take tokens) is unknown without a look-up. The pass-through never forwards a key by which a
    caller was recognised.

    A FastAPI host may also write `Depends(api_key(...))`.
    """
    return _ByTable(lookup) if isinstance(lookup, Mapping) else _ByFunction(lookup)


def holds_gateway_key(scope: Scope, value: str) -> bool:
    """Return whether a header's value is a key by which `api_key` recognised the caller.

    It may stand behind a scheme, or in a list.
    """
    recognized: _RecognizedKeys | None = scope.get("state", {}).get(_RECOGNIZED)
    if recognized is None:
        return False
    parts = {value, *(part.strip("\"'") for part in _SEPARATORS.split(value))}
    return any(key.decode("latin-1") in parts for key in recognized.keys)


class _ByTable:
    """An `authenticate` by a table of the host's; a class, since its `repr` shows no key."""

    def __init__(self, table: KeyTable) -> None:
        self._table = table

    def __call__(self, request: Request) -> Caller:
        found: Caller | str | None = None
        sent = _sent_keys(request.scope)
        # To the end: another known key in the other header is not to be forwarded either.
        for key in sent:
            if len(key) <= _LONGEST_IN_TABLE:
                owner = self._table.get(_SentKey(key, "latin-1"))
                if owner:
                    _recognize(request.scope, key)
                    found = found or owner
        return _as_caller(found, sent)


class _ByFunction:
    """An `authenticate` by a callable of the host's."""

    def __init__(self, owner_of: KeyFunction) -> None:
        self._owner_of: Callable[[str], Any] = owner_of

    async def __call__(self, request: Request) -> Caller:
        sent = _sent_keys(request.scope)
        for key in sent:
            if len(key) <= _LONGEST_FOR_FUNCTION:
                owner = self._owner_of(key.decode("latin-1"))
                if isawaitable(owner):
                    owner = await owner
                if owner:
                    _recognize(request.scope, key)
                    return _as_caller(owner, sent)
        return _as_caller(None, sent)


class _SentKey(str):
    """A key that a stranger sent, to be looked up in a table of plain keys.

    The table finds its place by the hash of Python's strings, which is keyed anew in each process.
    Only a key in that place is compared, by SHA-256 and in constant time, so that no time depends
    on how much of a real key was guessed. An index of hashes would be stale: nothing tells when the
    host changes its mapping.
    """

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and hmac.compare_digest(_sha256(self), _sha256(other))

    def __repr__(self) -> str:
        return "<API key>"


class _RecognizedKeys:
    """The keys by which the caller of one request was recognised; no `repr` shows them."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []


def _recognize(scope: Scope, key: bytes) -> None:
    # In the state, which a middleware that copies the scope shares with the app behind it.
    state: dict[str, Any] = scope.setdefault("state", {})
    recognized: _RecognizedKeys = state.setdefault(_RECOGNIZED, _RecognizedKeys())
    recognized.keys.append(key)


def _sent_keys(scope: Scope) -> Sequence[bytes]:
    # Of several lines of one name the first one counts, as in Starlette.
    headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
    keys = [headers.get(b"x-api-key", b"")]
    authorization = headers.get(b"authorization", b"")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        keys.append(authorization[len(_BEARER) :].strip())
    return [key for key in keys if key]


def _as_caller(owner: Caller | str | None, sent: Sequence[bytes]) -> Caller:
    if owner:
        return Caller(owner) if isinstance(owner, str) else owner
    message = "Unknown API key." if sent else "Send an API key as x-api-key or as bearer."
    raise Unauthenticated(message, headers={"www-authenticate": "Bearer"})


def _sha256(key: str) -> bytes:
    # A table's key may have a lone surrogate, which is no reason to fail.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
