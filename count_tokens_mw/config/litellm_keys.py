"""The keys of `litellm_params` that do not concern counting, and suggestions for unknown ones.

They are listed at https://docs.litellm.ai/docs/proxy/configs, /docs/completion/input, /docs/routing
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

__all__ = ["ignored_params", "is_ignored", "nearest", "unknown_key"]

# Keys by which LiteLLM infers, routes, limits, logs and bills.
_IGNORED: Final = frozenset(
    """
    additional_drop_params allow_client_keepalive_override allowed_model_region
    allowed_openai_params api_version assistant_continue_message audio aws_batch_role_arn
    aws_bedrock_project_id aws_session_tags azure_ad_token_provider azure_password azure_scope
    azure_username bedrock_tags bos_token bucket_name budget_duration cache cache_key caching
    client_id client_secret client_side_timeout configurable_clientside_auth_params
    context_management context_window_fallback_dict cooldown_time custom_prompt_dict
    data_residency default_api_key_rpm_limit default_api_key_tpm_limit default_headers
    deployment_id disable_add_transform_inline_image_block drop_params
    enable_json_schema_validation enable_prompt_caching enable_tag_filtering
    ensure_alternating_roles eos_token extra_body fallbacks fastest_response final_prompt_value
    fireworks_forward_user_id force_timeout frequency_penalty function_call functions guardrails
    headers hf_model_name id include_server_side_tool_invocations initial_prompt_value itpm
    keepalive_seconds litellm_disabled_callbacks litellm_metadata litellm_session_id
    litellm_system_prompt litellm_trace_id logger_fn logit_bias logprobs max_agentic_loops
    max_budget max_completion_tokens max_fallbacks max_file_size_mb max_parallel_requests
    max_retries max_tokens merge_reasoning_content_in_choices messages metadata mock_response
    mock_timeout modalities model_alias_map model_config model_id model_info model_list n no-log
    num_retries organization otpm output_config output_format output_vector_size
    parallel_tool_calls performanceConfig prediction presence_penalty preset_cache_key project
    prompt_cache_key prompt_cache_retention prompt_environment prompt_id prompt_label
    prompt_variables prompt_version provider_affinity_header provider_specific_header
    reasoning_effort region_name requestMetadata request_timeout response_format retry_policy
    retry_strategy roles routing_strategy rpm rust safety_identifier safety_settings
    search_tool_name secret_fields seed service_tier shared_session silent_model speed
    ssl_verify stop stop_sequences store stream stream_chunk_size stream_options stream_response
    stream_timeout supports_system_message tag_regex tags temperature tenant_id text_completion
    thinking thinking_config tiered_pricing tool_choice tools top_k top_logprobs top_p tpm ttl
    turn_off_message_logging use_chat_completions_api use_in_pass_through use_litellm_proxy
    use_xai_oauth user user_continue_message vector_store_id verbose verbosity
    watsonx_region_name web_search_options
    """.split()  # noqa: SIM905 - as a list it would be a page and a half
)

# Families of keys, by a prefix, a suffix or a part in the middle.
_FAMILIES: Final = re.compile(
    "(?:adaptive_router|arize|auto_router|caching|complexity_router|dd|gcs|humanloop|langfuse"
    "|langsmith|milvus|newrelic|openai_identity|openai_service|posthog|quality_router|regional"
    "|s3|signoz|valkey|wandb|weave)_.+"
    "|anthropic_(?:disable|federation|identity|issuer|keycloak|organization|service|workspace)_.+"
    "|(?:.+_)?cost_per_.+"
    "|cache_(?:creation|read)_.+_cost(?:_.+)?"
    "|(?:timeout|stream_timeout)_by_service_tier"
    "|_.+"
).fullmatch


def is_ignored(key: str) -> bool:
    """Return whether LiteLLM knows the key, and counting does not depend on it."""
    return key in _IGNORED or bool(_FAMILIES(key))


def ignored_params() -> frozenset[str]:
    """Return the ignored keys that are known by their whole name."""
    return _IGNORED


def nearest(key: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the most similar known key, if its similarity (1 for equal) is at least `likeness`."""
    return next(iter(get_close_matches(key, sorted(known), n=1, cutoff=likeness)), None)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key, with the nearest known one."""
    meant = nearest(key, known)
    return "unknown key" + (f"; did you mean {meant}?" if meant else "")
