"""Requests of every kind that the counting API accepts."""

import base64
from typing import Any

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
).decode()
PDF = base64.b64encode(b"%PDF-1.7\n%%EOF\n").decode()
WEATHER = {
    "name": "get_weather",
    "description": "The weather at a place.",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    },
}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def text(content: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": content, **more}


HELLO: Any = [user(text("Hello, Claude"))]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
IMAGE_URL = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
DOCUMENT = {
    "type": "document",
    "title": "Contract",
    "context": "Signed",
    "citations": {"enabled": True},
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
}
PLAIN_DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "Plain words."},
}
CONTENT_DOCUMENT = {"type": "document", "source": {"type": "content", "content": [text("Chunk.")]}}
SEARCH_RESULT = {
    "type": "search_result",
    "source": "https://example.com",
    "title": "A page",
    "content": [text("Found.")],
}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"place": "Bern"}}
TOOL_RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("Rain."), IMAGE]}
TOOL_ERROR = {
    "type": "tool_result",
    "tool_use_id": "toolu_1",
    "content": "No such place.",
    "is_error": True,
}
THINKING = {"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmF0dXJl"}

STANDARD: dict[str, dict[str, Any]] = {
    "text as a string": {"messages": [{"role": "user", "content": "Hello, Claude"}]},
    "text blocks": {"messages": HELLO},
    "system as a string": {"messages": HELLO, "system": "Be brief."},
    "system blocks": {
        "messages": HELLO,
        "system": [text("Be brief.", cache_control={"type": "ephemeral"}), text("Be kind.")],
    },
    "several turns": {
        "messages": [*HELLO, {"role": "assistant", "content": "Hi."}, user(text("And you?"))]
    },
    "tools": {"messages": HELLO, "tools": [WEATHER]},
    "built-in tools": {
        "messages": HELLO,
        "tools": [
            {"type": "bash_20250124", "name": "bash"},
            {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        ],
    },
    "server tools": {
        "messages": HELLO,
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
    },
    "tool_choice auto": {
        "messages": HELLO,
        "tools": [WEATHER],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    },
    "tool_choice tool": {
        "messages": HELLO,
        "tools": [WEATHER],
        "tool_choice": {"type": "tool", "name": "get_weather"},
    },
    "thinking adaptive": {"messages": HELLO, "thinking": {"type": "adaptive"}},
    "thinking enabled": {
        "messages": HELLO,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
    },
    "thinking disabled": {"messages": HELLO, "thinking": {"type": "disabled"}},
    "an image": {"messages": [user(IMAGE, text("What is this?"))]},
    "an image by URL": {"messages": [user(IMAGE_URL)]},
    "a PDF": {"messages": [user(DOCUMENT)]},
    "a plain document": {"messages": [user(PLAIN_DOCUMENT)]},
    "a document of blocks": {"messages": [user(CONTENT_DOCUMENT)]},
    "a search result": {"messages": [user(SEARCH_RESULT)]},
    "a tool result": {
        "messages": [*HELLO, {"role": "assistant", "content": [TOOL_USE]}, user(TOOL_RESULT)],
        "tools": [WEATHER],
    },
    "a tool error": {
        "messages": [*HELLO, {"role": "assistant", "content": [TOOL_USE]}, user(TOOL_ERROR)],
        "tools": [WEATHER],
    },
    "thinking of an earlier turn": {
        "messages": [
            *HELLO,
            {"role": "assistant", "content": [THINKING, text("Hi.")]},
            user(text("And?")),
        ]
    },
    "output_config": {
        "messages": HELLO,
        "output_config": {
            "effort": "low",
            "format": {"type": "json_schema", "schema": {"type": "object"}},
        },
    },
    "speed": {"messages": HELLO, "speed": "standard"},
    "cache_control": {"messages": HELLO, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
}
"""Arguments of `client.messages.count_tokens` without the model, by the field or block that each
set has."""

INVENTED_BLOCK = {"messages": [user({"type": "hologram_2027", "volume": {"voxels": [1, 2]}})]}


def without_beta_fields(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without the fields that say nothing of the input and need a beta at a cloud."""
    kept = {name: value for name, value in body.items() if name != "speed"}
    if "output_config" in kept:
        config = {key: value for key, value in kept["output_config"].items() if key != "effort"}
        kept["output_config"] = config
    return kept
