"""The benchmark's own parts, and the pages' tables of its results."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from demo_app.loopback import serving
from tests.bench import compare, load
from tests.bench.__main__ import read_options
from tests.bench.baselines import bare, proxy, route
from tests.bench.bodies import MARK, large, small
from tests.bench.bounds import Bound, Measured, facts_of, measure
from tests.bench.gateway import KEY, MODELS, PATH, in_front, mounted
from tests.bench.hostile import PLAIN, SHAPES, Shape
from tests.bench.load import Load, Requests
from tests.bench.once import start_seconds
from tests.bench.processes import free_port, run_server
from tests.bench.report import PAGE, README, as_json, comparison, read_results, tables
from tests.bench.scenes import Result, Scene, ratio, scenes, select
from tests.bench.targets import figures
from tests.bench.upstream import stub_command, stub_upstream


def test_the_pages_have_the_tables_of_the_results_that_are_kept() -> None:
    results = read_results()
    assert tables(results) in PAGE.read_text(encoding="utf-8")
    assert comparison(results) in README.read_text(encoding="utf-8")
    assert [row["errors"] for row in results["results"]] == [0] * len(results["results"])


def test_the_bodies_are_as_large_as_they_are_said_to_be() -> None:
    assert 80 <= len(small()) <= 100
    assert 870_000 <= len(large()) <= 900_000
    assert large() == large()
    for body in (small("m"), large("m")):
        assert body.count(MARK) == 1
        assert json.loads(body)["model"] == "m"


@pytest.mark.parametrize("distinct", [False, True])
def test_bodies_are_all_alike_or_all_different(distinct: bool) -> None:
    bodies = Requests(small(), distinct, 5).bodies()
    first = [next(bodies) for _ in range(10)]
    assert len(set(first)) == (10 if distinct else 1)
    assert json.loads(first[0])["messages"][0]["content"] == "Hello 5"


class Upstream:
    """An upstream that records its requests."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.keys: set[str | None] = set()
        self.status = 200
        self.count = 14

    async def answer(self, request: Request) -> JSONResponse:
        self.bodies.append(await request.body())
        self.keys.add(request.headers.get("x-api-key"))
        return JSONResponse({"input_tokens": self.count}, self.status)

    @contextmanager
    def serving(self) -> Iterator[str]:
        with serving(Starlette(routes=[Route(PATH, self.answer, methods=["POST"])])) as url:
            yield url


@pytest.mark.parametrize(("status", "all_wrong"), [(200, False), (500, True)])
def test_the_bundled_generator_asks_and_tells_what_was_wrong(status: int, all_wrong: bool) -> None:
    upstream = Upstream()
    upstream.status = status
    with upstream.serving() as url:
        requests = Requests(small(), distinct=True, first=0)
        measured = asyncio.run(load.generate_by_asyncio(url, requests, connections=3, seconds=0.3))
    assert measured.requests == len(upstream.bodies) == len(set(upstream.bodies)) > 0
    assert measured.errors == (measured.requests if all_wrong else 0)
    assert upstream.keys == {KEY}
    assert measured.p50 <= measured.p99


def test_wrk_is_told_in_lua_what_the_other_one_asks() -> None:
    script = load.script_for_wrk(
        Requests(b'{"a": "@number@", "b": "]] \\n"}', distinct=True, first=7)
    )
    assert '[==[{"a": "]==], [==[", "b": "]] \\n"}]==], true, 7' in script


@pytest.mark.parametrize("by_nginx", [False, True])
def test_the_stub_answers_every_provider_over_a_connection_that_is_kept(by_nginx: bool) -> None:
    port = free_port()
    with stub_command(port, by_nginx=by_nginx) as command:
        if command is None:
            pytest.skip("nginx is not installed")
        with run_server(command, port) as stub, httpx.Client(base_url=stub.url) as client:
            answers = {
                path: client.post(path, content=b"x" * size).json()
                for size in (1, 3_000_000)
                for path in (
                    PATH,
                    "/token",
                    "/v1beta/models/m:countTokens",
                    "/model/m/count-tokens",
                )
            }
    assert list(answers.values())[1].keys() == {"access_token", "expires_in", "token_type"}
    del answers["/token"]
    assert [list(answer) for answer in answers.values()] == [
        ["input_tokens"],
        ["totalTokens"],
        ["inputTokens"],
    ]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with stub_upstream() as url:
        monkeypatch.setenv("BENCH_UPSTREAM", url)
        yield


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize("factory", [mounted, in_front, bare, proxy, route])
def test_everybody_who_is_measured_answers_a_count(factory: Any) -> None:
    models = MODELS[:1] if factory in {bare, route} else MODELS
    with serving(factory()) as url, httpx.Client(base_url=url) as client:
        for model in models:
            for body in (small(model), large(model)):
                answer = client.post(PATH, content=body, headers={"x-api-key": KEY})
                assert (answer.status_code, answer.json()) == (200, {"input_tokens": 14})
        if factory in {mounted, in_front}:
            assert client.post(PATH, content=small()).status_code == 401
            assert client.get("/health").text == "ok"


def test_a_contender_that_makes_counts_up_is_not_measured() -> None:
    upstream = Upstream()
    with upstream.serving() as url:
        load.check(url, small())
        upstream.count = 15
        with pytest.raises(RuntimeError, match="15"):
            load.check(url, small())


