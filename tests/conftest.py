"""Shared fixtures: asyncio, a fake upstream, and a demo gateway under uvicorn."""

import gc
import logging
import os
import queue
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Final

import certifi
import pytest
from hypothesis import HealthCheck, settings

from demo_app.demo import create_app
from demo_app.emulators import emulated_anthropic
from demo_app.loopback import serving
from demo_app.upstreams import configured
from tests.support.fakes import FakeUpstream

# Not about the package (the demo and its emulators, the benchmark, facts about others), or
# judges of the whole, who run again what the tests of each room run.
UNMEASURED: Final = {
    Path(__file__).with_name(name)
    for name in ("bench", "browser", "contract", "demo", "facts", "servers")
}

# Machines are noisy, so a deadline makes a test flaky.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_xdist_auto_num_workers() -> int:
    """Return one more than the number of processors: tests wait for a browser or a server.

    Two more took a quarter more time on two processors.
    """
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with property tests, the longest, and measure no coverage in them.

    They run the same lines thousands of times. Tests that are not about the package are not
    measured either. Every line of theirs is measured where another test runs it.
    """
    for item in items:
        if is_property(item) or not UNMEASURED.isdisjoint(item.path.parents):
            item.add_marker(pytest.mark.no_cover)
    items.sort(key=is_property, reverse=True)


def pytest_collection_finish() -> None:
    """Exempt all modules and tests from garbage collection.

    They live to the end, and a full collection would visit their half a million objects each time.
    """
    gc.collect()
    gc.freeze()


def is_property(item: pytest.Item) -> bool:
    return bool(getattr(getattr(item, "function", None), "is_hypothesis_test", False))


@pytest.fixture(scope="session", autouse=True)
def _trust_one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trust one public certificate authority instead of all of them.

    Each of httpx's clients reads all again, for 20 ms, and no test connects to a public host.
    """
    end = "-----END CERTIFICATE-----\n"
    first = Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0]
    bundle = tmp_path_factory.mktemp("authority") / "authority.pem"
    bundle.write_text(first + end, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(bundle))
        yield


@pytest.fixture
def anyio_backend() -> str:
    """Return asyncio, because aiohttp and aiobotocore run on nothing else."""
    return "asyncio"


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    """Yield the base URL of the demo gateway, started like `make demo` without any key."""
    with configured({}) as (config, upstreams):
        app = create_app(config, upstreams)
        with serving(app, ending=app.state.live.close) as url:
            yield url


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """Yield the base URL of an emulated Anthropic API."""
    with serving(emulated_anthropic()) as url:
        yield url


@pytest.fixture
def logged() -> Iterator[Callable[[str], str]]:
    """Yield a function that waits for a line of the demo's access log by its beginning."""
    lines: queue.Queue[logging.LogRecord] = queue.Queue()
    logger, handler = logging.getLogger("gateway"), QueueHandler(lines)

    def line(start: str) -> str:
        while not (message := lines.get(timeout=10).getMessage()).startswith(start):
            pass
        return message

    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield line
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
