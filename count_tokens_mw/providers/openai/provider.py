"""OpenAI's token counting API, and every server with the same API.

https://developers.openai.com/api/reference/resources/responses/subresources/input_tokens
"""

from count_tokens_mw.config.params.openai import AzureOpenAIParams, OpenAIParams
from count_tokens_mw.config.providers import spec_of
from count_tokens_mw.errors import UpstreamError
from count_tokens_mw.providers.anthropic import Anthropic
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.openai.errors import explain_error
from count_tokens_mw.providers.openai.translation import input_tokens_request
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.providers.translation.encoding import encode_translation
from count_tokens_mw.types import CountRequest, Headers, TokenCount, UpstreamCall

__all__ = ["OpenAI", "create"]


class OpenAI:
    """Deployment of a model that is counted by OpenAI's Responses API."""

    prepare_in_thread = True
    leaves_loop = True

    def __init__(self, params: OpenAIParams, http: HttpClient) -> None:
        self.name = spec_of(params).name
        self._params = params
        self._http = http
        self._headers = _headers(params)

    def prepare(self, request: CountRequest) -> UpstreamCall:
        model = self._params.countable_model(request.model)
        body, omitted = encode_translation(
            request.body, input_tokens_request, lambda content: {"model": model, **content}
        )
        target = f"{self._params.endpoint}/responses/input_tokens"
        return UpstreamCall(self.name, target, self._headers, body, model=model, omitted=omitted)

    async def send(self, call: UpstreamCall) -> TokenCount:
        try:
            return parse_count(call.provider, await self._http.post(call))
        except UpstreamError as error:
            raise explain_error(call.provider, error) from error

    async def aclose(self) -> None:
        """Do nothing, because the HTTP client is shared."""


def create(params: OpenAIParams, http: HttpClient) -> OpenAI | Anthropic:
    """Return the provider for the API that `count_tokens_via` names, by default OpenAI's."""
    return (Anthropic if params.count_tokens_via == "anthropic" else OpenAI)(params, http)


def _headers(params: OpenAIParams) -> Headers:
    headers = {"accept": "application/json", "content-type": "application/json"}
    if params.auth_token:
        headers["authorization"] = f"Bearer {params.auth_token.get_secret_value()}"
    elif params.api_key:
        key = params.api_key.get_secret_value()
        is_azure = isinstance(params, AzureOpenAIParams)
        headers |= {"api-key": key} if is_azure else {"authorization": f"Bearer {key}"}
    if params.organization:
        headers["openai-organization"] = params.organization
    return tuple({**headers, **params.extra_headers}.items())
