"""Anthropic's token counting API, and every server with the same API.

https://docs.claude.com/en/api/messages-count-tokens
"""

import re
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr

from count_tokens_mw.config.params.anthropic import (
    AnthropicParams,
    AzureParams,
    MessagesParams,
    PassthroughParams,
)
from count_tokens_mw.config.providers import spec_of
from count_tokens_mw.providers.bearer import BearerTokens, send_with_token
from count_tokens_mw.providers.claude.betas import body_betas
from count_tokens_mw.providers.claude.fields import edit_fields
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import check_server, parse_count
from count_tokens_mw.types import CountRequest, Headers, TokenCount, UpstreamCall

__all__ = ["Anthropic", "AnthropicPassthrough", "combine_header_lines", "create"]

_BARE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MOST_HEADERS: Final = 16
_LONGEST_HEADERS: Final = 1024  # names and values, in characters
_PATH: Final = "/v1/messages/count_tokens"
_DEFAULT_VERSION: Final = "2023-06-01"
_OAUTH_BETA: Final = "oauth-2025-04-20"


class Anthropic:
    """Deployment of a model; a request changes only in `model` and in what is no input."""

    prepare_in_thread = False
    leaves_loop = False

    def __init__(
        self, params: MessagesParams, http: HttpClient, tokens: BearerTokens | None = None
    ) -> None:
        self.name = spec_of(params).name
        self._params = params
        self._http = http
        self._tokens = tokens
        # Cached, because most callers send the same few headers: it saves 2 % of an uncached count.
        self._cached_headers: dict[tuple[Headers, str], Headers] = {}

    def prepare(self, request: CountRequest) -> UpstreamCall:
        body, _ = edit_fields(request.body, {"model": request.model}, "anthropic")
        betas = ",".join(body_betas(request))
        key = (_add_default_version(request.headers), betas)
        headers = self._cached_headers.get(key) or self._cache_headers(*key)
        return UpstreamCall(self.name, self._params.endpoint + _PATH, headers, body)

    def _cache_headers(self, native: Headers, betas: str) -> Headers:
        headers = _headers(self._params, native, betas)
        if len(betas) + sum(len(name) + len(value) for name, value in native) <= _LONGEST_HEADERS:
            if len(self._cached_headers) >= _MOST_HEADERS:
                self._cached_headers.clear()
            self._cached_headers[native, betas] = headers
        return headers

    async def send(self, call: UpstreamCall) -> TokenCount:
        if self._tokens is None:
            return await self._post(call)
        return await send_with_token(self._tokens, call, self._post)

    async def aclose(self) -> None:
        """End a renewal of the access token; the HTTP client is shared."""
        if self._tokens is not None:
            await self._tokens.aclose()

    async def _post(self, call: UpstreamCall) -> TokenCount:
        answer = await self._http.post(call)
        if self._params.is_own_server:
            check_server(call.provider, answer)
        needs_source = self._params.needs_source
        return parse_count(call.provider, answer, verbatim=True, needs_source=needs_source)


class AnthropicPassthrough(Anthropic):
    """Passthrough to Anthropic's API of the body, the native headers and the query.

    The body stays byte-identical. In the query, invalid characters are percent-encoded. The call
    carries the gateway's credential, or the caller's own if the request has one.
    """

    def prepare(self, request: CountRequest) -> UpstreamCall:
        query = f"?{_escape_query(request.query)}" if request.query else ""
        url = self._params.api_base + _PATH + query
        headers = (*_headers(self._params, request.headers), *request.credentials)
        return UpstreamCall(self.name, url, headers, request.body.raw)


def create(params: MessagesParams, http: HttpClient) -> Anthropic:
    """Return the provider for a deployment's parameters, or for those of the pass-through."""
    is_passthrough = isinstance(params, PassthroughParams)
    return (AnthropicPassthrough if is_passthrough else Anthropic)(
        params, http, _create_tokens(params, http)
    )


def _create_tokens(params: MessagesParams, http: HttpClient) -> BearerTokens | None:
    """Return the access tokens for a deployment whose credential a token server issues."""
    if params.issued_by is not None and isinstance(params, AnthropicParams):
        from count_tokens_mw.providers.federation import federated_tokens

        return federated_tokens(params, http)
    if params.issued_by is not None and isinstance(params, AzureParams):
        from count_tokens_mw.providers.entra import entra_tokens

        return entra_tokens(params, http)
    return None


def _escape_query(query: str) -> str:
    """Escape characters that are invalid in a query.

    https://www.rfc-editor.org/rfc/rfc3986#section-3.4
    """
    return _BARE_PERCENT.sub("%25", quote(query, safe="%!$&'()*+,;=:@/?"))


def _add_default_version(native: Headers) -> Headers:
    if any(name == "anthropic-version" for name, _ in native):
        return native
    return (("anthropic-version", _DEFAULT_VERSION), *native)


def _length_of(native: Headers) -> int:
    return sum([len(name) + len(value) for name, value in native])


def combine_header_lines(native: Headers) -> dict[str, str]:
    """Combine header lines of one name into one comma-separated value.

    https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    lines: dict[str, list[str]] = {}
    for name, value in native:
        lines.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in lines.items()}


def _headers(params: MessagesParams, native: Headers, betas_of_body: str = "") -> Headers:
    headers = {
        "accept": "application/json",
        "content-type": "application/json",
        **combine_header_lines(native),
    }
    credential, needed_beta = _credential(params)
    extra = dict(params.extra_headers)
    configured_betas = extra.pop("anthropic-beta", "")
    ours = (betas_of_body, configured_betas, needed_beta)
    betas = _merge_betas(headers.get("anthropic-beta"), *ours)
    if betas is not None:
        headers["anthropic-beta"] = betas
    return tuple({**headers, **credential, **extra}.items())


def _credential(params: MessagesParams) -> tuple[dict[str, str], str]:
    """Return the credential's header, if it is configured, and the beta that its kind requires."""
    secret: SecretStr | None = params.auth_token or params.api_key
    if secret is None:
        is_federated = isinstance(params, AnthropicParams) and params.federates
        return {}, _OAUTH_BETA if is_federated else ""
    token = secret.get_secret_value()
    oauth = token.startswith("sk-ant-oat")
    if params.auth_token or params.key_is_bearer or oauth:
        return {"authorization": f"Bearer {token}"}, _OAUTH_BETA if oauth else ""
    return {"x-api-key": token}, ""


def _merge_betas(callers: str | None, *ours: str) -> str | None:
    """Return the caller's header verbatim, followed by the other betas that it lacks."""
    named = {beta.strip() for beta in (callers or "").split(",")}
    configured = [beta.strip() for betas in ours for beta in betas.split(",")]
    added = [beta for beta in configured if beta not in named]
    if not any(added):
        return callers
    return ",".join(filter(None, [callers, *dict.fromkeys(added)]))
