"""OAuth2 access tokens for Google Cloud: google-auth, kept off the event loop.

https://googleapis.dev/python/google-auth/latest/user-guide.html
"""

import asyncio
from collections.abc import Mapping
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

from count_tokens_mw.errors import CredentialsUnavailable
from count_tokens_mw.providers._joined import Joined

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
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)


class GoogleTokens:
    """The access tokens of one set of credentials, renewed ahead of their expiry.

    google-auth reads files and asks servers without asyncio, so all of it runs in a worker thread;
    one renewal at a time, and whoever waits for it shares it.

    Args:
        info: a key file as a mapping (service account, authorized user, external account,
            impersonation), or None for the application default credentials.
    """

    def __init__(self, info: Mapping[str, Any] | None) -> None:
        self._info = info
        self._credentials: Credentials | None = None
        self._project: str | None = None
        self._renewals = Joined(partial(asyncio.to_thread, self._renew))

    async def token(self) -> str:
        """A token that is good for some minutes.

        Raises:
            CredentialsUnavailable: there are none, or they could not be renewed.
        """
        credentials = self._credentials
        if credentials is None or credentials.token_state is not TokenState.FRESH:
            try:
                await self._renewed()
            except CredentialsUnavailable:
                # Ahead of its expiry a token is good all the same.
                if credentials is None or credentials.token_state is TokenState.INVALID:
                    raise
        return self._current()

    async def another(self, refused: str) -> str:
        """A token in place of one that was refused, which somebody else may have renewed already.

        Raises:
            CredentialsUnavailable: as above.
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
            CredentialsUnavailable: they do not say.
        """
        await self.token()
        if not self._project:
            raise CredentialsUnavailable("vertex_ai: no vertex_project is configured or found.")
        return self._project

    def _current(self) -> str:
        return str(self._credentials.token) if self._credentials else ""

    async def _renewed(self) -> None:
        try:
            await self._renewals.done()
        except _NO_CREDENTIALS as error:
            raise CredentialsUnavailable(
                "vertex_ai: the gateway's Google credentials cannot be had."
            ) from error

    def _renew(self) -> None:
        if self._credentials is None:
            self._credentials, self._project = self._load()
        pool = urllib3.PoolManager(ca_certs=certifi.where())
        self._credentials.refresh(google.auth.transport.urllib3.Request(pool))

    def _load(self) -> tuple[Credentials, str | None]:
        if self._info is not None:
            return _credentials(self._info), None
        loaded: tuple[Credentials, str | None] = google.auth.default(scopes=_SCOPES)
        return loaded


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
