"""A judge by the types of `google-genai`."""

import functools
import json
import warnings
from typing import Final

from google.genai import types
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from tests.support.google_judges.refused import Refused

__all__ = ["judge_by_genai_types"]

STANDARD_ALPHABET: Final = str.maketrans("-_", "+/")


class GenerateContentRequest(BaseModel):
    """A request as nested in `countTokens`: https://ai.google.dev/api/generate-content."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    model: str = Field(pattern="^(models|tunedModels)/[a-z0-9.-]+$")
    contents: list[types.Content] = Field(min_length=1)
    system_instruction: types.Content | None = None
    tools: list[types.Tool] | None = None
    tool_config: types.ToolConfig | None = None
    generation_config: types.GenerationConfig | None = None


@functools.cache
def _gemini_type() -> TypeAdapter[GenerateContentRequest]:
    return TypeAdapter(GenerateContentRequest)


def any_base64(value: object) -> object:
    """Return JSON with one base64 alphabet, because `google-genai` rewrites one to the other."""
    match value:
        case str():
            return value.translate(STANDARD_ALPHABET)
        case list():
            return [any_base64(item) for item in value]
        case dict():
            return {name: any_base64(item) for name, item in value.items()}
        case _:
            # The type, because True == 1 and 1.0 == 1.
            return type(value), value


def judge_by_genai_types(raw: str) -> None:
    """Validate the JSON of a `GenerateContentRequest`.

    Raises:
        Refused: a field is unknown, or a value is of another type than the schema's.
    """
    try:
        with warnings.catch_warnings(action="error"):  # for an unknown enum it only warns
            read = _gemini_type().validate_json(raw)
    except (UserWarning, ValidationError) as error:
        raise Refused(str(error)) from None
    # The types coerce "true" to true, and strict mode skips types with an __init__ of their own.
    understood = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if any_base64(understood) != any_base64(json.loads(raw)):
        raise Refused("a value of another type")
