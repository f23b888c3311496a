"""A provider that leaves parts of a request out, and learns from answers what to leave out."""

from collections.abc import Callable
from typing import Any, Final

import anyio

from count_tokens_mw import CountError, CountTokens, TokenCount, UpstreamError
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.providers.base import PrepareAgain, Provider
from count_tokens_mw.providers.pool import Providers
from count_tokens_mw.types import CountRequest, UpstreamCall
from tests.support.fakes import CONFIG, FakeUpstream, count_tokens_with

__all__ = ["LearningProvider", "counting_by"]

ON: Final = {"cache": {"ttl": 300}}


class LearningProvider:
    """Provider that omits the names in a body's `extra`, and every beta in `refused`.

    `send` answers with the number of the call, and after `seconds`. A call with betas of
    `unsupported` learns of the first, unless `learns` is False, and raises `PrepareAgain`.
    With `forgets`, `prepare` returns another call each time. `sent` lists the calls.
    """

    prepare_in_thread = False
    leaves_loop = False

    def __init__(self, *unsupported: str, error: CountError | None = None) -> None:
        self.unsupported = unsupported
        self.error = error or UpstreamError(400, "The beta is not supported.", headers={})
        self.learns = True
        self.forgets = False
        self.seconds = 0.0
        self.refused: set[str] = set()
        self.sent: list[UpstreamCall] = []
        self.prepared = 0

    def prepare(self, request: CountRequest) -> UpstreamCall:
        self.prepared += 1
        extra: Any = request.body.get("extra") or []
        betas = [value for name, value in request.headers if name == "anthropic-beta"]
        omitted = [f"extra.{name}" for name in extra]
        omitted += [f"anthropic-beta:{beta}" for beta in betas if beta in self.refused]
        kept = tuple(("anthropic-beta", beta) for beta in betas if beta not in self.refused)
        body = request.body.edit({"model": request.model}, drop={"extra"})
        target = f"https://learning.example/{self.prepared if self.forgets else ''}"
        return UpstreamCall("learning", target, kept, body, omitted=tuple(omitted))

    async def send(self, call: UpstreamCall) -> TokenCount:
        self.sent.append(call)
        number = len(self.sent)
        await anyio.sleep(self.seconds)
        unsupported = [beta for _, beta in call.headers if beta in self.unsupported]
        if unsupported or self.forgets:
            if self.learns:
                self.refused.update(unsupported[:1])
            raise PrepareAgain(self.error)
        return TokenCount(number, headers={"request-id": f"up_{number}"})

    async def aclose(self) -> None:
        """Do nothing."""


def counting_by(
    provider: Provider | Callable[[Params], Provider],
    config: Any = CONFIG,
    *,
    settings: Any = ON,
    **options: Any,
) -> CountTokens:
    """Return a counter whose deployments all have one provider, or that of their parameters."""

    class Pool(Providers):
        def _create(self, params: Params) -> Provider:
            return provider(params) if callable(provider) else provider

    count_tokens = count_tokens_with(FakeUpstream(), config, settings=settings, **options)
    count_tokens._pipeline.engine._failover._providers = Pool()
    return count_tokens
