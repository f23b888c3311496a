"""A host with Gemini models, whose upstream records each request and validates it."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import httpx

from tests.support.fakes import FakeUpstream, Recorder, count_tokens_with, mounted
from tests.support.judges import gemini_judge, vertex_judge

__all__ = [
    "ASKED",
    "CALL",
    "CALL_PART",
    "DECLARED",
    "PNG",
    "PNG_PART",
    "TOOL",
    "USE",
    "Answer",
    "Case",
    "Q",
    "after_call",
    "answered",
    "ask",
    "content",
    "result",
    "text",
    "turn",
]

COUNT: Final = "/v1/messages/count_tokens"
MODELS: Final[dict[str, dict[str, str]]] = {
    "g2": {"model": "gemini/gemini-2.5-flash", "api_key": "AIza"},
    "g3": {"model": "gemini/gemini-3.6-flash", "api_key": "AIza"},
    "prefixed": {"model": "gemini/models/gemini-3.6-flash", "api_key": "AIza"},
    "tuned": {"model": "gemini/tunedModels/my-model", "api_key": "AIza"},
    "v2": {"model": "vertex_ai/gemini-2.5-flash", "api_key": "AIza"},
    "v3": {"model": "vertex_ai/gemini-3.6-flash", "api_key": "AIza"},
    **{
        name: {"model": model, "vertex_project": "p", "vertex_location": "us-east5"}
        for name, model in {
            "number": "vertex_ai/1234",
            "gemini number": "vertex_ai/gemini/1234",
            "endpoint": "vertex_ai/endpoints/1234",
        }.items()
    },
}

PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
PNG_PART: Final = {"inlineData": {"mimeType": "image/png", "data": PNG}}
SCHEMA: Final = {"type": "object", "properties": {"x": {"type": "string"}}}
TOOL: Final = {"name": "f", "description": "d", "input_schema": SCHEMA}
DECLARED: Final = {
    "functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": SCHEMA}]
}
USE: Final = {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": "1"}}
CALL: Final = {"role": "assistant", "content": [USE]}
CALL_PART: Final = {"functionCall": {"name": "f", "args": {"x": "1"}}}


Q: Final = {"role": "user", "content": "q"}


class Answer(NamedTuple):
    """Answer of a host, and the request that its upstream got, without the model's name."""

    status: int
    message: str
    omitted: str | None
    url: str
    model: str | None
    sent: dict[str, Any]


async def ask(model: str, body: dict[str, Any]) -> Answer:
    """Return the answer to a body, after Google's schemas have accepted it.

    Raises:
        Refused: Google would refuse the request.
    """
    upstream, hook = FakeUpstream(), Recorder()
    upstream.answer = lambda request: httpx.Response(200, json={"totalTokens": 7})
    config = {"model_list": [{"model_name": model, "litellm_params": MODELS[model]}]}
    count_tokens = count_tokens_with(upstream, config, hooks=[hook])
    async with mounted(count_tokens) as client:
        response = await client.post(COUNT, json={"model": model, **body})
    if response.status_code != 200:
        assert upstream.requests == []
        return Answer(response.status_code, response.json()["error"]["message"], None, "", None, {})
    assert response.json() == {"input_tokens": 7}
    omitted = response.headers.get("x-count-tokens-omitted")
    assert ",".join(hook.event.omitted) == (omitted or "")
    url = str(upstream.request.url)
    sent = upstream.body
    if "generateContentRequest" not in sent:
        vertex_judge(sent, model=url.rpartition("/")[2].partition(":")[0])
        return Answer(200, "", omitted, url, None, sent)
    assert sent.keys() == {"generateContentRequest"}
    content_request = sent["generateContentRequest"]
    gemini_judge(content_request)
    named = content_request.pop("model")
    return Answer(200, "", omitted, url, named, content_request)


def content(role: str, *parts: str | dict[str, Any]) -> dict[str, Any]:
    """Return a Content of Gemini's; a string is a part of text."""
    every: Sequence[Any] = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"role": role, "parts": list(every)}


class Case(NamedTuple):
    """Request to models, the members that are sent (None for none), and the places named."""

    title: str
    models: tuple[str, ...]
    body: dict[str, Any]
    sent: dict[str, Any]
    omitted: str | None = None


ASKED: Final = [content("user", "q"), content("model", CALL_PART)]


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def turn(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def result(*blocks: Any, use: str = "t1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": use, "content": list(blocks), **more}


def after_call(*blocks: Any) -> dict[str, Any]:
    return {"messages": [Q, CALL, turn("user", *blocks)]}


def answered(output: str, *within: Any, beside: Any = (), key: str = "output") -> Any:
    """Return the contents of a call and its response, with media within it and after it."""
    parts = {"parts": list(within)} if within else {}
    response = {"functionResponse": {"name": "f", "response": {key: output}, **parts}}
    return [*ASKED, content("user", response, *beside)]
