"""AWS sessions, clients and signatures by aiobotocore, its slow parts kept off the event loop.

https://aiobotocore.aio-libs.org and
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import asyncio
import re
import threading
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
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    ResponseStreamingError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from count_tokens_mw.cloud_params import BedrockParams
from count_tokens_mw.errors import (
    CredentialsUnavailable,
    DeadlineExceeded,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from count_tokens_mw.providers._answers import count_from
from count_tokens_mw.providers._joined import Joined
from count_tokens_mw.types import UpstreamAnswer

__all__ = ["AwsSession", "aws_errors"]

_SERVICE: Final = "bedrock-runtime"
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
    """The session of one deployment, and its `bedrock-runtime` client, opened on first use.

    Like every asyncio client it belongs to an event loop, so there is one for each.
    """

    def __init__(self, params: BedrockParams) -> None:
        self._params = params
        self._session: AioSession | None = None
        self._loading = threading.Lock()
        self._loaded = Joined(partial(asyncio.to_thread, self._load))
        self._clients: dict[asyncio.AbstractEventLoop, Any] = {}
        self._opened = Joined(self._open)

    async def client(self) -> Any:
        """The client, whose `count_tokens` is botocore's.

        Raises:
            botocore.exceptions.BotoCoreError: the credentials cannot be had.
        """
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            await self._opened.done()
        return self._clients[loop]

    async def signed(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers of a POST with its SigV4 signature, for the service of bedrock-mantle.

        Raises:
            CredentialsUnavailable: there is nothing to sign with.
        """
        session: AioSession = await self._loaded.done()
        credentials = await session.get_credentials()
        if credentials is None:
            raise CredentialsUnavailable("bedrock: no AWS credentials are configured or found.")
        frozen = await credentials.get_frozen_credentials()
        request = AWSRequest("POST", url, headers=dict(headers), data=body)
        service, region = self._params.bedrock_mantle_service_name, self._params.aws_region_name
        SigV4Auth(frozen, service, region).add_auth(request)
        return dict(request.headers.items())

    async def aclose(self) -> None:
        """Close this loop's client, if there is one."""
        await self._opened.settled()
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.__aexit__(None, None, None)

    def _load(self) -> AioSession:
        # Its service models are a tenth of a second of work.
        with self._loading:
            self._session = self._session or _loaded_session(self._params)
            return self._session

    async def _open(self) -> None:
        session: AioSession = await self._loaded.done()
        client = await session.create_client(
            _SERVICE,
            region_name=self._params.aws_region_name,
            endpoint_url=self._params.aws_bedrock_runtime_endpoint,
        ).__aenter__()
        client.meta.events.register(f"before-parse.{_SERVICE}.CountTokens", _raise_unless_counted)
        if self._params.api_key is not None:
            bearer = f"Bearer {self._params.api_key.get_secret_value()}"
            client.meta.events.register(f"before-call.{_SERVICE}", partial(_add_bearer, bearer))
        alive = {loop: each for loop, each in self._clients.items() if not loop.is_closed()}
        self._clients = {**alive, asyncio.get_running_loop(): client}


def _raise_unless_counted(*, response_dict: Mapping[str, Any], **_: object) -> None:
    """Let only a count reach botocore's parser, which crashes on nonsense and reads "7" as 7.

    Raises:
        UpstreamError: AWS answered an error.
        UpstreamUnusable: neither that nor a whole number.
    """
    headers = {str(name).lower(): str(value) for name, value in response_dict["headers"].items()}
    answer = UpstreamAnswer(response_dict["status_code"], headers, response_dict["body"])
    count_from("bedrock", answer, field="inputTokens")


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
    session = _session(params)
    asyncio.run(_warm_up(session, "sts" if params.aws_role_name else _SERVICE, params))
    if not params.aws_role_name:
        return session
    # A session of its own, which has the configured credentials only to ask for the role's.
    of_role = AioSession(session_vars=_NO_PROFILE)
    of_role.set_default_client_config(_config(params))
    asyncio.run(_warm_up(of_role, _SERVICE, params))
    of_role.register_component("credential_provider", _AssumedRole(params, session))
    return of_role


async def _warm_up(session: AioSession, service: str, params: BedrockParams) -> None:
    async with session.create_client(
        service,
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
    given = key or params.api_key or params.aws_web_identity_token
    # AWS_PROFILE of the environment has no say where the credentials are given, or is unknown.
    session = AioSession(
        profile=params.aws_profile_name, session_vars=_NO_PROFILE if given else None
    )
    session.set_default_client_config(_config(params))
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
    """A web identity token that is given as it is, or by a path to its file."""
    if _JWT(token_or_path):
        return token_or_path
    try:
        return Path(token_or_path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # its text has the path, which may be a token all the same
        raise CredentialsUnavailable("bedrock: the web identity token cannot be read.") from None


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn what botocore raises into an error of ours.

    Raises:
        CredentialsUnavailable: no credentials, no such profile, or the role was refused.
        UpstreamUnreachable: no connection, or it broke before there was an answer.
        UpstreamUnusable: it broke off in the middle of an answer, or that is none.
        DeadlineExceeded: a timeout passed.
    """
    try:
        yield
    except ClientError as error:  # of STS: those of CountTokens are never parsed
        raise CredentialsUnavailable("bedrock: AWS refused to give credentials.") from error
    except _NO_CREDENTIALS as error:
        raise CredentialsUnavailable(
            "bedrock: the gateway's AWS credentials cannot be had."
        ) from error
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise DeadlineExceeded("bedrock did not answer in time.") from error
    except (BotoCoreError, ResponseParserError) as error:
        begun = not isinstance(error, HTTPClientError) or isinstance(error, ResponseStreamingError)
        if begun:
            raise UpstreamUnusable("bedrock broke off its answer.") from error
        raise UpstreamUnreachable(
            "bedrock could not be reached, or closed the connection."
        ) from error
