"""Betas that an upstream refuses: one retry without them, then none for an hour."""

import base64
import json
import tracemalloc
from typing import Any

import anyio
import httpx
import pytest

from count_tokens_mw import CountError, UpstreamError
from count_tokens_mw.providers.claude.betas import BETAS, RefusedBetas
from tests.support.fakes import FakeUpstream, Recorder, count_tokens_with

HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
AWS = {"aws_region_name": "us-west-2", "api_key": "ABSK-1"}
# Claude Code 2.1's own header.
CLAUDE_CODE = (
    "claude-code-20250219,context-1m-2025-08-07,interleaved-thinking-2025-05-14,"
    "of-2027-01-01,effort-2025-11-24"
)


class Cloud(FakeUpstream):
    """An upstream that takes some betas, and refuses a request with any other in its own words."""

    def __init__(self, taken: set[str], *, names: bool = True, field: str = "input_tokens") -> None:
        super().__init__()
        self.taken = taken
        self.names = names
        self.field = field
        self.betas: list[list[str]] = []
        self.answer = self._answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if "input" in body:
            body = json.loads(base64.b64decode(body["input"]["invokeModel"]["body"]))
            betas = body.get("anthropic_beta", [])
        else:
            line = request.headers.get("anthropic-beta", "")
            betas = [name for name in line.split(",") if name]
        self.betas.append(betas)
        refused = [f"`{name}`" for name in betas if name not in self.taken]
        if not refused:
            return httpx.Response(200, json={self.field: 14})
        message = "invalid beta flag"
        if self.names:
            named = ", ".join(refused)
            message = f"Unexpected value(s) {named} for the `anthropic-beta` header. Please consult"
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
        return httpx.Response(400, json=error if self.names else {"message": message})


def counting_at(cloud: Cloud, now: list[float], **params: Any) -> Any:
    hook = Recorder()
    entry = {"model_name": "m", "litellm_params": params}
    other = {"model_name": "n", "litellm_params": {**params, "model": f"{params['model']}-x"}}
    count_tokens = count_tokens_with(cloud, {"model_list": [entry, other]}, hooks=[hook])
    return count_tokens, hook


async def test_mantle_is_asked_once_more_without_the_betas_that_it_names() -> None:
    cloud = Cloud({"claude-code-20250219", "context-1m-2025-08-07", "effort-2025-11-24"})
    model = {"model": f"bedrock/{CLAUDE}", "count_tokens_via": "mantle", **AWS}
    count_tokens, hook = counting_at(cloud, [0], **model)
    headers = {"anthropic-beta": CLAUDE_CODE}
    counts = [await count_tokens.count(HI, headers=headers) for _ in range(3)]
    assert [len(betas) for betas in cloud.betas] == [5, 3, 3, 3], "one retry, then none"
    left_out = (
        "anthropic-beta:interleaved-thinking-2025-05-14",
        "anthropic-beta:of-2027-01-01",
    )
    assert [count.omitted for count in counts] == [left_out] * 3
    assert [len(event.attempts) for event in hook.events] == [1, 1, 1]
    await count_tokens.count({**HI, "model": "n"}, headers=headers)
    assert len(cloud.betas[-2]) == 5, "another model is another verdict"


async def test_the_runtime_names_none_and_is_asked_with_those_that_are_known_to_be_taken() -> None:
    cloud = Cloud(set(BETAS["runtime"].taken), names=False, field="inputTokens")
    count_tokens, _ = counting_at(cloud, [0], model=f"bedrock/{CLAUDE}", **AWS)
    headers = {"anthropic-beta": CLAUDE_CODE}
    counts = [await count_tokens.count(HI, headers=headers) for _ in range(3)]
    known = ["context-1m-2025-08-07", "interleaved-thinking-2025-05-14"]
    assert cloud.betas == [[*known, "of-2027-01-01"], known, known, known]
    assert counts[0].omitted == counts[2].omitted
    assert set(counts[0].omitted) == {
        "anthropic-beta:claude-code-20250219",
        "anthropic-beta:effort-2025-11-24",
        "anthropic-beta:of-2027-01-01",
    }


async def test_a_runtime_that_refuses_even_these_is_not_asked_a_third_time() -> None:
    cloud = Cloud(set(), names=False, field="inputTokens")
    count_tokens, hook = counting_at(cloud, [0], model=f"bedrock/{CLAUDE}", **AWS)
    with pytest.raises(UpstreamError, match="invalid beta flag"):
        await count_tokens.count(HI, headers={"anthropic-beta": CLAUDE_CODE})
    assert len(cloud.betas) == 2
    assert hook.event.status == 400


def test_what_is_learnt_is_forgotten_after_an_hour_and_bounded() -> None:
    now = [0.0]
    refused = RefusedBetas(BETAS["vertex"], lambda: now[0])
    names = ["a-2027", "b-2027", "c-2027"]
    error = upstream_error("Unexpected value(s) `a-2027`, `c-2027` for the `anthropic-beta` header")
    assert refused.learn(error, names, "place")
    assert refused.select(names, "place").sent == ("b-2027",)
    assert refused.select(names, "elsewhere").sent == tuple(names)
    now[0] = 3599
    assert refused.select(names, "place").omitted == ("a-2027", "c-2027")
    assert refused.learn(error, names, "place"), "a late answer, which renews nothing"
    now[0] = 3601
    assert refused.select(names, "place").sent == tuple(names)
    for number in range(6000):
        assert refused.learn(error, names, f"place-{number}")
    assert len(refused._refused) == 10_000


