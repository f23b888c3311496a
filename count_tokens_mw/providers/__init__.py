"""From a deployment to its provider. A provider's module is imported when it is first needed."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from count_tokens_mw.config_models import Deployment
from count_tokens_mw.errors import CannotCount
from count_tokens_mw.params import (
    AnthropicParams,
    AzureParams,
    BedrockParams,
    GeminiParams,
    PassthroughParams,
    VertexParams,
)
from count_tokens_mw.providers.base import Provider

if TYPE_CHECKING:
    import httpx

    from count_tokens_mw.providers._http import HttpClient

__all__ = ["Provider", "Providers"]


class Providers:
    """One provider for each deployment, and the HTTP client they share; opened on first use."""

    def __init__(self, http_client: httpx.AsyncClient | None = None) -> None:
        self._given_client = http_client
        self._http: HttpClient | None = None
        self._providers: dict[str, Provider] = {}
        self._opening = threading.Lock()

    async def get(self, deployment: Deployment) -> Provider:
        """The provider of a deployment.

        Raises:
            CannotCount: there is none that counts.
        """
        if deployment.id not in self._providers:
            # In a thread: a vendor's library is a third of a second to import.
            await asyncio.to_thread(self._open_once, deployment)
        return self._providers[deployment.id]

    async def aclose(self) -> None:
        """Close all that was opened; a later use opens it again."""
        providers, self._providers = self._providers, {}
        for provider in providers.values():
            await provider.aclose()
        if self._http is not None:
            await self._http.aclose()

    def _open_once(self, deployment: Deployment) -> None:
        with self._opening:
            if deployment.id not in self._providers:
                self._providers[deployment.id] = self._open(deployment)

    def _open(self, deployment: Deployment) -> Provider:
        match deployment.params:
            case PassthroughParams() as params:
                from count_tokens_mw.providers.anthropic import AnthropicPassthrough

                return AnthropicPassthrough(params, self._http_client())
            case AzureParams() as params:
                from count_tokens_mw.providers.anthropic import Anthropic

                return Anthropic(params, self._http_client(), name="azure_ai")
            case AnthropicParams() as params:
                from count_tokens_mw.providers.anthropic import Anthropic

                return Anthropic(params, self._http_client())
            case BedrockParams() as params:
                from count_tokens_mw.providers.bedrock import Bedrock

                return Bedrock(params, self._http_client())
            case GeminiParams() as params:
                from count_tokens_mw.providers.gemini import Gemini

                return Gemini(params, self._http_client())
            case VertexParams() as params:
                from count_tokens_mw.providers._google_auth import GoogleTokens
                from count_tokens_mw.providers.vertex import Vertex

                return Vertex(params, self._http_client(), GoogleTokens(params.vertex_credentials))
            case _:
                raise CannotCount(
                    f"{deployment.model_name}: this gateway knows no token counting API for such "
                    f"a model of the provider {deployment.provider}, so it cannot be counted."
                )

    def _http_client(self) -> HttpClient:
        from count_tokens_mw.providers._http import HttpClient

        self._http = self._http or HttpClient(self._given_client)
        return self._http
