"""A recorder of requests over loopback, and the differences between two recorded requests."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.types import Receive, Scope, Send

from demo_app.loopback import serving

__all__ = ["Recorded", "Recorder", "differences", "recorder", "sign_again"]

_ANSWER: Final = {
    "input_tokens": 1,
    "inputTokens": 1,
    "access_token": "ya29.recorded",
    "expires_in": 3600,
    "token_type": "Bearer",
}
"""The answers of every API, and of the endpoint that issues Google's tokens."""


@dataclass(frozen=True)
class Recorded:
    """Request as received; `body` is what it says, whatever wraps it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw: bytes = field(repr=False)

    @property
    def body(self) -> Any:
        """The parsed body."""
        return json.loads(self.raw)


class Recorder:
    """ASGI app that records every request but those for a token, and answers all alike."""

    url: str = ""

    def __init__(self) -> None:
        self._requests: list[Recorded] = []

    def take(self) -> Recorded:
        """Return the only request since the last call."""
        (request,) = self._requests
        self._requests.clear()
        return request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        if scope["path"] != "/token":
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            assert len(headers) == len(scope["headers"])
            path, query = scope["raw_path"].decode(), scope["query_string"].decode()
            self._requests.append(Recorded(scope["method"], path, query, headers, raw))
        body = json.dumps(_ANSWER).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def recorder() -> Iterator[Recorder]:
    """Serve a recorder for as long as a `with` lasts."""
    app = Recorder()
    with serving(app) as app.url:
        yield app


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], place: str) -> set[str]:
    """Return the places where two objects differ, and how; nested objects are compared too."""
    found = {f"{place} {name}: only theirs" for name in theirs.keys() - ours.keys()}
    found |= {f"{place} {name}: only ours" for name in ours.keys() - theirs.keys()}
    for name in theirs.keys() & ours.keys():
        left, right = theirs[name], ours[name]
        if isinstance(left, dict) and isinstance(right, dict):
            inner = differences(left, right, f"{place} {name}")
            found |= {text.replace(f"{place} {name} ", f"{place} {name}.") for text in inner}
        elif left != right:
            found.add(f"{place} {name}: other value")
    return found


def sign_again(
    request: Recorded, signed: list[str], keys: Credentials, service: str, region: str
) -> str:
    """Return the signature of a request over some of its headers, at the request's own time."""
    url = f"http://recorded{request.path}" + (f"?{request.query}" if request.query else "")
    unsigned = AWSRequest(method=request.method, url=url, data=request.raw)
    for name in signed:
        unsigned.headers.add_header(name, request.headers[name])
    unsigned.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(keys, service, region)
    text = auth.string_to_sign(unsigned, auth.canonical_request(unsigned))
    return str(auth.signature(text, unsigned))
