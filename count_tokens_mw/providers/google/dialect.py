"""The form of a request to Gemini, by API and generation of models.

https://ai.google.dev/gemini-api/docs/function-calling and
https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling
"""

import re
from collections.abc import Container, Sized
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["Backend", "Dialect", "dialect_of"]

Backend: TypeAlias = Literal["gemini_api", "vertex"]

_EARLIER: Final = re.compile(r"(?:.*/)?gemini-([12])\.").match
_NEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form that an API takes for a generation of models: 1, 2, or 3 for all newer ones.

    With `signs_calls`, each model turn's first function call has the documented placeholder for a
    missing thought signature, if the generation verifies signatures.
    """

    backend: Backend
    generation: int
    signs_calls: bool = False

    def holds_in_response(self, media: Container[str]) -> bool:
        """Return whether a function response holds a part with media of this kind.

        2.x refuses "multimodal function responses", and the Gemini API's type has no `fileData`.
        """
        is_held = "inlineData" in media or self.backend == "vertex"
        return is_held and self.generation >= _NEWEST

    def separates(self, responses: Sized) -> bool:
        """Return whether nothing else may stand in a content with these function responses.

        It is a 400 on Gemini 3 and newer, and on 2.x beside several.
        """
        return bool(responses) and (self.generation >= _NEWEST or len(responses) > 1)

    @property
    def url_schemes(self) -> tuple[str, ...]:
        """The beginnings of URLs from which the API reads files; any other may lead elsewhere."""
        return ("https://", "gs://") if self.backend == "vertex" else ("https://",)

    @property
    def combines_tools(self) -> bool:
        """Whether built-in tools beside functions need `includeServerSideToolInvocations`.

        Earlier generations cannot combine them, and refuse.
        """
        return self.generation >= _NEWEST

    @property
    def web_search(self) -> str:
        """The name of the tool that searches the web."""
        return "googleSearch" if self.generation > 1 else "googleSearchRetrieval"


def dialect_of(backend: Backend, model: str, *, signs_calls: bool = False) -> Dialect:
    """Return the dialect of a model; an unknown name is of the newest generation."""
    earlier = _EARLIER(model)
    generation = int(earlier[1]) if earlier else _NEWEST
    return Dialect(backend, generation, signs_calls and generation >= _NEWEST)
