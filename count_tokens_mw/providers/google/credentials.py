"""OAuth2 access tokens for Google Cloud by google-auth, off the event loop.

https://googleapis.dev/python/google-auth/latest/user-guide.html
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, Final

import google.auth
import google.oauth2.credentials as oauth2
import urllib3
from google.auth import aws, identity_pool, impersonated_credentials, pluggable
from google.auth.credentials import Credentials, TokenState
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.oauth2 import service_account
from urllib3.exceptions import NewConnectionError

from count_tokens_mw.aio.renewal import Renewal
from count_tokens_mw.aio.threads import DaemonThreads
from count_tokens_mw.config.params.google_keys import read_key_file
from count_tokens_mw.config.secret_files import KeyFile
from count_tokens_mw.errors import CredentialsUnavailable, DeadlineExceeded
from count_tokens_mw.providers.causes import cause_of
from count_tokens_mw.providers.google.transport import GoogleRequest
from count_tokens_mw.providers.network import Network

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
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)


class GoogleTokens:
    """Access tokens of one set of credentials, renewed ahead of their expiry.

    google-auth does blocking I/O, so it runs in daemon threads. Renewals are single flight. A stale
    token stays in use while its renewal runs in the background.

    Args:
        info: a key file or its content (service account, authorized user, external account,
            impersonation), or None for the application default credentials. A file is read again
            for each renewal, and its key is used while it is of the same account.
        network: the proxies and the trusted certificates; by default a direct connection.
        seconds: the time limit of a renewal. Past it the renewal is abandoned, and the next caller
            starts another.
        timeout: the timeout of a connect and of a read.
    """

    def __init__(
        self,
        info: Mapping[str, Any] | KeyFile | None,
        network: Network | None = None,
        *,
        seconds: float = _RENEWAL_SECONDS,
        timeout: urllib3.Timeout = _TIMEOUT,
    ) -> None:
        self._info = info
        self._network = network or Network()
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
            raise CredentialsUnavailable(f"vertex_ai: {_reason(error)}.") from error

    async def _renew(self) -> None:
        request = GoogleRequest(self._timeout, self._network)
        try:
            await self._threads.run(partial(self._refresh, request))
        finally:
            request.close()

    def _refresh(self, request: GoogleRequest) -> None:
        newer = self._read_newer_key()
        credentials, project = self._credentials, self._project
        if credentials is None or newer is not None:
            credentials, project = self._load(newer or self._info, request)
        credentials.refresh(request)
        self._credentials, self._project = credentials, project
        self._info = newer or self._info

    def _read_newer_key(self) -> KeyFile | None:
        """Return the key file if it has changed; one that cannot be read keeps its former key.

        Raises:
            _AnotherAccount: the file is no longer that of the configuration's account.
        """
        if not isinstance(self._info, KeyFile):
            return None
        with suppress(OSError, ValueError):
            newer = read_key_file(self._info.path)
            if newer != self._info:
                raise _AnotherAccount
            return newer if newer.content != self._info.content else None
        return None

    def _load(
        self, info: Mapping[str, Any] | KeyFile | None, request: GoogleRequest
    ) -> tuple[Credentials, str | None]:
        if isinstance(info, KeyFile):
            info = info.content
        if info is not None:
            return _parse_credentials(info), None
        loaded: tuple[Credentials, str | None] = google.auth.default(_SCOPES, request)
        return loaded


class _AnotherAccount(GoogleAuthError):
    """Error of a key file that has another account than the configuration."""


def _reason(error: BaseException) -> str:
    """Return why there is no token, without the text of google-auth, which may quote the key."""
    if isinstance(error, _AnotherAccount):
        return "the key file has another account than the configuration; reload it"
    if cause := cause_of(error):
        return f"Google could not be reached for a token{cause}"
    if isinstance(error, RefreshError) and "invalid_grant" in str(error):
        return "Google refuses the gateway's key"
    return "the gateway's Google credentials are unavailable"


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
