"""Translation of Anthropic's content blocks to Gemini's parts, pure.

From https://docs.claude.com/en/api/messages to https://ai.google.dev/api/caching#Part. The message
of an error begins with its place within the block, or with a colon for the block itself.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from msgspec import Raw

from count_tokens_mw.errors import CannotCount
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.translation.anthropic_types import (
    InlineFile,
    RemoteFile,
    Thinking,
    ToolResult,
    ToolUse,
)
from count_tokens_mw.providers.translation.content import (
    ContentForm,
    Part,
    join_texts,
    json_object,
)

__all__ = ["GeminiForm", "function_call", "sign_first_call"]

# The four types that Anthropic accepts: https://docs.claude.com/en/docs/build-with-claude/vision
_IMAGE_TYPES: Final = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_PLACEHOLDER: Final = "skip_thought_signature_validator"


class GeminiForm(ContentForm):
    """The form of Gemini's parts in a dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def text(self, text: Raw | str) -> Part:
        return {"text": text}

    def inline_file(self, file: InlineFile, *, is_image: bool) -> Part:
        return {"inlineData": {"mimeType": file.media_type, "data": file.data}}

    def remote_file(self, file: RemoteFile, *, is_image: bool) -> Part:
        # Anthropic accepts only PDFs as documents by URL.
        media_type = _image_type(file.url) if is_image else "application/pdf"
        if not file.url.lower().startswith(self.dialect.url_schemes):
            schemes = " or ".join(self.dialect.url_schemes)
            raise CannotCount(f": Gemini takes only a URL that begins with {schemes} here.")
        return {"fileData": {"mimeType": media_type, "fileUri": file.url}}

    def thought(self, block: Thinking) -> list[Part]:
        """Return the parts of a thinking block, without its signature.

        Gemini verifies `thoughtSignature` and would reject Anthropic's.
        """
        return [{**part, "thought": True} for part in self.raw_text(block.thinking, ".thinking")]

    def function_response(self, block: ToolResult, tool: str) -> tuple[Part, list[Part]]:
        """Return the part of a tool_result block, and the media that cannot stand within it.

        Its joined texts are the output or the error:
        https://ai.google.dev/api/caching#FunctionResponse
        """
        parts = self.nested_parts(block.content or "", ".content")
        texts = [part["text"] for part in parts if "text" in part]
        output = texts[0] if len(texts) == 1 else join_texts(texts)
        response: Part = {
            "name": tool,
            "response": {"error" if block.is_error else "output": output},
        }
        if len(parts) == len(texts):
            return {"functionResponse": response}, []
        media = [part for part in parts if "text" not in part]
        within = [part for part in media if self.dialect.holds_in_response(part)]
        if within:
            response["parts"] = within
        beside = [part for part in media if not self.dialect.holds_in_response(part)]
        return {"functionResponse": response}, beside


def function_call(block: ToolUse) -> Part:
    """Return the part of a tool_use block, without its id.

    https://ai.google.dev/api/caching#FunctionCall has an id, but not every version of the API
    accepts it. Gemini matches calls and responses by their order.
    """
    return {"functionCall": {"name": block.name, "args": json_object(block.input, ".input")}}


def sign_first_call(parts: Sequence[Part]) -> None:
    """Add the placeholder for a signature that another model did not give to the first call.

    https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
    """
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        # As it is documented, although the field is base64: the API refuses it encoded once more.
        first["thoughtSignature"] = _PLACEHOLDER


def _image_type(url: str) -> str:
    media_type = _IMAGE_TYPES.get(_extension(url))
    if media_type is None:
        raise CannotCount(
            ": Gemini requires the media type of an image by URL; use a URL that ends in one of "
            f"{', '.join(_IMAGE_TYPES)}."
        )
    return media_type


def _extension(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:  # such as for an unpaired bracket
        return ""
