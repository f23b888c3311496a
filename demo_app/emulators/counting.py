"""The invented counts: deterministic, growing with every part of a request, and not the models'."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["billable_characters", "count", "count_gemini", "count_openai", "gemini_details"]

_PIECE: Final = re.compile(r"\w{1,6}|[^\w\s]")
_SPACES: Final = re.compile(r"\s+")
_MODALITIES: Final = {
    "application/pdf": "DOCUMENT",
    "audio": "AUDIO",
    "image": "IMAGE",
    "video": "VIDEO",
}


def count(body: Mapping[str, Any]) -> int:
    """Count an Anthropic request: 7 for itself, 1 for each message, and the weight of its parts."""
    parts = 7 + _weigh(body.get("system", ""))
    for message in body["messages"]:
        parts += 1 + _weigh(message["content"])
    for name in ("tools", "mcp_servers", "output_config", "thinking", "tool_choice"):
        parts += _weigh(body[name]) if body.get(name) else 0
    return parts


def count_gemini(body: Mapping[str, Any]) -> int:
    """Count a Gemini request in camelCase: 1 for each content, and the weight of its parts."""
    return sum(detail["tokenCount"] for detail in gemini_details(body))


def count_openai(body: Mapping[str, Any]) -> int:
    """Count a request of OpenAI's: 3 for itself, 4 for each item, and the weight of its parts."""
    items = body["input"] if isinstance(body["input"], list) else [body["input"]]
    others = ("instructions", "tools", "tool_choice", "text", "parallel_tool_calls")
    weighed = [_with_media(items), *[body[name] for name in others if name in body]]
    return 3 + 4 * len(items) + _weigh(weighed)


def _with_media(value: Any) -> Any:
    """Return OpenAI's items with their data URLs as base64, and without the ids of calls."""
    match value:
        case str() if value.startswith("data:"):
            return {"type": "base64", "data": value.partition(",")[2]}
        case list():
            return [_with_media(item) for item in value]
        case dict():
            return {name: _with_media(item) for name, item in value.items() if name != "call_id"}
    return value


def gemini_details(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the count by modality, in the format of `promptTokensDetails`."""
    tokens = Counter({"TEXT": len(body.get("contents") or ())})
    for modality, content in _texts_and_media(_prompt_of(body)):
        tokens[modality] += len(_PIECE.findall(content)) if modality == "TEXT" else _size(content)
    return [
        {"modality": name, "tokenCount": number}
        for name, number in sorted(tokens.items())
        if number
    ]


def billable_characters(body: Mapping[str, Any]) -> int:
    """Count the characters of all texts without white space: Vertex's second number."""
    texts = (text for modality, text in _texts_and_media(_prompt_of(body)) if modality == "TEXT")
    return sum(len(_SPACES.sub("", text)) for text in texts)


def _prompt_of(body: Mapping[str, Any]) -> list[Any]:
    parts = [
        [_without_signature(part) for part in content.get("parts") or ()]
        for content in body.get("contents") or ()
    ]
    system = (body.get("systemInstruction") or {}).get("parts") or []
    return [*parts, system, body.get("tools") or [], body.get("toolConfig") or {}]


def _without_signature(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "thoughtSignature"}


def _size(base64: str) -> int:
    return 85 + len(base64) // 750


def _weigh(value: object) -> int:
    """Weigh text by its pieces, base64 by its size, and all else by its keys and values."""
    # An explicit stack, because JSON may be nested too deeply for recursion.
    left, total = [value], 0
    while left:
        item = left.pop()
        if isinstance(item, str):
            total += len(_PIECE.findall(item))
        elif isinstance(item, list):
            left.extend(item)
        elif not isinstance(item, dict):
            total += 1
        elif item.get("type") == "text" and isinstance(item.get("text"), str):
            left.append(item["text"])
        elif item.get("type") == "base64":
            data = item.get("data")
            total += _size(data if isinstance(data, str) else "")
        else:
            left += (*item, *item.values())
    return total


def _texts_and_media(value: object) -> Iterator[tuple[str, str]]:
    """Yield the texts in a Gemini value as `TEXT`, and its media by their modality."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            kind, data = item.get("mimeType"), item.get("data", item.get("fileUri"))
            if isinstance(kind, str) and isinstance(data, str):
                yield _modality(kind), data
            else:
                left += (*(name for name in item if name != "text"), *item.values())
        else:
            yield "TEXT", str(item)


def _modality(mime_type: str) -> str:
    family = mime_type.partition("/")[0]
    return _MODALITIES.get(mime_type) or _MODALITIES.get(family) or "DOCUMENT"
