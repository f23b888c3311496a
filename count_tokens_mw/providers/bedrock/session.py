"""botocore sessions that resolve AWS credentials: the deployment's own, or the default chain.

https://aiobotocore.aio-libs.org and
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import asyncio
import re
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioAssumeRoleProvider,
    AioAssumeRoleWithWebIdentityCredentialFetcher,
    AioDeferredRefreshableCredentials,
    AioInstanceMetadataProvider,
    AioProcessProvider,
    AioProfileProviderBuilder,
)
from aiobotocore.session import AioSession
from botocore.httpsession import ProxyConfiguration
from pydantic import SecretStr

from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.secret_files import read_secret_file
from count_tokens_mw.errors import CredentialsUnavailable
from count_tokens_mw.providers.bedrock.transport import client_config
from count_tokens_mw.providers.network import Network

__all__ = ["IdentityToken", "load_session"]

_PROGRAM_SECONDS: Final = 15
_END_SECONDS: Final = 1
_JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*").fullmatch
_NO_PROFILE: Final = {"profile": (None, None, None, None)}


def load_session(
    params: BedrockParams, identity: "IdentityToken", network: Network | None = None
) -> AioSession:
    """Return a session with the service models that it needs to get credentials.

    Loading takes a tenth of a second and belongs in a thread. Static keys need no service; every
    other kind of credentials may need STS.
    """
    session = _create_session(params, network or Network())
    if params.aws_role_name or not params.aws_access_key_id:
        asyncio.run(_warm_up(session, params))
    if not params.aws_role_name:
        return session
    # A second session, because the first one's credentials serve only to assume the role.
    of_role = AioSession(session_vars=_NO_PROFILE)
    of_role.register_component("credential_provider", _AssumedRole(params, session, identity))
    return of_role


async def _warm_up(session: AioSession, params: BedrockParams) -> None:
    """Create a client and discard it, because the first client loads the service models."""
    async with session.create_client(
        "sts",
        region_name=params.aws_region_name,
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - not a secret; it signs nothing
    ):
        pass


def _create_session(params: BedrockParams, network: Network) -> AioSession:
    key, secret, token = (
        value.get_secret_value() if value else None
        for value in (
            params.aws_access_key_id,
            params.aws_secret_access_key,
            params.aws_session_token,
        )
    )
    is_configured = key or params.aws_web_identity_token
    # The environment's AWS_PROFILE must not override the configuration. It may not even exist.
    session = AioSession(
        profile=params.aws_profile_name, session_vars=_NO_PROFILE if is_configured else None
    )
    session.set_default_client_config(client_config(network))
    if key:
        session.set_credentials(key, secret, token)
    else:
        _limit_programs(session)
        _connect_to_metadata_directly(session)
    return session


def _connect_to_metadata_directly(session: AioSession) -> None:
    """Ignore the environment's proxies, which botocore takes for the machine's metadata server."""
    for provider in session.get_component("credential_provider").providers:
        if isinstance(provider, AioInstanceMetadataProvider):
            fetcher = provider._role_fetcher  # noqa: SLF001 - botocore has no public setter
            fetcher._session._proxy_config = ProxyConfiguration()  # noqa: SLF001


def _limit_programs(session: AioSession) -> None:
    """Limit the time of every profile's `credential_process`; botocore itself has no timeout.

    A profile that assumes a role may take its own credentials from a `source_profile`. botocore
    creates the providers of that profile on demand.
    """
    resolver = session.get_component("credential_provider")
    builder = _ProviderBuilder(session)
    program = builder.program_of(session.get_config_variable("profile") or "default")
    resolver.insert_before(program.METHOD, program)
    for provider in resolver.providers:
        if isinstance(provider, AioAssumeRoleProvider):
            provider._profile_provider_builder = builder  # noqa: SLF001 - botocore has no public setter


class _ProviderBuilder(AioProfileProviderBuilder):  # type: ignore[misc]
    def program_of(self, profile_name: str) -> AioProcessProvider:
        return AioProcessProvider(
            profile_name=profile_name,
            load_config=lambda: self._session.full_config,
            popen=_start_program,
        )

    _create_process_provider = program_of


async def _start_program(*command: str, **options: Any) -> "_Program":
    return _Program(await asyncio.create_subprocess_exec(*command, **options))


class _Program:
    """Program that is killed on a timeout, or once its last waiter is gone."""

    def __init__(
        self, process: asyncio.subprocess.Process, seconds: float = _PROGRAM_SECONDS
    ) -> None:
        self._process = process
        self._seconds = seconds

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._process.communicate()
        finally:
            if self._process.returncode is None:
                await self._kill()

    async def _kill(self) -> None:
        with suppress(ProcessLookupError):  # already ended
            self._process.kill()
        # asyncio closes its pipes when they end, which a child of the program may put off.
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._process.communicate()


class _AssumedRole:
    """Provider of a role's credentials from STS, in place of the session's chain."""

    def __init__(
        self, params: BedrockParams, source: AioSession, identity: "IdentityToken"
    ) -> None:
        self._params = params
        self._source = source
        self._identity = identity

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
            fetcher = AioAssumeRoleWithWebIdentityCredentialFetcher(
                creator, self._identity.text, params.aws_role_name, extra_args=extra
            )
        else:
            source = await self._source.get_credentials()
            if source is None:
                raise CredentialsUnavailable("bedrock: no credentials to assume the role with.")
            fetcher = AioAssumeRoleCredentialFetcher(
                creator, source, params.aws_role_name, extra_args=extra
            )
        return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


class IdentityToken:
    """Web identity token, configured as its text or as the path of its file; or none."""

    def __init__(self, token_or_path: SecretStr | None) -> None:
        self._token_or_path = token_or_path
        self._text = ""

    def read(self) -> None:
        """Read the file, in a thread, because its file system may hang.

        Raises:
            CredentialsUnavailable: the file cannot be read.
        """
        token_or_path = self._token_or_path.get_secret_value() if self._token_or_path else ""
        if not token_or_path or _JWT(token_or_path):
            self._text = token_or_path
            return
        try:
            self._text = read_secret_file(token_or_path)
        except (OSError, ValueError):  # not chained: it quotes the path, which may be a token
            raise CredentialsUnavailable(
                "bedrock: the web identity token cannot be read."
            ) from None

    def text(self) -> str:
        """Return the token as last read."""
        return self._text
