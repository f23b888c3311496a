"""Breakdowns: every number is a difference of two exact counts, and they sum up."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from count_tokens_mw import (
    Breakdown,
    Caller,
    CountTokensMiddleware,
    Deployment,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TokenCount,
)
from count_tokens_mw.breakdown.variants import Counts, Variants
from count_tokens_mw.protocol.request import parse_request
from tests.support.anthropic_judge import anthropic_judge
from tests.support.fakes import (
    FakeUpstream,
    Recorder,
    client_of,
    count_tokens_with,
    mounted,
)
from tests.support.requests import (
    DOCUMENT,
    IMAGE,
    STANDARD,
    TOOL_RESULT,
    TOOL_USE,
    WEATHER,
    text,
    user,
)

BREAKDOWN = "/v1/messages/count_tokens/breakdown"
CONVERSATION: dict[str, Any] = {
    "model": "claude-sonnet",
    "system": "one two three",
    "tools": [WEATHER, {"name": "clock", "input_schema": {"type": "object"}}],
    "messages": [
        user(text("a b"), IMAGE, DOCUMENT),
        {"role": "assistant", "content": [text("c d e"), TOOL_USE]},
        user(TOOL_RESULT, text("f")),
        {"role": "assistant", "content": "g h i j"},
        user(IMAGE),
    ],
}


def words(value: Any) -> int:
    """Return 1 for each word of text, 100 for an image, 200 for a document."""
    match value:
        case str():
            return len(value.split())
        case {"type": "image"}:
            return 100
        case {"type": "document"}:
            return 200
        case {"type": "text", "text": str(content)}:
            return words(content)
        case {"type": "tool_use"}:
            return 10
        case {"type": "tool_result"}:
            return 20 + words(value.get("content", ""))
        case list():
            return sum(map(words, value))
    raise AssertionError(value)


def refusal(body: dict[str, Any]) -> str | None:
    """Return Anthropic's error message for a conversation that it does not count, or None."""
    messages = body["messages"]
    if messages[-1]["role"] != "user":
        return "the conversation must end with a user message"
    for before, after in itertools.pairwise(messages):
        answers = [block for block in after["content"] if isinstance(block, dict)]
        results = {block.get("tool_use_id") for block in answers}
        blocks = [block for block in before["content"] if isinstance(block, dict)]
        for use in (block["id"] for block in blocks if block["type"] == "tool_use"):
            if use not in results:
                return f"tool_use ids without tool_result blocks: {use}"
    if any(not message["content"] for message in messages):
        return "messages must have non-empty content"
    return None


