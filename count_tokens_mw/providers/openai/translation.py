"""Translation of an Anthropic request to OpenAI's request of a count, pure.

From https://docs.claude.com/en/api/messages-count-tokens to
https://developers.openai.com/api/reference/resources/responses/subresources/input_tokens
"""

from typing import Final

from count_tokens_mw.errors import CannotCount, InvalidRequest
from count_tokens_mw.providers.openai.content import OpenAIForm
from count_tokens_mw.providers.openai.messages import translate_messages
from count_tokens_mw.providers.openai.tools import Choice, choice_members, translate_tools
from count_tokens_mw.providers.translation.anthropic_types import SystemMessage
from count_tokens_mw.providers.translation.content import Part, join_texts
from count_tokens_mw.providers.translation.conversation import refuse_many_blocks
from count_tokens_mw.providers.translation.counterparts import with_format
from count_tokens_mw.providers.translation.reader import Reader
from count_tokens_mw.providers.translation.request import READERS, RequestFields, Translation
from count_tokens_mw.rawjson.object import JsonObject

__all__ = ["OPENAI_READERS", "input_tokens_request"]

OPENAI_READERS: Final = {**READERS, "tool_choice": Reader[Choice](Choice)}
"""Readers of the top-level fields that are input."""

# A name is required. LiteLLM generates with this one too.
_SCHEMA_NAME: Final = "structured_output"


def input_tokens_request(body: JsonObject) -> Translation:
    """Return `input`, `instructions`, `tools`, the choice of one, and `text` with a schema.

    Empty members are left out, and `model` is the caller's to add.

    Raises:
        CannotCount: a part of the input has no counterpart; the message names its place.
        InvalidRequest: the body is malformed or has no content; the message names the place.
    """
    try:
        return _translate(body)
    except CannotCount as error:
        raise with_format(error, "OpenAI's Responses API") from None


def _translate(body: JsonObject) -> Translation:
    fields = RequestFields(body, OPENAI_READERS)
    messages, system = fields.read("messages") or [], fields.read("system") or ""
    refuse_many_blocks([*messages, SystemMessage(system)], len(body.raw))
    items = translate_messages(messages, fields.omissions)
    if not items:
        raise InvalidRequest("messages: non-empty content is required.")
    content: Part = {"input": items}
    if texts := [part["text"] for part in OpenAIForm().nested_parts(system, "system")]:
        content["instructions"] = join_texts(texts)
    if tools := translate_tools(fields):
        content["tools"] = tools
    choice: Choice | None = fields.read("tool_choice")
    if choice is not None:
        content |= choice_members(choice, tools)
    schema = fields.schema()
    if schema is not None:
        # Strict would restrict the schema to a part of JSON Schema.
        form: Part = {"type": "json_schema", "name": _SCHEMA_NAME}
        content["text"] = {"format": {**form, "schema": schema, "strict": False}}
    return Translation(content, fields.omissions.places())
