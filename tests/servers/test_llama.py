"""A llama.cpp server behind the gateway, by the answers that `make llama` recorded."""

import json
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from count_tokens_mw import CountError
from tests.bench.gateway import PATH
from tests.facts import read_facts
from tests.servers.exchanges import Exchange, ReplayedServer, exchanges_of, replayed
from tests.servers.llama import (
    FACTS,
    KEY,
    MODEL,
    REFUSALS,
    SHAPES,
    WAYS,
    gateway_before,
    request_of,
)
from tests.support.fakes import FakeUpstream, count_tokens_with

RECORDED: Final = {each.name: each for each in exchanges_of(read_facts(FACTS))}
FAILED: Final = [name for name, exchange in RECORDED.items() if exchange.status != 200]


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[httpx.Client, ReplayedServer]]:
    with replayed(list(RECORDED.values()), gateway_before) as both:
        yield both


def count_of(name: str) -> int:
    exchange = RECORDED[name]
    assert exchange.status == 200, name
    count: int = exchange.answer["input_tokens"]
    return count


def test_the_recording_is_of_every_shape() -> None:
    bodies = {name: dict(exchange.body) for name, exchange in RECORDED.items()}
    assert bodies == {name: request_of(shape, MODEL) for name, shape in SHAPES.items()}


def test_the_server_counts_each_part() -> None:
    text = count_of("a text")
    assert 0 < text < count_of("a longer text")
    for name in ("a system prompt", "a tool"):
        assert text < count_of(name)
    assert count_of("a tool") < count_of("a call and its result")
    assert count_of("a system prompt") < count_of("system and tools") > count_of("a tool")
    assert count_of("an unknown field") == text


def test_the_server_leaves_out_an_unknown_block_as_it_does_when_it_generates() -> None:
    assert count_of("an unknown block") == count_of("no message")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("exchange", RECORDED.values(), ids=RECORDED)
def test_the_gateway_answers_as_the_server(
    way: str, exchange: Exchange, both: tuple[httpx.Client, ReplayedServer]
) -> None:
    client, server = both
    body = {**exchange.body, "model": way, "max_tokens": 9, "stream": True}
    answer = client.post(PATH, json=body)
    assert answer.status_code == exchange.status
    assert answer.headers["x-count-tokens-source"] == "provider"
    if exchange.status == 200:
        assert answer.json() == exchange.answer
    else:
        error = answer.json()
        assert error["type"] == "error"
        assert error["error"]["message"] == exchange.answer["error"]["message"]
    is_bearer = not way.startswith("anthropic")
    credential = ("authorization", f"Bearer {KEY}") if is_bearer else ("x-api-key", KEY)
    assert credential in server.headers[-1].items()


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_wrong_configuration_is_refused_as_by_the_real_server(
    case: str, upstream: FakeUpstream
) -> None:
    status, answer = read_facts(FACTS)["refusals"][case]
    upstream.answers(status, json.dumps(answer).encode())
    params = {"model": "openai/m", "api_base": "http://llama", "count_tokens_via": "anthropic"}
    entry = {"model_name": "m", "litellm_params": params}
    count_tokens = count_tokens_with(upstream, {"model_list": [entry]}, environ={})
    with pytest.raises(CountError) as raised:
        await count_tokens.count(request_of(SHAPES["a text"], "m"))
    assert raised.value.status == REFUSALS[case][2]
    if raised.value.status == 401:
        assert raised.value.message == answer["error"]["message"]


def test_errors_of_the_server_are_not_in_the_envelope_and_have_a_type_that_fits(
    both: tuple[httpx.Client, ReplayedServer],
) -> None:
    client, _ = both
    fitting = {400: "invalid_request_error", 500: "api_error"}
    assert FAILED
    for name in FAILED:
        exchange = RECORDED[name]
        assert exchange.answer.keys() == {"error"}
        answer = client.post(PATH, json={**exchange.body, "model": "openai"})
        assert answer.json()["error"]["type"] == fitting[exchange.status]
