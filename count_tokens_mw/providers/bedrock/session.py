"""botocore sessions that look for AWS credentials: the deployment's own, or AWS's chain.

https://aiobotocore.aio-libs.org and
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
"""

import asyncio
import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioAssumeRoleProvider,
    AioAssumeRoleWithWebIdentityCredentialFetcher,
    AioDeferredRefreshableCredentials,
    AioProcessProvider,
    AioProfileProviderBuilder,
)
from aiobotocore.session import AioSession
from pydantic import SecretStr

from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.errors import CredentialsUnavailable

__all__ = ["IdentityToken", "load_session"]

_PROGRAM_SECONDS: Final = 15
_JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*").fullmatch
_NO_PROFILE: Final = {"profile": (None, None, None, None)}


def _config() -> AioConfig:
    """For the clients that get credentials: one try, and nothing of the environment."""
    return AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=3,
        read_timeout=5,
        proxies={},
        ignore_configured_endpoint_urls=True,
    )


def load_session(params: BedrockParams, identity: "IdentityToken") -> AioSession:
    """Return a session that has loaded what it takes to ask for credentials.

    That is a tenth of a second of work, for a thread. Keys that are given are used as they are;
    every other kind may need STS.
    """
    session = _session(params)
    if params.aws_role_name or not params.aws_access_key_id:
        asyncio.run(_warm_up(session, params))
    if not params.aws_role_name:
        return session
    # A session of its own, which has the configured credentials only to ask for the role's.
    of_role = AioSession(session_vars=_NO_PROFILE)
    of_role.register_component("credential_provider", _AssumedRole(params, session, identity))
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
    else:
        _bound_programs(session)
    return session


def _bound_programs(session: AioSession) -> None:
    """Put a time limit on every profile's `credential_process`; botocore waits for ever.

    A profile that assumes a role may take its own credentials from a `source_profile`, whose
    providers botocore makes when it needs them.
    """
    resolver = session.get_component("credential_provider")
    builder = _ProviderBuilder(session)
    program = builder.program_of(session.get_config_variable("profile") or "default")
    resolver.insert_before(program.METHOD, program)
    for provider in resolver.providers:
        if isinstance(provider, AioAssumeRoleProvider):
            provider._profile_provider_builder = builder  # noqa: SLF001 - there is no other way in


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
    """A program that is ended when it takes too long, or nobody waits for it any more."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        try:
            async with asyncio.timeout(_PROGRAM_SECONDS):
                return await self._process.communicate()
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                self._process.kill()


class _AssumedRole:
    """Instead of the session's chain: the credentials of a role, by STS, renewed in time."""

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
    """A web identity token that is given as it is, or by a path to its file; or none."""

    def __init__(self, given: SecretStr | None) -> None:
        self._given = given
        self._text = ""

    def read(self) -> None:
        """Read the file, which takes a thread: it may stand on a file system that hangs.

        Raises:
            CredentialsUnavailable: it cannot be read.
        """
        token_or_path = self._given.get_secret_value() if self._given else ""
        if not token_or_path or _JWT(token_or_path):
            self._text = token_or_path
            return
        try:
            self._text = Path(token_or_path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):  # its text has the path, which may be a token all the same
            raise CredentialsUnavailable(
                "bedrock: the web identity token cannot be read."
            ) from None

    def text(self) -> str:
        """Return what was read last."""
        return self._text
