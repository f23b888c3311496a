"""The judge of a client's exchanges, and their recorder."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from demo_app.loopback import serving
from tests.acceptance.claude_code import forwarder
from tests.acceptance.exchanges import SESSION, Exchange, Recorder, judge, most_at_once, summarize

COUNT = "/v1/messages/count_tokens"
MODEL = "claude-sonnet-4-5"


def exchange(
    path: str = COUNT,
    status: int = 200,
    *,
    method: str = "POST",
    session: str | None = "s",
    span: tuple[float, float] = (0, 1),
    **body: Any,
) -> Exchange:
    headers = {} if session is None else {SESSION: session}
    return Exchange(method, path, headers, {"model": MODEL, **body}, status, *span)


GOOD = exchange()
CHAT = exchange("/v1/messages", max_tokens=1)


@pytest.mark.parametrize(
    ("client", "upstream", "problems"),
    [
        ([GOOD, GOOD], [GOOD], []),
        ([GOOD, exchange("/", 404, method="HEAD")], [GOOD], []),
        ([GOOD, exchange("/v1/messages", 405, method="GET")], [GOOD], []),
        ([], [], ["no count was requested"]),
        (
            [GOOD, exchange(status=404), exchange(status=404), exchange(status=429)],
            [GOOD],
            ["3 of 4 counts failed: 2 x 404, 1 x 429"],
        ),
        ([exchange(status=0)], [GOOD], ["1 of 1 counts failed: 1 x 0"]),
        ([GOOD, exchange(session=None)], [GOOD], [f"1 of 2 counts came without {SESSION}"]),
        (
            [GOOD, CHAT, exchange("/v1/messages", max_tokens=32000)],
            [GOOD],
            ["2 billed requests were sent, 1 of them with max_tokens: 1"],
        ),
        ([GOOD], [], ["the upstream received no count"]),
        ([GOOD], [exchange(status=400)], ["the upstream refused 1 counts: 1 x 400"]),
        (
            [exchange(status=404), CHAT],
            [],
            [
                "1 of 1 counts failed: 1 x 404",
                "1 billed requests were sent, 1 of them with max_tokens: 1",
                "the upstream received no count",
            ],
        ),
    ],
)
def test_only_counts_that_all_succeed_and_bill_nothing_pass(
    client: list[Exchange], upstream: list[Exchange], problems: list[str]
) -> None:
    assert list(judge(client, upstream)) == problems


def test_the_figures_of_a_run() -> None:
    client = [GOOD, exchange(session="t"), CHAT, exchange("/", 404, method="HEAD")]
    assert summarize(client, [GOOD]) == {
        "counts": "2: 2 x 200",
        "at once": "2",
        "models": f"2 x {MODEL}",
        "betas": "2 x none",
        "sessions": "2",
        "counted upstream": "1: 1 x 200",
        "billed": "1 x max_tokens: 1",
        "other requests": "1 x HEAD / 404",
    }


@pytest.mark.parametrize(
    ("spans", "most"),
    [([], 0), ([(0, 1)], 1), ([(0, 1), (1, 2)], 1), ([(0, 3), (1, 2), (1, 4), (5, 6)], 3)],
)
def test_exchanges_at_once(spans: list[tuple[float, float]], most: int) -> None:
    assert most_at_once([exchange(span=span) for span in spans]) == most


async def test_the_recorder_keeps_each_exchange_and_changes_none() -> None:
    async def count(request: Request) -> JSONResponse:
        return JSONResponse(await request.json(), 418)

    app = Recorder(Starlette(routes=[Route(COUNT, count, methods=["POST"])]))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.post(COUNT, json={"model": MODEL}, headers={SESSION: "s"})
        assert (answer.status_code, answer.json()) == (418, {"model": MODEL})
        await client.request("HEAD", "/")
    first, second = app.exchanges
    assert (first.method, first.path, first.status) == ("POST", COUNT, 418)
    assert (first.body, first.headers[SESSION]) == ({"model": MODEL}, "s")
    assert (second.method, second.path, second.status, second.body) == ("HEAD", "/", 404, {})


@pytest.mark.parametrize(("hide_counts", "path"), [(False, COUNT), (True, f"/hidden{COUNT}")])
def test_the_forwarder_passes_both_ways(hide_counts: bool, path: str) -> None:
    async def answer(request: Request) -> JSONResponse:
        assert request.url.query == "beta=true"
        assert request.headers["x-api-key"] == "k"
        return JSONResponse(await request.json(), 429, {"retry-after": "1"})

    behind = Recorder(Starlette(routes=[Route(path, answer, methods=["POST"])]))
    with serving(behind) as behind_url, serving(forwarder(behind_url, hide_counts)) as url:
        response = httpx.post(
            f"{url}{COUNT}?beta=true", json={"model": MODEL}, headers={"x-api-key": "k"}
        )
        missing = httpx.head(url)
    assert (response.status_code, response.json()) == (429, {"model": MODEL})
    assert response.headers["retry-after"] == "1"
    assert missing.status_code == 404
    assert [exchange.path for exchange in behind.exchanges] == [path, "/"]
