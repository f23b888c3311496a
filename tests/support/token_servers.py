"""Token servers of Anthropic and Entra ID, each strict about the grant, before an upstream.

https://platform.claude.com/docs/en/manage-claude/workload-identity-federation and
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from demo_app.emulators import EMULATED_KEY, emulated_anthropic

RULE = "fdrl_01emulated"
ORGANIZATION = "7d3b2a10-0000-4000-8000-000000000001"
TENANT = "9c1f0000-0000-4000-8000-00000000000a"
CLIENT = "2b2b0000-0000-4000-8000-00000000000b"
CLIENT_SECRET = "client~secret_of-Entra"
SCOPE = "https://ai.azure.com/.default"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenServer:
    """Server of access tokens, and the upstream that takes them as bearer.

    `requests` are the accepted forms or objects of the token requests, in order. `answer` replaces
    every answer of the token server. `counted` has the identity of each counted request.
    """

    needed_beta = ""

    def __init__(self, lifetime: int = 3600) -> None:
        self.lifetime = lifetime
        self.answer: Response | None = None
        self.requests: list[Mapping[str, str]] = []
        self.heads: list[Mapping[str, str]] = []
        self.counted: list[str] = []
        self.tokens: dict[str, str] = {}
        self._upstream = emulated_anthropic()
        self.app = Starlette(routes=[*self.routes(), Mount("/", self._count)])

    def routes(self) -> list[Route]:
        """Return the routes of the token server."""
        raise NotImplementedError

    def issue(self, identity: str, **more: Any) -> Response:
        """Return the answer with a new token for an identity."""
        token = f"token-{secrets.token_hex(8)}"
        self.tokens[token] = identity
        return JSONResponse(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime, **more}
        )

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = MutableHeaders(scope=scope)
        identity = self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        betas = headers.get("anthropic-beta", "").split(",")
        if identity is None or (self.needed_beta and self.needed_beta not in betas):
            error = {"type": "authentication_error", "message": "invalid bearer token"}
            await JSONResponse({"type": "error", "error": error}, 401)(scope, receive, send)
            return
        self.counted.append(identity)
        del headers["authorization"]
        headers["x-api-key"] = EMULATED_KEY
        path = scope["path"].removeprefix("/anthropic")
        await self._upstream({**scope, "path": path, "root_path": ""}, receive, send)


class AnthropicTokens(TokenServer):
    """Anthropic with its token server, for one federation rule.

    `subjects` maps each identity token to the identity that it proves; a token is taken once if
    `once` is set.
    """

    needed_beta = "oauth-2025-04-20"

    def __init__(self, lifetime: int = 3600, *, once: bool = False) -> None:
        super().__init__(lifetime)
        self.subjects = {"eyJ.first.token": "first", "eyJ.second.token": "second"}
        self.once = once

    def routes(self) -> list[Route]:
        return [Route("/v1/oauth/token", self._exchange, methods=["POST"])]

    async def _exchange(self, request: Request) -> Response:
        if self.answer is not None:
            return self.answer
        raw = await request.body()
        betas = request.headers.get("anthropic-beta", "").split(",")
        if request.headers.get("content-type") != "application/json":
            return _oauth_error(400, "invalid_request", "content-type")
        if "oidc-federation-2026-04-01" not in betas:
            return _oauth_error(400, "invalid_request", "beta")
        members = json.loads(raw)
        known = {"grant_type", "assertion", "federation_rule_id", "organization_id"}
        if not known <= members.keys() <= known | {"service_account_id", "workspace_id"}:
            return _oauth_error(400, "invalid_request", "members")
        if members["grant_type"] != _JWT_BEARER:
            return _oauth_error(400, "unsupported_grant_type", members["grant_type"])
        subject = self.subjects.get(members["assertion"])
        is_rule = (members["federation_rule_id"], members["organization_id"]) == (
            RULE,
            ORGANIZATION,
        )
        if subject is None or not is_rule:
            return _oauth_error(401, "invalid_grant", "denied")
        if self.once:
            del self.subjects[members["assertion"]]
        self.requests.append(members)
        self.heads.append(dict(request.headers))
        return self.issue(subject)


class EntraTokens(TokenServer):
    """Foundry with Entra ID, for one tenant, and the metadata server of a virtual machine.

    `secrets` maps each client to its secret, and `federated` the identity tokens to their clients.
    """

    def __init__(self, lifetime: int = 3600) -> None:
        super().__init__(lifetime)
        self.secrets = {CLIENT: CLIENT_SECRET, "other-client": "other-secret"}
        self.federated = {"eyJ.first.token": CLIENT}

    def routes(self) -> list[Route]:
        return [
            Route("/{tenant}/oauth2/v2.0/token", self._issue, methods=["POST"]),
            Route("/metadata/identity/oauth2/token", self._issue_to_machine, methods=["GET"]),
        ]

    async def _issue(self, request: Request) -> Response:
        if self.answer is not None:
            return self.answer
        form = {name: value[0] for name, value in parse_qs((await request.body()).decode()).items()}
        client = form.get("client_id", "")
        if request.path_params["tenant"] != TENANT:
            return _entra_error(400, "invalid_request", 90002, "Tenant not found")
        if form.get("grant_type") != "client_credentials" or form.get("scope") != SCOPE:
            return _entra_error(400, "invalid_scope", 70011, "grant or scope")
        if client not in self.secrets:
            return _entra_error(400, "unauthorized_client", 700016, "Application not found")
        if "client_assertion" in form:
            is_type = form.get("client_assertion_type") == _ASSERTION
            if not is_type or self.federated.get(form["client_assertion"]) != client:
                return _entra_error(401, "invalid_client", 700213, "No matching federated identity")
        elif form.get("client_secret") != self.secrets[client]:
            return _entra_error(401, "invalid_client", 7000215, "Invalid client secret provided")
        self.requests.append(form)
        return self.issue(client)

    async def _issue_to_machine(self, request: Request) -> Response:
        query = request.query_params
        if request.headers.get("metadata") != "true" or query.get("resource", "-") not in SCOPE:
            return JSONResponse({"error": "invalid_request"}, 400)
        self.requests.append(dict(query))
        client = query.get("client_id", "the machine")
        return self.issue(client, expires_on=str(2**33), resource=query["resource"])


def _oauth_error(status: int, error: str, text: str) -> Response:
    return JSONResponse({"error": error, "error_description": text}, status)


def _entra_error(status: int, error: str, code: int, text: str) -> Response:
    description = f"AADSTS{code}: {text}. Trace ID: 1 Correlation ID: 2"
    return JSONResponse(
        {"error": error, "error_description": description, "error_codes": [code]}, status
    )
