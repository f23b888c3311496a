"""Claude on Amazon Bedrock: CountTokens, then bedrock-mantle for the models it does not support.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
"""

import re
import time
from binascii import b2a_base64
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.errors import CannotCount, UpstreamError
from count_tokens_mw.providers.anthropic import GENERATION_ONLY, combine_header_lines
from count_tokens_mw.providers.bedrock.credentials import AwsSession
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.rawjson.object import JsonValue
from count_tokens_mw.types import (
    CountRequest,
    Headers,
    TokenCount,
    UpstreamAnswer,
    UpstreamCall,
)

__all__ = ["KNOWN_BETAS", "Bedrock"]

# Accepted in the body's `anthropic_beta`, by observation; CountTokens answers 400 to any other.
KNOWN_BETAS: Final = frozenset(
    {
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "mcp-client-2025-04-04",
        "mcp-client-2025-11-20",
        "model-context-window-exceeded-2025-08-26",
        "output-128k-2025-02-19",
        "pdfs-2024-09-25",
        "search-results-2025-06-09",
        "token-counting-2024-11-01",
        "token-efficient-tools-2025-02-19",
        "tool-search-tool-2025-10-19",
        "web-search-2025-03-05",
    }
)
_BETA_ALIASES: Final = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
_UNSUPPORTED: Final = re.compile("support counting tokens", re.IGNORECASE).search
_MANTLE_REFUSES: Final = re.compile(r"does not support the '/anthropic").search
_COUNT_TOKENS: Final = "/count-tokens"  # mantle's path ends in count_tokens
_SERVICE: Final = "bedrock"  # scope of a signature for the runtime
_PIECE_BYTES: Final = 3 * 256 * 1024  # a multiple of three, so that no piece but the last is padded
_REMEMBERED_SECONDS: Final = 3600
_MOST_REMEMBERED: Final = 100


class Bedrock:
    """Deployment of a Claude model on Bedrock."""

    name = "bedrock"
    prepare_in_thread = True

    def __init__(
        self,
        params: BedrockParams,
        http: HttpClient,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._params = params
        self._http = http
        self._aws = AwsSession(params)
        # Bounded, because under a wildcard the callers choose the model names.
        self._only_mantle: TTLCache[str, bool] = TTLCache(
            _MOST_REMEMBERED, _REMEMBERED_SECONDS, timer=clock
        )

    def prepare(self, request: CountRequest) -> UpstreamCall:
        """Return the call to the runtime; its fallback, unless disabled, is the call to mantle."""
        model = self._params.countable_model(request.model)
        via = self._params.count_tokens_via
        mantle = self._mantle_call(request, model) if self._params.may_use_mantle else None
        if via == "mantle" and mantle is not None:
            return mantle
        return self._runtime_call(request, model, mantle)

    async def send(self, call: UpstreamCall) -> TokenCount:
        """Send a call to the runtime, or to mantle if the runtime does not support the model.

        The lack of support is cached per model for an hour.
        """
        mantle = call.fallback
        if mantle is None:
            return await self._count(call)
        if call.target in self._only_mantle:
            return await self._count(mantle)
        try:
            return await self._count(call)
        except CannotCount:
            self._only_mantle[call.target] = True
        return await self._count(mantle)

    async def aclose(self) -> None:
        await self._aws.aclose()

    async def _count(self, call: UpstreamCall) -> TokenCount:
        if call.target.endswith(_COUNT_TOKENS):
            return await self._count_by_runtime(call)
        return await self._count_by_mantle(call)

    async def _count_by_runtime(self, call: UpstreamCall) -> TokenCount:
        answer = await self._post(call, _SERVICE, "authorization", "Bearer ")
        try:
            return parse_count(call.provider, answer, field="inputTokens")
        except UpstreamError as error:
            if _UNSUPPORTED(error.message):
                raise _cannot_count(error) from error
            raise

    async def _count_by_mantle(self, call: UpstreamCall) -> TokenCount:
        answer = await self._post(call, self._params.bedrock_mantle_service_name, "x-api-key")
        try:
            return parse_count(call.provider, answer, verbatim=True)
        except UpstreamError as error:
            if error.status == 404 or (error.status == 400 and _MANTLE_REFUSES(error.message)):
                raise _cannot_count(error) from error
            raise

    async def _post(
        self, call: UpstreamCall, service: str, key_header: str, prefix: str = ""
    ) -> UpstreamAnswer:
        """Send a call with the Bedrock API key in its header, or else signed for the service."""
        key = self._params.api_key
        if key is None:
            headers = await self._aws.sign(call.target, dict(call.headers), call.body, service)
        else:
            headers = {**dict(call.headers), key_header: prefix + key.get_secret_value()}
        signed = replace(call, headers=tuple(headers.items()), signed=key is None)
        return await self._http.post(signed)

    def _runtime_call(
        self, request: CountRequest, model: str, mantle: UpstreamCall | None
    ) -> UpstreamCall:
        """Build the call as botocore does, but with a literal colon in the model's id.

        botocore sends `%3A`. A host's client over aiohttp would decode that to a colon, and AWS
        verifies the signature of the path as sent. Anthropic's own SDK sends the colon too.
        """
        target = f"{self._params.endpoint}/model/{model}{_COUNT_TOKENS}"
        raw = memoryview(self._runtime_body(request))
        # In pieces, so that other threads may run between them.
        blobs = [
            b2a_base64(raw[at : at + _PIECE_BYTES], newline=False)
            for at in range(0, len(raw), _PIECE_BYTES)
        ]
        body = b"".join((b'{"input": {"invokeModel": {"body": "', *blobs, b'"}}}'))
        return UpstreamCall(
            self.name, target, (("content-type", "application/json"),), body, mantle
        )

    def _runtime_body(self, request: CountRequest) -> bytes:
        fields: dict[str, JsonValue] = {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 1,  # required, and of no effect on the count
        }
        betas = _select_betas(request.headers, self._params.bedrock_betas)
        if betas:
            fields["anthropic_beta"] = betas
        return request.body.edit(fields, drop={"model", *GENERATION_ONLY} - {"max_tokens"})

    def _mantle_call(self, request: CountRequest, model: str) -> UpstreamCall:
        body = request.body.edit({"model": model}, drop=GENERATION_ONLY)
        headers = {
            "content-type": "application/json",
            "anthropic-version": "2023-06-01",
            **combine_header_lines(request.headers),
        }
        target = f"{self._params.mantle_endpoint}/v1/messages/count_tokens"
        return UpstreamCall(self.name, target, tuple(headers.items()), body)


def _select_betas(headers: Headers, known: tuple[str, ...] | None) -> list[str]:
    """Return the caller's betas that the runtime accepts, under the runtime's names."""
    requested = ",".join(value for name, value in headers if name == "anthropic-beta")
    named = (beta.strip() for beta in requested.split(","))
    accepted = KNOWN_BETAS if known is None else frozenset(known)
    aliased = (beta if beta in accepted else _BETA_ALIASES.get(beta, beta) for beta in named)
    return [beta for beta in dict.fromkeys(aliased) if beta in accepted]


def _cannot_count(error: UpstreamError) -> CannotCount:
    return CannotCount(f"bedrock: {error.message}", headers=error.headers)