def loads(*per_second: float) -> list[Load]:
    return [Load(rate, 1.0, 2.0, 10, 0) for rate in per_second]


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    scene = Scene("small", True, 16, ("bare", "ours"))
    results = [
        Result(scene, "bare", loads(100, 10, 1000)),
        Result(scene, "ours", loads(50, 9, 100)),
    ]
    assert ratio(results, "cached, small, 16", "ours", "bare") == 0.5
    assert ratio(results, "cached, small, 16", "ours", "route") is None
    assert ratio(results, "cached, small, 16", "ours", "bare", "gemini") is None


def test_both_ways_to_gemini_have_a_target_of_their_own() -> None:
    measured = {"gemini": (29, False), "vertex-gemini": (31, True)}
    asked = [
        scene
        for scene in select(scenes(with_litellm=False), "uncached, large, 4")
        if scene.model in measured
    ]
    assert [scene.contenders for scene in asked] == [("proxy", "ours")] * 2
    results = [
        Result(scene, name, loads(100 if name == "proxy" else measured[scene.model][0]))
        for scene in asked
        for name in scene.contenders
    ]
    reached = {
        figure.words: (figure.target, figure.reached)
        for figure in figures(results, {})
        if figure.value is not None
    }
    baseline = "against a bare Starlette + aiohttp proxy"
    assert reached == {
        f"uncached, large, 4 connections, Gemini API, {baseline}": ("≥ 0.3", False),
        f"uncached, large, 4 connections, Gemini on Vertex AI, {baseline}": ("≥ 0.3", True),
    }


def test_a_figure_says_whether_it_reaches_its_target_or_was_not_measured() -> None:
    scene = Scene("small", True, 16, ("route", "ours"))
    results = [Result(scene, "route", loads(100)), Result(scene, "ours", loads(90))]
    measured = figures(results, {"start_ratio": 1.5})
    by_title = {figure.words: figure.reached for figure in measured}
    assert list(by_title.values()).count(None) == len(measured) - 2
    report = as_json(
        {"date": "d", "machine": "m", "versions": "v", "load": "l"}, measured, results, {}
    )
    text = tables(json.loads(json.dumps(report)))
    assert "| ≥ 0.8 x | 0.9 x |" in text
    assert "| ≤ 1 x | 1.5 x |" in text
    assert re.search(r"\| cached, small, 16 \| ours \| 90 \| 1.00 \| 2.0 \| 0 \|", text)


def test_the_start_and_its_baseline_are_both_measured() -> None:
    seconds = start_seconds(times=1)
    assert len(seconds) == 2
    assert all(0 < each < 60 for each in seconds)


def test_every_provider_is_measured_and_litellm_only_where_it_is() -> None:
    every = list(scenes(with_litellm=False))
    assert {scene.model for scene in every} == set(MODELS)
    assert not any("litellm" in scene.contenders for scene in every)
    asked = [scene.title for scene in scenes(with_litellm=True) if "litellm" in scene.contenders]
    assert asked == ["uncached, small, 16", "uncached, large, 4"]


def test_some_scenes_can_be_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_options([]).only is None
    chosen = read_options(["--only", "large, 4"]).only
    assert {scene.title for scene in chosen} == {"cached, large, 4", "uncached, large, 4"}
    assert {scene.model for scene in chosen} == set(MODELS)
    assert not any("litellm" in scene.contenders for scene in chosen)
    assert read_options(["--only", "bounds"]).only == []
    with pytest.raises(SystemExit):
        read_options(["--only", "huge"])
    assert "no scene has 'huge' in its title" in capsys.readouterr().err


def test_the_page_compares_what_we_answer_now() -> None:
    kept = json.loads(compare.ANSWERS.read_text(encoding="utf-8"))
    assert compare.table(kept) in compare.PAGE.read_text(encoding="utf-8")
    assert compare.ask_all(compare.ours) == kept["ours"]


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, id=name) for name, shape in {**PLAIN, **SHAPES}.items()]
)
def test_a_hostile_request_is_as_large_as_it_is_to_be(shape: Shape) -> None:
    request = shape.request(100_000)
    size = sum(len(name) + len(value) for name, value in request.headers) or len(request.body)
    assert 99_900 <= size <= 100_300


@pytest.mark.parametrize(
    ("shape", "least_mb"),
    [
        (PLAIN["gemini"], 2),
        (SHAPES["a list"], 1),
        (SHAPES["lines of `anthropic-beta`"], 0),
    ],
)
def test_a_shape_is_measured_in_a_process_of_its_own(shape: Shape, least_mb: float) -> None:
    measured = measure(shape, 1_000_000)
    assert measured.status == shape.status
    assert 0 < measured.stall_ms < 10_000
    assert least_mb < measured.growth_mb < 100


def test_the_worst_hostile_requests_are_figures_and_all_are_rows() -> None:
    plain = Measured(200, 10.0, 2.0)
    bounds = [
        Bound("plain text", 1_000_000, plain, plain),
        Bound("a list", 1_000_000, Measured(400, 31.0, 1.5), plain),
        Bound("a name twice", 1_000_000, Measured(400, 5.0, 7.9), plain),
    ]
    measured = [figure for figure in figures([], facts_of(bounds)) if figure.value is not None]
    assert [(figure.target, figure.value, figure.reached) for figure in measured] == [
        ("≤ 3", 3.1, False),
        ("≤ 8", 7.9, True),
    ]
    about = {"date": "d", "machine": "m", "versions": "v", "load": "l"}
    report = json.loads(json.dumps(as_json(about, measured, [], {}, bounds)))
    assert "| a name twice | 1 MB | 400 | 5 | 0.5 x | 7.9 | 7.9 x |" in tables(report)
    assert "hostile request" not in tables(as_json(about, measured, [], {}))
    assert facts_of([]) == {}
