"""AWS credentials, renewed ahead of their expiry, and SigV4 signatures.

https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError

from count_tokens_mw.aio.fairness import YIELD_ABOVE_BYTES
from count_tokens_mw.aio.per_loop import PerLoop
from count_tokens_mw.aio.renewal import Renewal
from count_tokens_mw.aio.threads import DaemonThreads
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.errors import (
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.providers.bedrock.session import IdentityToken, load_session
from count_tokens_mw.providers.causes import cause_of
from count_tokens_mw.providers.network import Network

__all__ = ["AwsSession", "aws_errors"]

_RENEWAL_SECONDS: Final = 15
_LEAST_SECONDS_LEFT: Final = 60
_NO_CREDENTIALS: Final = (
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)


class AwsSession:
    """AWS credentials of one deployment, resolved on first use, and signatures with them.

    The source of the credentials is an asyncio client and belongs to one event loop, so every loop
    has its own. Renewals are single flight.

    Args:
        params: the deployment's parameters.
        network: the proxies and the trusted certificates; by default a direct connection.
        seconds: the time limit of a renewal. Past it the renewal is abandoned, and the next caller
            starts another.
    """

    def __init__(
        self,
        params: BedrockParams,
        network: Network | None = None,
        *,
        seconds: float = _RENEWAL_SECONDS,
    ) -> None:
        self._params = params
        self._network = network
        self._threads = DaemonThreads()
        self._held = PerLoop(_HeldCredentials)
        self._identity = IdentityToken(params.aws_web_identity_token)
        self._renewals = Renewal(self._renew, seconds, "bedrock: renewing credentials")

    async def sign(
        self, url: str, headers: Mapping[str, str], body: bytes, service: str, region: str
    ) -> dict[str, str]:
        """Return the headers of a POST, signed with SigV4 for a service in a region.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

        Raises:
            CredentialsUnavailable: no credentials to sign with.
            UpstreamUnreachable, UpstreamUnusable, DeadlineExceeded: an AWS service that issues
                credentials failed in this way.
        """
        with aws_errors():
            credentials = await self._credentials()
        request = AWSRequest("POST", url, headers=dict(headers), data=body)
        add_auth = SigV4Auth(credentials, service, region).add_auth
        if len(body) > YIELD_ABOVE_BYTES:
            await asyncio.to_thread(add_auth, request)  # hashing a large body takes long
        else:
            add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    async def aclose(self) -> None:
        """Drop this loop's credentials; a later use resolves them again."""
        await self._renewals.cancel()
        self._held.pop()

    async def _credentials(self) -> Any:
        """Return unexpired credentials; renew stale ones in the background."""
        held = self._held.get()
        if held.source is None or held.has_expired:
            await self._renewals.run()
        elif held.is_stale:
            self._renewals.start()
        return self._held.get().frozen

    async def _renew(self) -> None:
        await self._threads.run(self._identity.read)
        source = self._held.get().source or await self._find_source()
        # May run a program, or call a server: the machine's metadata service, STS, SSO.
        self._held.set(_HeldCredentials(source, await source.get_frozen_credentials()))

    async def _find_source(self) -> Any:
        load = partial(load_session, self._params, self._identity, self._network)
        session = await self._threads.run(load)
        source = await session.get_credentials()
        if source is None:
            raise CredentialsUnavailable("bedrock: no AWS credentials were found; configure them.")
        return source


@dataclass(frozen=True, slots=True)
class _HeldCredentials:
    """Credentials, and the botocore object that renews them; None before the first use.

    botocore calls credentials stale that expire in less than fifteen minutes. Static keys, from the
    configuration or a file, never expire.
    """

    source: Any = field(default=None, repr=False)
    frozen: Any = field(default=None, repr=False)

    @property
    def is_stale(self) -> bool:
        return self._expires_within(None)

    @property
    def has_expired(self) -> bool:
        return self._expires_within(_LEAST_SECONDS_LEFT)

    def _expires_within(self, seconds: float | None) -> bool:
        refresh_needed = getattr(self.source, "refresh_needed", None)
        return refresh_needed is not None and bool(refresh_needed(seconds))


@contextmanager
def aws_errors() -> Iterator[None]:
    """Translate botocore's exceptions while it gets credentials into a `CountError`.

    Raises:
        CredentialsUnavailable: no credentials, an unknown profile, or a refused role.
        UpstreamUnreachable: no connection to the issuer of the credentials, or a broken one.
        UpstreamUnusable: the answer contains no credentials.
        DeadlineExceeded: a timeout expired.
    """
    try:
        yield
    except ClientError as error:
        raise CredentialsUnavailable("bedrock: AWS refused to issue credentials.") from error
    except _NO_CREDENTIALS as error:
        raise CredentialsUnavailable(
            "bedrock: the gateway's AWS credentials are unavailable."
        ) from error
    except (TimeoutError, ConnectTimeoutError, ReadTimeoutError) as error:
        raise DeadlineExceeded("bedrock: AWS did not issue credentials in time.") from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise UpstreamUnreachable(
            f"bedrock: AWS could not be reached for credentials{cause_of(error)}."
        ) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise UpstreamUnusable("bedrock: AWS answered without credentials.") from error
