"""Cause of a failed connection that an operator of a company's network can mend."""

import ssl
from collections.abc import Iterator
from typing import Final

__all__ = ["cause_of"]

# By name, because several HTTP libraries have such errors, and not all of them are loaded.
_PROXY_ERRORS: Final = frozenset(
    {"ClientHttpProxyError", "ClientProxyConnectionError", "ProxyConnectionError", "ProxyError"}
)
_REFUSED: Final = 407
_MOST_CAUSES: Final = 32


def cause_of(error: BaseException) -> str:
    """Return the end of a sentence about a failure: a proxy, a certificate, or nothing."""
    errors = list(_chain(error))
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in errors):
        return "; its certificate is not trusted"
    by_proxy = [each for each in errors if type(each).__name__ in _PROXY_ERRORS]
    if not by_proxy:
        return ""
    texts = [text for each in errors for text in each.args if isinstance(text, str)]
    is_refused = any(getattr(each, "status", None) == _REFUSED for each in by_proxy) or any(
        f" {_REFUSED} " in f" {text} " for text in texts
    )
    return "; the proxy answered 407" if is_refused else "; the proxy failed"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was raised from, which some libraries keep as an argument."""
    waiting, seen = [error], 0
    while waiting and seen < _MOST_CAUSES:
        current = waiting.pop()
        seen += 1
        yield current
        linked = (current.__cause__, current.__context__, *current.args)
        waiting += [each for each in linked if isinstance(each, BaseException)]
