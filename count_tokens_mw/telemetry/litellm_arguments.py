"""Arguments of LiteLLM's loggers for the event of a count, without a prompt and without a key.

https://docs.litellm.ai/docs/proxy/logging_spec
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from count_tokens_mw.events import Attempt, CountEvent, EntryPoint

__all__ = ["CALL_TYPE", "CountFailure", "LoggerArguments", "Response", "arguments_for"]

CALL_TYPE: Final = "acount_tokens"
"""The `call_type` of every call; LiteLLM itself logs no count."""

_ROUTES: Final[dict[EntryPoint, str]] = {
    "count_tokens": "/v1/messages/count_tokens",
    "passthrough": "/anthropic/v1/messages/count_tokens",
    "breakdown": "/v1/messages/count_tokens/breakdown",
}
_NO_METADATA: Final = dict.fromkeys(
    (
        "user_api_key_hash",
        "user_api_key_spend",
        "user_api_key_max_budget",
        "user_api_key_budget_reset_at",
        "user_api_key_user_spend",
        "user_api_key_user_max_budget",
        "user_api_key_team_spend",
        "user_api_key_team_max_budget",
        "user_api_key_org_id",
        "user_api_key_org_alias",
        "user_api_key_team_id",
        "user_api_key_team_alias",
        "user_api_key_project_id",
        "user_api_key_project_alias",
        "user_api_key_user_email",
        "user_api_key_auth_metadata",
        "spend_logs_metadata",
        "requester_ip_address",
        "user_agent",
        "requester_metadata",
        "requester_custom_headers",
        "prompt_management_metadata",
        "mcp_tool_call_metadata",
        "vector_store_request_metadata",
        "routing_decision",
        "kubernetes_pod_routing",
        "applied_guardrails",
        "usage_object",
        "cold_storage_object_key",
        "team_alias",
        "team_id",
        "used_client_oauth_token",
    )
)


class Response(dict[str, Any]):
    """Mapping whose items are attributes too, as those of LiteLLM's responses are."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class CountFailure(Exception):
    """Error of a count, with the attributes of LiteLLM's exceptions and without a traceback.

    Its text has the error's class, type and status, and nothing of the upstream's message.
    """

    def __init__(self, event: CountEvent) -> None:
        super().__init__(f"{event.error}: {event.error_type} ({event.status})")
        self.message = str(self)
        self.status_code = event.status
        self.llm_provider = event.provider
        self.model = _model_of(event)


class LoggerArguments(NamedTuple):
    """Arguments of `async_log_success_event` and `async_log_failure_event`, in their order.

    The times are local and naive, as LiteLLM's are.
    """

    kwargs: dict[str, Any]
    response_obj: Response | None
    start_time: datetime
    end_time: datetime


def arguments_for(event: CountEvent, *, count_as_usage: bool = False) -> LoggerArguments:
    """Return new arguments, modelled on those of `acompletion`, which the logger may change.

    With `count_as_usage`, the count is the number of prompt tokens. Otherwise no tokens are used.
    """
    usage = _usage_of(event, count_as_usage=count_as_usage)
    start = _local_time(event.started_at)
    end = _local_time(event.started_at + event.duration)
    called_at = event.attempts[-1].started_at if event.attempts else event.started_at
    kwargs: dict[str, Any] = {
        "model": _model_of(event),
        "messages": [],
        "input": [],
        "optional_params": {},
        "litellm_params": _litellm_params_of(event),
        "litellm_call_id": event.request_id,
        "call_type": CALL_TYPE,
        "custom_llm_provider": event.provider,
        "user": event.end_user,
        "stream": False,
        "cache_hit": event.source == "cache",
        "response_cost": 0.0,
        "start_time": start,
        "end_time": end,
        "api_call_start_time": _local_time(called_at),
        "completion_start_time": end,
        "standard_callback_dynamic_params": {},
        "standard_logging_object": _payload_of(event, usage),
    }
    if event.error is not None:
        kwargs |= {"exception": CountFailure(event), "traceback_exception": ""}
        kwargs["log_event_type"] = "failed_api_call"
        return LoggerArguments(kwargs, None, start, end)
    kwargs["log_event_type"] = "successful_api_call"
    return LoggerArguments(kwargs, _response_of(event, usage), start, end)


