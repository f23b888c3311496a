"""Way out of this machine: the TLS context and the proxy of each URL, for all HTTP libraries."""

import ssl
from functools import cache
from urllib.parse import unquote, urlsplit, urlunsplit

from count_tokens_mw.config.http_settings import HttpSettings

__all__ = ["Network", "split_credentials"]


class Network:
    """TLS contexts and proxies by the settings `count_tokens.http`.

    It reads certificates, so it is created in a thread.
    """

    def __init__(self, settings: HttpSettings | None = None) -> None:
        self.settings = settings or HttpSettings()
        has_own = bool(self.settings.origins)
        self.tls = self.settings.create_tls_context() if has_own else _default_tls_context()

    def create_tls_context(self) -> ssl.SSLContext:
        """Return a TLS context of its own, for a library that changes it. It reads files."""
        return self.settings.create_tls_context()

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy for a URL, with its user and password, or None."""
        proxy = self.settings.proxies.find(url)
        return proxy.url if proxy else None


@cache
def _default_tls_context() -> ssl.SSLContext:
    """Return the context of all networks that trust certifi's CAs; reading these takes 25 ms."""
    return HttpSettings().create_tls_context()


def split_credentials(proxy: str) -> tuple[str, str | None]:
    """Return a proxy's URL without user and password, and both as `user:password`, or None."""
    parts = urlsplit(proxy)
    userinfo, has_userinfo, address = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, address, parts.path, "", ""))
    return bare, unquote(userinfo) if has_userinfo else None
