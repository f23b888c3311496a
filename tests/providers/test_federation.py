"""Anthropic's workload identity federation, judged by Anthropic's own SDK."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anthropic
import pytest
from anthropic.lib.credentials import IdentityTokenFile, WorkloadIdentityCredentials
from starlette.responses import JSONResponse, Response

from count_tokens_mw import (
    Config,
    CountError,
    CountTokens,
    CredentialsUnavailable,
    UpstreamError,
)
from count_tokens_mw.config.params.anthropic import AnthropicParams
from count_tokens_mw.providers.bearer import AccessToken, BearerTokens
from count_tokens_mw.providers.federation import federated_tokens
from count_tokens_mw.providers.http import HttpClient
from demo_app.emulators import count
from tests.support.cloud import cloud
from tests.support.fakes import FakeUpstream, known_caller, mounted
from tests.support.requests import HELLO
from tests.support.token_servers import ORGANIZATION, RULE, AnthropicTokens

BODY: Final[dict[str, Any]] = {"model": "claude-sonnet-4-5", "messages": HELLO}
IDS: Final = {"anthropic_federation_rule_id": RULE, "anthropic_organization_id": ORGANIZATION}


def federated(url: str, **more: Any) -> dict[str, Any]:
    model = "anthropic/claude-sonnet-4-5"
    params = {"model": model, "api_base": url, **IDS, **more}
    if not any(name.startswith("anthropic_identity") for name in more):
        params["anthropic_identity_token"] = "eyJ.first.token"
    return params


@asynccontextmanager
async def counting(
    *entries: Mapping[str, Any], environ: Mapping[str, str] | None = None, ttl: int = 0
) -> AsyncIterator[CountTokens]:
    """Yield a counter with the deployments `m0`, `m1` and so on."""
    models = [
        {"model_name": f"m{index}", "litellm_params": dict(params)}
        for index, params in enumerate(entries)
    ]
    data = {"model_list": models, "count_tokens": {"cache": {"ttl": ttl}}}
    config = Config.from_mapping(data, environ or {})
    assert [deployment.problem for deployment in config.deployments] == [None] * len(models)
    count_tokens = CountTokens(config, authenticate=known_caller)
    async with count_tokens.lifespan():
        yield count_tokens


async def count_at(count_tokens: CountTokens, model: str = "m0") -> int:
    return (await count_tokens.count({**BODY, "model": model})).input_tokens


@pytest.fixture
def tokens() -> AnthropicTokens:
    return AnthropicTokens()


@pytest.mark.parametrize("source", ["text", "file", "oidc/file", "oidc/env", "reference"])
async def test_an_identity_token_is_exchanged_for_a_bearer(
    tokens: AnthropicTokens, tmp_path: Path, source: str
) -> None:
    (tmp_path / "token").write_text("eyJ.first.token\n")
    more, environ = {
        "text": ({"anthropic_identity_token": "eyJ.first.token"}, {}),
        "file": ({"anthropic_identity_token_file": f"{tmp_path}/token"}, {}),
        "oidc/file": ({"anthropic_identity_token": f"oidc/file/{tmp_path}/token"}, {}),
        "oidc/env": ({"anthropic_identity_token": "oidc/env/JWT"}, {"JWT": "eyJ.first.token"}),
        "reference": (
            {"anthropic_identity_token": "os.environ/JWT"},
            {"JWT": "eyJ.first.token"},
        ),
    }[source]
    with cloud(tokens.app) as upstream:
        async with counting(federated(upstream.url, **more), environ=environ) as count_tokens:
            assert await count_at(count_tokens) == count(BODY)
            assert await count_at(count_tokens) == count(BODY)
    assert tokens.counted == ["first", "first"]
    assert len(tokens.requests) == 1
    assert upstream.paths == ["/v1/oauth/token", *["/v1/messages/count_tokens"] * 2]
    assert "x-api-key" not in upstream.headers[1]


VARIABLES: Final = {
    "ANTHROPIC_FEDERATION_RULE_ID": RULE,
    "ANTHROPIC_ORGANIZATION_ID": ORGANIZATION,
    "ANTHROPIC_SERVICE_ACCOUNT_ID": "svac_1",
    "ANTHROPIC_WORKSPACE_ID": "wrkspc_1",
    "ANTHROPIC_IDENTITY_TOKEN": "eyJ.first.token",
}


async def test_an_entry_that_asks_for_it_takes_anthropics_variables(
    tokens: AnthropicTokens,
) -> None:
    with cloud(tokens.app) as upstream:
        entry = {
            "model": "anthropic/claude-sonnet-4-5",
            "api_base": upstream.url,
            "anthropic_federation_rule_id": RULE,
        }
        environ = {**VARIABLES, "ANTHROPIC_API_KEY": "sk-ant-of-another-account"}
        async with counting(entry, environ=environ) as count_tokens:
            await count_at(count_tokens)
    assert tokens.requests == [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": "eyJ.first.token",
            "federation_rule_id": RULE,
            "organization_id": ORGANIZATION,
            "service_account_id": "svac_1",
            "workspace_id": "wrkspc_1",
        }
    ]


def test_no_entry_federates_by_variables_alone() -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "anthropic/claude-x"}}
    (alone,) = Config.from_mapping({"model_list": [entry]}, VARIABLES).deployments
    assert "api_key is missing" in (alone.problem or "")
    environ = {**VARIABLES, "ANTHROPIC_API_KEY": "k"}
    (keyed,) = Config.from_mapping({"model_list": [entry]}, environ).deployments
    assert isinstance(keyed.params, AnthropicParams)
    assert not keyed.params.federates


# Anthropic's own SDK judges the exchange.


@pytest.mark.parametrize(
    ("more", "of_sdk"),
    [
        ({}, {}),
        (
            {
                "anthropic_service_account_id": "svac_1",
                "anthropic_federation_workspace_id": "default",
            },
            {"service_account_id": "svac_1", "workspace_id": "default"},
        ),
    ],
)
async def test_the_exchange_is_the_one_of_anthropics_sdk(
    tokens: AnthropicTokens, tmp_path: Path, more: dict[str, str], of_sdk: dict[str, Any]
) -> None:
    file = tmp_path / "token"
    file.write_text("eyJ.first.token\n")

    def count_by_sdk(url: str) -> int:
        credentials = WorkloadIdentityCredentials(
            identity_token_provider=IdentityTokenFile(file),
            federation_rule_id=RULE,
            organization_id=ORGANIZATION,
            **of_sdk,
        )
        with anthropic.Anthropic(
            base_url=url, credentials=credentials, max_retries=0, api_key=None
        ) as client:
            counted = client.messages.count_tokens(
                model=BODY["model"], messages=BODY["messages"]
            ).input_tokens
        credentials.close()
        return counted

    with cloud(tokens.app) as upstream:
        params = federated(upstream.url, anthropic_identity_token_file=str(file), **more)
        async with counting(params) as count_tokens:
            ours = await count_at(count_tokens)
        assert await asyncio.to_thread(count_by_sdk, upstream.url) == ours
    mine, theirs = tokens.requests
    assert mine == theirs
    assert upstream.paths[0] == upstream.paths[2] == "/v1/oauth/token"
    for name in ("anthropic-beta", "content-type"):
        assert upstream.headers[0][name] == upstream.headers[2][name]
    assert upstream.headers[1]["anthropic-beta"] == upstream.headers[3]["anthropic-beta"]
    for headers in (upstream.headers[1], upstream.headers[3]):
        assert headers["authorization"].startswith("Bearer token-")
        assert "x-api-key" not in headers


def test_the_variables_are_those_of_anthropics_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own chain selects the federation by the same variables."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    with anthropic.Anthropic() as client:
        provider = client.credentials
        assert provider is not None
        sdk = vars(provider)
        sdk["_http_client"].close()
    entry = {
        "model_name": "m",
        "litellm_params": {"model": "anthropic/x", "anthropic_federation_rule_id": RULE},
    }
    (deployment,) = Config.from_mapping({"model_list": [entry]}, VARIABLES).deployments
    params = deployment.params
    assert isinstance(params, AnthropicParams)
    assert (
        sdk["_federation_rule_id"],
        sdk["_organization_id"],
        sdk["_service_account_id"],
        sdk["_workspace_id"],
        sdk["_identity_token_provider"](),
    ) == (
        params.anthropic_federation_rule_id,
        params.anthropic_organization_id,
        params.anthropic_service_account_id,
        params.anthropic_federation_workspace_id,
        params.anthropic_identity_token and params.anthropic_identity_token.get_secret_value(),
    )


# Rotation and renewal


async def test_a_rotated_token_file_is_read_for_the_next_exchange(tmp_path: Path) -> None:
    """Anthropic takes each identity token once."""
    tokens = AnthropicTokens(once=True)
    file = tmp_path / "token"
    file.write_text("eyJ.first.token")
    with cloud(tokens.app) as upstream:
        params = federated(upstream.url, anthropic_identity_token_file=str(file))
        async with counting(params) as count_tokens:
            await count_at(count_tokens)
            tokens.tokens.clear()  # as if they were revoked
            with pytest.raises(CredentialsUnavailable, match="refused the identity token"):
                await count_at(count_tokens)
            file.write_text("eyJ.second.token")
            await count_at(count_tokens)
    assert tokens.counted == ["first", "second"]


async def test_a_401_is_answered_by_one_new_token_for_all(tokens: AnthropicTokens) -> None:
    with cloud(tokens.app) as upstream:
        async with counting(federated(upstream.url)) as count_tokens:
            await count_at(count_tokens)
            tokens.tokens.clear()
            await asyncio.gather(*(count_at(count_tokens) for _ in range(6)))
    assert len(tokens.requests) == 2


async def test_an_error_of_the_upstream_is_no_reason_for_a_new_token(
    tokens: AnthropicTokens,
) -> None:
    with cloud(tokens.app) as upstream:
        params = federated(upstream.url, model="anthropic/claude-does-not-exist")
        async with counting(params) as count_tokens:
            with pytest.raises(UpstreamError) as raised:
                await count_at(count_tokens)
    assert raised.value.status == 404
    assert len(tokens.requests) == 1


async def test_two_identities_share_no_token_and_no_count(tokens: AnthropicTokens) -> None:
    with cloud(tokens.app) as upstream:
        entries = [
            federated(upstream.url, anthropic_identity_token=f"eyJ.{name}.token")
            for name in ("first", "second")
        ]
        async with counting(*entries, ttl=300) as count_tokens:
            for model in ("m0", "m1", "m0", "m1"):
                await count_at(count_tokens, model)
    assert tokens.counted == ["first", "second"]
    assert len(tokens.requests) == 2


class Clock:
    """The seconds since the epoch, which the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds_left", "answer", "fetched"),
    [(3600, "t1", 1), (121, "t1", 1), (119, "t1", 2), (31, "t1", 2), (29, "t2", 2), (-5, "t2", 2)],
)
async def test_a_token_is_used_while_it_is_renewed_and_waited_for_at_its_end(
    seconds_left: float, answer: str, fetched: int
) -> None:
    clock, calls = Clock(), 0

    async def fetch() -> AccessToken:
        nonlocal calls
        calls += 1
        return AccessToken(f"t{calls}", 4600)

    tokens = BearerTokens(fetch, "x: the server", clock=clock)
    assert await tokens.token() == "t1"
    clock.now = 4600 - seconds_left
    assert await tokens.token() == answer
    await asyncio.sleep(0)
    assert calls == fetched
    await tokens.aclose()


