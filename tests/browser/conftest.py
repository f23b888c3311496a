"""A browser for each worker, and for each test a page of its own in which nothing may go wrong."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from playwright.async_api import expect

from tests.browser.chromium import Kind, Tabs, running_chromium
from tests.browser.demo_page import DemoPage
from tests.browser.upstream import ToldUpstream, gateway_to
from tests.browser.watch import Watch

expect.set_options(timeout=20_000)  # what does not come until then is a failure


class Open(Protocol):
    """Opens the page of a gateway in a tab of its own."""

    async def __call__(self, url: str, kind: Kind = "desk") -> DemoPage: ...


# Playwright's async API, since its sync one leaves a running loop in the thread; and in the scope
# of the package, so that its loop and the browser last as long as these tests do, and no longer.
@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
async def tabs(demo: str) -> AsyncIterator[Tabs]:
    async with running_chromium() as browser:
        yield Tabs(browser, f"{demo}/health")


@pytest.fixture
async def open_page(tabs: Tabs) -> AsyncIterator[Open]:
    pages: list[DemoPage] = []

    async def opened(url: str, kind: Kind = "desk") -> DemoPage:
        tab = await tabs.open(kind)
        tab.set_default_timeout(20_000)
        page = DemoPage(tab, Watch(tab, url))
        pages.append(page)
        await tab.goto(url)
        await expect(page.counts.get_by_role("checkbox").first).to_be_visible()
        return page

    yield opened
    for page in pages:
        await page.page.close()
    for page in pages:
        page.watch.check()


@pytest.fixture
async def page(open_page: Open, demo: str) -> DemoPage:
    """The demo's page, with its first counts done."""
    page = await open_page(demo)
    await expect(page.state).to_have_text(re.compile(r"Counted|failed"))
    return page


@pytest.fixture
async def stopped_page(open_page: Open, demo: str) -> DemoPage:
    """The demo's page, with its first counts done, and with a clock that has stopped since."""
    page = await open_page(demo, "alone")
    await expect(page.state).to_have_text("Counted 5 models")
    await page.page.clock.install()
    await page.page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    return page


@pytest.fixture
def told() -> ToldUpstream:
    """An upstream that does as it is told."""
    return ToldUpstream()


@pytest.fixture
def gateway(told: ToldUpstream) -> Iterator[str]:
    """The base URL of a demo gateway in front of it."""
    with gateway_to(told) as url:
        yield url


# The gateway first, so that it ends last: it waits for the streams that it serves.
@pytest.fixture
async def told_page(gateway: str, open_page: Open, told: ToldUpstream) -> DemoPage:
    """The page of that gateway, with nothing chosen and nothing under way."""
    page = await open_page(gateway)
    await expect(page.state).to_have_text("Counted 2 models")
    await page.choose()
    told.bodies.clear()
    return page
