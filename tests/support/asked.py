"""The upstream and the model that a deployment asks, by its prepared call."""

import json
import re
from pkgutil import resolve_name
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from count_tokens_mw import Deployment
from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.base import Provider
from count_tokens_mw.providers.http import HttpClient

__all__ = ["Asked", "asked_by"]

_HTTP: Final = HttpClient()
_MESSAGES: Final = [{"role": "user", "content": "Hello"}]
_AT_RUNTIME: Final = re.compile(r"/model/(.+)/count-tokens").fullmatch


class Asked(NamedTuple):
    """Host and model of a prepared call."""

    host: str
    model: str


def asked_by(deployment: Deployment) -> Asked:
    """Prepare a count of a deployment, and return what it asks.

    Raises:
        CannotCount: the deployment has no API that counts for the model.
    """
    provider: Provider = resolve_name(PROVIDERS[deployment.provider].factory)(
        deployment.params, _HTTP
    )
    body = {"model": deployment.upstream_model, "messages": _MESSAGES}
    call = provider.prepare(request_from_mapping(body))
    url = urlsplit(call.target)
    at_runtime = _AT_RUNTIME(unquote(url.path))
    return Asked(url.netloc, at_runtime[1] if at_runtime else json.loads(call.body)["model"])
