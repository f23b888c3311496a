"""Requests that name an end user, a session or tags, and how both packages read them.

LiteLLM's answers are recorded by `make compare-requests`, so that the tests need no LiteLLM.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import yaml

from count_tokens_mw import Config, CountEvent, CountTokens
from tests.facts import FOLDER
from tests.support.fakes import CONFIG, ENVIRON, HELLO, FakeUpstream, known_caller, mounted

__all__ = [
    "LITELLM_REQUESTS",
    "RequestShape",
    "our_names",
    "read_requests",
]

LITELLM_REQUESTS: Final = "litellm_requests.json"

Names: TypeAlias = Mapping[str, Any]
"""The `end_user`, the `session_id` and the `tags` of a request."""


class RequestShape(NamedTuple):
    """The headers and the body of a request, and the file's `general_settings`."""

    name: str
    headers: Mapping[str, str] = {}
    body: Mapping[str, Any] = {}
    general_settings: Mapping[str, Any] = {}


def read_requests() -> list[RequestShape]:
    """Return the requests in the file's order."""
    text = (FOLDER / "litellm_requests.yaml").read_text(encoding="utf-8")
    return [RequestShape(**data) for data in yaml.safe_load(text)]


async def our_names(shape: RequestShape) -> Names:
    """Return the names that this package reads, with LiteLLM's `safety_identifier` turned on."""
    events: list[CountEvent] = []
    upstream = FakeUpstream()
    own = {"end_user_safety_identifier": True}
    data = {**CONFIG, "general_settings": shape.general_settings, "count_tokens": own}
    count_tokens = CountTokens(
        Config.from_mapping(data, ENVIRON),
        authenticate=known_caller,
        hooks=[events.append],
        http_client=upstream.client(),
    )
    async with mounted(count_tokens) as client:
        content = json.dumps({**HELLO, **shape.body})
        path = "/v1/messages/count_tokens"
        answer = await client.post(path, content=content, headers=dict(shape.headers))
    assert answer.status_code == 200
    assert upstream.body.keys() == {"model", "messages"}
    (event,) = events
    return {
        "end_user": event.end_user,
        "session_id": event.session_id,
        "tags": list(event.tags),
    }
