"""The providers, one row each; a new provider is a row, a params model and a module.

https://docs.litellm.ai/docs/providers
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from count_tokens_mw.config.params.anthropic import AnthropicParams, AzureParams
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.params.google import GeminiParams, VertexParams
from count_tokens_mw.config.params.openai import AzureOpenAIParams, OpenAIParams
from count_tokens_mw.config.params.servers import (
    CustomOpenAIParams,
    HostedVllmParams,
    LiteLLMProxyParams,
    LlamafileParams,
    LmStudioParams,
)

__all__ = ["PROVIDERS", "ProviderSpec", "spec_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """A provider: all that modules other than its own know about it.

    `name` and `aliases` are LiteLLM's prefixes; an alias has the route that it stands for, as in
    `bedrock/mantle/MODEL`. `bare` matches the start of a model's name without a prefix, and
    `models` the start of an upstream model that can be counted. `uncounted` has exceptions, each a
    pattern at the start of an upstream model, and a name for what it matches. `params` belongs to
    this row alone. `factory` is the `module:callable` that makes a `Provider` from `params` and an
    `HttpClient`; it is imported on first use. `region_field` is the parameter that
    `token_count_model.region` sets. `telemetry_name` is OpenTelemetry's `gen_ai.provider.name`.
    `hints` are for the operator: each has an error's status, a pattern in its message, and a text.
    The first that matches is shown.
    """

    name: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    params: type[Params]
    factory: str
    models: re.Pattern[str] = re.compile("")
    uncounted: tuple[tuple[re.Pattern[str], str], ...] = ()
    bare: re.Pattern[str] = re.compile("(?!)")
    region_field: str | None = None
    telemetry_name: str
    hints: tuple[tuple[int, str, str], ...] = ()


# OpenAI's models that take or give no text; the pattern matches the others.
_WITH_TEXT: Final = re.compile(
    r"(?!(?:.*/)?(?:dall-e|(?:chat)?gpt-image|(?:omni|text)-moderation|sora|text-embedding|tts|whisper)-"
    r"|gpt-(?:.*-)?(?:live|realtime|transcribe|tts)\b)"
)
_FEDERATION_HINT: Final = (
    "see the federation rule's history in the Claude Console: another issuer, subject or audience, "
    "a token that was taken before, or no workspace"
)
_SCHEMAS: Final = "see docs/providers.md of this package, Schemas"
_ANTHROPICS_FORMAT: Final = "count_tokens_mw.providers.anthropic:create"
# For a row whose entries have no count unless they opt in.
_OPT_IN_HINTS: Final = (
    (
        501,
        "no counting API",
        "set count_tokens_via: anthropic if api_base has /v1/messages/count_tokens",
    ),
)
# Messages of Gemini about a tool's or an output's schema, as public reports have them.
_SCHEMA_HINTS: Final = (
    (
        400,
        r"reference to undefined schema|when \$ref is present|set alongside unsupported fields",
        f"put the definition into $defs of the same schema, with nothing beside $ref; {_SCHEMAS}",
    ),
    (
        400,
        r"too many states for serving|maximum allowed nesting depth",
        f"simplify the schema: fewer levels, shorter enums, lower maxItems; {_SCHEMAS}",
    ),
    (
        400,
        r"function_?declarations?\b.*(parameters|schema|\.name:)|json_?schema|response.?schema",
        f"simplify the schema at this place; function_declarations counts custom tools; {_SCHEMAS}",
    ),
    (
        400,
        r"\ARequest contains an invalid argument\.\Z",
        f"it may be a schema over the model's budget; halve the tools to find it; {_SCHEMAS}",
    ),
)

# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_ENTRA_HINTS: Final = (
    (500, "AADSTS7000215", "client_secret is not a secret's value; its id does not do"),
    (500, "AADSTS7000222", "client_secret has expired; create another"),
    (500, "AADSTS700016", "there is no application client_id in tenant_id"),
    (500, "AADSTS(90002|900023)", "there is no tenant_id; check the directory's id"),
    (
        500,
        r"AADSTS(70021|700211|700212|700213|700024)\b",
        "compare the token's issuer, subject and audience with the federated credential",
    ),
    (500, "federated token file", "is azure_federated_token_file the mounted token's path?"),
    (500, "refused the gateway's identity", "check tenant_id, client_id and its proof"),
    (500, "no such managed identity", "assign one to this machine; client_id names a user's own"),
    (502, "Entra ID failed", "Entra ID limits or fails; retry"),
)

# For a server whose count_tokens_via is set.
_WITHOUT_API: Final = (
    (501, "answered 40[45]", "does api_base have the counting API that count_tokens_via names?"),
)


# Clouds also offer models of vendors that have no counting API there, hence `models`.
# Telemetry's names: https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
_ROWS: Final = (
    ProviderSpec(
        name="anthropic",
        params=AnthropicParams,
        factory=_ANTHROPICS_FORMAT,
        bare=re.compile(r"claude-(?!.*-v\d+:\d+\Z)"),  # such a version is Bedrock's
        telemetry_name="anthropic",
        hints=(
            (500, "refused the identity token", _FEDERATION_HINT),
            (500, "identity token", "is anthropic_identity_token_file the mounted token's path?"),
            (502, "token server answered", "Anthropic's token server limits or fails; retry later"),
        ),
    ),
    ProviderSpec(
        name="azure_ai",
        params=AzureParams,
        factory=_ANTHROPICS_FORMAT,
        models=re.compile(r"claude|\*"),
        telemetry_name="azure.ai.inference",
        hints=(
            (404, "", "set the model to the name of the deployment in this resource"),
            (401, "", "the credential is refused; Entra ID needs azure_scope of this resource"),
            (403, "", "give the identity a role on the resource, such as Cognitive Services User"),
            *_ENTRA_HINTS,
        ),
    ),
    ProviderSpec(
        name="hosted_vllm",
        params=HostedVllmParams,
        factory=_ANTHROPICS_FORMAT,
        telemetry_name="vllm",
        hints=((404, "", "set the model to a name that vLLM serves (--served-model-name)"),),
    ),
    ProviderSpec(
        name="litellm_proxy",
        params=LiteLLMProxyParams,
        factory=_ANTHROPICS_FORMAT,
        telemetry_name="litellm",
    ),
    *(
        ProviderSpec(
            name=name,
            params=params,
            factory=_ANTHROPICS_FORMAT,
            telemetry_name=name,
            hints=_OPT_IN_HINTS,
        )
        for name, params in (
            ("lm_studio", LmStudioParams),
            ("llamafile", LlamafileParams),
            ("custom_openai", CustomOpenAIParams),
        )
    ),
    ProviderSpec(
        name="bedrock",
        aliases={"bedrock_mantle": "mantle/"},
        params=BedrockParams,
        factory="count_tokens_mw.providers.bedrock.provider:Bedrock",
        models=re.compile(r".*anthropic\.|(?:.*/)?claude-|.*arn:|.*\*"),
        uncounted=(
            (re.compile(r"(?:.*/)?claude_platform/"), "Claude Platform on AWS (claude_platform/)"),
            (re.compile(r".*arn:[^:]*:bedrock-agentcore:|(?:.*/)?agent(?:core)?/"), "an agent"),
            (re.compile(r".*arn:[^:]*:bedrock(?::[^:]*){2}:imported-model/"), "an imported model"),
            (
                re.compile(r"(?:.*/)?(?:deepseek_r1|llama|moonshot|nova(?:-2)?|openai|qwen\d)/"),
                "another vendor's model",
            ),
        ),
        bare=re.compile(
            r"(?:[a-z-]+-\d+/)?(?:[a-z-]+\.)?anthropic\.claude|claude-.*-v\d+:\d+\Z|"
            r"arn:aws[a-z-]*:bedrock:"
        ),
        region_field="aws_region_name",
        telemetry_name="aws.bedrock",
        hints=(
            (403, "mantle", "allow bedrock-mantle:CountTokens (keys: CallWithBearerToken) in IAM"),
            (403, "", "allow bedrock:CountTokens on this foundation model in IAM"),
            (401, "", "the Bedrock API key is refused; check its expiry and its account"),
            (400, "identifier is invalid", "is this model id right, and offered in this region?"),
            (404, "", "request access to this model, or try another aws_region_name"),
        ),
    ),
    ProviderSpec(
        name="gemini",
        params=GeminiParams,
        factory="count_tokens_mw.providers.google.gemini:Gemini",
        telemetry_name="gcp.gemini",
        hints=(
            (403, "", "enable the Generative Language API for this key's project"),
            *_SCHEMA_HINTS,
        ),
    ),
    ProviderSpec(
        name="vertex_ai",
        aliases={"vertex_ai_beta": ""},
        params=VertexParams,
        factory="count_tokens_mw.providers.google.vertex:Vertex",
        models=re.compile(
            r"claude|(?:publishers/google/models/|models/)?gemini|(?:endpoints/)?[0-9]+$|\*"
        ),
        bare=re.compile(r"gemini-"),  # as in LiteLLM, which does not infer AI Studio
        region_field="vertex_count_tokens_location",
        telemetry_name="gcp.vertex_ai",
        hints=(
            (403, "", "grant aiplatform.endpoints.predict (roles/aiplatform.user)"),
            (404, "", "try another vertex_count_tokens_location, or enable the model there"),
            (400, "not supported", "try another vertex_count_tokens_location"),
            (401, "", "the Google credentials are refused; check vertex_credentials"),
            (500, "another account", "reload the configuration, which then takes the new account"),
            (500, "refuses the gateway's key", "the key is deleted, disabled or expired; renew it"),
            *_SCHEMA_HINTS,
        ),
    ),
    ProviderSpec(
        name="openai",
        params=OpenAIParams,
        factory="count_tokens_mw.providers.openai.provider:create",
        models=_WITH_TEXT,
        bare=re.compile(r"(?:ft:)?(?:(?:chat)?gpt-|o\d)[^/]*$"),
        telemetry_name="openai",
        hints=(
            (401, "organization", "set organization to one that the key belongs to"),
            (401, "", "the OpenAI API key is refused; check it and its project"),
            (403, "", "give the API key write permission for Responses (/v1/responses)"),
            (404, "", "is this model's name right, and does the key's project have access to it?"),
            (429, "quota|billing", "add credit to the OpenAI account, or raise its budget"),
            (
                501,
                "no counting API",
                "set count_tokens_via to responses or anthropic, if the server has that API",
            ),
            *_WITHOUT_API,
        ),
    ),
    ProviderSpec(
        name="azure",
        params=AzureOpenAIParams,
        factory="count_tokens_mw.providers.openai.provider:create",
        models=_WITH_TEXT,
        telemetry_name="azure.ai.openai",
        hints=(
            (404, "", "set the model to the name of the deployment in this resource"),
            (501, "no counting API", "set count_tokens_via: responses to try it at this resource"),
            *_WITHOUT_API,
        ),
    ),
)
PROVIDERS: Final = {row.name: row for row in _ROWS}
"""All rows by name. The first that recognises a bare name is its provider."""


def spec_of(params: Params) -> ProviderSpec:
    """Return the row of the parameters' class, or of its nearest base class that has one.

    Raises:
        TypeError: no provider takes these parameters.
    """
    rows = {row.params: row for row in PROVIDERS.values()}
    for kind in type(params).__mro__:
        if kind in rows:
            return rows[kind]
    raise TypeError(f"no provider takes {type(params).__qualname__}")
