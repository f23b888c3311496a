"""Vertex AI: Claude by `count-tokens:rawPredict`, Gemini by `countTokens`.

https://docs.claude.com/en/api/claude-on-vertex-ai and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from count_tokens_mw.config.params.google import VertexParams
from count_tokens_mw.errors import CannotCount, UpstreamError
from count_tokens_mw.protocol.omissions import bound_places
from count_tokens_mw.providers.base import PrepareAgain
from count_tokens_mw.providers.claude.betas import BETAS, RefusedBetas, Selection, betas_of
from count_tokens_mw.providers.claude.fields import edit_fields
from count_tokens_mw.providers.google.body import google_body
from count_tokens_mw.providers.google.credentials import GoogleTokens
from count_tokens_mw.providers.google.dialect import dialect_of
from count_tokens_mw.providers.google.resources import vertex_resource
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.rawjson.object import JsonValue
from count_tokens_mw.types import CountRequest, Headers, TokenCount, UpstreamCall

__all__ = ["Vertex"]

_CLAUDE_VERSION: Final = "vertex-2023-10-16"
_PROJECT: Final = "{project}"


class Vertex:
    """Deployment on Vertex AI; the model's name implies its publisher.

    A prepared target contains `{project}` if only the default credentials know the project, because
    loading them takes I/O. `send` replaces it.
    """

    name = "vertex_ai"
    prepare_in_thread = True
    leaves_loop = True

    def __init__(
        self,
        params: VertexParams,
        http: HttpClient,
        tokens: GoogleTokens | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._params = params
        self._http = http
        self._tokens = tokens or GoogleTokens(params.vertex_credentials, http.network)
        self._refused_betas = RefusedBetas(BETAS["vertex"], clock)

    def prepare(self, request: CountRequest) -> UpstreamCall:
        model = vertex_resource(request.model)
        if model.startswith("claude"):
            return self._claude_call(request, model)
        if model.startswith(("endpoints/", "gemini")):
            return self._gemini_call(request, model)
        raise CannotCount(f"{self.name} has no token counting API for {model}.")

    async def send(self, call: UpstreamCall) -> TokenCount:
        """Send a call, and retry it once with a new token after a 401.

        Raises:
            PrepareAgain: Vertex AI refused betas by name, which are not sent again for an hour.
        """
        if call.signed:  # by the key of express mode
            return await self._post(call)
        token = await self._tokens.token()
        place = f"{call.target} {call.model}"
        if _PROJECT in call.target:
            project = quote(await self._tokens.project(), safe="")
            call = replace(call, target=call.target.replace(_PROJECT, project))
        try:
            return await self._post(self._sign(call, token))
        except UpstreamError as error:
            if self._params.forward_beta == "auto" and self._refused_betas.learn(
                error, call.betas, place
            ):
                raise PrepareAgain(error) from error
            if error.status != 401:
                raise
        return await self._post(self._sign(call, await self._tokens.replace(token)))

    async def aclose(self) -> None:
        await self._tokens.aclose()

    def _sign(self, call: UpstreamCall, token: str) -> UpstreamCall:
        headers = [("authorization", f"Bearer {token}"), *call.headers]
        if self._tokens.quota_project:
            headers.append(("x-goog-user-project", self._tokens.quota_project))
        return replace(call, headers=tuple(headers))

    async def _post(self, call: UpstreamCall) -> TokenCount:
        answer = await self._http.post(call)
        if call.kind == "claude":
            return parse_count(call.provider, answer, verbatim=True)
        return parse_count(call.provider, answer, field="totalTokens")

    def _claude_call(self, request: CountRequest, model: str) -> UpstreamCall:
        if self._params.strip_version:
            model = model.partition("@")[0]
        fields: dict[str, JsonValue] = {"model": model, "anthropic_version": _CLAUDE_VERSION}
        target = f"{self._target('anthropic', 'count-tokens')}:rawPredict"
        selection = self._select_betas(betas_of(request), f"{target} {model}")
        body, omitted = edit_fields(request.body, fields, "vertex", selection.sent)
        headers = [("content-type", "application/json")]
        if selection.sent:
            headers.append(("anthropic-beta", ",".join(selection.sent)))
        return UpstreamCall(
            self.name,
            target,
            tuple(headers),
            body,
            kind="claude",
            model=model,
            betas=selection.sent,
            omitted=bound_places([*selection.places, *omitted]),
        )

    def _select_betas(self, betas: Sequence[str], place: str) -> Selection:
        match self._params.forward_beta:
            case "auto":
                return self._refused_betas.select(betas, place)
            case True:
                return Selection(tuple(betas), ())
        return Selection((), tuple(betas))

    def _gemini_call(self, request: CountRequest, model: str) -> UpstreamCall:
        dialect = dialect_of(
            "vertex", self._params.base_name or model, signs_calls=self._params.signs_calls
        )
        body, omitted = google_body(request.body, dialect)
        headers: Headers = (("content-type", "application/json"),)
        key = self._params.express_key
        is_express = key is not None and not model.startswith("endpoints/")
        if key is not None and is_express:
            target = f"{self._params.endpoint}/v1/publishers/google/models/{quote(model, safe='')}"
            headers = (*headers, ("x-goog-api-key", key.get_secret_value()))
        else:
            target = self._target("google", model)
        return UpstreamCall(
            self.name,
            f"{target}:countTokens",
            headers,
            body,
            signed=is_express,
            kind="gemini",
            omitted=omitted,
        )

    def _target(self, publisher: str, model: str) -> str:
        """Return the URL of a model, or of a tuned one's endpoint, in the deployment's project."""
        if not self._params.location:
            raise CannotCount(
                "Express mode of Vertex AI counts published Gemini models only; set "
                "vertex_location."
            )
        project = quote(self._params.project, safe="") if self._params.project else _PROJECT
        base = f"{self._params.regional_endpoint}/v1/projects/{project}"
        published = "" if model.startswith("endpoints/") else f"publishers/{publisher}/models/"
        return f"{base}/locations/{self._params.location}/{published}{quote(model)}"
