"""Cause of a failed connection: a proxy, a certificate, or a host that does not exist."""

import socket
import ssl
from collections.abc import Iterator
from typing import Final

__all__ = ["cause_of", "is_unknown_host"]

# By name, because several HTTP libraries have such errors, and not all of them are loaded.
_PROXY_ERRORS: Final = frozenset(
    {"ClientHttpProxyError", "ClientProxyConnectionError", "ProxyConnectionError", "ProxyError"}
)
_REFUSED: Final = 407
_NO_ADDRESS: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
# c-ares's codes, in the first argument of aiodns's exception; aiohttp uses aiodns if installed.
_ARES: Final = ("DNSError", {1, 4})
_MOST_CAUSES: Final = 32


def cause_of(error: BaseException) -> str:
    """Return the end of a sentence about a failure: a proxy, a certificate, or nothing."""
    errors = list(_chain(error))
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in errors):
        return "; its certificate is not trusted"
    by_proxy = [each for each in errors if _is_by_proxy(each)]
    if not by_proxy:
        return ""
    texts = [text for each in errors for text in each.args if isinstance(text, str)]
    is_refused = any(getattr(each, "status", None) == _REFUSED for each in by_proxy) or any(
        f" {_REFUSED} " in f" {text} " for text in texts
    )
    return "; the proxy answered 407" if is_refused else "; the proxy failed"


def is_unknown_host(error: BaseException) -> bool:
    """Return whether the upstream's host name has no address; name servers that fail do not count.

    Neither does the name of a proxy.
    """
    errors = list(_chain(error))
    return any(map(_has_no_address, errors)) and not any(map(_is_by_proxy, errors))


def _is_by_proxy(error: BaseException) -> bool:
    return type(error).__name__ in _PROXY_ERRORS


def _has_no_address(error: BaseException) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno in _NO_ADDRESS
    name, codes = _ARES
    return type(error).__name__ == name and bool(error.args) and error.args[0] in codes


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was raised from, which some libraries keep as an argument."""
    waiting, seen = [error], 0
    while waiting and seen < _MOST_CAUSES:
        current = waiting.pop()
        seen += 1
        yield current
        linked = (current.__cause__, current.__context__, *current.args)
        waiting += [each for each in linked if isinstance(each, BaseException)]
