"""AWS sessions, clients and signatures by aiobotocore, its slow parts kept off the event loop.

https://aiobotocore.aio-libs.org and
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import asyncio
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
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from count_tokens_mw.errors import CredentialsUnavailable, DeadlineExceeded, UpstreamUnusable
from count_tokens_mw.params import BedrockParams

__all__ = ["AwsSession", "aws_errors"]

_SERVICE: Final = "bedrock-runtime"
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
    """The session and the `bedrock-runtime` client of one deployment, opened on first use.

    Like every asyncio client it belongs to an event loop, and is opened anew on another one.
    """

    def __init__(self, params: BedrockParams) -> None:
        self._params = params
        self._session: AioSession | None = None
        self._opening: asyncio.Task[Any] | None = None

    async def client(self) -> Any:
        """The client, whose `count_tokens` is botocore's.

        Raises:
            botocore.exceptions.BotoCoreError: the credentials cannot be had.
        """
        opening = self._opening
        failed = opening is not None and opening.done() and opening.exception() is not None
        if opening is None or failed or opening.get_loop() is not asyncio.get_running_loop():
            opening = self._opening = asyncio.ensure_future(self._open())
        return await asyncio.shield(opening)

    async def signed(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers of a POST with its SigV4 signature, for the service of bedrock-mantle.

        Raises:
            CredentialsUnavailable: there is nothing to sign with.
        """
        session = await self._ready()
        credentials = await session.get_credentials()
        if credentials is None:
            raise CredentialsUnavailable("bedrock: no AWS credentials are configured or found.")
        frozen = await credentials.get_frozen_credentials()
        request = AWSRequest("POST", url, headers=dict(headers), data=body)
        service, region = self._params.bedrock_mantle_service_name, self._params.aws_region_name
        SigV4Auth(frozen, service, region).add_auth(request)
        return dict(request.headers.items())

    async def aclose(self) -> None:
        """Close the client, if there is one."""
        opening, self._opening = self._opening, None
        if opening is not None and opening.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([opening])
            if opening.exception() is None:
                await opening.result().__aexit__(None, None, None)

    async def _open(self) -> Any:
        session = await self._ready()
        client = await session.create_client(
            _SERVICE,
            region_name=self._params.aws_region_name,
            endpoint_url=self._params.aws_bedrock_runtime_endpoint,
            config=_config(self._params),
        ).__aenter__()
        if self._params.api_key is not None:
            bearer = f"Bearer {self._params.api_key.get_secret_value()}"
            client.meta.events.register(f"before-call.{_SERVICE}", partial(_add_bearer, bearer))
        return client

    async def _ready(self) -> AioSession:
        if self._session is None:
            # Imports and service models are a third of a second of work.
            self._session = await asyncio.to_thread(_loaded_session, self._params)
        return self._session


def _add_bearer(bearer: str, *, params: dict[str, Any], **_: object) -> None:
    params["headers"]["Authorization"] = bearer


def _config(params: BedrockParams) -> AioConfig:
    """One try, no environment, and the credentials that were configured and no others.

    botocore prefers AWS_BEARER_TOKEN_BEDROCK of the environment to keys that it is given, which
    would be another tenant's account. A Bedrock API key is put in by ourselves, unsigned.
    """
    given = params.aws_access_key_id or params.aws_role_name or params.aws_profile_name
    signature = UNSIGNED if params.api_key else "v4" if given else None
    return AioConfig(
        signature_version=signature,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # The count's deadline is over all of it.
        connect_timeout=600,
        read_timeout=600,
        max_pool_connections=1000,
        proxies={},
        ignore_configured_endpoint_urls=True,
    )


def _loaded_session(params: BedrockParams) -> AioSession:
    """A session whose service models are loaded, by a client that is made and thrown away."""
    # A role's session has the configured credentials only to ask for the role's.
    session = AioSession() if params.aws_role_name else _session(params)

    async def load() -> None:
        for service in (_SERVICE, "sts") if params.aws_role_name else (_SERVICE,):
            async with session.create_client(
                service,
                region_name=params.aws_region_name,
                aws_access_key_id="none",
                aws_secret_access_key="none",  # noqa: S106 - not a secret; it signs nothing
            ):
                pass

    asyncio.run(load())
    if params.aws_role_name:
        session.register_component("credential_provider", _AssumedRole(params, _session(params)))
    return session


def _session(params: BedrockParams) -> AioSession:
    session = AioSession(profile=params.aws_profile_name)
    key, secret, token = (
        value.get_secret_value() if value else None
        for value in (
            params.aws_access_key_id,
            params.aws_secret_access_key,
            params.aws_session_token,
        )
    )
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
            token = params.aws_web_identity_token.get_secret_value()
            load = partial(_identity_token, token)
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


def _identity_token(token_or_path: str) -> str:
    path = Path(token_or_path)
    is_path = len(token_or_path) < 1024 and path.is_file()
    return path.read_text(encoding="utf-8").strip() if is_path else token_or_path


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn what botocore raises of itself into an error of ours; AWS's own answers pass.

    Raises:
        CredentialsUnavailable: no credentials, no such profile, or the role was refused.
        UpstreamUnusable: no connection, or it broke off.
        DeadlineExceeded: a timeout passed.
    """
    try:
        yield
    except ClientError as error:
        if error.operation_name == "CountTokens":
            raise
        raise CredentialsUnavailable("bedrock: AWS refused to give credentials.") from error
    except _NO_CREDENTIALS as error:
        raise CredentialsUnavailable(
            "bedrock: the gateway's AWS credentials cannot be had."
        ) from error
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise DeadlineExceeded("bedrock did not answer in time.") from error
    except (BotoCoreError, ResponseParserError) as error:
        raise UpstreamUnusable("bedrock could not be reached, or broke off its answer.") from error
