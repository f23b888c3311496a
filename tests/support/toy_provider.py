"""A provider as someone would add it: a row, a params model and a module."""

import re
from typing import ClassVar, Final

from pydantic import Field

from count_tokens_mw.config.fields import BaseUrl, Credential
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.providers import ProviderSpec
from count_tokens_mw.errors import CannotCount
from count_tokens_mw.providers.http import HttpClient
from count_tokens_mw.providers.responses import parse_count
from count_tokens_mw.types import CountRequest, TokenCount, UpstreamCall

__all__ = ["TOY", "Toy", "ToyParams"]


class ToyParams(Params):
    """Parameters of the toy provider."""

    credentials: ClassVar = ("toy_token",)

    toy_token: Credential
    toy_region: str = "home"
    toy_base: BaseUrl = Field(default="https://toys.example")

    @property
    def endpoint(self) -> str:
        return self.toy_base

    def countable_model(self, model: str) -> str:
        if model.endswith("-broken"):
            raise CannotCount("toy: this toy is broken.")
        return model


class Toy:
    """Deployment of a toy."""

    prepare_in_thread = False
    leaves_loop = False

    def __init__(self, params: ToyParams, http: HttpClient) -> None:
        self._params = params
        self._http = http

    def prepare(self, request: CountRequest) -> UpstreamCall:
        model = self._params.countable_model(request.model)
        target = f"{self._params.endpoint}/{self._params.toy_region}/{model}"
        token = self._params.toy_token.get_secret_value()
        return UpstreamCall("toy", target, (("x-toy", token),), request.body.raw)

    async def send(self, call: UpstreamCall) -> TokenCount:
        return parse_count(call.provider, await self._http.post(call), field="marbles")

    async def aclose(self) -> None:
        """Do nothing."""


TOY: Final = ProviderSpec(
    name="toy",
    aliases={"toy_beta": "", "toy_next": ""},
    params=ToyParams,
    factory=f"{__name__}:Toy",
    models=re.compile(r"bear|\*"),
    bare=re.compile(r"bear-"),
    region_field="toy_region",
    telemetry_name="example.toys",
    hints=((400, "wind", "wind up the toy"),),
)
