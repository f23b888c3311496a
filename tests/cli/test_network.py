"""A check names where credentials, proxies and certificates come from, and hints at failures."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from count_tokens_mw import CredentialsUnavailable, UpstreamUnreachable, UpstreamUnusable
from count_tokens_mw.__main__ import main
from count_tokens_mw.cli.hints import hint_for
from demo_app.emulators import EmulatedGoogle
from tests.support.cloud import cloud, vertex_params
from tests.support.company_network import PrivateCa
from tests.support.token_servers import ORGANIZATION, RULE, AnthropicTokens

CANARY: Final = "canary-of-the-gateway"
FEDERATED: Final = {
    "model": "anthropic/claude-sonnet-4-5",
    "anthropic_federation_rule_id": RULE,
    "anthropic_organization_id": ORGANIZATION,
    "anthropic_identity_token_file": f"/run/{CANARY}",
}
FOUNDRY: Final = {
    "model": "azure_ai/claude-x",
    "api_base": "https://internal.example",
    "tenant_id": "t",
    "client_id": "c",
    "client_secret": CANARY,
}


def check(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *options: str,
    http: dict[str, Any],
    **entries: dict[str, Any],
) -> Any:
    """Return the report of a check, which names no canary."""
    models = [{"model_name": name, "litellm_params": params} for name, params in entries.items()]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"model_list": models, "count_tokens": {"http": http}}))
    main(["check", str(path), *options])
    output = capsys.readouterr().out
    assert CANARY not in output
    return output if "--json" not in options else json.loads(output)


def test_the_sources_are_shown_and_nothing_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = PrivateCa(tmp_path).file
    monkeypatch.setenv("HTTPS_PROXY", f"http://u:{CANARY}@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "internal.example")
    http = {"trust_env": True, "ca_file": ca}
    report = check(tmp_path, capsys, "--json", http=http, a=FEDERATED, b=FOUNDRY)
    assert [(row["credential"], row["network"]) for row in report["deployments"]] == [
        (
            "litellm_params.anthropic_identity_token_file, exchanged for Anthropic's token",
            "proxy from HTTPS_PROXY, certificates from count_tokens.http.ca_file",
        ),
        (
            "litellm_params.client_secret, for a token of Entra ID",
            "certificates from count_tokens.http.ca_file",
        ),
    ]
    text = check(tmp_path, capsys, http=http, a=FEDERATED, b=FOUNDRY)
    assert "    network     certificates from count_tokens.http.ca_file\n" in text


def test_without_settings_nothing_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    report = check(tmp_path, capsys, "--json", http={}, a=FEDERATED)
    assert report["deployments"][0]["network"] is None


def test_a_probe_uses_the_proxy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    http = {"proxy": f"http://u:{CANARY}@127.0.0.1:1"}
    entry = {"model": "anthropic/claude-x", "api_key": "sk-ant-of-nobody"}
    report = check(tmp_path, capsys, "--probe", "--json", http=http, a=entry)
    (row,) = report["deployments"]
    assert row["state"] == "failed"
    assert row["network"] == "proxy from count_tokens.http.proxy"
    assert "the proxy failed" in row["words"]
    assert "check count_tokens.http.proxy" in row["hint"]


def test_a_probe_with_a_refused_identity_has_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(CANARY)
    with cloud(AnthropicTokens().app) as upstream:
        entry = {
            **FEDERATED,
            "api_base": upstream.url,
            "anthropic_identity_token_file": str(tmp_path / "token"),
        }
        report = check(tmp_path, capsys, "--probe", "--json", http={}, a=entry)
    (row,) = report["deployments"]
    assert "refused the identity token with the status 401" in row["words"]
    assert "the federation rule's history" in row["hint"]


def test_a_probe_shows_nothing_of_a_key_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An upstream may repeat the credential that it refuses."""

    async def refuse(request: Request) -> Response:
        return JSONResponse({"error": {"message": f"no {CANARY}"}}, 403)

    google = EmulatedGoogle()
    app = Starlette(
        routes=[Route("/v1/{at:path}", refuse, methods=["POST"]), Mount("/", google.app)]
    )
    with cloud(app) as upstream:
        params = vertex_params(google, upstream.url, "gemini-2.5-flash")
        key = {**params["vertex_credentials"], "project_id": CANARY}
        (tmp_path / "key.json").write_text(json.dumps(key))
        params["vertex_credentials"] = str(tmp_path / "key.json")
        report = check(tmp_path, capsys, "--probe", "--json", http={}, a=params)
    assert report["deployments"][0]["words"].endswith("no …")


@pytest.mark.parametrize(
    ("provider", "error", "excerpt"),
    [
        ("anthropic", CredentialsUnavailable("the identity token file cannot be read."), "mounted"),
        (
            "anthropic",
            CredentialsUnavailable("the identity token is empty, or too long"),
            "mounted",
        ),
        ("anthropic", UpstreamUnusable("the token server answered 429 instead."), "retry"),
        (
            "azure_ai",
            CredentialsUnavailable("Entra ID refused (AADSTS7000215)."),
            "its id does not",
        ),
        ("azure_ai", CredentialsUnavailable("Entra ID refused (AADSTS7000222)."), "has expired"),
        ("azure_ai", CredentialsUnavailable("Entra ID refused (AADSTS700016)."), "no application"),
        ("azure_ai", CredentialsUnavailable("Entra ID refused (AADSTS90002)."), "no tenant_id"),
        ("azure_ai", CredentialsUnavailable("Entra ID refused (AADSTS700213)."), "federated cred"),
        ("azure_ai", CredentialsUnavailable("Entra ID refused (AADSTS70021)."), "federated cred"),
        ("azure_ai", CredentialsUnavailable("the federated token file cannot"), "mounted token"),
        ("azure_ai", CredentialsUnavailable("refused the gateway's identity."), "check tenant_id"),
        ("azure_ai", CredentialsUnavailable("has no such managed identity."), "assign one"),
        ("azure_ai", UpstreamUnusable("Entra ID failed with the status 503."), "retry"),
        ("vertex_ai", CredentialsUnavailable("the key file has another account"), "reload"),
        ("vertex_ai", CredentialsUnavailable("Google refuses the gateway's key."), "renew it"),
        ("vertex_ai", CredentialsUnavailable("a token; its certificate is not trusted"), "ca_file"),
        ("bedrock", UpstreamUnreachable("AWS; the proxy answered 407."), "a user and a password"),
        ("gemini", UpstreamUnreachable("gemini; its certificate is not trusted."), "ca_file"),
        ("gemini", UpstreamUnreachable("gemini; the proxy failed."), "count_tokens.http.proxy"),
        ("vertex_ai", CredentialsUnavailable("a token; the proxy failed."), "http.proxy"),
    ],
)
def test_a_usual_failure_has_a_hint(provider: str, error: Any, excerpt: str) -> None:
    assert excerpt in (hint_for(provider, error) or "")
