"""The host's own change of a body before it is counted: redaction, or what it adds itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from inspect import isawaitable
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.host.auth import to_refused
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.types import Caller, CountRequest

__all__ = ["Transform", "call_transform"]

Transform: TypeAlias = Callable[
    [dict[str, Any], Caller | None], Mapping[str, Any] | Awaitable[Mapping[str, Any]]
]
"""Returns the body that will really be sent, sync or async, so that it is what is counted.

It gets the parsed body, which it may change in place and return, and the caller (None where the
host itself counts without one). It runs after `authorize`, on both paths. A model that it puts in
place of another is looked up in its stead: `authorize` is not asked again, and the event has the
name that `authorize` was asked about. Any Starlette or FastAPI `HTTPException` refuses; whatever
else it raises is a 500, and nothing goes upstream. What it returns is written anew, so it is no
longer the caller's text byte for byte.
"""


async def call_transform(
    transform: Transform, request: CountRequest, caller: Caller | None
) -> CountRequest:
    """Call the host's `transform`.

    Raises:
        CountError: it refused.
        TypeError: it returned something else than a body.
        ValueError: it returned a body that is no count request.
    """
    try:
        body: object = transform(request.parse(), caller)
        if isawaitable(body):
            body = await body
    except HTTPException as refusal:
        raise to_refused(refusal) from None
    if not isinstance(body, Mapping):
        raise TypeError("transform has to return a body")
    try:
        made = request_from_mapping(body, request.headers)
    except InvalidRequest:  # a fault of the host's, and not of the caller's
        raise ValueError("transform returned a body that cannot be counted") from None
    # A model that it left alone keeps the name that it is looked up by.
    model = request.model if made.model == request.body.get("model") else made.model
    return replace(request, model=model, body=made.body, memo_key=None, known_calls=())
