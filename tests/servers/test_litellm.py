"""A LiteLLM proxy behind the gateway, by the answers that `make litellm` recorded."""

from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from demo_app.emulators import count
from tests.bench.gateway import KEY, PATH
from tests.facts import read_facts
from tests.servers.exchanges import Exchange, ReplayedServer, exchanges_of, replayed
from tests.servers.litellm import FACTS, MODELS, WAYS, gateway_before, request_of

RECORDED: Final = exchanges_of(read_facts(FACTS))


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[httpx.Client, ReplayedServer]]:
    with replayed(RECORDED, gateway_before) as both:
        yield both


def test_the_recording_is_of_every_model() -> None:
    bodies = [dict(exchange.body) for exchange in RECORDED]
    assert bodies == [body for model in MODELS for body in request_of(model)]


def test_the_proxy_was_exact_behind_and_in_front_of_the_gateway() -> None:
    """The emulated Anthropic at the end of the chain counts the same body."""
    exact = [each for each in RECORDED if each.name in {"claude", "through-the-gateway"}]
    assert len(exact) == 4
    for exchange in exact:
        counted = count({**exchange.body, "model": "claude-sonnet-4-5"})
        assert exchange.answer == {"input_tokens": counted, "litellm_count_source": "provider"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: str(exchange.name))
def test_the_gateway_is_exact_or_refuses(
    way: str, exchange: Exchange, both: tuple[httpx.Client, ReplayedServer]
) -> None:
    client, server = both
    model = f"{way}:{exchange.name}"
    answer = client.post(PATH, json={**exchange.body, "model": model})
    assert answer.status_code == MODELS[exchange.name]
    if answer.status_code == 200 or exchange.status != 200:
        assert answer.json() == exchange.answer
    elif exchange.answer["litellm_count_source"] == "provider":
        assert "a count of 0" in answer.json()["error"]["message"]
    else:
        assert "only estimates" in answer.json()["error"]["message"]
    is_bearer = way == "litellm_proxy"
    credential = ("authorization", f"Bearer {KEY}") if is_bearer else ("x-api-key", KEY)
    assert credential in server.headers[-1].items()
