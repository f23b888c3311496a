"""Claude on Amazon Bedrock: CountTokens, and bedrock-mantle for the models it does not support.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from count_tokens_mw.config.params.bedrock import BedrockParams, Rung
from count_tokens_mw.config.params.bedrock_endpoints import mantle_endpoint, region_of_mantle
from count_tokens_mw.errors import CannotCount, CountError, UpstreamError, UpstreamUnreachable
from count_tokens_mw.providers.base import PrepareAgain
from count_tokens_mw.providers.bedrock.calls import messages_call, runtime_call, target_of
from count_tokens_mw.providers.bedrock.credentials import AwsSession
from count_tokens_mw.providers.causes import is_unknown_host
from count_tokens_mw.providers.claude.betas import (
    BETAS,
    BetaTable,
    RefusedBetas,
    Selection,
    betas_of,
)
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.types import CountRequest, TokenCount, UpstreamAnswer, UpstreamCall, hash_names

__all__ = ["Bedrock"]

_UNSUPPORTED: Final = re.compile("support counting tokens", re.IGNORECASE).search
_UNKNOWN_ID: Final = re.compile("model identifier is invalid", re.IGNORECASE).search
_MANTLE_REFUSES: Final = re.compile(r"does not support the '/anthropic").search
_RUNTIME_SERVICE: Final = "bedrock"  # scope of a signature for the runtime
_APIS: Final[dict[str, str]] = {
    "runtime": "the runtime",
    "mantle": "mantle",
    "runtime_messages": "the runtime's Messages API",
}
_LONGEST_REFUSAL: Final = 500
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
        self._aws = AwsSession(params, http.network)
        # Bounded and hashed, because under a wildcard the callers choose the model names.
        self._refusals: TTLCache[bytes, str] = TTLCache(
            _MOST_REMEMBERED, _REMEMBERED_SECONDS, timer=clock
        )
        mantle = RefusedBetas(BETAS["mantle"], clock)
        self._refused_betas = {
            "runtime": RefusedBetas(BETAS["runtime"], clock),
            "mantle": mantle,
            "runtime_messages": mantle,
        }

    def prepare(self, request: CountRequest) -> UpstreamCall:
        """Return the call to the first API that is not known to refuse the model, or to the last.

        The last is asked every time, so that a model can be counted as soon as it is enabled.
        """
        model = self._params.countable_model(request.model)
        refusals = []
        for rung, target in self._targets(request.model, model):
            refusal = self._refusals.get(hash_names(target, model))
            if refusal is None:
                break
            refusals.append(f"{_APIS[rung]} answered: {refusal}")
        else:
            refusals.pop()
        call = self._call(request, rung, model, target)
        return replace(call, refusals=tuple(refusals)) if refusals else call

    async def send(self, call: UpstreamCall) -> TokenCount:
        """Send a call.

        Raises:
            PrepareAgain: the API does not count the model, or betas were refused. Either is known
                for an hour, by model.
        """
        failure: CountError
        try:
            return await self._count(call)
        except UpstreamUnreachable as error:
            if call.kind != "mantle" or not is_unknown_host(error):
                raise
            text = _missing_mantle(call)
            if text is None:
                raise
            failure = _cannot_count(call, text, {})
        except UpstreamError as error:
            refused = self._refused_betas[call.kind]
            if refused.learn(error, call.betas, f"{call.target} {call.model}"):
                raise PrepareAgain(error) from error
            if not _refuses_model(call, error):
                raise
            text = error.message
            is_misspelt = _UNKNOWN_ID(text) and not call.refusals
            failure = error if is_misspelt else _cannot_count(call, text, error.headers)
        self._refusals[hash_names(call.target, call.model)] = text[:_LONGEST_REFUSAL]
        raise PrepareAgain(failure)

    async def aclose(self) -> None:
        await self._aws.aclose()

    async def _count(self, call: UpstreamCall) -> TokenCount:
        if call.kind == "runtime":
            answer = await self._post(call, _RUNTIME_SERVICE, self._params.aws_region_name)
            return parse_count(call.provider, answer, field="inputTokens")
        service, region = _RUNTIME_SERVICE, self._params.aws_region_name
        if call.kind == "mantle":
            service = self._params.bedrock_mantle_service_name
            region = region_of_mantle(call.target) or self._params.mantle_region_of(call.model)
        return parse_count(call.provider, await self._post(call, service, region), verbatim=True)

    async def _post(self, call: UpstreamCall, service: str, region: str) -> UpstreamAnswer:
        """Send a call with the Bedrock API key, or else signed for a service in a region."""
        key = self._params.api_key
        if key is None:
            headers = await self._aws.sign(
                call.target, dict(call.headers), call.body, service, region
            )
        else:
            headers = {**dict(call.headers), "authorization": f"Bearer {key.get_secret_value()}"}
        signed = replace(call, headers=tuple(headers.items()), signed=key is None)
        return await self._http.post(signed)

    def _targets(self, name: str, model: str) -> Iterator[tuple[Rung, str]]:
        for rung in self._params.rungs(name):
            yield rung, target_of(rung, self._params.endpoint_of(rung, name), model)

    def _call(self, request: CountRequest, rung: Rung, model: str, target: str) -> UpstreamCall:
        betas, place = betas_of(request), f"{target} {model}"
        if rung == "runtime":
            return runtime_call(request, model, target, self._select_betas(betas, place))
        selection = self._refused_betas[rung].select(betas, place)
        project = self._params.aws_bedrock_project_id
        return messages_call(request, model, target, selection, rung=rung, project=project)

    def _select_betas(self, betas: Sequence[str], place: str) -> Selection:
        """Return the betas for the runtime; those of the configuration replace the known ones."""
        known = self._params.bedrock_betas
        if known is None:
            return self._refused_betas["runtime"].select(betas, place)
        table = BetaTable(dict.fromkeys(known, "bedrock_betas"), {})
        names = {beta: beta if beta in known else table.aliases.get(beta, beta) for beta in betas}
        sent = dict.fromkeys(name for name in names.values() if name in known)
        return Selection(tuple(sent), tuple(beta for beta in betas if names[beta] not in known))


def _refuses_model(call: UpstreamCall, error: UpstreamError) -> bool:
    """Return whether an API refuses the model, and not the request."""
    if call.kind == "runtime":
        return bool(_UNSUPPORTED(error.message) or _UNKNOWN_ID(error.message))
    return error.status == 404 or (error.status == 400 and bool(_MANTLE_REFUSES(error.message)))


def _missing_mantle(call: UpstreamCall) -> str | None:
    """Return the message for a region without mantle; None for a misspelt endpoint."""
    region = region_of_mantle(call.target)
    if region is None or not call.target.startswith(f"{mantle_endpoint(region)}/"):
        return None
    return f"{call.model} cannot be counted in {region}; set bedrock_mantle_region"


def _cannot_count(call: UpstreamCall, text: str, headers: Mapping[str, str]) -> CannotCount:
    refusals = "".join(f" ({refusal})" for refusal in call.refusals)
    return CannotCount(f"bedrock: {text}{refusals}", headers=headers)
