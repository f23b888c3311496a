"""What many tests need: asyncio, an upstream that remembers, and a demo gateway under uvicorn."""

import logging
import os
import queue
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler

import pytest
from hypothesis import HealthCheck, settings

from demo_app.emulators import emulated_anthropic
from demo_app.gateway import create_app
from demo_app.loopback import serving
from demo_app.upstreams import configured
from tests.support.fakes import FakeUpstream

# Machines are noisy, and a test that depends on the time that it takes is none.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: many tests wait for a browser, or a server to end."""
    return (os.cpu_count() or 1) + 2


@pytest.fixture
def anyio_backend() -> str:
    """aiohttp and aiobotocore are asyncio's, and so are we."""
    return "asyncio"


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    """The base URL of the demo gateway, started as `make demo` starts it without any key."""
    with configured({}) as (config, upstreams):
        app = create_app(config, upstreams)
        with serving(app, ending=app.state.live.close) as url:
            yield url


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The base URL of an emulated Anthropic API."""
    with serving(emulated_anthropic()) as url:
        yield url


@pytest.fixture
def logged() -> Iterator[Callable[[str], str]]:
    """Waits for a line of the demo's access log by its beginning: its request has ended then."""
    lines: queue.Queue[logging.LogRecord] = queue.Queue()
    logger, handler = logging.getLogger("demo_app.access"), QueueHandler(lines)

    def line(start: str) -> str:
        while not (message := lines.get(timeout=10).getMessage()).startswith(start):
            pass
        return message

    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield line
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
