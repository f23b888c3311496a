"""Resource names of models at the Gemini API and at Vertex AI, pure.

https://ai.google.dev/api/models and
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/countTokens
"""

import re
from typing import Final

from count_tokens_mw.errors import CannotCount

__all__ = ["gemini_resource", "vertex_resource"]

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._@-]*"
_GEMINI: Final = re.compile(rf"(?:(models|tunedModels)/)?({_NAME})").fullmatch
# A tuned model has the number of its endpoint: https://docs.litellm.ai/docs/providers/vertex
_ENDPOINT: Final = re.compile(r"(?:gemini/|endpoints/)?([0-9]+)").fullmatch
_PUBLISHED: Final = re.compile(
    rf"(?:(?:gemini/|models/|publishers/google/models/)(?=gemini))?({_NAME})"
).fullmatch


def gemini_resource(model: str) -> str:
    """Return `models/NAME` or `tunedModels/NAME`, which are safe in a URL.

    Raises:
        CannotCount: no model can have this name.
    """
    parts = _GEMINI(model)
    if parts is None:
        raise _no_model("gemini", model)
    return f"{parts[1] or 'models'}/{parts[2]}"


def vertex_resource(model: str) -> str:
    """Return `endpoints/NUMBER`, or the name of a published model; both are safe in a URL.

    Raises:
        CannotCount: no model can have this name.
    """
    if endpoint := _ENDPOINT(model):
        return f"endpoints/{endpoint[1]}"
    published = _PUBLISHED(model)
    if published is None:
        raise _no_model("vertex_ai", model)
    return published[1]


def _no_model(provider: str, model: str) -> CannotCount:
    return CannotCount(f"{provider} has no model of the name {model[:200]!r}.")
