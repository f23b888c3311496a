"""The plugin of proxy.py that records each connection, and leads all of them to loopback."""

import os
from pathlib import Path

from proxy.common.types import HostPort
from proxy.http.proxy import HttpProxyBasePlugin


class CompanyNames(HttpProxyBasePlugin):
    """Resolver by which every name is on loopback, also one that exists elsewhere."""

    def resolve_dns(self, host: str, port: int) -> tuple[str | None, HostPort | None]:
        """Record the host, and return its address."""
        with Path(os.environ["PROXY_HOSTS"]).open("a") as log:
            log.write(f"{host}\n")
        return "127.0.0.1", None
