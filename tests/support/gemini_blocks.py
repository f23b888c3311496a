"""Blocks and messages of Anthropic's format, with their parts for Gemini 3 and newer."""

from typing import Any

from tests.support.requests import (
    CONTENT_DOCUMENT,
    DOCUMENT,
    IMAGE,
    IMAGE_URL,
    PDF,
    PLAIN_DOCUMENT,
    PNG,
    SEARCH_RESULT,
    THINKING,
    TOOL_ERROR,
    TOOL_RESULT,
    TOOL_USE,
    WEATHER,
    text,
)

__all__ = [
    "ASSISTANT_BLOCKS",
    "BASH",
    "CALL_PART",
    "CODE_EXECUTION",
    "DECLARATION",
    "HELLO_TURN",
    "PDF_PART",
    "PNG_FILE",
    "PNG_PART",
    "RESULTS",
    "USER_BLOCKS",
    "WEB_SEARCH",
    "assistant",
    "document",
    "image_by",
    "response",
    "result",
    "system",
    "tool_use",
]

HELLO_TURN = {"role": "user", "parts": [{"text": "Hello, Claude"}]}
PNG_PART = {"inlineData": {"mimeType": "image/png", "data": PNG}}
PDF_PART = {"inlineData": {"mimeType": "application/pdf", "data": PDF}}
PNG_FILE = {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}}
CALL_PART = {"functionCall": {"name": "get_weather", "args": {"place": "Bern"}}}
DECLARATION = {
    "name": "get_weather",
    "description": "The weather at a place.",
    "parametersJsonSchema": WEATHER["input_schema"],
}
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
CODE_EXECUTION = {"type": "code_execution_20260521", "name": "code_execution"}
BASH = {"type": "bash_20250124", "name": "bash"}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def image_by(url: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


def document(source_type: str, **source: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": source_type, **source}}


def result(content: Any = None, tool_use_id: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content, **more}


def tool_use(number: int, name: str = "get_weather") -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}


def response(output: str, *media: Any, key: str = "output", name: str = "get_weather") -> Any:
    parts = {"parts": list(media)} if media else {}
    return {"functionResponse": {"name": name, "response": {key: output}, **parts}}


USER_BLOCKS: dict[str, tuple[Any, list[Any]]] = {
    "text": (text("Hi.", cache_control={"type": "ephemeral"}, citations=[]), [{"text": "Hi."}]),
    "empty text": (text(""), []),
    "image": (IMAGE, [PNG_PART]),
    "image by URL": (IMAGE_URL, [PNG_FILE]),
    "image by URL with a query": (
        image_by("https://b/a.b/C.JPG?x=.png#y"),
        [{"fileData": {"mimeType": "image/jpeg", "fileUri": "https://b/a.b/C.JPG?x=.png#y"}}],
    ),
    "PDF with title and context": (DOCUMENT, [{"text": "Contract"}, {"text": "Signed"}, PDF_PART]),
    "PDF": (document("base64", media_type="application/pdf", data=PDF), [PDF_PART]),
    "plain document": (PLAIN_DOCUMENT, [{"text": "Plain words."}]),
    "plain document with a title": (
        {**PLAIN_DOCUMENT, "title": "T", "context": None},
        [{"text": "T"}, {"text": "Plain words."}],
    ),
    "document of blocks": (CONTENT_DOCUMENT, [{"text": "Chunk."}]),
    "document of a text and an image": (
        document("content", content=[text("Chunk."), IMAGE, text("")]),
        [{"text": "Chunk."}, PNG_PART],
    ),
    "document of a string": (document("content", content="Chunk."), [{"text": "Chunk."}]),
    "document by URL": (
        document("url", url="https://example.com/contract"),
        [{"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/contract"}}],
    ),
    "search result": (
        SEARCH_RESULT,
        [{"text": "A page"}, {"text": "https://example.com"}, {"text": "Found."}],
    ),
}
RESULTS: dict[str, tuple[Any, list[Any]]] = {
    "text and image": (TOOL_RESULT, [response("Rain.", PNG_PART)]),
    "error": (TOOL_ERROR, [response("No such place.", key="error")]),
    "not an error": (result("Rain.", is_error=False), [response("Rain.")]),
    "several texts": (result([text("Rain."), text("Wind.")]), [response("Rain.\nWind.")]),
    "a text of escapes": (
        result([text('"a"\n\\'), text("😀")]),
        [response('"a"\n\\\n😀')],
    ),
    "nothing": (result(), [response("")]),
    "an empty string": (result(""), [response("")]),
    "a PDF": (result([DOCUMENT]), [response("Contract\nSigned", PDF_PART)]),
    "a search result": (result([SEARCH_RESULT]), [response("A page\nhttps://example.com\nFound.")]),
    "a reference to a tool": (
        result([{"type": "tool_reference", "tool_name": "now"}]),
        [response("")],
    ),
    "a reference and a text": (
        result([text("See."), {"type": "tool_reference", "tool_name": "now"}]),
        [response("See.")],
    ),
}
ASSISTANT_BLOCKS: dict[str, tuple[Any, list[Any]]] = {
    "text": (text("Hi."), [{"text": "Hi."}]),
    "tool_use": (TOOL_USE, [CALL_PART]),
    "thinking": (THINKING, [{"text": "Let me see.", "thought": True}]),
    "thinking that is not shown": ({**THINKING, "thinking": ""}, []),
    "redacted_thinking": ({"type": "redacted_thinking", "data": "eA=="}, []),
}
