"""Configurations as teams write them for LiteLLM: each loads, and routes as LiteLLM documents."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
import yaml

from count_tokens_mw import Config, Deployment, NotFound
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from tests.support.fakes import USERS_CONFIG


@dataclass(frozen=True)
class Shape:
    """A file, its environment variables, and each model's provider, upstream model and host."""

    text: str
    leads: dict[str, list[tuple[str, str, str]]]
    environ: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


ANTHROPIC = "api.anthropic.com"
GEMINI = "generativelanguage.googleapis.com"

SHAPES = {
    "the users own": Shape(
        USERS_CONFIG,
        {
            "claude-3-5-sonnet": [("anthropic", "claude-3-5-sonnet-20241022", ANTHROPIC)],
            "claude-vertex": [
                (
                    "vertex_ai",
                    "claude-3-5-sonnet-v2@20241022",
                    "us-east5-aiplatform.googleapis.com",
                )
            ],
            "claude-bedrock": [
                (
                    "bedrock",
                    "anthropic.claude-3-5-sonnet-20241022-v2:0",
                    "bedrock-runtime.us-west-2.amazonaws.com",
                )
            ],
        },
        {"ANTHROPIC_API_KEY": "k"},
        unknown=("claude-3-5-sonnet-20241022",),
    ),
    "Bedrock in several regions by weight": Shape(
        """
        model_list:
          - model_name: claude-sonnet
            litellm_params:
              model: bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0
              aws_region_name: us-east-1
              weight: 1
              rpm: 500
            model_info: {id: east, base_model: bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0}
          - model_name: claude-sonnet
            litellm_params:
              model: bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0
              aws_region_name: us-west-2
              weight: 0
              tpm: 100000
            model_info: {id: west, mode: chat}
        router_settings:
          routing_strategy: simple-shuffle
          enable_pre_call_checks: true
          allowed_fails: 3
          cooldown_time: 60
        """,
        {
            "claude-sonnet": [
                (
                    "bedrock",
                    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                    f"bedrock-runtime.{region}.amazonaws.com",
                )
                for region in ("us-east-1", "us-west-2")
            ]
        },
    ),
    "all models of a provider": Shape(
        """
        model_list:
          - model_name: "anthropic/*"
            litellm_params: {model: "anthropic/*", api_key: os.environ/ANTHROPIC_API_KEY}
          - model_name: "gemini/*"
            litellm_params: {model: "gemini/*", api_key: os.environ/GEMINI_API_KEY}
          - model_name: "vertex_ai/*"
            litellm_params:
              model: "vertex_ai/*"
              vertex_project: p
              vertex_location: us-central1
          - model_name: "groq/*"
            litellm_params: {model: "groq/*", api_key: os.environ/GROQ_API_KEY}
        litellm_settings: {drop_params: true, success_callback: [langfuse]}
        """,
        {
            "anthropic/claude-opus-4-8": [("anthropic", "claude-opus-4-8", ANTHROPIC)],
            "claude-opus-4-8": [("anthropic", "claude-opus-4-8", ANTHROPIC)],
            "claude-opus-4-8[1m]": [("anthropic", "claude-opus-4-8", ANTHROPIC)],
            "gemini/gemini-2.5-pro": [("gemini", "gemini-2.5-pro", GEMINI)],
            "gemini-2.5-pro": [
                ("vertex_ai", "gemini-2.5-pro", "us-central1-aiplatform.googleapis.com")
            ],
            "vertex_ai/mistral-large": [("vertex_ai", "mistral-large", "")],
            "groq/llama3-8b-8192": [("groq", "llama3-8b-8192", "")],
        },
        {"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k"},
        unknown=("gpt-4o", "us.anthropic.claude-x"),
    ),
    "stars in the middle": Shape(
        """
        model_list:
          - model_name: "fo::*:static::*"
            litellm_params: {model: "anthropic/fo::*:static::*", api_key: k}
          - model_name: "*meta.llama3*"
            litellm_params: {model: "bedrock/meta.llama3*", aws_region_name: us-east-1}
          - model_name: "llmengine/*"
            litellm_params: {model: "anthropic/*", api_key: k}
          - model_name: "*-fixed"
            litellm_params: {model: anthropic/claude-x, api_key: k}
        """,
        {
            "fo::hi::static::hi": [("anthropic", "fo::hi::static::hi", ANTHROPIC)],
            "llmengine/foo": [("anthropic", "foo", ANTHROPIC)],
            "anything-fixed": [("anthropic", "claude-x", ANTHROPIC)],
        },
    ),
    "everything by default credentials": Shape(
        """
        model_list:
          - model_name: sonnet
            litellm_params: {model: claude-sonnet-4-5}
          - model_name: "*"
            litellm_params: {model: "*"}
        """,
        {
            "sonnet": [("anthropic", "claude-sonnet-4-5", ANTHROPIC)],
            "claude-opus-4-8": [("anthropic", "claude-opus-4-8", ANTHROPIC)],
            "anthropic/claude-opus-4-8": [("anthropic", "claude-opus-4-8", ANTHROPIC)],
            "us.anthropic.claude-sonnet-9": [
                (
                    "bedrock",
                    "us.anthropic.claude-sonnet-9",
                    "bedrock-runtime.eu-west-1.amazonaws.com",
                )
            ],
            "bedrock/anthropic.claude-x": [
                ("bedrock", "anthropic.claude-x", "bedrock-runtime.eu-west-1.amazonaws.com")
            ],
            "gemini/gemini-2.5-pro": [("gemini", "gemini-2.5-pro", GEMINI)],
            "gemini-2.5-flash": [("vertex_ai", "gemini-2.5-flash", "")],
            "gpt-4o": [("openai", "gpt-4o", "")],
            "openai/gpt-4o": [("openai", "gpt-4o", "")],
            "llama-4": [("unknown", "llama-4", "")],
        },
        {"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k", "AWS_REGION": "eu-west-1"},
    ),
    "aliases": Shape(
        """
        model_list:
          - model_name: claude-sonnet-4-5
            litellm_params: {model: anthropic/claude-sonnet-4-5-20250929, api_key: k}
          - model_name: "claude-*"
            litellm_params: {model: "anthropic/claude-*", api_key: k}
        router_settings:
          model_group_alias:
            gpt-4: claude-sonnet-4-5
            "Claude-Sonnet-4-5": {model: claude-sonnet-4-5, hidden: true}
            opus: claude-opus-4-8
          num_retries: 2
          timeout: 30
          redis_host: os.environ/REDIS_HOST
        """,
        {
            "gpt-4": [("anthropic", "claude-sonnet-4-5-20250929", ANTHROPIC)],
            "gpt-4[1m]": [("anthropic", "claude-sonnet-4-5-20250929", ANTHROPIC)],
            "Claude-Sonnet-4-5": [("anthropic", "claude-sonnet-4-5-20250929", ANTHROPIC)],
            "opus": [("anthropic", "claude-opus-4-8", ANTHROPIC)],
            "claude-haiku-4-5": [("anthropic", "claude-haiku-4-5", ANTHROPIC)],
        },
        unknown=("gpt-3.5", "GPT-4"),
    ),
    "credentials by name": Shape(
        """
        model_list:
          - model_name: claude
            litellm_params:
              model: azure_ai/claude-opus-4-1
              litellm_credential_name: default_azure_credential
          - model_name: claude-eu
            litellm_params:
              model: bedrock/eu.anthropic.claude-x
              litellm_credential_name: aws_eu
        credential_list:
          - credential_name: default_azure_credential
            credential_values:
              api_key: os.environ/AZURE_API_KEY
              api_base: os.environ/AZURE_API_BASE
              api_version: "2023-05-15"
            credential_info: {description: "Production credentials for EU region"}
          - credential_name: aws_eu
            credential_values:
              aws_access_key_id: os.environ/EU_KEY
              aws_secret_access_key: os.environ/EU_SECRET
              aws_region_name: eu-central-1
            credential_info: {}
        """,
        {
            "claude": [("azure_ai", "claude-opus-4-1", "r.services.ai.azure.com")],
            "claude-eu": [
                (
                    "bedrock",
                    "eu.anthropic.claude-x",
                    "bedrock-runtime.eu-central-1.amazonaws.com",
                )
            ],
        },
        {
            "AZURE_API_KEY": "k",
            "AZURE_API_BASE": "https://r.services.ai.azure.com/anthropic/v1/messages",
            "EU_KEY": "a",
            "EU_SECRET": "s",
        },
    ),
    "OpenAI and others among them": Shape(
        """
        model_list:
          - model_name: gpt-4o
            litellm_params:
              model: azure/gpt-4o-eu
              api_base: https://my-endpoint-europe-berri-992.openai.azure.com/
              api_key: os.environ/AZURE_API_KEY_EU
              rpm: 6
          - model_name: vllm-models
            litellm_params:
              model: openai/facebook/opt-125m
              api_base: http://0.0.0.0:4000/v1
              api_key: none
              rpm: 1440
            model_info: {version: 2}
          - model_name: mistral-7b
            litellm_params: {model: ollama/mistral, api_base: your_ollama_api_base}
          - model_name: bedrock-cohere
            litellm_params: {model: "bedrock/cohere.command-text-v14", aws_region_name: us-west-2}
          - model_name: text-embedding-ada-002
            litellm_params: {model: text-embedding-ada-002, api_key: k}
          - model_name: claude-sonnet
            litellm_params:
              model: anthropic/claude-sonnet-4-5
              api_key: k
              temperature: 0.2
              max_tokens: 4096
              drop_params: true
              input_cost_per_token: 0.000003
              extra_headers: {anthropic-beta: context-1m-2025-08-07}
        general_settings: {master_key: sk-1234, database_url: os.environ/DATABASE_URL}
        litellm_settings:
          fallbacks: [{claude-sonnet: [gpt-4o]}]
        environment_variables: {REDIS_HOST: localhost}
        """,
        {
            "gpt-4o": [("azure", "gpt-4o-eu", "")],
            "vllm-models": [("openai", "facebook/opt-125m", "")],
            "mistral-7b": [("ollama", "mistral", "")],
            "bedrock-cohere": [("bedrock", "cohere.command-text-v14", "")],
            "text-embedding-ada-002": [("unknown", "text-embedding-ada-002", "")],
            "claude-sonnet": [("anthropic", "claude-sonnet-4-5", ANTHROPIC)],
        },
    ),
    "one model at several providers in an order": Shape(
        """
        model_list:
          - model_name: claude-sonnet
            litellm_params: {model: vertex_ai/claude-sonnet-4-5, vertex_location: global, order: 3}
          - model_name: claude-sonnet
            litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: k, order: 1}
          - model_name: claude-sonnet
            litellm_params: {model: bedrock/anthropic.claude-sonnet-4-5-v1, order: 2}
          - model_name: claude-sonnet
            litellm_params: {model: gemini/gemini-2.5-pro, api_key: k}
        """,
        {
            "claude-sonnet": [
                ("anthropic", "claude-sonnet-4-5", ANTHROPIC),
                (
                    "bedrock",
                    "anthropic.claude-sonnet-4-5-v1",
                    "bedrock-runtime.us-east-1.amazonaws.com",
                ),
                ("vertex_ai", "claude-sonnet-4-5", "aiplatform.googleapis.com"),
                ("gemini", "gemini-2.5-pro", GEMINI),
            ]
        },
        {"AWS_DEFAULT_REGION": "us-east-1"},
    ),
    "keys in the files own variables, several teams": Shape(
        """
        environment_variables:
          TEAM_A_KEY: sk-ant-a
          TEAM_B_KEY: os.environ/SECRET_OF_B
        model_list:
          - model_name: team-a/claude
            litellm_params: {model: anthropic/claude-x, api_key: os.environ/TEAM_A_KEY}
          - model_name: team-b/claude
            litellm_params:
              model: claude-x
              custom_llm_provider: anthropic
              api_key: os.environ/TEAM_B_KEY
              api_base: https://proxy.example/anthropic/
        """,
        {
            "team-a/claude": [("anthropic", "claude-x", ANTHROPIC)],
            "team-b/claude": [("anthropic", "claude-x", "proxy.example")],
            "claude-x": [("anthropic", "claude-x", "proxy.example")],
        },
        {"SECRET_OF_B": "sk-ant-b"},
        unknown=("team-c/claude", "claude-y"),
    ),
    "inference profiles and roles": Shape(
        """
        model_list:
          - model_name: app-profile
            litellm_params:
              model: bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1
              aws_role_name: arn:aws:iam::123456789012:role/counter
              aws_session_name: litellm
              aws_region_name: us-east-1
            model_info: {base_model: anthropic.claude-sonnet-4-5-20250929-v1:0}
          - model_name: in-the-path
            litellm_params: {model: bedrock/eu-west-3/anthropic.claude-v2}
          - model_name: converse
            litellm_params:
              model: bedrock/converse/us.anthropic.claude-opus-4-7
              aws_profile_name: dev
              aws_region_name: us-west-2
            model_info:
              token_count_model: {model: anthropic.claude-opus-4-6, region: us-east-2}
        """,
        {
            "app-profile": [
                (
                    "bedrock",
                    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1",
                    "bedrock-runtime.us-east-1.amazonaws.com",
                )
            ],
            "in-the-path": [
                (
                    "bedrock",
                    "eu-west-3/anthropic.claude-v2",
                    "bedrock-runtime.eu-west-3.amazonaws.com",
                )
            ],
            "converse": [
                ("bedrock", "anthropic.claude-opus-4-6", "bedrock-runtime.us-east-2.amazonaws.com")
            ],
        },
    ),
    "Claude Code's own names": Shape(
        """
        model_list:
          - model_name: "claude-opus-4-8[1m]"
            litellm_params:
              model: anthropic/claude-opus-4-8
              api_key: k
              api_base: https://long.example
          - model_name: claude-opus-4-8
            litellm_params: {model: anthropic/claude-opus-4-8, api_key: k}
          - model_name: claude-haiku-4-5
            litellm_params: {model: anthropic/claude-haiku-4-5, api_key: k}
        """,
        {
            "claude-opus-4-8[1m]": [("anthropic", "claude-opus-4-8", "long.example")],
            "claude-opus-4-8": [("anthropic", "claude-opus-4-8", ANTHROPIC)],
            "claude-haiku-4-5[1M]": [("anthropic", "claude-haiku-4-5", ANTHROPIC)],
        },
        unknown=("claude-haiku-4-5[200k]", "[1m]"),
    ),
}


def led_to(deployment: Deployment) -> tuple[str, str, str]:
    model = deployment.upstream_model
    host = urlsplit(deployment.params.endpoint_for(model)).netloc if deployment.params else ""
    return deployment.provider, model, host


@pytest.mark.parametrize("name", SHAPES)
def test_a_litellm_configuration_leads_where_litellm_documents(name: str) -> None:
    shape = SHAPES[name]
    config = Config.from_mapping(yaml.safe_load(shape.text), shape.environ)
    assert config.warnings == ()
    router = ConfigSnapshot(config).router
    for model, leads in shape.leads.items():
        assert [led_to(deployment) for deployment in router.find(router.name_of(model))] == leads, (
            model
        )
    for model in shape.unknown:
        with pytest.raises(NotFound):
            router.find(router.name_of(model))
