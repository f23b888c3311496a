"""AWS credentials and signatures by aiobotocore, their slow parts kept off the event loop.

https://aiobotocore.aio-libs.org and
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioAssumeRoleWithWebIdentityCredentialFetcher,
    AioDeferredRefreshableCredentials,
)
from aiobotocore.session import AioSession
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
from pydantic import SecretStr

from count_tokens_mw.cloud_params import BedrockParams
from count_tokens_mw.errors import (
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.providers._joined import Joined
from count_tokens_mw.turns import LARGE

__all__ = ["AwsSession", "aws_errors"]

_JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*").fullmatch
_NO_PROFILE: Final = {"profile": (None, None, None, None)}
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
    """The session of one deployment, loaded on first use, which has its credentials and signs.

    Like every asyncio client it belongs to an event loop, so there is one for each.
    """

    def __init__(self, params: BedrockParams) -> None:
        self._params = params
        self._sessions: dict[asyncio.AbstractEventLoop, AioSession] = {}
        self._loaded = Joined(self._load)

    async def signed(
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
        if len(body) > LARGE:
            await asyncio.to_thread(add_auth, request)  # it hashes the body
        else:
            add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    async def aclose(self) -> None:
        """Forget this loop's session; a later use loads another one."""
        await self._loaded.settled()
        self._sessions.pop(asyncio.get_running_loop(), None)

    async def _credentials(self) -> Any:
        session = self._sessions.get(asyncio.get_running_loop()) or await self._loaded.done()
        credentials = await session.get_credentials()
        if credentials is None:
            raise CredentialsUnavailable("bedrock: no AWS credentials are configured or found.")
        return await credentials.get_frozen_credentials()

    async def _load(self) -> AioSession:
        session = await asyncio.to_thread(_loaded_session, self._params)
        # Once for all who wait: it may run a program, or ask the machine's metadata service.
        await session.get_credentials()
        alive = {loop: each for loop, each in self._sessions.items() if not loop.is_closed()}
        self._sessions = {**alive, asyncio.get_running_loop(): session}
        return session


def _config() -> AioConfig:
    """For the clients that get credentials: one try, and nothing of the environment."""
    return AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        # The count's deadline is over all of it.
        connect_timeout=600,
        read_timeout=600,
        proxies={},
        ignore_configured_endpoint_urls=True,
    )


def _loaded_session(params: BedrockParams) -> AioSession:
    """A session that has loaded what it takes to ask for credentials, a tenth of a second of work.

    Keys that are given are used as they are; every other kind may need STS.
    """
    session = _session(params)
    if params.aws_role_name or not params.aws_access_key_id:
        asyncio.run(_warm_up(session, params))
    if not params.aws_role_name:
        return session
    # A session of its own, which has the configured credentials only to ask for the role's.
    of_role = AioSession(session_vars=_NO_PROFILE)
    of_role.register_component("credential_provider", _AssumedRole(params, session))
    return of_role


async def _warm_up(session: AioSession, params: BedrockParams) -> None:
    """Make a client and throw it away: it is the first one that loads the service models."""
    async with session.create_client(
        "sts",
        region_name=params.aws_region_name,
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - not a secret; it signs nothing
    ):
        pass


def _session(params: BedrockParams) -> AioSession:
    key, secret, token = (
        value.get_secret_value() if value else None
        for value in (
            params.aws_access_key_id,
            params.aws_secret_access_key,
            params.aws_session_token,
        )
    )
    given = key or params.aws_web_identity_token
    # AWS_PROFILE of the environment has no say where the credentials are given, or is unknown.
    session = AioSession(
        profile=params.aws_profile_name, session_vars=_NO_PROFILE if given else None
    )
    session.set_default_client_config(_config())
    if key:
        session.set_credentials(key, secret, token)
    return session


class _AssumedRole:
    """Instead of the session's chain: the credentials of a role, by STS, renewed in time."""

    def __init__(self, params: BedrockParams, source: AioSession) -> None:
        self._params = params
        self._source = source

    async def load_credentials(self) -> AioDeferredRefreshableCredentials:
        params = self._params
        creator = partial(
            self._source.create_client,
            region_name=params.aws_region_name,
            endpoint_url=params.aws_sts_endpoint,
        )
        names = {"RoleSessionName": params.aws_session_name, "ExternalId": params.aws_external_id}
        extra = {name: value for name, value in names.items() if value is not None}
        fetcher: Any
        if params.aws_web_identity_token is not None:
            load = partial(_identity_token, params.aws_web_identity_token)
            fetcher = AioAssumeRoleWithWebIdentityCredentialFetcher(
                creator, load, params.aws_role_name, extra_args=extra
            )
        else:
            source = await self._source.get_credentials()
            if source is None:
                raise CredentialsUnavailable("bedrock: no credentials to assume the role with.")
            fetcher = AioAssumeRoleCredentialFetcher(
                creator, source, params.aws_role_name, extra_args=extra
            )
        return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _identity_token(given: SecretStr) -> str:
    """A web identity token that is given as it is, or by a path to its file."""
    token_or_path = given.get_secret_value()
    if _JWT(token_or_path):
        return token_or_path
    try:
        return Path(token_or_path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # its text has the path, which may be a token all the same
        raise CredentialsUnavailable("bedrock: the web identity token cannot be read.") from None


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
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise DeadlineExceeded("bedrock: AWS did not give credentials in time.") from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise UpstreamUnreachable("bedrock: AWS could not be reached for credentials.") from error
    except (BotoCoreError, ResponseParserError) as error:
        raise UpstreamUnusable("bedrock: AWS gave an answer without credentials.") from error
