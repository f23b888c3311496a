"""Access tokens of Entra ID, by azure-identity's asynchronous credentials.

https://learn.microsoft.com/python/api/azure-identity/azure.identity.aio
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
)
from azure.core.pipeline.transport import AsyncHttpResponse, AsyncHttpTransport
from azure.core.rest import HttpRequest
from azure.identity import CredentialUnavailableError
from azure.identity.aio import (
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)
from multidict import CIMultiDict
from yarl import URL

from count_tokens_mw.aio.threads import DaemonThreads
from count_tokens_mw.config.params.anthropic import AzureParams
from count_tokens_mw.config.secret_files import read_secret_file
from count_tokens_mw.errors import (
    CountError,
    CredentialsUnavailable,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.protocol.encodings import InvalidEncoding
from count_tokens_mw.providers.answer_body import UnusableBody
from count_tokens_mw.providers.bearer import AccessToken, BearerTokens
from count_tokens_mw.providers.causes import cause_of
from count_tokens_mw.providers.http import BROKEN, HttpClient, read_answer

__all__ = ["entra_tokens"]

_SERVER: Final = "azure_ai: Entra ID"
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_CODE: Final = re.compile(r"\bAADSTS\d{1,9}\b")
_TOO_MANY: Final = 429
_MOST_BYTES: Final = 64 * 1024  # azure-identity logs an answer that has no token


def entra_tokens(params: AzureParams, http: HttpClient) -> BearerTokens:
    """Return the access tokens of a deployment's identity."""
    return BearerTokens(_Issuer(params, http).fetch, _SERVER)


class _Issuer:
    """Issuer of tokens; every token has a credential of its own, so that none is cached twice."""

    def __init__(self, params: AzureParams, http: HttpClient) -> None:
        self._params = params
        self._transport = _Transport(http)
        self._threads = DaemonThreads()

    async def fetch(self) -> AccessToken:
        """Return a new access token.

        Raises:
            CredentialsUnavailable: the identity is unknown, or its proof is refused.
            UpstreamUnusable: no connection, or no token in the answer.
        """
        credential = await self._threads.run(self._open_credential)
        try:
            token = await credential.get_token(self._params.azure_scope)
        except AzureError as error:
            raise _translate(error) from error
        except (LookupError, TypeError, ValueError) as error:  # a malformed answer
            raise UpstreamUnusable(f"{_SERVER} answered without a token.") from error
        return AccessToken(token.token, token.expires_on)

    def _open_credential(self) -> AsyncTokenCredential:
        """Return a credential, in a thread: it reads a file, and azure-identity imports modules."""
        params = self._params
        if params.azure_managed_identity:
            # Once more, because a metadata server that has just started may not be ready.
            return ManagedIdentityCredential(
                client_id=params.client_id, transport=self._transport, retry_total=1
            )
        application = (params.tenant_id or "", params.client_id or "")
        options: dict[str, Any] = {
            "authority": params.azure_authority_host,
            "transport": self._transport,
            "retry_total": 0,
        }
        if params.client_secret is not None:
            secret = params.client_secret.get_secret_value()
            return ClientSecretCredential(*application, secret, **options)
        assertion = _read_assertion(params.azure_federated_token_file or "")
        return ClientAssertionCredential(*application, lambda: assertion, **options)


def _read_assertion(path: str) -> str:
    try:
        return read_secret_file(path)
    except (OSError, ValueError):  # not chained: it quotes the path
        raise CredentialsUnavailable("azure_ai: the federated token file cannot be read.") from None


class _Transport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """HTTP of azure-identity by the pools, proxies and certificates of the package."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._network = http.network  # opened here, in a thread, because it reads certificates

    async def open(self) -> None:
        """Do nothing, because the pools are shared."""

    async def close(self) -> None:
        """Do nothing, because the pools are shared."""

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, request: HttpRequest, **_: Any) -> AsyncHttpResponse:
        """Send a request and read the whole answer, up to 1 MB. Redirects are not followed."""
        # The servers of managed identities have http://, and only this machine reaches them.
        is_local = request.url.startswith("http://")
        try:
            response = await self._http.session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.content,
                headers=request.headers,
                allow_redirects=False,
                proxy=None if is_local else self._network.proxy_for(request.url),
            )
            async with response:
                body = await read_answer(response)
            if len(body) > _MOST_BYTES:
                raise UnusableBody("with too many bytes for a token")
        except (*BROKEN, InvalidEncoding, UnusableBody) as error:
            raise ServiceRequestError("no answer", error=error) from error
        return _Response(request, response.status, response.headers, body)


class _Response(AsyncHttpResponse):
    """Answer in azure-core's terms."""

    def __init__(self, request: Any, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(request, None)
        self.status_code = status
        self.headers = CIMultiDict(headers)
        self.content_type = headers.get("content-type")
        self._body = body

    def body(self) -> bytes:
        return self._body


def _translate(error: AzureError) -> CountError:
    """Return the error for an exception of azure-identity, without its text."""
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if status is not None and (status >= 500 or status == _TOO_MANY):
        return UpstreamUnusable(f"{_SERVER} failed with the status {status}.")
    if isinstance(error, CredentialUnavailableError):
        return CredentialsUnavailable("azure_ai: this machine has no such managed identity.")
    if isinstance(error, ClientAuthenticationError) and status is not None and status >= 400:
        code = _CODE.search(str(error.message))
        reason = f" ({code[0]})" if code else ""
        return CredentialsUnavailable(f"{_SERVER} refused the gateway's identity{reason}.")
    if isinstance(error, ServiceRequestError):
        return UpstreamUnreachable(f"{_SERVER} could not be reached{cause_of(error)}.")
    return UpstreamUnusable(f"{_SERVER} answered without a token.")
