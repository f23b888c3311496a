"""Recognition of a host that does not exist, as distinct from name servers that fail."""

import socket
from typing import Final

__all__ = ["is_unknown_host"]

_MOST_CAUSES: Final = 10
_NO_ADDRESS: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
# c-ares's codes, in the first argument of aiodns's exception; aiohttp uses aiodns if installed.
_ARES: Final = ("DNSError", {1, 4})


def is_unknown_host(error: BaseException) -> bool:
    """Return whether an exception was caused by a host name that has no address."""
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if isinstance(cause, socket.gaierror):
            return cause.errno in _NO_ADDRESS
        if type(cause).__name__ == _ARES[0] and cause is not None and cause.args:
            return cause.args[0] in _ARES[1]
        cause = cause and (cause.__cause__ or cause.__context__)
    return False
