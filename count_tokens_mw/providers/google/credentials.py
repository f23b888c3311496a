"""OAuth2 access tokens for Google Cloud by google-auth, off the event loop.

https://googleapis.dev/python/google-auth/latest/user-guide.html
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, Final

import certifi
import google.auth
import google.oauth2.credentials as oauth2
import urllib3
from google.auth import aws, identity_pool, impersonated_credentials, pluggable
from google.auth import transport as auth_transport
from google.auth.credentials import Credentials, TokenState
from google.auth.exceptions import GoogleAuthError, TransportError
from google.oauth2 import service_account
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError

from count_tokens_mw.aio.renewal import Renewal
from count_tokens_mw.aio.threads import DaemonThreads
from count_tokens_mw.errors import CredentialsUnavailable, DeadlineExceeded
from count_tokens_mw.protocol.encodings import PIECE_BYTES, InvalidEncoding
from count_tokens_mw.providers.answer_body import AnswerBody, UnusableBody

__all__ = ["GoogleTokens"]

# google-auth does not validate a key file, so a malformed one raises any of these.
_NO_CREDENTIALS: Final = (
    GoogleAuthError,
    AttributeError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
)
# A renewal may be several requests; the lack of a metadata server alone takes twelve seconds.
_RENEWAL_SECONDS: Final = 15
_TIMEOUT: Final = urllib3.Timeout(connect=3, read=5)
_RETRIES: Final = urllib3.Retry(connect=1, read=0, redirect=0, status=0, other=0)
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)


class GoogleTokens:
    """Access tokens of one set of credentials, renewed ahead of their expiry.

    google-auth does blocking I/O, so it runs in daemon threads. Renewals are single flight. A stale
    token stays in use while its renewal runs in the background.

    Args:
        info: a key file as a mapping (service account, authorized user, external account,
            impersonation), or None for the application default credentials.
        seconds: the time limit of a renewal. Past it the renewal is abandoned, and the next caller
            starts another.
        timeout: the timeout of a connect and of a read.
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
        self._renewals = Renewal(self._renew, seconds, "vertex_ai: renewing a token")

    async def token(self) -> str:
        """Return an unexpired token.

        Raises:
            CredentialsUnavailable: no credentials, or their renewal failed.
            DeadlineExceeded: Google did not answer in time.
        """
        credentials = self._credentials
        state = TokenState.INVALID if credentials is None else credentials.token_state
        if state is TokenState.STALE:
            self._renewals.start()
        elif state is not TokenState.FRESH:
            await self._wait_for_renewal()
        return self._current()

    async def replace(self, refused: str) -> str:
        """Return a token to replace a refused one; renew it unless another caller has done so.

        Raises:
            CredentialsUnavailable, DeadlineExceeded: see `token`.
        """
        if self._current() == refused:
            await self._wait_for_renewal()
        return self._current()

    @property
    def quota_project(self) -> str | None:
        """The project charged for the quota, if the credentials name one."""
        return getattr(self._credentials, "quota_project_id", None)

    async def project(self) -> str:
        """Return the project of the application default credentials.

        Raises:
            CredentialsUnavailable: the credentials name no project, or see `token`.
            DeadlineExceeded: see `token`.
        """
        await self.token()
        if not self._project:
            raise CredentialsUnavailable(
                "vertex_ai: no vertex_project in the configuration or the credentials; set it."
            )
        return self._project

    async def aclose(self) -> None:
        """Cancel a renewal in flight."""
        await self._renewals.cancel()

    def _current(self) -> str:
        return str(self._credentials.token) if self._credentials else ""

    async def _wait_for_renewal(self) -> None:
        try:
            await self._renewals.run()
        except _NO_CREDENTIALS as error:
            if _is_timeout(error):
                raise DeadlineExceeded(
                    "vertex_ai: Google did not issue a token in time."
                ) from error
            raise CredentialsUnavailable(
                "vertex_ai: the gateway's Google credentials are unavailable."
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
            return _parse_credentials(self._info), None
        loaded: tuple[Credentials, str | None] = google.auth.default(_SCOPES, request)
        return loaded


class _Request(auth_transport.Request):
    """HTTP transport of google-auth with timeouts of seconds and bounded answers.

    The timeouts of google-auth's own are minutes or none, and it reads an answer of any size.
    """

    def __init__(self, timeout: urllib3.Timeout) -> None:
        self._sockets: list[socket.socket] = []
        self._pool = urllib3.PoolManager(ca_certs=certifi.where())
        self._pool.pool_classes_by_scheme = {
            scheme: self._track_sockets(kind)
            for scheme, kind in self._pool.pool_classes_by_scheme.items()
        }
        self._timeout = timeout

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Any = None,
        timeout: Any = None,
        **more: Any,
    ) -> "_Response":
        # The metadata server's client passes a timeout, and retries by itself.
        more |= {"timeout": self._timeout, "retries": _RETRIES if timeout is None else False}
        # A redirect would be read to its end, however large it is.
        more |= {"preload_content": False, "redirect": False}
        try:
            return _read(self._pool.request(method, url, body=body, headers=headers, **more))
        except (urllib3.exceptions.HTTPError, InvalidEncoding, UnusableBody) as error:
            raise TransportError(error) from error

    def close(self) -> None:
        """Shut down every socket, because a response that drips byte by byte never times out."""
        for sock in self._sockets:
            with suppress(OSError):  # already closed, or wrapped by TLS
                sock.shutdown(socket.SHUT_RDWR)
        self._pool.clear()

    def _track_sockets(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        """Return a subclass of the pool that adds its sockets to those that `close` shuts down."""
        sockets = self._sockets

        class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined]
            def _new_conn(self) -> socket.socket:
                sock: socket.socket = super()._new_conn()
                sockets.append(sock)
                return sock

            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


@dataclass(frozen=True, slots=True)
class _Response:
    """Answer in google-auth's terms."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


def _read(response: "urllib3.BaseHTTPResponse") -> _Response:
    """Read the whole answer, past urllib3's own decoders, which have no bound in its 1.x.

    Raises:
        UnusableBody, InvalidEncoding: see `AnswerBody`.
    """
    try:
        body = AnswerBody(response.headers.get("content-encoding", ""))
        while chunk := response.read(PIECE_BYTES, decode_content=False):
            body.add(chunk)
        return _Response(response.status, response.headers, body.finish())
    finally:
        response.close()


def _is_timeout(error: BaseException | None) -> bool:
    """Return whether an error or one of its causes is a timeout."""
    while error is not None:
        if isinstance(error, NewConnectionError):  # a subclass of urllib3's timeout, but no timeout
            return False
        if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError):
            return True
        error = error.__cause__
    return False


def _parse_credentials(info: Mapping[str, Any]) -> Credentials:
    """Return the credentials of a key file; its `type` selects google-auth's class."""
    kind: ModuleType
    match info.get("type"):
        case "service_account":
            kind, factory = service_account, "from_service_account_info"
        case "authorized_user":
            kind, factory = oauth2, "from_authorized_user_info"
        case "impersonated_service_account":
            kind, factory = impersonated_credentials, "from_impersonated_service_account_info"
        case "external_account":
            kind, factory = _external_account(info), "from_info"
        case _:
            raise ValueError("unknown type of credentials")
    credentials: Credentials = getattr(kind.Credentials, factory)(info, scopes=_SCOPES)
    return credentials


def _external_account(info: Mapping[str, Any]) -> ModuleType:
    if info.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        return aws
    return pluggable if "executable" in info.get("credential_source", {}) else identity_pool
