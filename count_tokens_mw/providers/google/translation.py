"""Translation of an Anthropic request to Gemini's `GenerateContentRequest`, pure.

From https://docs.claude.com/en/api/messages-count-tokens to
https://ai.google.dev/api/generate-content, which
https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/projects.locations.publishers.models/countTokens
shares but for `toolConfig`.
"""

from count_tokens_mw.errors import CannotCount, InvalidRequest
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.messages import translate_messages
from count_tokens_mw.providers.google.parts import GeminiForm
from count_tokens_mw.providers.google.tools import tool_config, translate_tools
from count_tokens_mw.providers.translation.anthropic_types import SystemMessage
from count_tokens_mw.providers.translation.content import Part
from count_tokens_mw.providers.translation.conversation import refuse_many_blocks
from count_tokens_mw.providers.translation.counterparts import with_format
from count_tokens_mw.providers.translation.request import RequestFields, Translation
from count_tokens_mw.providers.translation.tools import ToolChoice
from count_tokens_mw.rawjson.object import JsonObject

__all__ = ["generate_content_request"]


def generate_content_request(body: JsonObject, dialect: Dialect) -> Translation:
    """Return `contents`, `systemInstruction`, `tools`, `toolConfig` and `generationConfig`.

    Empty members are left out. Vertex AI's counter takes no `toolConfig`, so any choice of a tool
    but the default is named as left out. An output schema becomes `generationConfig`.

    Raises:
        CannotCount: a part of the input has no counterpart in Gemini; the message names its place.
        InvalidRequest: the body is malformed or has no content; the message names the place.
    """
    try:
        return _translate(body, dialect)
    except CannotCount as error:
        raise with_format(error, "Gemini") from None


def _translate(body: JsonObject, dialect: Dialect) -> Translation:
    fields = RequestFields(body)
    messages, system = fields.read("messages") or [], fields.read("system") or ""
    refuse_many_blocks([*messages, SystemMessage(system)], len(body.raw))
    form = GeminiForm(dialect)
    conversation = translate_messages(messages, form, fields.omissions)
    if not conversation.contents:
        raise InvalidRequest("messages: non-empty content is required.")
    instruction = form.nested_parts(system, "system") + conversation.instruction
    tools = translate_tools(fields, dialect)
    choice: ToolChoice | None = fields.read("tool_choice")
    config = tool_config(choice, tools, dialect)
    schema = fields.schema()
    content: Part = {"contents": conversation.contents}
    if instruction:
        content["systemInstruction"] = {"parts": instruction}
    if entries := tools.entries():
        content["tools"] = entries
    if config and dialect.backend == "gemini_api":
        content["toolConfig"] = config
    has_choice = "functionCallingConfig" in config and "toolConfig" in content
    if tools.entries() and choice is not None and choice.type != "auto" and not has_choice:
        fields.omissions.add(lambda: "tool_choice")
    if schema is not None:
        # https://ai.google.dev/api/generate-content#generationconfig
        content["generationConfig"] = {
            "responseMimeType": "application/json",
            "responseJsonSchema": schema,
        }
    return Translation(content, fields.omissions.places())