class Counting(FakeUpstream):
    """An upstream that adds to `words` 7 for a request, 3 for a message, 50 for a tool, and 300 for
    any tools at all."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = self.counted

    def counted(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        refused = refusal(body)
        if refused is not None:
            return error(400, "invalid_request_error", refused)
        tools = body.get("tools", [])
        chosen = body.get("tool_choice", {}).get("name")
        if "tool_choice" in body and chosen not in {None, *(tool["name"] for tool in tools)}:
            return error(400, "invalid_request_error", f"no tool {chosen}")
        tokens = 7 + words(body.get("system", "")) + 50 * len(tools) + 300 * bool(tools)
        tokens += sum(3 + words(message["content"]) for message in body["messages"])
        return httpx.Response(200, json={"input_tokens": tokens})

    @property
    def bodies(self) -> Iterator[dict[str, Any]]:
        return (json.loads(request.content) for request in self.requests)


def error(status: int, kind: str, message: str) -> httpx.Response:
    envelope = {"type": "error", "error": {"type": kind, "message": message}}
    return httpx.Response(status, json=envelope)


@pytest.fixture
def upstream() -> Counting:
    return Counting()


async def broken_down(upstream: FakeUpstream, body: dict[str, Any], **settings: Any) -> Breakdown:
    return await count_tokens_with(upstream, settings=settings).breakdown(body)


async def test_every_part_has_its_tokens_and_they_sum_up_to_the_count(upstream: Counting) -> None:
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(BREAKDOWN, json=CONVERSATION)
    assert response.status_code == 200
    assert response.headers["x-count-tokens-source"] == "provider"
    assert response.json() == {
        "input_tokens": 7 + 3 + 300 + 100 + 305 + 16 + 125 + 7 + 103,
        "system": 3,
        "tools": [
            {"name": "get_weather", "input_tokens": 50},
            {"name": "clock", "input_tokens": 50},
        ],
        "messages": [
            {
                "role": "user",
                "input_tokens": 305,
                "images": [
                    {"path": "content.1", "type": "image", "input_tokens": 100},
                    {"path": "content.2", "type": "document", "input_tokens": 200},
                ],
            },
            # A closing tool result costs 20 more than the closing ".".
            {"role": "assistant", "input_tokens": 36},
            {
                "role": "user",
                "input_tokens": 101,
                "images": [{"path": "content.0.content.1", "type": "image", "input_tokens": 100}],
            },
            {"role": "assistant", "input_tokens": 11},
            {
                "role": "user",
                "input_tokens": 103,
                "images": [{"path": "content.0", "type": "image", "input_tokens": 103}],
            },
        ],
        "overhead": 307,
    }


async def test_all_that_is_asked_is_what_the_vendors_types_take(upstream: Counting) -> None:
    await broken_down(upstream, CONVERSATION)
    assert len(upstream.requests) == 13
    for sent in upstream.bodies:
        anthropic_judge(sent)


@pytest.mark.parametrize("name", STANDARD)
async def test_the_parts_of_every_kind_of_request_sum_up(name: str) -> None:
    upstream = FakeUpstream()
    upstream.answer = lambda request: httpx.Response(
        200, json={"input_tokens": len(request.content)}
    )
    breakdown = await broken_down(upstream, {"model": "claude-sonnet", **STANDARD[name]})
    parts = [tool.input_tokens for tool in breakdown.tools]
    parts += [message.input_tokens for message in breakdown.messages]
    total = (breakdown.system or 0) + sum(part or 0 for part in parts)
    assert breakdown.overhead is not None
    assert total + breakdown.overhead == breakdown.input_tokens
    for sent in upstream.requests:
        anthropic_judge(json.loads(sent.content))


async def test_a_request_of_one_message_has_a_message_and_an_overhead(upstream: Counting) -> None:
    body = {"model": "claude-sonnet", "messages": [{"role": "user", "content": "a b c"}]}
    assert (await broken_down(upstream, body)).as_dict() == {
        "input_tokens": 13,
        "system": 0,
        "tools": [],
        "messages": [{"role": "user", "input_tokens": 6}],
        "overhead": 7,
    }


@pytest.mark.parametrize(
    ("tools", "choice", "kept"),
    [
        (["a", "b"], {"type": "tool", "name": "a"}, [False, True]),
        (["a", "b"], {"type": "any"}, [True, True]),
        (["a"], {"type": "auto"}, [False]),
    ],
)
async def test_a_tool_is_left_out_with_the_choice_that_needs_it(
    upstream: Counting, tools: list[str], choice: dict[str, str], kept: list[bool]
) -> None:
    declared = [{"name": name, "input_schema": {"type": "object"}} for name in tools]
    body = {**CONVERSATION, "messages": [user(text("a"))], "tools": declared, "tool_choice": choice}
    breakdown = await broken_down(upstream, body)
    assert breakdown.errors == []
    without = [sent for sent in upstream.bodies if len(sent.get("tools", ())) < len(tools)]
    assert ["tool_choice" in sent for sent in without] == kept


async def test_what_the_provider_does_not_count_without_a_part_is_null_with_the_reason(
    upstream: Counting,
) -> None:
    def picky(request: httpx.Request) -> httpx.Response:
        if b'"get_weather","description' not in request.content.replace(b": ", b":").replace(
            b", ", b","
        ):
            return error(400, "invalid_request_error", "get_weather is used, and not defined")
        return upstream.counted(request)

    upstream.answer = picky
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(BREAKDOWN, json=CONVERSATION)
    answer = response.json()
    assert [tool["input_tokens"] for tool in answer["tools"]] == [None, 50]
    assert answer["overhead"] is None
    assert answer["system"] == 3
    assert answer["errors"] == [
        {
            "part": "tools.0",
            "type": "invalid_request_error",
            "message": "get_weather is used, and not defined",
        }
    ]


async def test_a_conversation_that_cannot_be_counted_up_to_a_message_leaves_out_two(
    upstream: Counting,
) -> None:
    def without_two(request: httpx.Request) -> httpx.Response:
        messages = json.loads(request.content)["messages"]
        if len(messages) == 5 and messages[-1]["content"] == ".":
            return error(400, "invalid_request_error", "not these")
        return upstream.counted(request)

    upstream.answer = without_two
    breakdown = await broken_down(upstream, CONVERSATION)
    assert [message.input_tokens is None for message in breakdown.messages] == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert [error.part for error in breakdown.errors] == ["messages.3", "messages.4"]


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429, 500, 529])
async def test_an_error_of_the_moment_is_the_answer_and_ends_the_work(
    upstream: Counting, status: int
) -> None:
    hook = Recorder()

    def exhausted(request: httpx.Request) -> httpx.Response:
        answer = upstream.counted(request)
        if len(upstream.requests) > 3:
            answer = error(status, "rate_limit_error", "enough")
        answer.headers["request-id"] = f"req_{len(upstream.requests)}"
        return answer

    upstream.answer = exhausted
    settings = {"breakdown": {"max_concurrency": 1}}
    count_tokens = count_tokens_with(upstream, settings=settings, hooks=[hook])
    async with mounted(count_tokens) as client:
        response = await client.post(BREAKDOWN, json=CONVERSATION)
    assert response.status_code == status
    assert response.json()["error"]["message"] == "enough"
    assert len(upstream.requests) == 4
    assert hook.event.status == status
    assert [attempt.status for attempt in hook.event.attempts] == [200, 200, 200, status]
    assert hook.event.upstream_request_id == "req_4"


async def test_an_error_of_the_whole_is_told_before_any_part_is_asked(upstream: Counting) -> None:
    body = {**CONVERSATION, "messages": [{"role": "assistant", "content": "Hi"}]}
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(BREAKDOWN, json=body)
    assert response.status_code == 400
    assert "must end with a user message" in response.json()["error"]["message"]
    assert len(upstream.requests) == 1


async def test_what_was_counted_before_is_not_asked_again(upstream: Counting) -> None:
    count_tokens = count_tokens_with(upstream, settings={"cache": {"ttl": 300}})
    first = await count_tokens.breakdown(CONVERSATION)
    asked = len(upstream.requests)
    again = await count_tokens.breakdown(CONVERSATION)
    assert len(upstream.requests) == asked
    assert again.source == "cache"
    assert again.as_dict() == first.as_dict()
    longer = {**CONVERSATION, "messages": [*CONVERSATION["messages"], *CONVERSATION["messages"]]}
    await count_tokens.breakdown(longer)
    prefixes = [sent["messages"] for sent in list(upstream.bodies)[asked:]]
    assert CONVERSATION["messages"][:1] not in [messages[:-1] for messages in prefixes]


async def test_it_is_one_event_with_all_its_attempts(upstream: Counting) -> None:
    hook = Recorder()
    async with mounted(count_tokens_with(upstream, hooks=[hook])) as client:
        answer = (await client.post(BREAKDOWN, json=CONVERSATION)).json()
    event = hook.event
    assert (event.entry_point, event.status, event.model) == ("breakdown", 200, "claude-sonnet")
    assert event.input_tokens == answer["input_tokens"]
    assert event.deployment == "claude-sonnet#0"
    assert len(event.attempts) == len(upstream.requests) == 1 + 1 + 2 + 6 + 3


async def test_progress_is_told_after_each_count(upstream: Counting) -> None:
    seen: list[tuple[int, int]] = []
    count_tokens = count_tokens_with(upstream)
    await count_tokens.breakdown(CONVERSATION, progress=lambda *counts: seen.append(counts))
    assert seen == [(done, 13) for done in range(1, 14)]


@pytest.mark.parametrize(
    "model",
    ["claude-3-5-sonnet", "claude-vertex", "claude-bedrock", "gemini-2.5-flash", "gemini-vertex"],
)
async def test_all_five_providers_are_broken_down(demo: str, model: str) -> None:
    body = {**CONVERSATION, "model": model}
    key = {"x-api-key": "sk-demo"}
    async with httpx.AsyncClient(base_url=demo, headers=key, timeout=60) as client:
        whole = (await client.post("/v1/messages/count_tokens", json=body)).json()
        answer = (await client.post(BREAKDOWN, json=body)).json()
    assert answer["input_tokens"] == whole["input_tokens"]
    parts = [answer["system"], answer["overhead"]]
    parts += [part["input_tokens"] for part in (*answer["tools"], *answer["messages"])]
    assert sum(parts) == whole["input_tokens"]
    assert all(part["input_tokens"] > 0 for part in (*answer["tools"], *answer["messages"]))
    assert answer["messages"][0]["images"][0]["input_tokens"] > 0


class Watched(httpx.AsyncBaseTransport):
    """A transport that measures the number of concurrent calls."""

    def __init__(self, upstream: Counting) -> None:
        self.upstream = upstream
        self.now = self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        self.now -= 1
        self.upstream.requests.append(request)
        return self.upstream.answer(request)


@pytest.mark.parametrize("at_once", [1, 3])
async def test_no_more_counts_are_under_way_at_once_than_are_allowed(
    upstream: Counting, at_once: int
) -> None:
    watched = Watched(upstream)
    count_tokens = count_tokens_with(
        upstream,
        settings={"breakdown": {"max_concurrency": at_once}},
        http_client=httpx.AsyncClient(transport=watched),
    )
    await count_tokens.breakdown(CONVERSATION)
    assert watched.most == at_once


@pytest.mark.parametrize(("places", "at_once"), [(1, 1), (2, 1), (7, 1), (8, 2), (11, 2), (40, 3)])
async def test_it_takes_a_quarter_of_the_gateways_places_at_most(
    upstream: Counting, places: int, at_once: int
) -> None:
    watched = Watched(upstream)
    count_tokens = count_tokens_with(
        upstream,
        settings={"breakdown": {"max_concurrency": 3}, "max_concurrency": places},
        http_client=httpx.AsyncClient(transport=watched),
    )
    async with mounted(count_tokens) as client:
        response = await client.post(BREAKDOWN, json=CONVERSATION)
    assert response.json()["overhead"] == 307
    assert watched.most == at_once
    assert count_tokens.in_flight == 0


async def test_large_requests_go_out_one_after_another(upstream: Counting) -> None:
    watched = Watched(upstream)
    client = httpx.AsyncClient(transport=watched)
    body = {"model": "claude-sonnet", "system": "a", "messages": [user(text("word " * 1_800_000))]}
    breakdown = await count_tokens_with(upstream, http_client=client).breakdown(body)
    assert watched.most == 1
    assert breakdown.messages[0].input_tokens == 1_800_003


async def test_one_that_sends_too_much_is_refused(upstream: Counting) -> None:
    body = {**CONVERSATION, "system": "x" * 100_000}
    with pytest.raises(InvalidRequest, match="more than 32 of the largest requests"):
        await broken_down(upstream, body, max_body_bytes=40_000)


async def test_one_that_takes_too_many_counts_is_refused_before_any(upstream: Counting) -> None:
    with pytest.raises(InvalidRequest, match="takes 13 counts; this gateway makes 12 for one"):
        await broken_down(upstream, CONVERSATION, breakdown={"max_counts": 12})
    assert upstream.requests == []
    await broken_down(upstream, CONVERSATION, breakdown={"max_counts": 13})
    assert len(upstream.requests) == 13


async def test_it_can_be_turned_off(upstream: Counting) -> None:
    with pytest.raises(NotFound, match="turned off"):
        await broken_down(upstream, CONVERSATION, breakdown={"max_counts": 0})


async def test_who_may_not_count_may_not_break_down(upstream: Counting) -> None:
    def authorize(caller: Caller, model: str) -> bool:
        return False

    count_tokens = count_tokens_with(upstream, authorize=authorize)
    with pytest.raises(PermissionDenied):
        await count_tokens.breakdown(CONVERSATION, caller=Caller("eve"))
    assert upstream.requests == []


async def test_what_the_host_makes_of_the_body_is_broken_down(upstream: Counting) -> None:
    def transform(body: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
        return {**body, "system": "one two three four five"}

    breakdown = await count_tokens_with(upstream, transform=transform).breakdown(CONVERSATION)
    assert breakdown.system == 5


class Weighted(Counting):
    """An upstream for two deployments; the second counts everything twice."""

    def counted(self, request: httpx.Request) -> httpx.Response:
        answer = super().counted(request)
        factor = 2 if "twice" in str(request.url) else 1
        return httpx.Response(200, json={"input_tokens": factor * answer.json()["input_tokens"]})


TWO: dict[str, Any] = {
    "model_list": [
        {
            "model_name": "claude-sonnet",
            "litellm_params": {
                "model": "anthropic/claude-sonnet-4-5",
                "api_base": f"https://{host}.example.com",
                "weight": 1,
            },
        }
        for host in ("once", "twice")
    ]
}


async def test_all_counts_are_of_the_deployment_that_counted_the_whole() -> None:
    for _ in range(10):
        upstream = Weighted()
        breakdown = await count_tokens_with(upstream, TWO).breakdown(CONVERSATION)
        assert len({request.url.host for request in upstream.requests}) == 1
        assert breakdown.overhead in {307, 614}


async def test_the_hosts_own_deployments_are_asked_for_once_and_for_the_caller(
    upstream: Counting,
) -> None:
    asked: list[Caller | None] = []

    def resolve(model: str, caller: Caller | None) -> Sequence[Deployment] | None:
        asked.append(caller)
        return None

    count_tokens = count_tokens_with(upstream, resolve=resolve)
    await count_tokens.breakdown(CONVERSATION, caller=Caller("ada"))
    assert asked == [Caller("ada")]


def closings(*messages: Any) -> list[Any]:
    """Return the closing message of each prefix of a conversation, or None."""
    raw = json.dumps({"model": "m", "messages": messages}).encode()
    variants = Variants(parse_request(raw)).requests()
    prefixes = [
        json.loads(variant.body.raw)["messages"] for name, variant in variants if "up to" in name
    ]
    kept = [[message for message in prefix if message in messages] for prefix in prefixes]
    assert kept == [list(messages[:number]) for number in range(len(messages) + 1)]
    return [
        next((message for message in prefix if message not in messages), None)
        for prefix in prefixes
    ]


def use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "clock", "input": {}}


def result(name: str, content: str = "noon") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": name, "content": content}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


DOT = {"role": "user", "content": "."}


def closed(*names: str) -> dict[str, Any]:
    results = [{"type": "tool_result", "content": ".", "tool_use_id": name} for name in names]
    return {"role": "user", "content": results}


def test_every_tool_use_is_followed_by_a_result_and_by_nothing_else() -> None:
    first, last = user(text("What time is it?")), user(text("Thanks."))
    assert closings(first, assistant(use("a"), use("b")), user(result("a"), result("b"))) == [
        DOT,
        DOT,
        closed("a", "b"),
        None,
    ]
    assert closings(first, assistant(use("a")), assistant(use("b")), user(result("a")), last) == [
        DOT,
        DOT,
        closed("a"),
        closed("a", "b"),
        closed("b"),
        closed("b"),
    ]
    assert closings(first, assistant(use("a")), assistant(text("Well.")))[-1] == closed("a")


def test_a_system_message_in_the_middle_stays_behind_the_users() -> None:
    system = {"role": "system", "content": "Be quick."}
    messages = [user(text("Hi")), assistant(text("Hello.")), user(text("So?")), system]
    raw = json.dumps({"model": "m", "messages": messages}).encode()
    variants = Variants(parse_request(raw)).requests()
    (last,) = [variant for name, variant in variants if name.endswith(" 4")]
    assert json.loads(last.body.raw)["messages"] == [*messages[:3], DOT, system]


def test_a_toolset_goes_with_its_server() -> None:
    servers = [{"type": "url", "name": name, "url": "https://example.com"} for name in "ab"]
    tools = [{"type": "mcp_toolset", "mcp_server_name": name} for name in "ab"]
    for some in (1, 2):
        body = {"model": "m", "messages": [DOT], "mcp_servers": servers[:some]}
        parts = Variants(parse_request(json.dumps({**body, "tools": tools[:some]}).encode()))
        named = dict(parts.requests())
        without = json.loads(named["tools.0"].body.raw)
        assert without.get("mcp_servers", []) == servers[1:some]
        assert without.get("tools", []) == tools[1:some]
        result = parts.breakdown(TokenCount(1), Counts(dict.fromkeys(named, 1)))
        assert [tool.name for tool in result.tools] == ["a", "b"][:some]


async def test_what_authorize_sets_is_seen_by_the_hooks(upstream: Counting) -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="lost")
    seen: list[str] = []

    def authorize(caller: Caller, model: str) -> None:
        tenant.set("acme")

    count_tokens = count_tokens_with(
        upstream, authorize=authorize, hooks=[lambda _: seen.append(tenant.get())]
    )
    async with mounted(count_tokens) as client:
        await client.post(BREAKDOWN, json=CONVERSATION)
    assert seen == ["acme"]


async def test_every_way_in_has_it(upstream: Counting) -> None:
    from fastapi import Depends, FastAPI
    from starlette.applications import Starlette

    from count_tokens_mw.fastapi import count_tokens_router

    ours = count_tokens_with(upstream)
    with_router = FastAPI()
    with_router.include_router(count_tokens_router(ours, identity=Depends(lambda: "team-a")))
    spliced = Starlette(routes=ours.routes)
    behind = CountTokensMiddleware(Starlette(), ours)
    for app in (with_router, spliced, behind, ours):
        async with client_of(app) as client:
            response = await client.post(f"{BREAKDOWN}/", json=CONVERSATION)
            assert response.json()["overhead"] == 307
            assert (await client.get(BREAKDOWN)).status_code == 405


async def test_the_work_ends_when_the_client_leaves(upstream: Counting) -> None:
    hook = Recorder()
    gate, left = anyio.Event(), anyio.Event()

    class Stalled(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            upstream.requests.append(request)
            gate.set()
            try:
                await anyio.sleep_forever()
            finally:
                left.set()
            raise AssertionError

    count_tokens = count_tokens_with(
        upstream, http_client=httpx.AsyncClient(transport=Stalled()), hooks=[hook]
    )
    messages = [{"type": "http.request", "body": json.dumps(CONVERSATION).encode()}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await gate.wait()
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": BREAKDOWN, "headers": []}
    with anyio.fail_after(10):
        await count_tokens(scope, receive, send)
    assert left.is_set()
    assert hook.event.status == 499
    assert count_tokens.in_flight == 0


@pytest.mark.parametrize("odd", ["again", "broken"])
async def test_middleware_that_does_not_tell_of_leaving_has_it_done(
    upstream: Counting, odd: str
) -> None:
    sent: list[Any] = []
    body = {"type": "http.request", "body": json.dumps(CONVERSATION).encode()}
    received = 0

    async def receive() -> Any:
        nonlocal received
        received += 1
        if odd == "broken" and received > 1:
            raise RuntimeError("secret")
        return body

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": BREAKDOWN, "headers": []}
    with anyio.fail_after(30):
        await count_tokens_with(upstream)(scope, receive, send)
    assert json.loads(sent[-1]["body"])["overhead"] == 307


json_texts = st.text() | st.sampled_from(["\u0000", "\ud7ff", "😀", "\\", '"'])


@given(st.lists(json_texts, min_size=1, max_size=5), st.booleans())
def test_what_is_left_stays_in_the_callers_own_words(contents: list[str], is_ascii: bool) -> None:
    texts = [json.dumps(content, ensure_ascii=is_ascii) for content in contents]
    messages = [f'{{"role":  "user", "content": {text}, "n": 1.0e2}}' for text in texts]
    raw = f'{{"model": "m", "messages": [ {" , ".join(messages)} ], "x": 1e400}}'.encode()
    parts = Variants(parse_request(raw))
    named = dict(parts.requests())
    assert len(named) == parts.number == len(contents) + 1
    last = list(named.values())[-1].body.raw
    assert b",".join(message.encode() for message in messages) in last
    assert last.endswith(b'"x": 1e400}')


def test_a_number_that_python_cannot_read_is_refused_in_words() -> None:
    raw = b'{"model": "m", "messages": [{"role": "user", "n": ' + b"1" * 5000 + b"}]}"
    with pytest.raises(InvalidRequest, match="too many digits"):
        Variants(parse_request(raw))


async def test_a_tools_result_goes_without_content_if_that_was_an_image(upstream: Counting) -> None:
    shown = {**result("a"), "content": [IMAGE]}
    body = {**CONVERSATION, "messages": [DOT, assistant(use("a")), user(shown)]}
    breakdown = await broken_down(upstream, body)
    assert [image.input_tokens for image in breakdown.messages[2].images] == [100]
    bare = {"type": "tool_result", "tool_use_id": "a"}
    assert [bare] in [sent["messages"][-1]["content"] for sent in upstream.bodies]


async def test_a_message_with_a_name_twice_is_refused_before_anything_is_asked(
    upstream: Counting,
) -> None:
    message = json.dumps(user(IMAGE, text("a")))
    raw = f'{{"model": "claude-sonnet", "messages": [{message[:-1]}, "role": "user"}}]}}'
    async with mounted(count_tokens_with(upstream)) as client:
        response = await client.post(BREAKDOWN, content=raw)
    assert response.status_code == 400
    assert 'it has "role" twice' in response.json()["error"]["message"]
    assert upstream.requests == []


async def test_bodies_of_odd_shapes_are_the_upstreams_to_judge(upstream: Counting) -> None:
    upstream.answers(200, b'{"input_tokens": 5}')
    odd = [1, {"content": {}}, {"content": [{"type": {}}, {"type": ["image"]}, 1]}]
    odd += [{"content": [{"type": "tool_result", "content": [{"type": {}}, 1]}]}]
    body = {"model": "claude-sonnet", "messages": odd, "tools": {"a": 1}}
    breakdown = await broken_down(upstream, body)
    assert breakdown.tools == []
    assert [(message.role, message.input_tokens) for message in breakdown.messages] == [("", 0)] * 4
    body = {"model": "claude-sonnet", "messages": [user(text("a"))], "tools": [{"type": "web"}, 1]}
    assert [tool.name for tool in (await broken_down(upstream, body)).tools] == ["web", ""]