def test_junk_of_one_caller_keeps_no_other_beta_from_being_learnt() -> None:
    refused = RefusedBetas(BETAS["runtime"])
    for number in range(500):
        assert refused.learn(upstream_error("invalid beta flag"), [f"junk-{number}"], "place")
    assert refused.select(["real-2027"], "place").sent == ("real-2027",)
    assert refused.learn(upstream_error("invalid beta flag"), ["real-2027"], "place")
    assert refused.select(["real-2027"], "place").sent == ()


def test_what_is_learnt_takes_no_memory_by_the_length_of_a_place_or_a_name() -> None:
    refused = RefusedBetas(BETAS["runtime"])
    places = [f"{number}-" + "p" * 100_000 for number in range(20)]
    error = upstream_error("invalid beta flag")
    tracemalloc.start()
    for number, place in enumerate(places):
        assert refused.learn(error, [f"{number}-" + "b" * 100_000], f"{place}.")
        assert refused.learn(error, ["real-2027"], f"{place}.")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 40 * 2000
    assert {refused.select(["real-2027"], f"{place}.").sent for place in places} == {()}
    assert refused.select(["real-2027"], "p").sent == ("real-2027",)


async def test_all_of_a_burst_are_counted_though_one_learns_first() -> None:
    """Claude Code sends twenty counts at once."""
    cloud = Cloud(set(BETAS["runtime"].taken), names=False, field="inputTokens")
    arrived = anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if len(cloud.betas) >= 15:
            arrived.set()
        response = cloud._answer(request)
        await arrived.wait()
        return response

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    entry = {"model_name": "m", "litellm_params": {"model": f"bedrock/{CLAUDE}", **AWS}}
    count_tokens = count_tokens_with(cloud, {"model_list": [entry]}, http_client=client)
    counts: list[int] = []

    async def ask(number: int) -> None:
        body = {**HI, "system": str(number)}
        count = await count_tokens.count(body, headers={"anthropic-beta": CLAUDE_CODE})
        counts.append(count.input_tokens)

    async with anyio.create_task_group() as tasks:
        for number in range(16):
            tasks.start_soon(ask, number)
    assert counts == [14] * 16


def upstream_error(message: str, status: int = 400) -> UpstreamError:
    return UpstreamError(status, message, headers={})


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("messages.0: Unexpected value(s) `a-2027` for the `anthropic-beta` header", 400),
        ("Unexpected value(s) `z-2027` for the `anthropic-beta` header", 400),
        ("Unexpected value(s) `a-2027` for the `x-other` header", 400),
        ("Unexpected value(s) `a-2027` for the `anthropic-beta` header", 403),
        ("The text says: invalid beta flag", 400),
        ("invalid beta flagship", 400),
        ("invalid beta flag: Extra inputs are not permitted", 400),
        ("Unexpected value(s) `a-2027` for the `anthropic-beta` header: Extra inputs", 400),
        ("invalid beta flag", 500),
        ("", 400),
    ],
)
def test_any_other_answer_teaches_nothing(message: str, status: int) -> None:
    refused = RefusedBetas(BETAS["vertex"])
    assert not refused.learn(upstream_error(message, status), ["a-2027"], "place")
    assert refused.select(["a-2027"], "place").sent == ("a-2027",)


def test_without_betas_of_ours_a_refusal_is_nobody_elses_lesson() -> None:
    refused = RefusedBetas(BETAS["runtime"])
    taken = list(BETAS["runtime"].taken)
    assert not refused.learn(upstream_error("invalid beta flag"), [], "place")
    assert not refused.learn(upstream_error("invalid beta flag"), taken[:2], "place")


async def test_a_400_that_quotes_the_callers_text_is_the_callers() -> None:
    cloud = Cloud(set())
    quoted = "Unexpected value(s) `of-2027-01-01` for the `anthropic-beta` header"
    error = {"type": "invalid_request_error", "message": f"messages.0.content: {quoted}"}
    cloud.answer = lambda _: httpx.Response(400, json={"type": "error", "error": error})
    model = {"model": f"bedrock/{CLAUDE}", "count_tokens_via": "mantle", **AWS}
    count_tokens, _ = counting_at(cloud, [0], **model)
    with pytest.raises(CountError, match=r"messages\.0"):
        await count_tokens.count(HI, headers={"anthropic-beta": "of-2027-01-01"})
    assert len(cloud.requests) == 1


@pytest.mark.parametrize("upstream", ["runtime", "mantle", "vertex"])
def test_the_tables_agree_with_themselves(upstream: str) -> None:
    table = BETAS[upstream]
    assert table.taken.keys() & table.refused.keys() == set()
    assert all(table.taken.values())
    assert all(table.refused.values())
    known = table.taken.keys() | table.refused.keys()
    assert set(table.aliases.values()) <= known
