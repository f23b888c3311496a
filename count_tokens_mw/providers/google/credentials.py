"""OAuth2 access tokens for Google Cloud: google-auth, kept off the event loop.

https://googleapis.dev/python/google-auth/latest/user-guide.html
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, Final

import certifi
import google.auth
import google.auth.transport.urllib3
import google.oauth2.credentials as oauth2
import urllib3
from google.auth import aws, identity_pool, impersonated_credentials, pluggable
from google.auth.credentials import Credentials, TokenState
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError

from count_tokens_mw.aio.single_flight import SingleFlight
from count_tokens_mw.aio.threads import DaemonThreads
from count_tokens_mw.errors import CredentialsUnavailable, DeadlineExceeded

__all__ = ["GoogleTokens"]

# Files that are no key files fail in many ways.
_NO_CREDENTIALS: Final = (
    GoogleAuthError,
    AttributeError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
)
# A renewal may be several requests: twelve seconds to find that there is no metadata server.
_RENEWAL_SECONDS: Final = 15
_TIMEOUT: Final = urllib3.Timeout(connect=3, read=5)
_RETRIES: Final = urllib3.Retry(connect=1, read=0, redirect=0, status=0, other=0)
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)


class GoogleTokens:
    """The access tokens of one set of credentials, renewed ahead of their expiry.

    google-auth reads files and asks servers without asyncio, so all of it runs in threads of ours;
    one renewal at a time, and whoever waits for it shares it. A token that is merely stale is used
    while it is renewed in the background.

    Args:
        info: a key file as a mapping (service account, authorized user, external account,
            impersonation), or None for the application default credentials.
        seconds: how long a renewal may take before it is abandoned, and the next one started.
        timeout: that of connecting to a server, and of each read from it.
    """

    def __init__(
        self,
        info: Mapping[str, Any] | None,
        *,
        seconds: float = _RENEWAL_SECONDS,
        timeout: urllib3.Timeout = _TIMEOUT,
    ) -> None:
        self._info = info
        self._timeout = timeout
        self._credentials: Credentials | None = None
        self._project: str | None = None
        self._threads = DaemonThreads()
        self._renewals = SingleFlight(self._renew, seconds, "vertex_ai: renewing a token")

    async def token(self) -> str:
        """Return a token that has not expired.

        Raises:
            CredentialsUnavailable: there are none, or they could not be renewed.
            DeadlineExceeded: Google did not answer in time.
        """
        credentials = self._credentials
        state = TokenState.INVALID if credentials is None else credentials.token_state
        if state is TokenState.STALE:
            self._renewals.start()
        elif state is not TokenState.FRESH:
            await self._renewed()
        return self._current()

    async def another(self, refused: str) -> str:
        """A token in place of one that was refused, which somebody else may have renewed already.

        Raises:
            CredentialsUnavailable, DeadlineExceeded: as above.
        """
        if self._current() == refused:
            await self._renewed()
        return self._current()

    @property
    def quota_project(self) -> str | None:
        """The project whose quota is used, where the credentials name another than their own."""
        return getattr(self._credentials, "quota_project_id", None)

    async def project(self) -> str:
        """The project that the application default credentials belong to.

        Raises:
            CredentialsUnavailable: they do not say, or as above.
            DeadlineExceeded: as above.
        """
        await self.token()
        if not self._project:
            raise CredentialsUnavailable("vertex_ai: no vertex_project is configured or found.")
        return self._project

    async def aclose(self) -> None:
        """End a renewal that is under way."""
        await self._renewals.cancel()

    def _current(self) -> str:
        return str(self._credentials.token) if self._credentials else ""

    async def _renewed(self) -> None:
        try:
            await self._renewals.run()
        except _NO_CREDENTIALS as error:
            if _is_timeout(error):
                raise DeadlineExceeded("vertex_ai: Google did not give a token in time.") from error
            raise CredentialsUnavailable(
                "vertex_ai: the gateway's Google credentials cannot be had."
            ) from error

    async def _renew(self) -> None:
        request = _Request(self._timeout)
        try:
            await self._threads.run(partial(self._refresh, request))
        finally:
            request.close()

    def _refresh(self, request: "_Request") -> None:
        if self._credentials is None:
            self._credentials, self._project = self._load(request)
        self._credentials.refresh(request)

    def _load(self, request: "_Request") -> tuple[Credentials, str | None]:
        if self._info is not None:
            return _credentials(self._info), None
        loaded: tuple[Credentials, str | None] = google.auth.default(_SCOPES, request)
        return loaded


class _Request(google.auth.transport.urllib3.Request):
    """google-auth's HTTP, with our timeouts in place of its own, which are minutes or none."""

    def __init__(self, timeout: urllib3.Timeout) -> None:
        self._sockets: list[socket.socket] = []
        pool = urllib3.PoolManager(ca_certs=certifi.where())
        pool.pool_classes_by_scheme = {
            scheme: self._watched(kind) for scheme, kind in pool.pool_classes_by_scheme.items()
        }
        super().__init__(pool)  # type: ignore[no-untyped-call]
        self._timeout = timeout

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Any = None,
        timeout: Any = None,
        **more: Any,
    ) -> Any:
        # A caller that has a timeout of its own, for the metadata server, tries again by itself.
        more |= {"timeout": self._timeout, "retries": _RETRIES if timeout is None else False}
        return super().__call__(url, method, body, headers, **more)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End every exchange. One that goes on byte by byte has no other end."""
        for each in self._sockets:
            with suppress(OSError):  # closed, or taken over by TLS
                each.shutdown(socket.SHUT_RDWR)
        self.http.clear()

    def _watched(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        """Return the class of pool whose connections are known to `close`."""
        opened = self._sockets

        class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined]
            def _new_conn(self) -> socket.socket:
                sock: socket.socket = super()._new_conn()
                opened.append(sock)
                return sock

            def connect(self) -> None:
                super().connect()
                opened.append(self.sock)

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def _is_timeout(error: BaseException | None) -> bool:
    """Return whether an error, or what it came of, is that somebody did not answer in time."""
    while error is not None:
        if isinstance(error, NewConnectionError):  # refused at once, and by its class a timeout
            return False
        if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError):
            return True
        error = error.__cause__
    return False


def _credentials(info: Mapping[str, Any]) -> Credentials:
    """The credentials of a key file; each kind has a class of its own."""
    kind: ModuleType
    match info.get("type"):
        case "service_account":
            kind, made = service_account, "from_service_account_info"
        case "authorized_user":
            kind, made = oauth2, "from_authorized_user_info"
        case "impersonated_service_account":
            kind, made = impersonated_credentials, "from_impersonated_service_account_info"
        case "external_account":
            kind, made = _external_account(info), "from_info"
        case _:
            raise ValueError("the credentials are of a type that is not known")
    credentials: Credentials = getattr(kind.Credentials, made)(info, scopes=_SCOPES)
    return credentials


def _external_account(info: Mapping[str, Any]) -> ModuleType:
    if info.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        return aws
    return pluggable if "executable" in info.get("credential_source", {}) else identity_pool
