"""Every call through a real CONNECT proxy and a private CA, and none without the settings."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Host, Mount, Route

from count_tokens_mw import Config, CountError, CountTokens, DeadlineExceeded, UpstreamUnreachable
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.providers.bedrock.session import IdentityToken, load_session
from demo_app.emulators import EMULATED_KEY, EmulatedGoogle, emulated_anthropic, emulated_bedrock
from tests.providers.test_bedrock import Sts
from tests.support.cloud import bedrock_params, vertex_params
from tests.support.company_network import DOMAIN, ConnectProxy, PrivateCa, connect_proxy
from tests.support.fakes import FakeUpstream, known_caller
from tests.support.requests import HELLO
from tests.support.token_servers import (
    CLIENT,
    CLIENT_SECRET,
    ORGANIZATION,
    RULE,
    TENANT,
    AnthropicTokens,
    EntraTokens,
)

BODY: Final[dict[str, Any]] = {"model": "m", "messages": HELLO}
GOOGLE: Final = EmulatedGoogle()
ROLE: Final = "arn:aws:iam::123456789012:role/r"


@dataclass
class Company:
    """The network, with a server for each name below its domain."""

    ca: PrivateCa
    proxy: ConnectProxy
    app: Starlette
    port: int
    anthropic: AnthropicTokens
    entra: EntraTokens
    token_file: str

    def url(self, name: str, port: int | None = None) -> str:
        """Return the URL of a name that only the proxy can resolve."""
        return f"https://{name}.{DOMAIN}:{port or self.port}"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    anthropic, entra = AnthropicTokens(), EntraTokens()
    hosts = {
        "anthropic": anthropic.app,
        "plain": emulated_anthropic(),
        "login": entra.app,
        "foundry": entra.app,
        "google": GOOGLE.app,
        "sts": Sts().app,
        "bedrock": emulated_bedrock(),
    }
    app = Starlette(routes=[Host(f"{name}.{DOMAIN}", Mount("/", at)) for name, at in hosts.items()])
    (folder / "token").write_text("eyJ.first.token\n")
    with ExitStack() as stack:
        ca = PrivateCa(folder)
        port = stack.enter_context(ca.serving(app))
        proxy = stack.enter_context(connect_proxy(folder))
        yield Company(ca, proxy, app, port, anthropic, entra, str(folder / "token"))


@pytest.fixture(autouse=True)
def _no_connection_yet(company: Company) -> None:
    company.proxy.take_hosts()


UrlOf = Callable[[str], str]


def federated(url: UrlOf, token_file: str) -> dict[str, Any]:
    return {
        "model": "anthropic/claude-sonnet-4-5",
        "api_base": url("anthropic"),
        "anthropic_federation_rule_id": RULE,
        "anthropic_organization_id": ORGANIZATION,
        "anthropic_identity_token_file": token_file,
    }


def foundry(url: UrlOf, **more: Any) -> dict[str, Any]:
    return {
        "model": "azure_ai/claude-sonnet-4-5",
        "api_base": url("foundry"),
        "azure_authority_host": url("login"),
        "tenant_id": TENANT,
        "client_id": CLIENT,
        **more,
    }


def plain(url: UrlOf, token_file: str) -> dict[str, Any]:
    model = "anthropic/claude-sonnet-4-5"
    return {"model": model, "api_base": url("plain"), "api_key": EMULATED_KEY}


def vertex(url: UrlOf, token_file: str) -> dict[str, Any]:
    return vertex_params(GOOGLE, url("google"), "gemini-2.5-flash")


def role(url: UrlOf, token_file: str) -> dict[str, Any]:
    return bedrock_params(url("bedrock"), aws_role_name=ROLE, aws_sts_endpoint=url("sts"))


Kind = Callable[[UrlOf, str], dict[str, Any]]
KINDS: Final[Mapping[str, tuple[Kind, list[str]]]] = {
    "a count": (plain, ["plain"]),
    "Anthropic's token": (federated, ["anthropic"]),
    "Entra ID's token": (
        lambda url, _: foundry(url, client_secret=CLIENT_SECRET),
        ["login", "foundry"],
    ),
    "Entra ID's token for a federated one": (
        lambda url, file: foundry(url, azure_federated_token_file=file),
        ["login", "foundry"],
    ),
    "Google's token": (vertex, ["google", "google"]),
    "AWS's role": (role, ["sts", "bedrock"]),
}
EACH_KIND: Final = pytest.mark.parametrize(("kind", "names"), KINDS.values(), ids=KINDS)


@asynccontextmanager
async def counting(
    params: Mapping[str, Any],
    http: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[CountTokens]:
    data = {
        "model_list": [{"model_name": "m", "litellm_params": dict(params)}],
        "count_tokens": {"http": dict(http), "cache": {"ttl": 0}},
        "router_settings": {"num_retries": 0},
    }
    config = Config.from_mapping(data, environ or {})
    (deployment,) = config.deployments
    assert deployment.problem is None
    count_tokens = CountTokens(config, authenticate=known_caller, **options)
    async with count_tokens.lifespan():
        yield count_tokens


@EACH_KIND
@pytest.mark.parametrize("origin", ["settings", "environment"])
async def test_every_call_goes_through_the_proxy_and_trusts_the_private_ca(
    company: Company, kind: Kind, names: list[str], origin: str
) -> None:
    """The names resolve at the proxy alone."""
    http: dict[str, Any] = {"proxy": company.proxy.url, "ca_file": company.ca.file}
    environ: dict[str, str] = {}
    if origin == "environment":
        http = {"trust_env": True}
        environ = {"HTTPS_PROXY": company.proxy.url, "SSL_CERT_FILE": company.ca.file}
    params = kind(company.url, company.token_file)
    async with counting(params, http, environ) as count_tokens:
        assert (await count_tokens.count(BODY)).input_tokens > 0
    hosts = [f"{name}.{DOMAIN}" for name in names]
    taken = company.proxy.take_hosts()
    assert list(dict.fromkeys(taken)) == list(dict.fromkeys(hosts))


@EACH_KIND
async def test_nothing_goes_through_a_proxy_that_only_the_environment_names(
    company: Company, monkeypatch: pytest.MonkeyPatch, kind: Kind, names: list[str]
) -> None:
    environ = {
        name: company.proxy.url
        for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        for name in (upper, upper.lower())
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    params = kind(company.url, company.token_file)
    http = {"ca_file": company.ca.file}
    async with counting(params, http, environ) as count_tokens:
        with pytest.raises(CountError) as raised:  # nobody resolves the name
            await count_tokens.count(BODY)
    assert raised.value.status in {500, 502}
    assert company.proxy.take_hosts() == []


@EACH_KIND
async def test_without_the_private_ca_nobody_is_trusted(
    company: Company, monkeypatch: pytest.MonkeyPatch, kind: Kind, names: list[str]
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, company.ca.file)
    params = kind(company.url, company.token_file)
    environ = {"SSL_CERT_FILE": company.ca.file}
    async with counting(params, {"proxy": company.proxy.url}, environ) as count_tokens:
        with pytest.raises(CountError, match="certificate is not trusted"):
            await count_tokens.count(BODY)
    assert company.proxy.take_hosts() != []


@EACH_KIND
async def test_a_proxy_that_refuses_the_gateway_is_named_as_such(
    company: Company, kind: Kind, names: list[str]
) -> None:
    params = kind(company.url, company.token_file)
    http = {"proxy": f"http://{company.proxy.address}", "ca_file": company.ca.file}
    async with counting(params, http) as count_tokens:
        with pytest.raises(CountError, match="the proxy answered 407"):
            await count_tokens.count(BODY)
    assert company.proxy.take_hosts() == []


@pytest.mark.parametrize("kind", [plain, vertex], ids=["aiohttp", "urllib3"])
async def test_a_proxy_that_is_down_is_named_as_such(company: Company, kind: Kind) -> None:
    params = kind(company.url, company.token_file)
    async with counting(params, {"proxy": "http://127.0.0.1:1"}) as count_tokens:
        with pytest.raises(CountError, match="the proxy failed"):
            await count_tokens.count(BODY)


async def test_a_proxy_by_tls_serves_every_call(company: Company, tmp_path: Path) -> None:
    with connect_proxy(tmp_path, company.ca) as proxy:
        http = {"proxy": proxy.url, "ca_file": company.ca.file}
        for kind, names in KINDS.values():
            params = kind(company.url, company.token_file)
            async with counting(params, http) as count_tokens:
                assert (await count_tokens.count(BODY)).input_tokens > 0
            assert proxy.take_hosts()[0] == f"{names[0]}.{DOMAIN}"
    assert company.proxy.take_hosts() == []


async def test_the_hosts_own_client_has_the_counts_and_the_proxy_the_tokens(
    company: Company, upstream: FakeUpstream
) -> None:
    http = {"proxy": company.proxy.url, "ca_file": company.ca.file}
    for name, (kind, names) in KINDS.items():
        params = kind(company.url, company.token_file)
        upstream.answer = lambda _: httpx.Response(
            200, json={"input_tokens": 7, "inputTokens": 7, "totalTokens": 7}
        )
        async with counting(params, http, http_client=upstream.client()) as count_tokens:
            assert (await count_tokens.count(BODY)).input_tokens == 7
        tokens = [] if name == "a count" else [f"{names[0]}.{DOMAIN}"]
        assert company.proxy.take_hosts() == tokens


async def test_a_client_certificate_is_presented(company: Company) -> None:
    http = {"proxy": company.proxy.url, "ca_file": company.ca.file}
    mutual = {**http, "client_cert": company.ca.client_file}
    with company.ca.serving(company.app, wants_client=True) as port:
        for kind, _ in KINDS.values():
            params = kind(partial(company.url, port=port), company.token_file)
            async with counting(params, mutual) as count_tokens:
                assert (await count_tokens.count(BODY)).input_tokens > 0
        for kind in (plain, vertex):
            params = kind(partial(company.url, port=port), company.token_file)
            async with counting(params, http) as count_tokens:
                with pytest.raises(CountError):
                    await count_tokens.count(BODY)


async def test_no_proxy_is_for_some_hosts(company: Company) -> None:
    environ = {
        "HTTPS_PROXY": company.proxy.url,
        "SSL_CERT_FILE": company.ca.file,
        "NO_PROXY": f"foundry.{DOMAIN}",
    }
    params = foundry(company.url, client_secret=CLIENT_SECRET)
    async with counting(params, {"trust_env": True}, environ) as count_tokens:
        with pytest.raises(UpstreamUnreachable):  # nobody resolves the name
            await count_tokens.count(BODY)
    assert company.proxy.take_hosts() == [f"login.{DOMAIN}"]


# Entra ID, which wants https


@asynccontextmanager
async def entra_counting(company: Company, **more: Any) -> AsyncIterator[CountTokens]:
    http = {"proxy": company.proxy.url, "ca_file": company.ca.file}
    company.entra.counted.clear()
    company.entra.requests.clear()
    try:
        async with counting(foundry(company.url, **more), http) as count_tokens:
            yield count_tokens
    finally:
        company.entra.answer, company.entra.lifetime = None, 3600


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"client_secret": "wrong"}, "refused the gateway's identity (AADSTS7000215)"),
        ({"client_id": "nobody", "client_secret": "x"}, "identity (AADSTS700016)"),
        ({"tenant_id": "nowhere", "client_secret": "x"}, "identity (AADSTS90002)"),
        ({"client_secret": CLIENT_SECRET, "azure_scope": "https://x/.default"}, "(AADSTS70011)"),
        ({"azure_federated_token_file": "/nowhere/token"}, "token file cannot be read"),
    ],
)
async def test_entra_ids_refusal_is_a_500_with_its_code(
    company: Company, more: dict[str, Any], message: str
) -> None:
    async with entra_counting(company, **more) as count_tokens:
        with pytest.raises(CountError) as raised:
            await count_tokens.count(BODY)
    assert raised.value.status == 500
    assert message in raised.value.message
    assert "wrong" not in raised.value.message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Response(b"<html>", 429, {"retry-after": "600"}), "failed with the status 429"),
        (Response(b"{}", 503), "failed with the status 503"),
        (Response(b"<html>", 200, media_type="text/html"), "answered without a token"),
        (Response(b'{"access_token": "t"}', 200, media_type="application/json"), ""),
        (Response(b'{"expires_in": 5}', 200, media_type="application/json"), "without a token"),
        (Response(b" " * 2**21, 200, media_type="application/json"), "could not be reached"),
        (Response(b" " * 2**17, 200, media_type="application/json"), "could not be reached"),
    ],
)
async def test_an_unusable_answer_of_entra_id_is_an_upstream_error(
    company: Company, answer: Response, message: str
) -> None:
    async with entra_counting(company, client_secret=CLIENT_SECRET) as count_tokens:
        company.entra.answer = answer
        with pytest.raises(CountError) as raised:
            await count_tokens.count(BODY)
    assert raised.value.status in {500, 502}
    assert message in raised.value.message


async def test_one_token_of_entra_id_serves_many_counts(company: Company) -> None:
    async with entra_counting(company, client_secret=CLIENT_SECRET) as count_tokens:
        await asyncio.gather(*(count_tokens.count(BODY) for _ in range(5)))
        await count_tokens.count(BODY)
        assert len(company.entra.requests) == 1
        company.entra.tokens.clear()  # as if they were revoked
        await count_tokens.count(BODY)
    assert len(company.entra.requests) == 2
    assert company.entra.counted == [CLIENT] * 7


async def test_a_federated_token_file_is_read_for_each_token(
    company: Company, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("eyJ.first.token")
    async with entra_counting(company, azure_federated_token_file=str(file)) as count_tokens:
        await count_tokens.count(BODY)
        file.write_text("eyJ.rotated.token\n")
        company.entra.federated = {"eyJ.rotated.token": CLIENT}
        company.entra.tokens.clear()
        await count_tokens.count(BODY)
    company.entra.federated = {"eyJ.first.token": CLIENT}
    assertions = [form["client_assertion"] for form in company.entra.requests]
    assert assertions == ["eyJ.first.token", "eyJ.rotated.token"]


async def test_two_clients_share_no_token_and_no_count(company: Company) -> None:
    clients = {CLIENT: CLIENT_SECRET, "other-client": "other-secret"}
    entries = [
        {
            "model_name": name,
            "litellm_params": foundry(company.url, client_id=name, client_secret=key),
        }
        for name, key in clients.items()
    ]
    http = {"proxy": company.proxy.url, "ca_file": company.ca.file}
    data = {"model_list": entries, "count_tokens": {"http": http}}
    company.entra.counted.clear()
    count_tokens = CountTokens(Config.from_mapping(data, {}), authenticate=known_caller)
    async with count_tokens.lifespan():
        for name in [*clients, *clients]:
            await count_tokens.count({**BODY, "model": name})
    assert company.entra.counted == list(clients)


async def test_the_secret_of_a_tenants_row_goes_to_microsoft_alone(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", company.url("login"))
    row = foundry(company.url, client_secret=CLIENT_SECRET)
    del row["azure_authority_host"]
    entry = {"model_name": "m", "litellm_params": row}
    deployments = Config.from_rows([entry], allow_base=lambda url: True).deployments
    http = {"proxy": company.proxy.url, "ca_file": company.ca.file}
    config = Config.from_mapping({"count_tokens": {"http": http}}, {})
    count_tokens = CountTokens(config, resolve=lambda model, caller: deployments)
    async with count_tokens.lifespan():
        with pytest.raises(UpstreamUnreachable):  # nobody listens there on loopback
            await count_tokens.count(BODY)
    assert set(company.proxy.take_hosts()) == {"login.microsoftonline.com"}


async def test_a_hanging_entra_id_is_given_up(company: Company) -> None:
    from count_tokens_mw.config.http_settings import HttpSettings
    from count_tokens_mw.config.params.anthropic import AzureParams
    from count_tokens_mw.providers.entra import entra_tokens
    from count_tokens_mw.providers.http import HttpClient

    async def hang(request: Request) -> Response:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()

    app = Starlette(routes=[Route("/{at:path}", hang, methods=["POST"])])
    with company.ca.serving(app) as port:
        base = f"https://127.0.0.1:{port}"
        values = foundry(lambda _: base, client_secret=CLIENT_SECRET)
        http = HttpClient(None, HttpSettings(ca_file=company.ca.file))
        tokens = entra_tokens(AzureParams.model_validate(values), http)
        tokens._renewals._seconds = 0.2
        with pytest.raises(DeadlineExceeded, match="Entra ID did not issue a token in time"):
            await tokens.token()
        await http.aclose()


# The identity of a machine


@pytest.mark.parametrize("client", [None, "of-a-user"])
async def test_a_managed_identity_is_asked_directly(
    company: Company, monkeypatch: pytest.MonkeyPatch, client: str | None
) -> None:
    from tests.support.cloud import cloud

    entra = EntraTokens()
    with cloud(entra.app) as machine:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url)
        params = foundry(lambda _: machine.url, azure_managed_identity=True, client_id=client)
        del params["azure_authority_host"], params["tenant_id"]
        tokens = {"NO_PROXY": "127.0.0.1", "HTTP_PROXY": company.proxy.url}
        async with counting(params, {"trust_env": True}, tokens) as count_tokens:
            await count_tokens.count(BODY)
    assert entra.counted == [client or "the machine"]
    assert company.proxy.take_hosts() == []


async def test_a_machine_without_an_identity_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.cloud import cloud

    async def refuse(request: Request) -> Response:
        error = {"error": "invalid_request", "error_description": "Identity not found"}
        return Response(json.dumps(error), 400, media_type="application/json")

    with cloud(Starlette(routes=[Route("/{at:path}", refuse)])) as machine:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url)
        params = foundry(lambda _: machine.url, azure_managed_identity=True, client_id=None)
        del params["azure_authority_host"]
        async with counting(params, {}) as count_tokens:
            with pytest.raises(CountError, match="no such managed identity"):
                await count_tokens.count(BODY)


def test_awss_metadata_server_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore takes the environment's proxy for it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    nothing = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"))
    params = BedrockParams.model_validate(bedrock_params("http://127.0.0.1:1", **nothing))
    session = load_session(params, IdentityToken(None))
    resolver = session.get_component("credential_provider")
    (provider,) = (each for each in resolver.providers if each.METHOD == "iam-role")
    url = "http://169.254.169.254/latest/meta-data/"
    assert provider._role_fetcher._session._proxy_config.proxy_url_for(url) is None
