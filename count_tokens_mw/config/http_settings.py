"""Settings of the package's own HTTP connections: pools, proxies and certificates."""

import re
import ssl
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Self, TypeAlias

import certifi
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from count_tokens_mw.config.fields import Amount, Duration
from count_tokens_mw.config.proxies import (
    Proxies,
    proxies_from_environment,
    proxy_for_all,
    proxy_problem,
)

__all__ = ["ClientCert", "HttpSettings"]

_PLACE: Final = "count_tokens.http"
_VARIABLE: Final = re.compile(
    r"\w+_proxy|ssl_cert_(?:file|dir)|request_method", re.IGNORECASE
).fullmatch


def _check_proxy(url: SecretStr) -> SecretStr:
    if problem := proxy_problem(url.get_secret_value()):
        raise ValueError(problem)
    return url


def _check_ca_file(path: str) -> str:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError("no certificate in PEM format in the file") from None
    except (OSError, ValueError) as error:
        raise ValueError(_unreadable(error)) from None
    return path


def _unreadable(error: Exception) -> str:
    return f"the file cannot be read: {getattr(error, 'strerror', None) or 'not a path'}"


class ClientCert(BaseModel):
    """A client's certificate in PEM format, its key if that is in another file, and a password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cert_file: str
    key_file: str | None = None
    password: SecretStr | None = None

    def load_into(self, context: ssl.SSLContext) -> None:
        """Load the certificate into a TLS context."""
        password = self.password.get_secret_value() if self.password else ""
        # A function, or OpenSSL asks the terminal for the password that is missing.
        context.load_cert_chain(self.cert_file, self.key_file, lambda: password)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        except ssl.SSLError:
            raise ValueError(
                "no certificate with its key in PEM format, or a wrong password; check "
                "cert_file, key_file and password"
            ) from None
        except (OSError, ValueError) as error:
            raise ValueError(_unreadable(error)) from None
        return self


def _parse_client_cert(value: Any) -> Any:
    return {"cert_file": value} if isinstance(value, str) else value


ProxyUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_check_proxy)]
CaFile: TypeAlias = Annotated[str, AfterValidator(_check_ca_file)]


class HttpSettings(BaseModel):
    """Settings of the package's own HTTP connections, for upstream calls and for token servers.

    An `http_client` of the host replaces them for upstream calls. `max_connections` caps the
    connections to one host, and further calls wait; None is no cap. An idle connection is kept
    open for `keepalive_expiry` seconds. Every call goes through `proxy`, but those to link-local
    hosts. The certificates of `ca_file` are trusted in place of certifi's. `client_cert` is
    presented to servers that ask for one: the path of a PEM file, or a mapping. With `trust_env`,
    proxies and certificates that are not set here come from the environment, as in httpx.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_connections: Amount | None = None
    keepalive_expiry: Duration = 30
    proxy: ProxyUrl | None = None
    ca_file: CaFile | None = None
    client_cert: Annotated[ClientCert, BeforeValidator(_parse_client_cert)] | None = None
    trust_env: bool = False
    _environ: Mapping[str, str] = PrivateAttr({})

    def with_environment(self, environ: Mapping[str, str]) -> Self:
        """Return settings that have read the environment, if `trust_env` allows that.

        Raises:
            ValueError: a variable cannot be used; the message begins with its name.
        """
        if not self.trust_env:
            return self
        settings = self.model_copy()
        settings.__dict__.pop("proxies", None)
        # Not all of it, because it has keys.
        used = {name: value for name, value in environ.items() if _VARIABLE(name)}
        settings._environ = used  # noqa: SLF001 - of the same class
        if self.proxy is None:
            proxies_from_environment(environ)
        path, name = settings._environment_ca  # noqa: SLF001
        if self.ca_file is None and name == "SSL_CERT_FILE":
            try:
                _check_ca_file(path)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return settings

    @cached_property
    def proxies(self) -> Proxies:
        """The proxy of each URL."""
        if self.proxy is not None:
            return proxy_for_all(self.proxy.get_secret_value(), f"{_PLACE}.proxy")
        return proxies_from_environment(self._environ)

    @property
    def origins(self) -> tuple[str, ...]:
        """The settings and variables that name the trusted CAs and the client's certificate."""
        ca = f"{_PLACE}.ca_file" if self.ca_file else self._environment_ca[1]
        return tuple(filter(None, (ca, f"{_PLACE}.client_cert" if self.client_cert else "")))

    def create_tls_context(self) -> ssl.SSLContext:
        """Return a new TLS context. It reads files, so it belongs into a thread."""
        path, name = self._environment_ca
        if self.ca_file or name == "SSL_CERT_FILE":
            context = ssl.create_default_context(cafile=self.ca_file or path)
        elif name == "SSL_CERT_DIR":
            context = ssl.create_default_context(capath=path)
        else:
            context = ssl.create_default_context(cafile=certifi.where())
        if self.client_cert is not None:
            self.client_cert.load_into(context)
        return context

    @property
    def _environment_ca(self) -> tuple[str, str]:
        """The path of the CAs that the environment names and the variable, or empty strings."""
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            if path := self._environ.get(name):
                return path, name
        return "", ""
