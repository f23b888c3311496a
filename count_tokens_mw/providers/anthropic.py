"""Anthropic's token counting API, and every server that speaks its format.

https://docs.claude.com/en/api/messages-count-tokens
"""

import re
from functools import lru_cache, partial
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr

from count_tokens_mw.config.params.anthropic import AnthropicParams, PassthroughParams
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.types import CountRequest, Headers, TokenCount, UpstreamCall

__all__ = ["GENERATION_ONLY", "Anthropic", "AnthropicPassthrough", "flight"]

GENERATION_ONLY: Final = frozenset(
    {
        "max_tokens",
        "metadata",
        "service_tier",
        "stop_sequences",
        "stream",
        "temperature",
        "top_k",
        "top_p",
        "user",
    }
)
"""Fields of `/v1/messages` that say nothing about the input, and that the counting API refuses."""

_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").sub
_MOST_HEADERS: Final = 16
_PATH: Final = "/v1/messages/count_tokens"
_DEFAULT_VERSION: Final = "2023-06-01"
_OAUTH_BETA: Final = "oauth-2025-04-20"


class Anthropic:
    """A deployment of a model: lossless but for `model` and the fields that only generate."""

    prepare_in_thread = False

    def __init__(
        self, params: AnthropicParams, http: HttpClient, *, name: str = "anthropic"
    ) -> None:
        self.name = name
        self._params = params
        self._http = http
        # Most callers send the same few.
        self._headers = lru_cache(_MOST_HEADERS)(partial(_headers, params))

    def prepare(self, request: CountRequest) -> UpstreamCall:
        body = request.body.edit({"model": request.model}, drop=GENERATION_ONLY)
        headers = self._headers(_versioned(request.headers))
        return UpstreamCall(self.name, self._params.endpoint + _PATH, headers, body)

    async def send(self, call: UpstreamCall) -> TokenCount:
        answer = await self._http.post(call)
        return parse_count(call.provider, answer, verbatim=True)

    async def aclose(self) -> None:
        """Nothing to do: the HTTP client is shared."""


class AnthropicPassthrough:
    """Anthropic's API as it is: body, native headers and query go through.

    The body byte for byte; of the query, what may not stand there is escaped.
    Under the gateway's credential, or under the caller's own where the request has that.
    """

    name = "anthropic"
    prepare_in_thread = False

    def __init__(self, params: PassthroughParams, http: HttpClient) -> None:
        self._params = params
        self._api = Anthropic(params, http)

    def prepare(self, request: CountRequest) -> UpstreamCall:
        url = (
            self._params.api_base + _PATH + (f"?{_escaped(request.query)}" if request.query else "")
        )
        headers = (*_headers(self._params, request.headers), *request.credentials)
        return UpstreamCall(self.name, url, headers, request.body.raw)

    async def send(self, call: UpstreamCall) -> TokenCount:
        return await self._api.send(call)

    async def aclose(self) -> None:
        await self._api.aclose()


def _escaped(query: str) -> str:
    """https://www.rfc-editor.org/rfc/rfc3986#section-3.4"""
    return _NO_ESCAPE("%25", quote(query, safe="%!$&'()*+,;=:@/?"))


def _versioned(native: Headers) -> Headers:
    if any(name == "anthropic-version" for name, _ in native):
        return native
    return (("anthropic-version", _DEFAULT_VERSION), *native)


def flight(native: Headers) -> dict[str, str]:
    """Header lines by their names; those of one name are one list, as HTTP has it."""
    headers: dict[str, str] = {}
    for name, value in native:
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _headers(params: AnthropicParams, native: Headers) -> Headers:
    headers = {"accept": "application/json", "content-type": "application/json", **flight(native)}
    credential, needed_beta = _credential(params)
    extra = dict(params.extra_headers)
    betas = _with_betas(headers.get("anthropic-beta"), extra.pop("anthropic-beta", ""), needed_beta)
    if betas is not None:
        headers["anthropic-beta"] = betas
    return tuple({**headers, **credential, **extra}.items())


def _credential(params: AnthropicParams) -> tuple[dict[str, str], str]:
    """The header that says who asks, and the beta that this kind of credential needs."""
    secret: SecretStr | None = params.auth_token or params.api_key
    if secret is None:
        return {}, ""
    token = secret.get_secret_value()
    oauth = token.startswith("sk-ant-oat")
    if params.auth_token or oauth:
        return {"authorization": f"Bearer {token}"}, _OAUTH_BETA if oauth else ""
    return {"x-api-key": token}, ""


def _with_betas(callers: str | None, *ours: str) -> str | None:
    """The caller's list verbatim, followed by those of ours that it does not name."""
    named = {beta.strip() for beta in (callers or "").split(",")}
    added = [beta for each in ours for beta in map(str.strip, each.split(",")) if beta not in named]
    if not any(added):
        return callers
    return ",".join(filter(None, [callers, *dict.fromkeys(added)]))
