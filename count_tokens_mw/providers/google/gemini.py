"""The Gemini API (AI Studio): `countTokens`.

https://ai.google.dev/api/tokens
"""

from urllib.parse import quote

from count_tokens_mw.config.params.google import GeminiParams
from count_tokens_mw.providers.google.body import google_body
from count_tokens_mw.providers.google.dialect import dialect_of
from count_tokens_mw.providers.google.resources import gemini_resource
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.types import CountRequest, TokenCount, UpstreamCall

__all__ = ["Gemini"]


class Gemini:
    """Deployment of a Gemini model, by API key."""

    name = "gemini"
    prepare_in_thread = True
    leaves_loop = True

    def __init__(self, params: GeminiParams, http: HttpClient) -> None:
        self._params = params
        self._http = http

    def prepare(self, request: CountRequest) -> UpstreamCall:
        """Return a call with `generateContentRequest`; `contents` alone has no system or tools."""
        resource = gemini_resource(request.model)
        dialect = dialect_of(
            "gemini_api", self._params.base_name or resource, signs_calls=self._params.signs_calls
        )
        body, omitted = google_body(
            request.body,
            dialect,
            lambda content: {"generateContentRequest": {"model": resource, **content}},
        )
        target = f"{self._params.endpoint}/v1beta/{quote(resource)}:countTokens"
        # Not ?key=, which ends up in logs and exceptions.
        key = self._params.api_key.get_secret_value()
        headers = (("content-type", "application/json"), ("x-goog-api-key", key))
        return UpstreamCall(self.name, target, headers, body, omitted=omitted)

    async def send(self, call: UpstreamCall) -> TokenCount:
        return parse_count(call.provider, await self._http.post(call), field="totalTokens")

    async def aclose(self) -> None:
        """Do nothing, because the HTTP client is shared."""
