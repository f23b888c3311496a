"""The `litellm_params` of servers of one's own, which serve Anthropic's API beside OpenAI's.

https://docs.vllm.ai/en/stable/serving/openai_compatible_server/,
https://docs.litellm.ai/docs/anthropic_count_tokens and
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from collections.abc import Mapping
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from count_tokens_mw.config.params.anthropic import MessagesParams
from count_tokens_mw.config.params.base import Raw

__all__ = [
    "CustomOpenAIParams",
    "HostedVllmParams",
    "LiteLLMProxyParams",
    "LlamafileParams",
    "LmStudioParams",
    "OptInParams",
    "ServerParams",
]

_WITHOUT_COUNT = "api.openai.com"  # it serves no API of Anthropic's


class ServerParams(MessagesParams):
    """Parameters of a server at `api_base`, which is required, with or without `/v1`.

    The key is optional and sent as bearer, as LiteLLM sends it. `variables` are LiteLLM's defaults
    by field. Anthropic's own key is never one, because another server must not see it.
    """

    key_is_bearer: ClassVar = True
    variables: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @classmethod
    def from_environment(cls, raw: Raw, environ: Mapping[str, str]) -> Mapping[str, str]:
        has_token = bool(raw.get("auth_token"))
        used = {
            field: names
            for field, names in cls.variables.items()
            if not (has_token and field == "api_key")
        }
        return cls.first_set(used, raw, environ)

    def _find_missing(self) -> str | None:
        if "api_base" in self.model_fields_set:
            return None
        names = " or ".join(self.variables.get("api_base", ()))
        return f"api_base is missing; set it{f' or {names}' if names else ''}"


class HostedVllmParams(ServerParams):
    """Parameters of a vLLM server."""

    variables: ClassVar = {
        "api_base": ("HOSTED_VLLM_API_BASE",),
        "api_key": ("HOSTED_VLLM_API_KEY",),
    }


class LiteLLMProxyParams(ServerParams):
    """Parameters of another LiteLLM proxy, whose counts have to name their source."""

    needs_source: ClassVar = True
    variables: ClassVar = {
        "api_base": ("LITELLM_PROXY_API_BASE",),
        "api_key": ("LITELLM_PROXY_API_KEY",),
    }


class OptInParams(ServerParams):
    """Parameters of a server in OpenAI's format, which may or may not have a counting API.

    With `count_tokens_via: anthropic` it is asked by Anthropic's. Without, nothing is sent, because
    a server that routes every path could generate an answer.
    """

    row_keys: ClassVar = ServerParams.row_keys | {"count_tokens_via"}
    needs_opt_in: ClassVar = True

    count_tokens_via: Literal["anthropic"] | None = None

    @classmethod
    def may_count(cls, raw: Raw) -> bool:
        return raw.get("count_tokens_via") is not None

    def _find_missing(self) -> str | None:
        if urlsplit(self.api_base).hostname == _WITHOUT_COUNT:
            return f"api_base: {_WITHOUT_COUNT} has no API of Anthropic's; name a server of yours"
        return super()._find_missing()


class LmStudioParams(OptInParams):
    """Parameters of an LM Studio server."""

    variables: ClassVar = {
        "api_base": ("LM_STUDIO_API_BASE",),
        "api_key": ("LM_STUDIO_API_KEY",),
    }


class LlamafileParams(OptInParams):
    """Parameters of a llamafile; unlike LiteLLM, no port of this machine is the default."""

    variables: ClassVar = {
        "api_base": ("LLAMAFILE_API_BASE",),
        "api_key": ("LLAMAFILE_API_KEY",),
    }


class CustomOpenAIParams(OptInParams):
    """Parameters of any other server in OpenAI's format."""
