"""The script that LiteLLM's own interpreter runs: its loggers, with counts of this package.

Its argument is the file for what they sent to a loopback server, and for all that is wrong with it.
No other connection leaves the process.
"""

import asyncio
import gzip
import importlib
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from count_tokens_mw.telemetry.litellm import LiteLLMCallbacks
from demo_app.loopback import serving
from tests.support.litellm_scenes import CANARY, SCENES, play, stable

_OWN_VARIABLES: Final = {
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
}
_STATUSES: Final = ("success", "success", "failure", "failure")
_connect: Final = socket.socket.connect


class Received(NamedTuple):
    """A request of a logger: its path, its header lines, and its decoded body."""

    path: str
    headers: bytes
    body: bytes


class Receiver:
    """A server of all intakes, which accepts every request."""

    def __init__(self) -> None:
        self.requests: list[Received] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        headers = b"\n".join(b"%b: %b" % line for line in scope["headers"])
        self.requests.append(Received(scope["path"], headers, body))
        await JSONResponse({}, 202)(scope, receive, send)

    def bodies(self, path: str) -> list[Any]:
        """Return the JSON bodies of the requests whose path has this part, in their order."""
        return [json.loads(request.body) for request in self.requests if path in request.path]


def _connect_to_loopback(own: socket.socket, address: Any) -> None:
    if own.family != socket.AF_UNIX and address[0] not in {"127.0.0.1", "::1"}:
        raise ConnectionRefusedError("no request may leave the machine")
    _connect(own, address)


def _new_loggers(url: str) -> list[Callable[[], Any]]:
    """Return a function for each logger; all of them batch, and need the event loop."""

    def integration(module: str) -> Any:
        return importlib.import_module(f"litellm.integrations.{module}")

    generic = integration("generic_api.generic_api_callback").GenericAPILogger
    datadog = integration("datadog.datadog").DataDogLogger
    langsmith = integration("langsmith").LangsmithLogger
    return [
        lambda: generic(endpoint=f"{url}/generic", headers={"Authorization": "Bearer of-the-api"}),
        lambda: datadog(dd_api_key="of-datadog", dd_site="datadoghq.example"),
        langsmith,
    ]


def _judge(receiver: Receiver, payloads: list[Any]) -> Iterator[str]:
    """Yield all that is wrong with what the loggers sent."""
    for request in receiver.requests:
        if CANARY.encode() in b"".join(request[1:]):
            yield f"{request.path}: has the canary"
    datadog = [json.loads(line["message"]) for body in receiver.bodies("/logs") for line in body]
    runs = [run for body in receiver.bodies("/runs") for run in body["post"]]
    names = ("generic API", "Datadog", "Langsmith")
    for name, sent in zip(names, (payloads, datadog, runs), strict=True):
        if len(sent) != len(SCENES):
            yield f"{name}: {len(sent)} counts instead of {len(SCENES)}"
    for name, sent in zip(names, (payloads, datadog), strict=False):
        if tuple(payload["status"] for payload in sent) != _STATUSES:
            yield f"{name}: other statuses than {_STATUSES}"


def _judge_types(payloads: list[Any]) -> Iterator[str]:
    """Yield each difference from the type that LiteLLM declares."""
    types = importlib.import_module("litellm.types.utils")
    adapter: Any = TypeAdapter(types.StandardLoggingPayload)
    for scene, payload in zip(SCENES, payloads, strict=False):
        try:
            adapter.validate_python(payload)
        except ValidationError as error:
            yield f"{scene}: {error}"


def main() -> None:
    """Run the loggers, and write what they sent."""
    receiver = Receiver()
    with serving(receiver) as url:
        intakes = {"DD_BASE_URL": url, "LANGSMITH_BASE_URL": url}
        os.environ.update(_OWN_VARIABLES | intakes | {"LANGSMITH_API_KEY": "of-langsmith"})
        loggers = _new_loggers(url)
        socket.socket.connect = _connect_to_loopback  # type: ignore[assignment, method-assign]
        asyncio.run(play(LiteLLMCallbacks(loggers)))
    payloads = [payload for body in receiver.bodies("/generic") for payload in body]
    logged = dict(zip(SCENES, map(stable, payloads), strict=False))
    facts = {
        "package": "litellm",
        "version": importlib.import_module("importlib.metadata").version("litellm"),
        "logged": logged,
        "problems": [*_judge(receiver, payloads), *_judge_types(payloads)],
        "requests": len(receiver.requests),
    }
    Path(sys.argv[1]).write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
