"""What many tests need: asyncio, an upstream that remembers, and a demo gateway under uvicorn."""

from collections.abc import Iterator

import pytest

from count_tokens_mw import Config
from demo_app.__main__ import CONFIG, upstream_for
from demo_app.emulator import emulated_anthropic
from demo_app.gateway import create_app
from demo_app.loopback import serving
from tests.fakes import FakeUpstream


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
    with (
        upstream_for({}) as (environ, words),
        serving(create_app(Config.from_yaml(CONFIG, environ), words)) as url,
    ):
        yield url


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The base URL of an emulated Anthropic API."""
    with serving(emulated_anthropic()) as url:
        yield url
