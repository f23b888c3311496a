"""AWS credentials that are held and renewed in time, and signatures by them.

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
from count_tokens_mw.aio.single_flight import SingleFlight
from count_tokens_mw.aio.threads import DaemonThreads
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.errors import (
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.providers.bedrock.session import IdentityToken, load_session

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
    """The AWS credentials of one deployment, looked for on first use, and signatures by them.

    Like every asyncio client their source belongs to an event loop, so there is one for each. One
    renewal runs at a time, and whoever waits for it shares it.

    Args:
        params: those of the deployment.
        seconds: how long a renewal may take before it is abandoned, and the next one started.
    """

    def __init__(self, params: BedrockParams, *, seconds: float = _RENEWAL_SECONDS) -> None:
        self._params = params
        self._threads = DaemonThreads()
        self._held: dict[asyncio.AbstractEventLoop, _Held] = {}
        self._identity = IdentityToken(params.aws_web_identity_token)
        self._renewals = SingleFlight(self._renew, seconds, "bedrock: renewing credentials")

    async def sign(
        self, url: str, headers: Mapping[str, str], body: bytes, service: str
    ) -> dict[str, str]:
        """The headers of a POST with its SigV4 signature, for a service in the deployment's region.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

        Raises:
            CredentialsUnavailable: there is nothing to sign with.
            UpstreamUnreachable, UpstreamUnusable, DeadlineExceeded: so it went with a service of
                AWS that gives credentials.
        """
        with aws_errors():
            credentials = await self._credentials()
        request = AWSRequest("POST", url, headers=dict(headers), data=body)
        add_auth = SigV4Auth(credentials, service, self._params.aws_region_name).add_auth
        if len(body) > YIELD_ABOVE_BYTES:
            await asyncio.to_thread(add_auth, request)  # it hashes the body
        else:
            add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    async def aclose(self) -> None:
        """Forget this loop's credentials; a later use looks for them again."""
        await self._renewals.cancel()
        self._held.pop(asyncio.get_running_loop(), None)

    async def _credentials(self) -> Any:
        """Return credentials that have not expired; stale ones are renewed in the background."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None or held.has_expired:
            await self._renewals.run()
        elif held.is_stale:
            self._renewals.start()
        return self._held[loop].frozen

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        await self._threads.run(self._identity.read)
        source = await self._find() if held is None else held.source
        # It may run a program, or ask a server: the machine's metadata service, STS, SSO.
        renewed = _Held(source, await source.get_frozen_credentials())
        alive = {each: held for each, held in self._held.items() if not each.is_closed()}
        self._held = {**alive, loop: renewed}

    async def _find(self) -> Any:
        session = await self._threads.run(partial(load_session, self._params, self._identity))
        source = await session.get_credentials()
        if source is None:
            raise CredentialsUnavailable("bedrock: no AWS credentials are configured or found.")
        return source


@dataclass(frozen=True, slots=True)
class _Held:
    """Credentials that were had, and the botocore object that renews them.

    botocore calls those stale that have less than fifteen minutes left. Keys that are given, or
    stand in a file, last for ever.
    """

    source: Any = field(repr=False)
    frozen: Any = field(repr=False)

    @property
    def is_stale(self) -> bool:
        return self._lasts_less_than(None)

    @property
    def has_expired(self) -> bool:
        return self._lasts_less_than(_LEAST_SECONDS_LEFT)

    def _lasts_less_than(self, seconds: float | None) -> bool:
        refresh_needed = getattr(self.source, "refresh_needed", None)
        return refresh_needed is not None and bool(refresh_needed(seconds))


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn what botocore raises while it gets credentials into an error of ours.

    Raises:
        CredentialsUnavailable: no credentials, no such profile, or the role was refused.
        UpstreamUnreachable: no connection to who gives them, or it broke.
        UpstreamUnusable: the answer is none.
        DeadlineExceeded: a timeout passed.
    """
    try:
        yield
    except ClientError as error:
        raise CredentialsUnavailable("bedrock: AWS refused to give credentials.") from error
    except _NO_CREDENTIALS as error:
        raise CredentialsUnavailable(
            "bedrock: the gateway's AWS credentials cannot be had."
        ) from error
    except (TimeoutError, ConnectTimeoutError, ReadTimeoutError) as error:
        raise DeadlineExceeded("bedrock: AWS did not give credentials in time.") from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise UpstreamUnreachable("bedrock: AWS could not be reached for credentials.") from error
    except (BotoCoreError, ResponseParserError) as error:
        raise UpstreamUnusable("bedrock: AWS gave an answer without credentials.") from error
