"""The OpenAPI description of the three paths, for the host's API documentation.

https://spec.openapis.org/oas/v3.1.0 and https://docs.claude.com/en/api/messages-count-tokens
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ERROR_RESPONSES",
    "REQUEST",
    "ErrorBody",
    "ErrorWords",
    "TokenCountBody",
]


class TokenCountBody(BaseModel):
    """The count, and any further field of Anthropic's answer."""

    model_config = ConfigDict(extra="allow")

    input_tokens: int = Field(ge=0, examples=[14])


class ErrorWords(BaseModel):
    """The error's type and message."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["invalid_request_error"])
    message: str


class ErrorBody(BaseModel):
    """Anthropic's error envelope."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["error"])
    error: ErrorWords
    request_id: str | None = None


_CAUSES: Final[Mapping[int | str, str]] = {
    400: "Not a count request, or the provider refuses it as invalid",
    401: "The caller is unknown, or the provider refuses the gateway's credential",
    403: "The caller may not count for this model",
    404: "The model is not configured",
    405: "Not a POST",
    413: "The body is too large",
    429: "Too many counts: the gateway's own cap (`x-count-tokens-limit`), or the provider's",
    431: "The `anthropic-*` headers are too large",
    500: "A fault of the gateway's, or it has no credentials for the provider",
    501: "The provider cannot count this model or this content",
    502: "The provider cannot be reached, or its answer is no count",
    504: "No answer in time",
    "4XX": "The provider's own error, with its own status",
    "5XX": "The provider's own error, with its own status",
}

ERROR_RESPONSES: Final[Mapping[int | str, dict[str, Any]]] = {
    status: {"model": ErrorBody, "description": cause} for status, cause in _CAUSES.items()
}
"""Every error by its status, for FastAPI's `responses`."""

_CONTENT: Final = {
    "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}],
    "description": "Text, or content blocks of any type",
}

REQUEST: Final[Mapping[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "title": "MessageCountTokensRequest",
                    "type": "object",
                    "required": ["model", "messages"],
                    "properties": {
                        "model": {"type": "string", "minLength": 1},
                        "messages": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["role", "content"],
                                "properties": {"role": {"type": "string"}, "content": _CONTENT},
                            },
                        },
                        "system": _CONTENT,
                        "tools": {"type": "array", "items": {"type": "object"}},
                        "tool_choice": {"type": "object"},
                        "thinking": {"type": "object"},
                    },
                },
                "examples": {
                    "message": {
                        "summary": "One message",
                        "value": {
                            "model": "claude-sonnet",
                            "messages": [{"role": "user", "content": "Hello, how are you?"}],
                        },
                    },
                    "conversation": {
                        "summary": "A conversation with a system prompt and a tool",
                        "value": {
                            "model": "claude-sonnet",
                            "system": "Answer in one sentence.",
                            "tools": [
                                {
                                    "name": "population",
                                    "description": "How many people live in a city",
                                    "input_schema": {
                                        "type": "object",
                                        "properties": {"city": {"type": "string"}},
                                    },
                                }
                            ],
                            "messages": [
                                {"role": "user", "content": "What is the capital of France?"},
                                {"role": "assistant", "content": "The capital of France is Paris."},
                                {"role": "user", "content": "What is its population?"},
                            ],
                        },
                    },
                },
            }
        },
    }
}
"""The request's schema, which is as open as the API's, with examples."""
