"""The proxy of each URL: one for all, or as the environment has them in httpx's reading.

https://www.python-httpx.org/environment_variables/ and
https://curl.se/libcurl/c/CURLOPT_NOPROXY.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

__all__ = ["Proxies", "Proxy", "proxies_from_environment", "proxy_for_all", "proxy_problem"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NO_PROXY_URL: Final = "a proxy's URL is required, as in http://proxy.example:3128"
# Machines' own metadata servers, which no proxy can reach in their place.
_METADATA_HOSTS: Final = frozenset({"fd00:ec2::254", "metadata.google.internal"})


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the setting or the variable that names it. The URL may have a password."""

    url: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """A proxy, or None, for the URLs of a scheme, of a host and its subdomains, and of a port."""

    proxy: Proxy | None
    scheme: str = ""
    host: str = ""
    port: int | None = None

    @property
    def rank(self) -> tuple[bool, int, int]:
        """A sort key by which the most specific rule is first."""
        return self.port is None, -len(self.host), -len(self.scheme)

    def matches(self, scheme: str, host: str, port: int | None) -> bool:
        """Return whether the rule is about a URL with these parts."""
        if (self.scheme and self.scheme != scheme) or (self.port and self.port != port):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and len(host) > len(self.host) - 1
        if self.host.startswith("*"):
            name = self.host[1:]
            return host == name or host.endswith(f".{name}")
        return not self.host or host == self.host


class Proxies:
    """Rules for the proxies of URLs. Metadata servers and other link-local hosts have none.

    The most specific rule wins, and the last of several for the same URLs.
    """

    def __init__(self, rules: Iterable[_Rule] = ()) -> None:
        last = {(rule.scheme, rule.host, rule.port): rule for rule in rules}
        self._rules = sorted(last.values(), key=lambda rule: rule.rank)

    def find(self, url: str) -> Proxy | None:
        """Return the proxy for a URL, or None for a direct connection."""
        if not self._rules:
            return None
        parts = urlsplit(url)
        host = parts.hostname or ""
        if _is_of_this_machine(host.rstrip(".")):
            return None
        port = _port_of(parts)
        for rule in self._rules:
            if rule.matches(parts.scheme, host, port):
                return rule.proxy
        return None


def proxy_for_all(url: str, origin: str) -> Proxies:
    """Return the rules by which one proxy serves every URL."""
    return Proxies([_Rule(Proxy(url, origin))])


def proxies_from_environment(environ: Mapping[str, str]) -> Proxies:
    """Return the rules of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.

    A name in lower case takes precedence.

    Raises:
        ValueError: a variable is no URL of an HTTP proxy; the message begins with its name.
    """
    exempt = [host.strip() for host in _first(environ, "NO_PROXY")[0].split(",")]
    if "*" in exempt:
        return Proxies()
    rules = [*_proxy_rules(environ)]
    return Proxies([*rules, *(_exemption(host) for host in exempt if host)]) if rules else Proxies()


def proxy_problem(url: str) -> str | None:
    """Return why a text is no URL of an HTTP proxy, or None. The text is not quoted."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its message quotes the URL
        return _NO_PROXY_URL
    if parts.scheme not in {"http", "https"}:
        return "only proxies of http:// and https:// are supported; use one of these"
    has_more = parts.path.strip("/") or parts.query or parts.fragment
    if not parts.hostname or port == 0 or has_more or not re.fullmatch(r"[\x21-\x7e]+", url):
        return _NO_PROXY_URL
    return None


def _proxy_rules(environ: Mapping[str, str]) -> Iterator[_Rule]:
    for scheme in ("http", "https", "all"):
        url, name = _first(environ, f"{scheme.upper()}_PROXY")
        if scheme == "http" and "REQUEST_METHOD" in environ and name != "http_proxy":
            continue  # in a CGI script the client sets HTTP_PROXY, by a header
        if url:
            url = url if "://" in url else f"http://{url}"
            if problem := proxy_problem(url):
                raise ValueError(f"{name}: {problem}")
            yield _Rule(Proxy(url, name), "" if scheme == "all" else scheme)


def _first(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return a variable's value and its name as spelt; an empty one in lower case unsets others."""
    if name.lower() in environ:
        return environ[name.lower()], name.lower()
    spelt = [key for key in environ if key.upper() == name and environ[key]]
    return (environ[spelt[-1]], spelt[-1]) if spelt else ("", name)


def _exemption(host: str) -> _Rule:
    """Return the rule for an item of `NO_PROXY`: a name, an address, or a URL without a path."""
    scheme, has_scheme, rest = host.partition("://")
    if has_scheme:
        scheme = "" if scheme.lower() == "all" else scheme.lower()
    else:
        scheme, rest = "", host
    address = rest.partition("/")[0]
    if not has_scheme and _address(address.strip("[]")) is not None:
        return _Rule(None, host=address.strip("[]").lower())
    try:
        parts = urlsplit(f"{scheme or 'all'}://{rest}")
        port = _port_of(parts)
    except ValueError:
        return _Rule(None, host="\0")  # no host has this name
    name = parts.hostname or ""
    is_exact = has_scheme or rest.lower() == "localhost"
    return _Rule(None, scheme, name if is_exact or not name else f"*{name}", port)


def _port_of(parts: SplitResult) -> int | None:
    return None if parts.port == _DEFAULT_PORTS.get(parts.scheme) else parts.port


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_of_this_machine(host: str) -> bool:
    address = _address(host)
    return host in _METADATA_HOSTS or (address is not None and address.is_link_local)
