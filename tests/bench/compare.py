"""`python -m tests.bench.compare`: the same requests to count_tokens_mw and to LiteLLM's proxy.

Both stand in front of one upstream that records its requests. The table goes into docs/litellm.md.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from count_tokens_mw import Config, CountTokens, api_key
from demo_app.loopback import serving
from tests.bench.gateway import KEY, PATH
from tests.bench.litellm import litellm_proxy, litellm_version
from tests.bench.report import write_between

__all__ = ["ANSWERS", "PAGE", "Upstream", "ask_all", "ours", "table"]

ANSWERS: Final = Path(__file__).with_name("comparison.json")
PAGE: Final = Path(__file__).parents[2] / "docs" / "litellm.md"
_MARKS: Final = ("<!-- compared by `make compare` -->\n", "<!-- end of comparison -->\n")
_BETA: Final = "a-beta-of-tomorrow-2027-01-01"
_HELLO: Final[Mapping[str, Any]] = {
    "model": "anthropic",
    "messages": [{"role": "user", "content": "Hello"}],
}
_MORE: Final[Mapping[str, Any]] = {
    "tools": [{"name": "clock", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "any"},
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "mcp_servers": [{"type": "url", "url": "https://mcp.example.com", "name": "m"}],
    "a_field_of_tomorrow": {"x": 1},
}
_AT_ONCE: Final = 37


@dataclass(slots=True)
class Upstream:
    """An upstream that records its requests, and gives the answer that is set."""

    status: int = 200
    answer: Any = field(default_factory=lambda: {"input_tokens": 14})
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: list[tuple[Mapping[str, str], Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def count(self, request: Request) -> Response:
        body = await request.json()
        with self.lock:
            self.sent.append((dict(request.headers), body))
        await asyncio.sleep(0.05)  # so that identical requests are in flight at once
        return JSONResponse(self.answer, self.status, self.headers)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the upstream for as long as a `with` lasts, and yield its base URL."""
        with serving(Starlette(routes=[Route(PATH, self.count, methods=["POST"])])) as url:
            yield url


Question = Callable[[httpx.Client, Upstream], str]


def _ask_all_fields(client: httpx.Client, upstream: Upstream) -> str:
    client.post(PATH, json={**_HELLO, **_MORE, "max_tokens": 9}).raise_for_status()
    (_, sent) = upstream.sent[0]
    lost = [f"`{name}`" for name in _MORE if name not in sent]
    return f"the provider does not get {', '.join(lost)}" if lost else "all of it is counted"


def _ask_beta(client: httpx.Client, upstream: Upstream) -> str:
    client.post(PATH, json=_HELLO, headers={"anthropic-beta": _BETA}).raise_for_status()
    (headers, _) = upstream.sent[0]
    return "passed on" if _BETA in headers.get("anthropic-beta", "") else "dropped"


def _ask_unknown_model(client: httpx.Client, upstream: Upstream) -> str:
    return _describe(client.post(PATH, json={**_HELLO, "model": "claude-nobody-configured"}))


def _ask_no_count(client: httpx.Client, upstream: Upstream) -> str:
    upstream.answer = {"hello": "world"}
    return _describe(client.post(PATH, json=_HELLO))


def _ask_extra_fields(client: httpx.Client, upstream: Upstream) -> str:
    edits = {"original_input_tokens": 70_000}
    upstream.answer = {"input_tokens": 25_000, "context_management": edits}
    body = client.post(PATH, json=_HELLO).json()
    return "passed on" if body.get("context_management") == edits else "dropped"


def _ask_rate_limit(client: httpx.Client, upstream: Upstream) -> str:
    upstream.status, upstream.headers = 429, {"retry-after": "17", "request-id": "req_1"}
    error = {"type": "rate_limit_error", "message": "slow down"}
    upstream.answer = {"type": "error", "error": error}
    answer = client.post(PATH, json=_HELLO)
    kept = [name for name in upstream.headers if answer.headers.get(name) == upstream.headers[name]]
    names = ", ".join(f"`{name}`" for name in kept) or "neither"
    return f"{answer.status_code}, {names} kept"


