"""The translation to OpenAI's format, from a mapping to parsed JSON, and its expected items."""

import json
from collections.abc import Mapping
from typing import Any, Final

from count_tokens_mw.providers.openai.translation import input_tokens_request
from count_tokens_mw.providers.translation.encoding import encode_translation
from count_tokens_mw.rawjson.object import JsonObject
from tests.support.openai_judge import openai_judge

__all__ = [
    "CALL",
    "HELLO_ITEM",
    "MODEL",
    "encode",
    "input_of",
    "item",
    "omitted_from",
    "output",
    "translate",
    "translate_and_judge",
]

MODEL: Final = "gpt-5.6"
HELLO_ITEM: Final = {
    "role": "user",
    "content": [{"type": "input_text", "text": "Hello, Claude"}],
}
CALL: Final = {
    "type": "function_call",
    "call_id": "toolu_1",
    "name": "get_weather",
    "arguments": '{"place":"Bern"}',
}


def encode(raw: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the body for a request's JSON text, and the places that it leaves out."""
    body = JsonObject.parse(raw)
    return encode_translation(
        body, input_tokens_request, lambda content: {"model": MODEL} | content
    )


def translate(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the translation of a body, without the model."""
    content: dict[str, Any] = json.loads(encode(json.dumps(body).encode())[0])
    del content["model"]
    return content


def omitted_from(body: Mapping[str, Any]) -> tuple[str, ...]:
    return encode(json.dumps(body).encode())[1]


def translate_and_judge(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the translation of a body, once the SDK's own types accept it."""
    translated = translate(body)
    openai_judge({"model": MODEL, **translated})
    return translated


def input_of(*messages: Any) -> Any:
    return translate({"messages": list(messages)})["input"]


def item(role: str, *parts: str | dict[str, Any]) -> dict[str, Any]:
    """Return an item of a message; a string is a text."""
    texts = [{"type": "input_text", "text": part} for part in parts if isinstance(part, str)]
    others = [part for part in parts if not isinstance(part, str)]
    return {"role": role, "content": [*texts, *others]}


def output(value: Any, call_id: str = "toolu_1") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": value}
