"""Authentication by an API key, in whichever header an SDK sends it."""

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final, TypeAlias, overload

from starlette.requests import Request
from starlette.types import Scope

from count_tokens_mw.errors import Unauthenticated
from count_tokens_mw.types import Caller, Headers

__all__ = ["KeyLookup", "api_key", "drop_gateway_keys"]

KeyTable: TypeAlias = Mapping[str, Caller | str]
KeyFunction: TypeAlias = Callable[[str], Caller | str | Awaitable[Caller | str | None] | None]
KeyLookup: TypeAlias = KeyTable | KeyFunction
"""A table from keys to their owners, or a callable, sync or async, that returns a key's owner.

An owner is a `Caller` or its id; None or an empty id is an unknown key. The table is read at each
request, so an added or removed key takes effect at the next one. A lookup takes constant time,
whatever the table's size. A callable has to compare keys in constant time, best by looking up
their hash.
"""

# The client chooses the length of a key, which is hashed before authentication.
_LONGEST_IN_TABLE: Final = 1024
_LONGEST_FOR_FUNCTION: Final = 16 * 1024  # which may verify JWTs
_RECOGNIZED: Final = "count_tokens_mw.recognized_keys"
_BEARER: Final = b"bearer "
_SEPARATORS: Final = re.compile(r"[\s,;]+")


@overload
def api_key(lookup: KeyTable) -> Callable[[Request], Caller]: ...
@overload
def api_key(lookup: KeyFunction) -> Callable[[Request], Awaitable[Caller]]: ...
def api_key(lookup: KeyLookup) -> Callable[[Request], Caller | Awaitable[Caller]]:
    """Return an `authenticate` that recognises callers by an API key.

    SDKs send the key as `x-api-key` or as `Authorization: Bearer`. If a request has both, either
    may be the known one. A key over 1 KB (16 KB for a callable, which may verify JWTs) is unknown
    without a lookup. The pass-through never forwards a key that authenticated a caller.

    A FastAPI host may also write `Depends(api_key(...))`.
    """
    return _ByTable(lookup) if isinstance(lookup, Mapping) else _ByFunction(lookup)


def drop_gateway_keys(scope: Scope, headers: Headers) -> Headers:
    """Return the headers without those that have a key by which `api_key` recognised the caller.

    The key may follow a scheme, or be in a list.
    """
    recognized: _RecognizedKeys | None = scope.get("state", {}).get(_RECOGNIZED)
    for key in recognized or ():
        for _, value in headers:
            if key in value:  # cheaper than `_holds`, and true wherever that is
                headers = tuple(line for line in headers if not _holds(line[1], key))
                break
    return headers


def _holds(value: str, key: str) -> bool:
    return key == value or key in {part.strip("\"'") for part in _SEPARATORS.split(value)}


class _ByTable:
    """An `authenticate` by a table of the host; a class, because its `repr` shows no key."""

    def __init__(self, table: KeyTable) -> None:
        self._table = table

    def __call__(self, request: Request) -> Caller:
        first_owner: Caller | str | None = None
        sent = _sent_keys(request.scope)
        # No early return: a known key in the other header must not be forwarded either.
        for key in sent:
            if len(key) <= _LONGEST_IN_TABLE:
                owner = self._table.get(_SentKey(key, "latin-1"))
                if owner:
                    _recognize(request.scope, key)
                    first_owner = first_owner or owner
        return _to_caller(first_owner, sent)


class _ByFunction:
    """An `authenticate` by a callable of the host."""

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
                    return _to_caller(owner, sent)
        return _to_caller(None, sent)


class _SentKey(str):
    """A key from a request, to be looked up in a table of plain keys without a timing leak.

    Python's string hash, which is keyed anew in each process, selects the slot of the table. Only a
    key of the same hash is compared, in constant time, so the time does not depend on how much of a
    real key was guessed. An index of hashes would become stale, because the host may change its
    mapping at any time.
    """

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return False
        # A lone surrogate in a table's key must not raise.
        own = self.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(own, other.encode("utf-8", "surrogatepass"))

    def __repr__(self) -> str:
        return "<API key>"


class _RecognizedKeys(list[str]):
    """The keys by which the caller of one request was recognised; no `repr` shows them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<API keys>"


def _recognize(scope: Scope, key: bytes) -> None:
    # A middleware that copies the scope still shares its state with the app behind it.
    state: dict[str, Any] = scope.setdefault("state", {})
    recognized: _RecognizedKeys = state.setdefault(_RECOGNIZED, _RecognizedKeys())
    recognized.append(key.decode("latin-1"))


def _sent_keys(scope: Scope) -> Sequence[bytes]:
    # The first line of a name wins, as in Starlette.
    headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
    keys = [headers.get(b"x-api-key", b"")]
    authorization = headers.get(b"authorization", b"")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        keys.append(authorization[len(_BEARER) :].strip())
    return [key for key in keys if key]


def _to_caller(owner: Caller | str | None, sent: Sequence[bytes]) -> Caller:
    if owner:
        return Caller(owner) if isinstance(owner, str) else owner
    message = "Unknown API key." if sent else "Send an API key as x-api-key or as bearer."
    raise Unauthenticated(message, headers={"www-authenticate": "Bearer"})
