"""A judge by the protocol buffers of the Gemini API, as in `google-ai-generativelanguage`.

The package is older than the API: `LACKING` has the fields that `google-genai` sends to the Gemini
API and the package does not have. A test keeps the list no longer than that.
"""

from collections.abc import Mapping
from typing import Any, Final

from google.ai.generativelanguage_v1beta import CountTokensRequest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError

from tests.support.google_judges.refused import Refused

__all__ = ["LACKING", "REQUEST", "fields_of", "judge_by_protos", "message_in", "name_of"]

REQUEST: Final[Descriptor] = CountTokensRequest.pb().DESCRIPTOR
LACKING: Final[Mapping[str, frozenset[str]]] = {
    "CodeExecutionResult": frozenset({"id"}),
    "ExecutableCode": frozenset({"id"}),
    "FileSearch": frozenset({"fileSearchStoreNames", "metadataFilter", "topK"}),
    "FunctionResponsePart": frozenset(
        {
            "audioMetadata",
            "documentMetadata",
            "mediaProcessing",
            "mediaResolution",
            "spreadsheetMetadata",
            "videoMetadata",
        }
    ),
    "GenerationConfig": frozenset(
        {
            "audioTranscriptionConfig",
            "enableAffectiveDialog",
            "responseFormat",
            "translationConfig",
        }
    ),
    "Part": frozenset(
        {
            "audioMetadata",
            "audioTranscription",
            "documentMetadata",
            "mediaProcessing",
            "mediaResolution",
            "speechMetadata",
            "spreadsheetMetadata",
            "toolCall",
            "toolResponse",
        }
    ),
    "Schema": frozenset({"additionalProperties", "defs", "ref"}),
    "ThinkingConfig": frozenset({"thinkingLevel"}),
    "Tool": frozenset({"mcpServers"}),
    "Tool.ComputerUse": frozenset({"disabledSafetyPolicies", "enablePromptInjectionDetection"}),
    "Tool.GoogleSearch": frozenset({"searchTypes"}),
    "ToolConfig": frozenset({"includeServerSideToolInvocations"}),
    "VideoMetadata": frozenset({"contentLayers"}),
    "VoiceConfig": frozenset({"replicatedVoiceConfig", "voice"}),
}


def judge_by_protos(body: Mapping[str, Any]) -> None:
    """Validate the body of `countTokens` strictly, less what the protocol buffers lack.

    Raises:
        Refused: a field is unknown, or a value is of another type than the field's.
    """
    try:
        ParseDict(without_lacking(body, REQUEST), CountTokensRequest.pb()())
    except ParseError as error:
        raise Refused(str(error)) from None


def without_lacking(value: object, message: Descriptor) -> object:
    """Return JSON of a message without the fields that the package lacks."""
    if not isinstance(value, dict):
        return value
    fields, lacking = fields_of(message), LACKING.get(name_of(message), frozenset())
    return {
        name: without_lacking_in(item, fields[name]) if name in fields else item
        for name, item in value.items()
        if name not in lacking
    }


def without_lacking_in(value: object, field: FieldDescriptor) -> object:
    message = message_in(field)
    if message is None:
        return without_depth(value, field)
    if isinstance(value, list):
        return [without_lacking(item, message) for item in value]
    if field.message_type.GetOptions().map_entry and isinstance(value, dict):
        return {name: without_lacking(item, message) for name, item in value.items()}
    return without_lacking(value, message)


def without_depth(value: object, field: FieldDescriptor) -> object:
    """Return JSON without what is in a field of any JSON, of which the library takes few levels."""
    match field.message_type and field.message_type.full_name:
        case "google.protobuf.Struct" if isinstance(value, dict):
            return {}
        case "google.protobuf.Value":
            return None
        case _:
            return value


def name_of(message: Descriptor) -> str:
    """Return a message's name without its package, such as `Tool.ComputerUse`."""
    name: str = message.full_name
    return name.removeprefix(f"{message.file.package}.")


def fields_of(message: Descriptor) -> dict[str, FieldDescriptor]:
    """Return the fields of a message by their names in JSON."""
    return {field.json_name: field for field in message.fields}


def message_in(field: FieldDescriptor) -> Descriptor | None:
    """Return the message of a field's value, item or map value, unless it is any JSON."""
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return message_in(message.fields_by_name["value"])
    return None if message is None or message.file.package == "google.protobuf" else message