async def test_a_failed_renewal_leaves_an_expiring_token_in_use() -> None:
    clock, fails = Clock(), False

    async def fetch() -> AccessToken:
        if fails:
            raise CredentialsUnavailable("no")
        return AccessToken("t", 1100)

    tokens = BearerTokens(fetch, "x: the server", clock=clock)
    await tokens.token()
    fails = True
    assert [await tokens.token() for _ in range(3)] == ["t"] * 3
    clock.now = 1090
    with pytest.raises(CredentialsUnavailable):
        await tokens.token()


# Failures

Answer = Callable[[], Response]


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (lambda: Response("canary", 400), 500, "with the status 400"),
        (lambda: JSONResponse({"error": "canary"}, 401), 500, "with the status 401"),
        (
            lambda: JSONResponse({}, 429, {"retry-after": "7"}),
            502,
            "token server answered 429 instead of a token",
        ),
        (lambda: JSONResponse({}, 529), 502, "token server answered 529 instead of a token"),
        (
            lambda: JSONResponse({}, 302, {"location": "/"}),
            502,
            "token server answered 302 instead of a token",
        ),
        (lambda: Response("<html>canary"), 502, "answered without a token"),
        (lambda: JSONResponse(["canary"]), 502, "answered without a token"),
        (lambda: JSONResponse({"access_token": "t"}), 502, "answered without a token"),
        (lambda: JSONResponse({"access_token": 5, "expires_in": 5}), 502, "without a token"),
        (lambda: JSONResponse({"access_token": "t\n", "expires_in": 5}), 502, "without a token"),
        (lambda: JSONResponse({"access_token": "t", "expires_in": -1}), 502, "without a token"),
        (lambda: JSONResponse({"access_token": "t", "expires_in": "x"}), 502, "without a token"),
        (lambda: Response('{"access_token":"t","expires_in":1e999}'), 502, "without a token"),
        (
            lambda: JSONResponse({"access_token": "t", "expires_in": 5, "token_type": "mac"}),
            502,
            "without a token",
        ),
        (lambda: Response("[" * 100_000), 502, "answered without a token"),
        (lambda: Response(b" " * 2**21), 502, "with more than 1 MB"),
    ],
)
async def test_a_token_server_that_gives_no_token_is_an_error_that_says_why(
    tokens: AnthropicTokens, answer: Answer, status: int, message: str
) -> None:
    tokens.answer = answer()
    with cloud(tokens.app) as upstream:
        async with counting(federated(upstream.url)) as count_tokens:
            with pytest.raises(CountError) as raised:
                await count_at(count_tokens)
            async with mounted(count_tokens) as client:
                body = {**BODY, "model": "m0"}
                response = await client.post("/v1/messages/count_tokens", json=body)
    assert raised.value.status == response.status_code == status
    assert response.headers.get("retry-after") == (tokens.answer.headers.get("retry-after"))
    assert message in raised.value.message
    assert "canary" not in response.text
    assert tokens.counted == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "is empty"), (b"x" * 20_000, "too long"), (b"\xff", "cannot")],
)
async def test_an_unusable_token_file_is_a_500_that_does_not_quote_it(
    tokens: AnthropicTokens, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "canary").write_bytes(content)
    with cloud(tokens.app) as upstream:
        params = federated(upstream.url, anthropic_identity_token_file=f"{tmp_path}/canary")
        async with counting(params) as count_tokens:
            with pytest.raises(CredentialsUnavailable, match=message) as raised:
                await count_at(count_tokens)
    assert "canary" not in raised.value.message
    assert upstream.paths == []


