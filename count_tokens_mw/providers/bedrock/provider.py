"""Claude on Amazon Bedrock: CountTokens, then bedrock-mantle for the models it does not support.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
"""

import math
import re
import time
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.errors import CannotCount, UpstreamError
from count_tokens_mw.protocol.omissions import bound_places
from count_tokens_mw.providers.anthropic import combine_header_lines
from count_tokens_mw.providers.base import PrepareAgain
from count_tokens_mw.providers.bedrock.credentials import AwsSession
from count_tokens_mw.providers.claude.attribution import drop_attribution
from count_tokens_mw.providers.claude.betas import (
    BETAS,
    BetaTable,
    RefusedBetas,
    Selection,
    betas_of,
)
from count_tokens_mw.providers.claude.fields import edit_fields
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.rawjson.object import JsonValue
from count_tokens_mw.types import (
    CountRequest,
    TokenCount,
    UpstreamAnswer,
    UpstreamCall,
    hash_names,
    unreadable,
)

__all__ = ["Bedrock"]

_UNSUPPORTED: Final = re.compile("support counting tokens", re.IGNORECASE).search
_MANTLE_REFUSES: Final = re.compile(r"does not support the '/anthropic").search
_COUNT_TOKENS: Final = "/count-tokens"  # mantle's path ends in count_tokens
_MOST_TOKENS: Final = 10**9
_SERVICE: Final = "bedrock"  # scope of a signature for the runtime
_PIECE_BYTES: Final = 3 * 256 * 1024  # a multiple of three, so that no piece but the last is padded
_REMEMBERED_SECONDS: Final = 3600
_MOST_REMEMBERED: Final = 100


class Bedrock:
    """Deployment of a Claude model on Bedrock."""

    name = "bedrock"
    prepare_in_thread = True
    leaves_loop = False

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
        # Bounded and hashed, because under a wildcard the callers choose the model names.
        self._only_mantle: TTLCache[bytes, bool] = TTLCache(
            _MOST_REMEMBERED, _REMEMBERED_SECONDS, timer=clock
        )
        self._refused_betas = {
            name: RefusedBetas(BETAS[name], clock) for name in ("runtime", "mantle")
        }

    def prepare(self, request: CountRequest) -> UpstreamCall:
        """Return the call to the runtime, or to mantle for a model that only mantle counts."""
        model = self._params.countable_model(request.model)
        target = f"{self._params.endpoint}/model/{model}{_COUNT_TOKENS}"
        if self._params.count_tokens_via == "mantle" or hash_names(target) in self._only_mantle:
            return self._mantle_call(request, model)
        return self._runtime_call(request, model, target)

    async def send(self, call: UpstreamCall) -> TokenCount:
        """Send a call.

        Raises:
            PrepareAgain: the runtime does not support the model, and mantle may; or betas were
                refused. Either is known for an hour, by model.
        """
        is_runtime = call.target.endswith(_COUNT_TOKENS)
        try:
            return await (self._count_by_runtime if is_runtime else self._count_by_mantle)(call)
        except CannotCount as error:
            if not is_runtime or not self._params.may_use_mantle:
                raise
            self._only_mantle[hash_names(call.target)] = True
            raise PrepareAgain(error) from error
        except UpstreamError as error:
            refused = self._refused_betas["runtime" if is_runtime else "mantle"]
            if refused.learn(error, call.betas, f"{call.target} {call.model}"):
                raise PrepareAgain(error) from error
            raise

    async def aclose(self) -> None:
        await self._aws.aclose()

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

    def _runtime_call(self, request: CountRequest, model: str, target: str) -> UpstreamCall:
        """Build the call as botocore does, but with a literal colon in the model's id.

        botocore sends `%3A`. A host's client over aiohttp would decode that to a colon, and AWS
        verifies the signature of the path as sent. Anthropic's own SDK sends the colon too.
        """
        selection = self._select_betas(betas_of(request), f"{target} {model}")
        body, omitted = _runtime_body(request, selection.sent)
        raw = memoryview(body)
        # In pieces, so that other threads may run between them.
        blobs = [
            b2a_base64(raw[at : at + _PIECE_BYTES], newline=False)
            for at in range(0, len(raw), _PIECE_BYTES)
        ]
        return UpstreamCall(
            self.name,
            target,
            (("content-type", "application/json"),),
            b"".join((b'{"input": {"invokeModel": {"body": "', *blobs, b'"}}}')),
            model=model,
            betas=selection.sent,
            omitted=bound_places([*selection.places, *omitted]),
        )

    def _select_betas(self, betas: Sequence[str], place: str) -> Selection:
        """Return the betas for the runtime; those of the configuration replace the known ones."""
        known = self._params.bedrock_betas
        if known is None:
            return self._refused_betas["runtime"].select(betas, place)
        table = BetaTable(dict.fromkeys(known, "bedrock_betas"), {})
        names = {beta: beta if beta in known else table.aliases.get(beta, beta) for beta in betas}
        sent = dict.fromkeys(name for name in names.values() if name in known)
        return Selection(tuple(sent), tuple(beta for beta in betas if names[beta] not in known))

    def _mantle_call(self, request: CountRequest, model: str) -> UpstreamCall:
        target = f"{self._params.mantle_endpoint}/v1/messages/count_tokens"
        place = f"{target} {model}"
        selection = self._refused_betas["mantle"].select(betas_of(request), place)
        body, omitted = edit_fields(request.body, {"model": model}, "mantle", selection.sent)
        headers = {
            "content-type": "application/json",
            "anthropic-version": "2023-06-01",
            **combine_header_lines(request.headers),
        }
        headers.pop("anthropic-beta", None)
        if selection.sent:
            headers["anthropic-beta"] = ",".join(selection.sent)
        return UpstreamCall(
            self.name,
            target,
            tuple(headers.items()),
            body,
            model=model,
            betas=selection.sent,
            omitted=bound_places([*selection.places, *omitted]),
        )


def _runtime_body(request: CountRequest, betas: Sequence[str]) -> tuple[bytes, list[str]]:
    """Return the body of InvokeModel, and the places left out of it.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
    """
    fields: dict[str, JsonValue | bytes] = {
        "anthropic_version": "bedrock-2023-05-31",
    }
    if betas:
        fields["anthropic_beta"] = list(betas)
    try:
        fields["max_tokens"] = _least_max_tokens(request.body.get("thinking"))
        edited, omitted = edit_fields(request.body, fields, "runtime", betas, drop=["model"])
        body, place = drop_attribution(edited)
    except ValueError as error:
        raise unreadable(error) from None
    return body, [*place, *omitted]


def _least_max_tokens(thinking: JsonValue) -> int:
    """Return the least `max_tokens` that InvokeModel's schema takes; it does not change the count.

    It is required, and has to be greater than `thinking.budget_tokens`.
    """
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if isinstance(budget, int | float) and 0 < budget < _MOST_TOKENS:
        return math.ceil(budget) + 1
    return 1


def _cannot_count(error: UpstreamError) -> CannotCount:
    return CannotCount(f"bedrock: {error.message}", headers=error.headers)
