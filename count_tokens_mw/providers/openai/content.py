"""Translation of Anthropic's content blocks to the content of OpenAI's Responses API, pure.

https://docs.claude.com/en/api/messages and
https://developers.openai.com/api/reference/resources/responses/subresources/input_tokens
"""

from typing import Final

import msgspec
from msgspec import Raw

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.providers.translation.anthropic_types import InlineFile, RemoteFile, ToolUse
from count_tokens_mw.providers.translation.content import ContentForm, Part, json_object

__all__ = ["OpenAIForm", "function_call", "is_text"]

# OpenAI refuses data without a name. Anthropic accepts only PDFs as documents with data.
_FILE_NAME: Final = "document.pdf"


class OpenAIForm(ContentForm):
    """The form of OpenAI's input content, which the user, the system and tools share."""

    def text(self, text: Raw | str) -> Part:
        return {"type": "input_text", "text": text}

    def inline_file(self, file: InlineFile, *, is_image: bool) -> Part:
        media_type = msgspec.json.encode(file.media_type)[1:-1]
        # One join, because data may have megabytes.
        data = Raw(b"".join([b'"data:', media_type, b";base64,", memoryview(file.data)[1:]]))
        if is_image:
            return {"type": "input_image", "image_url": data, "detail": "auto"}
        return {"type": "input_file", "filename": _FILE_NAME, "file_data": data}

    def remote_file(self, file: RemoteFile, *, is_image: bool) -> Part:
        if is_image:
            return {"type": "input_image", "image_url": file.url, "detail": "auto"}
        return {"type": "input_file", "file_url": file.url}


def is_text(part: Part) -> bool:
    """Return whether a part is a text."""
    return part["type"] == "input_text"


def function_call(block: ToolUse) -> Part:
    """Return the item of a tool_use block.

    Its arguments are a string: the caller's own JSON text, without white space between values.

    Raises:
        InvalidRequest: the input is no object, or is nested too deeply.
    """
    try:
        arguments = msgspec.json.format(bytes(json_object(block.input, ".input")), indent=-1)
    except RecursionError:
        raise InvalidRequest(".input: it is nested too deeply.") from None
    return {
        "type": "function_call",
        "call_id": block.id,
        "name": block.name,
        "arguments": arguments.decode(),
    }
