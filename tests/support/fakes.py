"""Hand-written doubles: a programmable upstream, and hosts with the counter mounted."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, Unpack

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from count_tokens_mw import Caller, Config, CountEvent, CountTokens
from count_tokens_mw.app import Options

GATEWAY_KEY = "sk-ant-api03-of-the-gateway"
ENVIRON = {"ANTHROPIC_API_KEY": GATEWAY_KEY}
HELLO: dict[str, Any] = {
    "model": "claude-sonnet",
    "messages": [{"role": "user", "content": "Hello, Claude"}],
}
CONFIG: dict[str, Any] = {
    "model_list": [
        {
            "model_name": "claude-sonnet",
            "litellm_params": {"model": "anthropic/claude-sonnet-4-5"},
        },
        {"model_name": "gpt", "litellm_params": {"model": "mistral/mistral-large"}},
    ]
}

# Verbatim from the user's description of the gateway.
USERS_CONFIG = """\
model_list:
  - model_name: claude-3-5-sonnet
    litellm_params:
      model: anthropic/claude-3-5-sonnet-20241022
      api_key: os.environ/ANTHROPIC_API_KEY

  - model_name: claude-vertex
    litellm_params:
      model: vertex_ai/claude-3-5-sonnet-v2@20241022
      vertex_project: my-project
      vertex_location: us-east5
      vertex_count_tokens_location: us-east5 # Optional: Override location for token counting \
(count_tokens not available on global location)

  - model_name: claude-bedrock
    litellm_params:
      model: bedrock/anthropic.claude-3-5-sonnet-20241022-v2:0
      aws_region_name: us-west-2
"""

Handler: TypeAlias = Callable[[httpx.Request], httpx.Response]


class FakeUpstream:
    """An upstream that answers every request with `answer`, and records it."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Handler = lambda request: httpx.Response(
            200, json={"input_tokens": 14}, headers={"request-id": "req_upstream"}
        )

    def client(self) -> httpx.AsyncClient:
        """Return a client that sends every request to this upstream."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self._handle))

    def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Set the answer to all further requests."""
        sent = [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in headers.items()
        ]
        self.answer = lambda request: httpx.Response(status, content=body, headers=sent)

    @property
    def request(self) -> httpx.Request:
        """The only recorded request."""
        (request,) = self.requests
        return request

    @property
    def body(self) -> Any:
        """The parsed body of the only request."""
        return json.loads(self.request.content)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)


def known_caller(request: object) -> Caller:
    """Return one caller for every request, for tests of something else."""
    return Caller("team-a")


def count_tokens_with(
    upstream: FakeUpstream,
    config: Mapping[str, Any] = CONFIG,
    *,
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = ENVIRON,
    **options: Unpack[Options],
) -> CountTokens:
    """Return a counter with a configuration, in front of the fake upstream."""
    # A cache would hide calls of the upstream; tests of the cache turn it on.
    data = {**config, "count_tokens": {"cache": {"ttl": 0}, **(settings or {})}}
    all_options: Options = {
        "authenticate": known_caller,
        "http_client": upstream.client(),
        **options,
    }
    return CountTokens(Config.from_mapping(data, environ), **all_options)


def mounted(count_tokens: CountTokens, prefix: str = "/llm") -> httpx.AsyncClient:
    """Return a client of a host that mounts the counter under a prefix."""
    return client_of(Starlette(routes=[Mount(prefix, count_tokens)]), prefix)


def client_of(app: Any, prefix: str = "") -> httpx.AsyncClient:
    """Return a client of any ASGI app, in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://gateway{prefix}")


class Recorder:
    """A hook that records its events."""

    def __init__(self) -> None:
        self.events: list[CountEvent] = []

    def __call__(self, event: CountEvent) -> None:
        self.events.append(event)

    @property
    def event(self) -> CountEvent:
        """The only recorded event."""
        (event,) = self.events
        return event