def _payload_of(event: CountEvent, usage: dict[str, int]) -> dict[str, Any]:
    """Return LiteLLM's `StandardLoggingPayload`."""
    ended_at = event.started_at + event.duration
    status = "success" if event.error is None else "failure"
    return {
        "id": event.request_id,
        "trace_id": event.request_id,
        "session_id": event.session_id or event.request_id,
        "litellm_call_id": event.request_id,
        "call_type": CALL_TYPE,
        "stream": False,
        "response_cost": 0.0,
        "cost_breakdown": None,
        "autorouter_savings": None,
        "autorouter_savings_estimate": None,
        "autorouter_baseline_observation": None,
        "response_cost_failure_debug_info": None,
        "status": status,
        "status_fields": {"llm_api_status": status, "guardrail_status": "not_run"},
        "custom_llm_provider": event.provider,
        **usage,
        "startTime": event.started_at,
        "endTime": ended_at,
        "completionStartTime": ended_at,
        "response_time": event.duration,
        "model_map_information": {"model_map_key": _model_of(event), "model_map_value": None},
        "model": _model_of(event),
        "model_id": event.deployment,
        "model_group": event.model,
        "api_base": _host_of(event),
        "metadata": _metadata_of(event),
        "cache_hit": event.source == "cache",
        "cache_key": None,
        "saved_cache_cost": 0.0,
        "request_tags": list(event.tags),
        "end_user": event.end_user,
        "requester_ip_address": None,
        "user_agent": None,
        "messages": None,
        "response": None if event.error is not None else {"input_tokens": event.input_tokens},
        "error_str": None if event.error is None else str(CountFailure(event)),
        "error_information": _error_information_of(event),
        "model_parameters": {},
        "hidden_params": _hidden_params_of(event),
        "guardrail_information": None,
        "standard_built_in_tools_params": None,
    }


def _metadata_of(event: CountEvent) -> dict[str, Any]:
    """Return LiteLLM's `StandardLoggingMetadata`; the caller is the alias of a key, and a user."""
    caller = event.caller.id if event.caller else None
    return {
        **_NO_METADATA,
        "user_api_key_alias": caller,
        "user_api_key_user_id": caller,
        "user_api_key_end_user_id": event.end_user,
        "user_api_key_request_route": _ROUTES.get(event.entry_point),
    }


def _litellm_params_of(event: CountEvent) -> dict[str, Any]:
    metadata = {
        **_metadata_of(event),
        "model_group": event.model,
        "model_info": {"id": event.deployment},
        "session_id": event.session_id,
        "tags": list(event.tags),
    }
    return {
        "api_base": _host_of(event),
        "custom_llm_provider": event.provider,
        "litellm_call_id": event.request_id,
        "metadata": metadata,
        "proxy_server_request": {  # some loggers read the end user there
            "url": _ROUTES.get(event.entry_point, ""),
            "method": "POST",
            "headers": {},
            "body": {"model": event.model, "user": event.end_user},
        },
    }


def _hidden_params_of(event: CountEvent) -> dict[str, Any]:
    return {
        "model_id": event.deployment,
        "cache_key": None,
        "api_base": _host_of(event),
        "response_cost": 0.0,
        "litellm_overhead_time_ms": None,
        "additional_headers": None,
        "batch_models": None,
        "batch_successful_requests": None,
        "batch_failed_requests": None,
        "litellm_model_name": event.upstream_model,
        "usage_object": None,
    }


def _error_information_of(event: CountEvent) -> dict[str, Any] | None:
    if event.error is None:
        return None
    return {
        "error_code": str(event.status),
        "error_class": event.error,
        "llm_provider": event.provider or "",
        "traceback": "",
        "error_message": str(CountFailure(event)),
        "error_provider_request_id": event.upstream_request_id,
    }


def _response_of(event: CountEvent, usage: dict[str, int]) -> Response:
    return Response(
        id=event.request_id,
        object="count_tokens",
        created=int(event.started_at),
        model=_model_of(event),
        choices=[],
        usage=Response(usage),
        input_tokens=event.input_tokens,
    )


def _usage_of(event: CountEvent, *, count_as_usage: bool) -> dict[str, int]:
    tokens = event.input_tokens or 0 if count_as_usage else 0
    return {"total_tokens": tokens, "prompt_tokens": tokens, "completion_tokens": 0}


def _model_of(event: CountEvent) -> str:
    return event.upstream_model or event.model or ""


def _host_of(event: CountEvent) -> str:
    """Return the host of the deployment that answered, or nothing without one."""
    answered = (attempt for attempt in event.attempts if _is_answer(attempt, event))
    return next((attempt.host for attempt in answered if attempt.host), "")


def _is_answer(attempt: Attempt, event: CountEvent) -> bool:
    return attempt.deployment == event.deployment


def _local_time(seconds: float) -> datetime:
    # Loggers subtract these from naive times of their own.
    return datetime.fromtimestamp(seconds)  # noqa: DTZ006
