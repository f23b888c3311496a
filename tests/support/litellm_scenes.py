"""Counts for loggers of LiteLLM: a success, a cached count, an error of the provider, and a 404.

A canary is in the body, in every key, in headers, in the path of the upstream and in its message.
Nothing here needs more than the package itself, because LiteLLM's own interpreter imports it too.
"""

from collections.abc import Mapping
from typing import Any, Final

from count_tokens_mw import Caller, Config, CountTokens
from count_tokens_mw.events import Hook
from tests.support.fakes import FakeUpstream, mounted

__all__ = ["CANARY", "SCENES", "play", "stable"]

CANARY: Final = "canary-of-prompt-or-key"
SCENES: Final = ("success", "cached", "provider error", "unknown model")

_ERROR: Final = b'{"type":"error","error":{"type":"overloaded_error","message":"%b"}}'
_HEADERS: Final = {
    "authorization": f"Bearer {CANARY}",
    "x-api-key": CANARY,
    "cookie": CANARY,
    "anthropic-beta": CANARY,
    "user-agent": CANARY,
    "x-claude-code-session-id": "session-1",
    "x-litellm-customer-id": "eve",
    "x-litellm-tags": "team-a,batch",
}
_BODY: Final[Mapping[str, Any]] = {
    "model": "sonnet",
    "system": CANARY,
    "messages": [{"role": "user", "content": CANARY}],
    "tools": [{"name": CANARY, "input_schema": {"type": "object"}}],
    "metadata": {"user_id": CANARY, "note": CANARY},
}
# They differ with each run, or from machine to machine.
_CHANGING: Final = {
    "completionStartTime",
    "endTime",
    "id",
    "litellm_call_id",
    "response_time",
    "startTime",
    "trace_id",
}


async def play(hook: Hook) -> None:
    """Make a count of each scene in their order, and close the counter."""
    upstream = FakeUpstream()
    params = {
        "model": "anthropic/claude-sonnet-4-5",
        "api_key": CANARY,
        "api_base": f"https://anthropic.example/{CANARY}",
    }
    entry = {"model_name": "sonnet", "litellm_params": params, "model_info": {"id": "sonnet-1"}}
    count_tokens = CountTokens(
        Config.from_mapping({"model_list": [entry]}, {}),
        authenticate=lambda request: Caller("team-a", attributes={"key": CANARY}),
        hooks=[hook],
        http_client=upstream.client(),
    )
    statuses = []
    async with count_tokens.lifespan(), mounted(count_tokens) as client:
        for scene in SCENES:
            body = dict(_BODY)
            if scene == "provider error":
                body["system"] = f"{CANARY} again"
                upstream.answers(529, _ERROR % CANARY.encode(), request_id="req_2")
            if scene == "unknown model":
                body["model"] = "opus"
            path = "/v1/messages/count_tokens"
            answer = await client.post(path, json=body, headers=_HEADERS)
            statuses.append(answer.status_code)
    assert statuses == [200, 200, 529, 404]
    assert len(upstream.requests) == 2


def stable(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload without its times and ids."""
    return {name: value for name, value in payload.items() if name not in _CHANGING}