def _ask_not_json(client: httpx.Client, upstream: Upstream) -> str:
    return _describe(
        client.post(PATH, content=b"nope", headers={"content-type": "application/json"})
    )


def _ask_get(client: httpx.Client, upstream: Upstream) -> str:
    return _describe(client.get(PATH))


def _ask_at_once(client: httpx.Client, upstream: Upstream) -> str:
    asyncio.run(_post_many(client))
    calls = len(upstream.sent)
    return f"{calls} upstream call{'' if calls == 1 else 's'}"


async def _post_many(client: httpx.Client) -> None:
    async with httpx.AsyncClient(base_url=client.base_url, headers=client.headers) as many:
        answers = await asyncio.gather(*(many.post(PATH, json=_HELLO) for _ in range(_AT_ONCE)))
    for answer in answers:
        answer.raise_for_status()


def _describe(answer: httpx.Response) -> str:
    """Describe an answer: its status, and its count or the type of its error."""
    body = answer.json()
    if answer.status_code == 200:
        source = body.get("litellm_count_source", "provider").replace("_", " ")
        return f"200 with a count of {body['input_tokens']} ({source})"
    error = body.get("error") if body.get("type") == "error" else None
    kind = f"`{error['type']}`" if isinstance(error, dict) else "not in Anthropic's envelope"
    return f"{answer.status_code}, {kind}"


QUESTIONS: Final[Mapping[str, Question]] = {
    "A body with `tool_choice`, `thinking`, MCP servers and a field of tomorrow": _ask_all_fields,
    "The caller's `anthropic-beta`": _ask_beta,
    "A model that nobody configured": _ask_unknown_model,
    "The provider answers 200 without a count": _ask_no_count,
    "Further fields of the provider's answer (`context_management`)": _ask_extra_fields,
    "The provider's 429 with `retry-after` and `request-id`": _ask_rate_limit,
    "A body that is not JSON": _ask_not_json,
    "GET": _ask_get,
    f"{_AT_ONCE} identical requests at once": _ask_at_once,
}


def ask_all(serve: Callable[[str], Any]) -> list[str]:
    """Ask a contender every question, each with a gateway and an upstream of its own."""
    answers = []
    for ask in QUESTIONS.values():
        upstream = Upstream()
        with upstream.serving() as base, serve(base) as url:
            headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
            with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
                answers.append(ask(client, upstream))
    return answers


@contextmanager
def ours(upstream: str) -> Iterator[str]:
    """Serve our app in front of an upstream, as in the README's first example."""
    params = {"model": "anthropic/claude-sonnet-4-5", "api_key": "sk-ant-k", "api_base": upstream}
    entry = {"model_name": "anthropic", "litellm_params": params}
    config = Config.from_mapping({"model_list": [entry]}, {})
    with serving(CountTokens(config, authenticate=api_key({KEY: "bench"}))) as url:
        yield url


@contextmanager
def _litellm(upstream: str) -> Iterator[str]:
    with litellm_proxy(upstream) as process:
        yield process.url


def table(comparison: Mapping[str, Any]) -> str:
    """Return the page's table."""
    columns: Sequence[str] = ["count_tokens_mw", f"LiteLLM {comparison['version']}"]
    rows = zip(QUESTIONS, comparison["ours"], comparison["litellm"], strict=True)
    lines = [f"| {question} | {mine} | {theirs} |" for question, mine, theirs in rows]
    head = [f"| asked on {comparison['date']} | {' | '.join(columns)} |", "|---|---|---|"]
    return "\n".join([*head, *lines]) + "\n"


def main() -> None:
    """Ask both, and keep their answers."""
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    about = {"date": date, "version": litellm_version()}
    both = {"ours": ask_all(ours), "litellm": ask_all(_litellm)}
    ANSWERS.write_text(json.dumps({**about, **both}, indent=1) + "\n", encoding="utf-8")
    write_between(PAGE, *_MARKS, table({**about, **both}))


if __name__ == "__main__":
    main()