async def test_a_token_file_is_read_off_the_event_loop(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")  # a read blocks until a write
    params = federated("http://127.0.0.1:1", anthropic_identity_token_file=f"{tmp_path}/token")
    tokens = federated_tokens(AnthropicParams.model_validate(params), HttpClient())
    tokens._renewals._seconds = 0.1
    with pytest.raises(CountError, match="did not issue a token in time"):
        await tokens.token()
    with (tmp_path / "token").open("w") as token:  # ends the thread
        token.write("x")


async def test_the_pass_through_may_federate_too(tokens: AnthropicTokens) -> None:
    with cloud(tokens.app) as upstream:
        section = {
            "passthrough": {
                "anthropic": {
                    **IDS,
                    "api_base": upstream.url,
                    "anthropic_identity_token": "eyJ.first.token",
                }
            }
        }
        config = Config.from_mapping({"count_tokens": section}, {"ANTHROPIC_API_KEY": "k"})
        count_tokens = CountTokens(config, authenticate=known_caller)
        async with count_tokens.lifespan(), mounted(count_tokens) as client:
            path = "/anthropic/v1/messages/count_tokens"
            headers = {"anthropic-beta": "a,b", "anthropic-version": "2023-06-01"}
            response = await client.post(path, json=BODY, headers=headers)
    assert response.json() == {"input_tokens": count(BODY)}
    assert upstream.headers[1]["anthropic-beta"] == "a,b,oauth-2025-04-20"
    assert tokens.counted == ["first"]


PROBLEMS: Final = {
    "no organization": (
        {"anthropic_federation_rule_id": RULE},
        "anthropic_organization_id is missing; set it or ANTHROPIC_ORGANIZATION_ID",
    ),
    "no rule": (
        {"anthropic_organization_id": ORGANIZATION},
        "anthropic_federation_rule_id is missing; set it or ANTHROPIC_FEDERATION_RULE_ID",
    ),
    "no token": (IDS, "anthropic_identity_token_file is missing; set it, or"),
    "a key too": (
        {**IDS, "anthropic_identity_token": "a.b.c", "api_key": "k"},
        "api_key and anthropic_federation_rule_id are both set; keep one of them",
    ),
    "a header too": (
        {
            **IDS,
            "anthropic_identity_token": "a.b.c",
            "extra_headers": {"authorization": "Bearer k"},
        },
        "anthropic_federation_rule_id and extra_headers are both set",
    ),
    "no TLS": (
        {**IDS, "anthropic_identity_token": "a.b.c", "api_base": "http://gateway.example"},
        "api_base: the token exchange requires https://",
    ),
    "an unset variable": (
        {**IDS, "anthropic_identity_token": "oidc/env/NOWHERE"},
        "the environment variable of oidc/env/NAME is not set",
    ),
    "another reference": (
        {**IDS, "anthropic_identity_token": "oidc/github/audience"},
        "only oidc/env/NAME and oidc/file/PATH are supported",
    ),
}


@pytest.mark.parametrize(("params", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_an_entry_that_cannot_federate_has_a_problem(
    params: Mapping[str, Any], problem: str
) -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "anthropic/claude-x", **params}}
    (deployment,) = Config.from_mapping({"model_list": [entry]}, {}).deployments
    assert problem in (deployment.problem or "")


def test_a_file_takes_precedence_over_a_token_as_in_litellm_and_the_sdk() -> None:
    both = {**IDS, "anthropic_identity_token": "a.b.c", "anthropic_identity_token_file": "/t"}
    params = AnthropicParams.model_validate(both)
    assert (params.anthropic_identity_token, params.anthropic_identity_token_file) == (None, "/t")
    environ = {"ANTHROPIC_IDENTITY_TOKEN": "a.b.c", "ANTHROPIC_IDENTITY_TOKEN_FILE": "/t"}
    for own, expected in (
        ({}, {"anthropic_identity_token_file"}),
        ({"anthropic_identity_token": "x.y.z"}, set()),
        ({"anthropic_identity_token_file": "/u"}, set()),
    ):
        variables = AnthropicParams.federation_variables({**IDS, **own}, environ)
        assert {name for name in variables if "token" in name} == expected


def test_the_account_has_the_identity_and_discloses_no_token(upstream: FakeUpstream) -> None:
    def account(**more: str) -> str:
        return AnthropicParams.model_validate(federated("https://h", **more)).account

    first = account(anthropic_identity_token_file="/a")
    others = [
        account(anthropic_identity_token_file="/b"),
        account(anthropic_identity_token_file="/a", anthropic_service_account_id="svac_2"),
        account(anthropic_identity_token_file="/a", anthropic_federation_workspace_id="w"),
    ]
    assert first == account(anthropic_identity_token_file="/a")
    assert len({first, *others}) == 4
    params = AnthropicParams.model_validate(federated("https://h"))
    assert "eyJ" not in json.dumps(repr(params))
