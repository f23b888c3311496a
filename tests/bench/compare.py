"""`python -m tests.bench.compare`: the same questions to us and to LiteLLM's proxy, side by side.

Both stand in front of one upstream that says what it was sent. The table goes into the README.
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

__all__ = ["ANSWERS", "Upstream", "answers", "ours", "table"]

ANSWERS: Final = Path(__file__).with_name("comparison.json")
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
    """An upstream that keeps what it is sent, and answers what it is told."""

    status: int = 200
    answer: Any = field(default_factory=lambda: {"input_tokens": 14})
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: list[tuple[Mapping[str, str], Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def count(self, request: Request) -> Response:
        body = await request.json()
        with self.lock:
            self.sent.append((dict(request.headers), body))
        await asyncio.sleep(0.05)  # or no two requests would ever be under way at once
        return JSONResponse(self.answer, self.status, self.headers)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its base URL, for as long as a `with` lasts."""
        with serving(Starlette(routes=[Route(PATH, self.count, methods=["POST"])])) as url:
            yield url


Question = Callable[[httpx.Client, Upstream], str]


def _faithful(client: httpx.Client, upstream: Upstream) -> str:
    client.post(PATH, json={**_HELLO, **_MORE, "max_tokens": 9}).raise_for_status()
    (_, sent) = upstream.sent[0]
    lost = [f"`{name}`" for name in _MORE if name not in sent]
    return f"the provider is not told {', '.join(lost)}" if lost else "all of it is counted"


def _beta(client: httpx.Client, upstream: Upstream) -> str:
    client.post(PATH, json=_HELLO, headers={"anthropic-beta": _BETA}).raise_for_status()
    (headers, _) = upstream.sent[0]
    return "passed on" if _BETA in headers.get("anthropic-beta", "") else "dropped"


def _unknown_model(client: httpx.Client, upstream: Upstream) -> str:
    return _said(client.post(PATH, json={**_HELLO, "model": "claude-nobody-configured"}))


def _no_count(client: httpx.Client, upstream: Upstream) -> str:
    upstream.answer = {"hello": "world"}
    return _said(client.post(PATH, json=_HELLO))


def _more_said(client: httpx.Client, upstream: Upstream) -> str:
    edits = {"original_input_tokens": 70_000}
    upstream.answer = {"input_tokens": 25_000, "context_management": edits}
    said = client.post(PATH, json=_HELLO).json()
    return "passed on" if said.get("context_management") == edits else "dropped"


def _rate_limit(client: httpx.Client, upstream: Upstream) -> str:
    upstream.status, upstream.headers = 429, {"retry-after": "7", "request-id": "req_1"}
    error = {"type": "rate_limit_error", "message": "slow down"}
    upstream.answer = {"type": "error", "error": error}
    answer = client.post(PATH, json=_HELLO)
    kept = [name for name in upstream.headers if answer.headers.get(name) == upstream.headers[name]]
    names = ", ".join(f"`{name}`" for name in kept) or "neither"
    return f"{answer.status_code}, {names} kept"


def _not_json(client: httpx.Client, upstream: Upstream) -> str:
    return _said(client.post(PATH, content=b"nope", headers={"content-type": "application/json"}))


def _no_post(client: httpx.Client, upstream: Upstream) -> str:
    return _said(client.get(PATH))


def _at_once(client: httpx.Client, upstream: Upstream) -> str:
    asyncio.run(_many(client))
    calls = len(upstream.sent)
    return f"{calls} upstream call{'' if calls == 1 else 's'}"


async def _many(client: httpx.Client) -> None:
    async with httpx.AsyncClient(base_url=client.base_url, headers=client.headers) as many:
        answers = await asyncio.gather(*(many.post(PATH, json=_HELLO) for _ in range(_AT_ONCE)))
    for answer in answers:
        answer.raise_for_status()


def _said(answer: httpx.Response) -> str:
    """A status, and the count or the kind of error."""
    said = answer.json()
    if answer.status_code == 200:
        source = said.get("litellm_count_source", "provider").replace("_", " ")
        return f"200 with a count of {said['input_tokens']} ({source})"
    error = said.get("error") if said.get("type") == "error" else None
    kind = f"`{error['type']}`" if isinstance(error, dict) else "not in Anthropic's envelope"
    return f"{answer.status_code}, {kind}"


QUESTIONS: Final[Mapping[str, Question]] = {
    "A body with `tool_choice`, `thinking`, MCP servers and a field of tomorrow": _faithful,
    "The caller's `anthropic-beta`": _beta,
    "A model that nobody configured": _unknown_model,
    "The provider answers 200 without a count": _no_count,
    "What the provider says with the count (`context_management`)": _more_said,
    "The provider's 429 with `retry-after` and `request-id`": _rate_limit,
    "A body that is not JSON": _not_json,
    "GET": _no_post,
    f"{_AT_ONCE} identical requests at once": _at_once,
}


def answers(serve: Callable[[str], Any]) -> list[str]:
    """What a contender answers to each question; each has a gateway and an upstream of its own."""
    found = []
    for ask in QUESTIONS.values():
        upstream = Upstream()
        with upstream.serving() as there, serve(there) as url:
            headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
            with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
                found.append(ask(client, upstream))
    return found


@contextmanager
def ours(upstream: str) -> Iterator[str]:
    """Us in front of an upstream, as in the README's first example."""
    params = {"model": "anthropic/claude-sonnet-4-5", "api_key": "sk-ant-k", "api_base": upstream}
    entry = {"model_name": "anthropic", "litellm_params": params}
    config = Config.from_mapping({"model_list": [entry]}, {})
    with serving(CountTokens(config, authenticate=api_key({KEY: "bench"}))) as url:
        yield url


@contextmanager
def _litellm(upstream: str) -> Iterator[str]:
    with litellm_proxy(upstream) as process:
        yield process.url


def table(said: Mapping[str, Any]) -> str:
    """The README's table."""
    columns: Sequence[str] = ["count_tokens_mw", f"LiteLLM {said['version']}"]
    rows = zip(QUESTIONS, said["ours"], said["litellm"], strict=True)
    lines = [f"| {question} | {mine} | {theirs} |" for question, mine, theirs in rows]
    head = [f"| asked on {said['date']} | {' | '.join(columns)} |", "|---|---|---|"]
    return "\n".join([*head, *lines]) + "\n"


def main() -> None:
    """Ask both, and keep what they say."""
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    said = {"date": date, "version": litellm_version()}
    both = {"ours": answers(ours), "litellm": answers(_litellm)}
    ANSWERS.write_text(json.dumps({**said, **both}, indent=1) + "\n", encoding="utf-8")
    write_between(*_MARKS, table({**said, **both}))


if __name__ == "__main__":
    main()
