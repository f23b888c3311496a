"""`python -m tests.bench`: measure, and write results.json, the README and docs/performance.md."""

import argparse
import itertools
import json
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench import once
from tests.bench.bodies import small
from tests.bench.bounds import LARGE, SMALL, Bound, facts_of, measure_bounds
from tests.bench.litellm import EXECUTABLE, litellm_proxy, litellm_version
from tests.bench.load import Requests, check, generate
from tests.bench.processes import Process, under_uvicorn
from tests.bench.report import RESULTS, as_json, tables, write_pages
from tests.bench.scenes import Result, Scene, measure, scenes, select
from tests.bench.targets import figures
from tests.bench.upstream import stub_upstream

_APPS = {
    "bare": "baselines:bare",
    "route": "baselines:route",
    "proxy": "baselines:proxy",
    "ours": "gateway:in_front",
    "mounted": "gateway:mounted",
}
_BOUNDS = "bounds"
_VERSIONS = ("uvicorn", "uvloop", "starlette", "aiohttp", "aiobotocore")


def main() -> None:
    """Measure everything in some ten minutes; `--quick` checks in two that it works."""
    options = read_options()
    rounds, seconds = (1, 1) if options.quick else (options.rounds, options.seconds)
    with stub_upstream() as upstream:
        if options.only is None:
            results, facts = _measure_servers(upstream, rounds, seconds)
            facts |= _measure_once(upstream, quick=options.quick)
        else:
            results, facts = _measure_only(upstream, options.only, rounds, seconds)
    # With no servers beside them. No scenes at all are the choice of bounds alone.
    bounds = [] if options.only else _measure_bounds(quick=options.quick)
    facts |= facts_of(bounds)
    kept = [
        figure
        for figure in figures(results, facts)
        if options.only is None or figure.value is not None
    ]
    report = as_json(_about(), kept, results, facts, bounds)
    print(tables(report))
    if options.only is None and not options.quick:
        RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        write_pages(report)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; `only` is None, or the scenes that it selects: none for `bounds`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of one contender in one round")
    parser.add_argument("--quick", action="store_true", help="one round, and nothing written")
    parser.add_argument(
        "--only",
        type=_scenes_titled,
        metavar="TITLE",
        help="the scenes with this text in their titles, such as 'uncached, large, 4', without "
        "LiteLLM's proxy, or 'bounds' for hostile requests; and nothing written",
    )
    return parser.parse_args(arguments)


def _scenes_titled(part: str) -> list[Scene]:
    if part == _BOUNDS:
        return []
    chosen = select(scenes(with_litellm=False), part)
    if not chosen:
        raise argparse.ArgumentTypeError(f"no scene has {part!r} in its title")
    return chosen


def _measure_only(
    upstream: str, chosen: Sequence[Scene], rounds: int, seconds: int
) -> tuple[list[Result], dict[str, float]]:
    with _run_contenders(chosen, upstream) as servers:
        return _measure_scenes(chosen, servers, rounds, seconds), {}


def _measure_servers(
    upstream: str, rounds: int, seconds: int
) -> tuple[list[Result], dict[str, float]]:
    chosen = list(scenes(with_litellm=EXECUTABLE.exists()))
    with _run_contenders(chosen, upstream) as servers:
        facts = {f"{name}_start": server.seconds for name, server in servers.items()}
        for name in servers.keys() & {"proxy", "ours", "litellm"}:
            facts[f"{name}_mb"] = _measure_memory(servers[name], 10_000 if rounds > 1 else 500)
        results = _measure_scenes(chosen, servers, rounds, seconds)
    if "litellm_mb" in facts:
        facts["memory_ratio"] = facts["ours_mb"] / facts["litellm_mb"]
    return results, facts


@contextmanager
def _run_contenders(chosen: Sequence[Scene], upstream: str) -> Iterator[dict[str, Process]]:
    """Run the contenders of some scenes, and check that each of them counts."""
    names = {name for scene in chosen for name in scene.contenders}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(under_uvicorn(app, upstream))
            for name, app in _APPS.items()
            if name in names
        }
        if "litellm" in names:
            servers["litellm"] = stack.enter_context(litellm_proxy(upstream))
        for server in servers.values():
            check(server.url, small())
        yield servers


def _measure_scenes(
    chosen: Sequence[Scene], servers: Mapping[str, Process], rounds: int, seconds: int
) -> list[Result]:
    numbers = itertools.count(1)
    results: list[Result] = []
    for scene in chosen:
        _print_progress(f"{scene.title} {scene.model}")
        results += measure(scene, servers, numbers, rounds, seconds)
    return results


def _measure_memory(server: Process, counts: int) -> float:
    """Return a server's resident memory in MB after `counts` distinct small counts."""
    _print_progress(f"{counts} counts, then the memory")
    asked = 0
    while asked < counts:
        load = generate(server.url, Requests(small(), True, asked), 16, 2)
        asked += load.requests
    return server.resident_mb()


def _measure_once(upstream: str, *, quick: bool) -> dict[str, float]:
    _print_progress("start, Bedrock, health, memory")
    baseline, start_seconds = once.start_seconds()
    holds = once.longest_holds_ms(upstream)
    facts = {
        **{f"longest_hold_ms, {model}": longest for model, longest in holds.items()},
        "longest_hold_ms": max(holds.values()),
        "start_seconds": start_seconds,
        "start_ratio": start_seconds / baseline,
        "bedrock_ratio": once.bedrock_ratio(upstream),
        "health_ms": once.worst_health_ms(),
    }
    if not quick:
        facts["growth_mb"] = once.memory_growth_mb(upstream)
    return facts


def _measure_bounds(*, quick: bool) -> list[Bound]:
    _print_progress("hostile requests")
    return measure_bounds(SMALL) if quick else measure_bounds(SMALL, LARGE)


def _about() -> dict[str, str]:
    versions = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    upstream = "nginx" if shutil.which("nginx") or shutil.which("/usr/sbin/nginx") else "uvloop"
    generator = "wrk" if shutil.which("wrk") else "asyncio"
    if EXECUTABLE.exists():
        versions += f", litellm {litellm_version()}"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{_processor()}, Python {platform.python_version()}",
        "versions": versions,
        "load": f"one worker each, {upstream} and {generator} on the same machine",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()


def _print_progress(step: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {step}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
