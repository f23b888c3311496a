"""Canaries of the host: variables, files and a loopback server that no tenant's row may reach."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.support.cloud import Cloud, cloud
from tests.support.fakes import FakeUpstream

__all__ = ["SECRET", "Canaries", "canaries_in", "canary_server"]

SECRET: Final = "canary-of-the-host"
_KEYS: Final = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_FEDERATION_RULE_ID",
    "ANTHROPIC_IDENTITY_TOKEN",
    "ANTHROPIC_ORGANIZATION_ID",
    "AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_AD_TOKEN",
    "AZURE_AI_API_KEY",
    "AZURE_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "CANARY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "HOSTED_VLLM_API_KEY",
    "LITELLM_PROXY_API_KEY",
    "LLAMAFILE_API_KEY",
    "OPENAI_API_KEY",
    "VERTEXAI_PROJECT",
)
_URLS: Final = (
    "ALL_PROXY",
    "ANTHROPIC_API_BASE",
    "ANTHROPIC_BASE_URL",
    "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "AWS_ENDPOINT_URL_STS",
    "AZURE_AI_API_BASE",
    "AZURE_API_BASE",
    "AZURE_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
    "CANARY_URL",
    "GEMINI_API_BASE",
    "HTTPS_PROXY",
    "HOSTED_VLLM_API_BASE",
    "HTTP_PROXY",
    "LITELLM_PROXY_API_BASE",
    "LLAMAFILE_API_BASE",
    "VERTEXAI_API_BASE",
)
_watched: set[str] = set()
_opened: list[str] = []


def _record_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and event == "open" and any(str(arguments[0]).startswith(at) for at in _watched):
        _opened.append(str(arguments[0]))


sys.addaudithook(_record_opened)  # which cannot be removed


class Canaries:
    """The canaries, and what has touched them.

    Attributes:
        server: the loopback server, which answers everything with 200.
        folder: the folder of `key.json`, `token`, `config` and `credentials`.
    """

    def __init__(self, server: Cloud, folder: Path) -> None:
        self.server = server
        self.folder = folder

    @property
    def google_key(self) -> dict[str, Any]:
        """An `external_account`, whose tokens come from a file and the loopback server."""
        return {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/a",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.server.url}/token",
            "credential_source": {"file": str(self.folder / "token")},
        }

    def touched(self, upstream: FakeUpstream) -> list[str]:
        """Return each trace of a canary: at the server, in the folder, and at the upstream."""
        sent = [
            f"{request.url} {request.headers!r} {dict(request.headers)}"
            for request in upstream.requests
        ]
        leaked = [text for text in sent if SECRET in text or self.server.url in text]
        return [*self.server.paths, *_opened, *leaked]


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()
    key = {"AccessKeyId": SECRET, "SecretAccessKey": SECRET, "Token": SECRET}
    token = {"access_token": SECRET, "expires_in": 3600, "input_tokens": 1, "totalTokens": 1}
    expiry = {"Expiration": "2099-01-01T00:00:00Z"}
    await JSONResponse({**key, **token, **expiry})(scope, receive, send)


@contextmanager
def canary_server() -> Iterator[Cloud]:
    """Serve the loopback server, for as long as a `with` lasts."""
    with cloud(_answer) as server:
        yield server


@contextmanager
def canaries_in(folder: Path, server: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    """Set the variables and write the files, for as long as a `with` lasts."""
    server.paths.clear()
    server.headers.clear()
    canaries = Canaries(server, folder)
    program = f"{sys.executable} -c open('{folder}/ran','w')"
    profile = f"aws_access_key_id = {SECRET}\naws_secret_access_key = {SECRET}\n"
    region = f"region = eu-west-9\nendpoint_url = {server.url}\n"
    files = {
        "key.json": json.dumps(canaries.google_key),
        "token": SECRET,
        "config": f"[default]\n{region}[profile runs]\n{region}credential_process = {program}",
        "credentials": f"[default]\n{profile}[team]\n{profile}",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    paths = {
        "AWS_CONFIG_FILE": "config",
        "AWS_SHARED_CREDENTIALS_FILE": "credentials",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "token",
        "GOOGLE_APPLICATION_CREDENTIALS": "key.json",
        "VERTEXAI_CREDENTIALS": "key.json",
    }
    environ = {
        **dict.fromkeys(_KEYS, SECRET),
        **dict.fromkeys(_URLS, server.url),
        **{name: str(folder / path) for name, path in paths.items()},
        "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1",
        "AWS_REGION": "eu-west-9",
        "AWS_REGION_NAME": "eu-west-9",
        "VERTEXAI_LOCATION": "europe-west9",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    _opened.clear()
    _watched.add(str(folder))
    try:
        yield canaries
    finally:
        _watched.clear()
