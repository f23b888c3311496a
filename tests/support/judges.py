"""Validators of request bodies for Google's APIs, by Google's own published schemas.

Vertex AI's schema is its discovery document. The Gemini API's are the types of `google-genai` and
the protocol buffers of `google-ai-generativelanguage`, which know nothing of each other. All of
them refuse unknown fields at every depth. Both validators also check the documented rules that the
schemas cannot express, by the generation of the model.
"""

import json
from collections.abc import Mapping
from typing import Any

from tests.support.google_judges.discovery import judge_by_discovery_document
from tests.support.google_judges.genai import judge_by_genai_types
from tests.support.google_judges.protos import judge_by_protos
from tests.support.google_judges.refused import Refused
from tests.support.google_judges.rules import (
    generation_of,
    judge_contents,
    judge_mixed_tools,
    judge_search,
)

__all__ = ["Refused", "gemini_judge", "vertex_judge"]


def vertex_judge(body: Mapping[str, Any], *, model: str = "gemini-3.6-flash") -> None:
    """Validate a flat body of Vertex AI's `countTokens`; the model is its name or an endpoint.

    Raises:
        Refused: a field is unknown, a value is of another type than the schema's, or a rule for
            the model is broken.
    """
    judge_by_discovery_document(json.loads(json.dumps(body, allow_nan=False)))
    judge_contents(body, generation_of(model))
    judge_search(body, generation_of(model))


def gemini_judge(generate_content_request: Mapping[str, Any]) -> None:
    """Validate the `generateContentRequest` of the Gemini API's `countTokens`, with its `model`.

    Raises:
        Refused: a field is unknown, a value is of another type than a schema's, or a rule for the
            model is broken.
    """
    raw = json.dumps(generate_content_request, allow_nan=False)
    judge_by_genai_types(raw)
    judge_by_protos({"generateContentRequest": json.loads(raw)})
    generation = generation_of(generate_content_request["model"])
    judge_contents(generate_content_request, generation)
    judge_search(generate_content_request, generation)
    judge_mixed_tools(generate_content_request, generation)
