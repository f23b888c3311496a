"""A browser for each worker, and for each test a page of its own, watched for errors."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from playwright.async_api import expect

from tests.browser.chromium import Kind, Tabs, launch_chromium
from tests.browser.demo_page import DemoPage
from tests.browser.upstream import StubUpstream, serve_gateway
from tests.browser.watch import Watch

expect.set_options(timeout=20_000)  # milliseconds; a longer wait is a failure


class Open(Protocol):
    """A function that opens the page of a gateway in a tab of its own."""

    async def __call__(self, url: str, kind: Kind = "desk") -> DemoPage: ...


# Playwright's async API, because its sync one leaves a running loop in the thread. Its scope is
# the package, so that the loop and the browser last exactly as long as these tests.
@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
async def tabs(demo: str) -> AsyncIterator[Tabs]:
    async with launch_chromium() as browser:
        yield Tabs(browser, f"{demo}/health")


@pytest.fixture
async def open_page(tabs: Tabs) -> AsyncIterator[Open]:
    pages: list[DemoPage] = []

    async def open_in_tab(url: str, kind: Kind = "desk") -> DemoPage:
        tab = await tabs.open(kind)
        tab.set_default_timeout(20_000)
        page = DemoPage(tab, Watch(tab, url))
        pages.append(page)
        await tab.goto(url)
        await expect(page.counts.get_by_role("checkbox").first).to_be_visible()
        return page

    yield open_in_tab
    for page in pages:
        await page.page.close()
    for page in pages:
        page.watch.check()


@pytest.fixture
async def page(open_page: Open, demo: str) -> DemoPage:
    """Open the demo's page, and wait for its first counts."""
    page = await open_page(demo)
    await expect(page.state).to_have_text(re.compile(r"Counted|failed"))
    return page


@pytest.fixture
async def stopped_page(open_page: Open, demo: str) -> DemoPage:
    """Open the demo's page, wait for its first counts, and stop its clock."""
    page = await open_page(demo, "alone")
    await expect(page.state).to_have_text("Counted 5 models")
    await page.page.clock.install()
    await page.page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    return page


@pytest.fixture
def stub() -> StubUpstream:
    """Return an upstream under the test's control."""
    return StubUpstream()


@pytest.fixture
def gateway(stub: StubUpstream) -> Iterator[str]:
    """Serve a demo gateway in front of the upstream, and yield its base URL."""
    with serve_gateway(stub) as url:
        yield url


# The gateway comes first and so ends last, because it waits for its open streams.
@pytest.fixture
async def stub_page(gateway: str, open_page: Open, stub: StubUpstream) -> DemoPage:
    """Open the page of that gateway, with no model chosen and no count in flight."""
    page = await open_page(gateway)
    await expect(page.state).to_have_text("Counted 2 models")
    await page.choose()
    stub.bodies.clear()
    return page
