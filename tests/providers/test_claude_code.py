"""Claude Code's own requests, counted at emulated clouds that refuse what real ones refuse."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from demo_app.emulators import EmulatedGoogle, emulated_bedrock
from tests.support.cloud import (
    NEW_CLAUDE_ON_BEDROCK,
    Cloud,
    bedrock_params,
    cloud,
    counting,
    vertex_params,
)

# As Claude Code 2.1 sends them, with one that no table knows yet.
HEADERS = {
    "anthropic-beta": (
        "claude-code-20250219,context-1m-2025-08-07,interleaved-thinking-2025-05-14,"
        "mcp-client-2025-11-20,prompt-caching-scope-2026-01-05,effort-2025-11-24,of-2027-01-01"
    ),
    "anthropic-version": "2023-06-01",
    "x-claude-code-session-id": "session-1",
}
ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1.197.abc; cc_entrypoint=cli; cch=00000;"
SCOPED = {"type": "ephemeral", "scope": "global"}
BODY: dict[str, Any] = {
    "model": "m",
    "system": [
        {"type": "text", "text": ATTRIBUTION},
        {"type": "text", "text": "You are Claude Code.", "cache_control": SCOPED},
    ],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    "tools": [
        {
            "name": "Read",
            "description": "Reads a file",
            "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
            "eager_input_streaming": True,
        }
    ],
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "max_tokens": 32000,
    "metadata": {"user_id": "user_1"},
    "output_config": {"effort": "high"},
    "temperature": 1,
    "stream": True,
}
LEFT_OUT = [
    "tools.0.custom.eager_input_streaming",
    "system.1.cache_control.scope",
    "anthropic-beta:of-2027-01-01",
]


@contextmanager
def runtime() -> Iterator[tuple[Cloud, dict[str, Any]]]:
    with cloud(emulated_bedrock()) as upstream:
        yield upstream, bedrock_params(upstream.url)


@contextmanager
def mantle() -> Iterator[tuple[Cloud, dict[str, Any]]]:
    with cloud(emulated_bedrock()) as upstream:
        model = f"bedrock/{NEW_CLAUDE_ON_BEDROCK}"
        yield upstream, bedrock_params(upstream.url, model=model)


@contextmanager
def vertex() -> Iterator[tuple[Cloud, dict[str, Any]]]:
    google = EmulatedGoogle()
    with cloud(google.app) as upstream:
        yield upstream, vertex_params(google, upstream.url, "claude-sonnet-4-5")


@pytest.mark.parametrize(
    ("at", "first", "named"),
    [
        (runtime, 2, ["system.0", "anthropic-beta:claude-code-20250219", "output_config.effort"]),
        # The runtime says first that it does not count this model.
        (mantle, 3, ["anthropic-beta:mcp-client-2025-11-20"]),
        (vertex, 2, ["anthropic-beta:claude-code-20250219"]),
    ],
)
async def test_its_requests_are_counted_with_one_retry_and_then_none(
    at: Any, first: int, named: list[str]
) -> None:
    with at() as (upstream, params):
        async with counting(params) as count_tokens:
            for asked in (first, first + 1, first + 2):
                count = await count_tokens.count(BODY, headers=HEADERS)
                assert count.input_tokens > 0
                assert len(calls_of(upstream)) == asked
                assert set(count.omitted) >= {*LEFT_OUT, *named}


def calls_of(upstream: Cloud) -> list[str]:
    """Return the paths that were asked for counts, not for tokens."""
    return [path for path in upstream.paths if path != "/token"]


async def test_a_new_beta_that_is_taken_is_sent_and_nothing_is_retried() -> None:
    with vertex() as (upstream, params):
        async with counting(params) as count_tokens:
            taken = {"anthropic-beta": "search-results-2025-06-09"}  # in no table of ours
            count = await count_tokens.count(
                {"model": "m", "messages": BODY["messages"]}, headers=taken
            )
        assert count.omitted == ()
        assert len(calls_of(upstream)) == 1
        assert upstream.headers[-1]["anthropic-beta"] == "search-results-2025-06-09"
