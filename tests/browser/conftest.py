"""A browser for each worker, and for each test a page of its own in which nothing may go wrong."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import pytest
from playwright.async_api import Browser, expect

from tests.browser.chromium import running_chromium
from tests.browser.demo_page import DemoPage
from tests.browser.upstream import ToldUpstream, gateway_to
from tests.browser.watch import Watch

expect.set_options(timeout=4_000)  # what does not come until then is a failure


class Open(Protocol):
    """Opens the page of a gateway as a browser of its own would, with Playwright's options."""

    async def __call__(self, url: str, **options: Any) -> DemoPage: ...


# Playwright's async API, since its sync one leaves a running loop in the thread; and in the scope
# of the package, so that its loop and the browser last as long as these tests do, and no longer.
@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with running_chromium() as browser:
        yield browser


@pytest.fixture
async def open_page(browser: Browser) -> AsyncIterator[Open]:
    pages: list[DemoPage] = []

    async def opened(url: str, **options: Any) -> DemoPage:
        # Nothing moves, so that what is measured does not depend on when.
        context = await browser.new_context(**{"reduced_motion": "reduce", **options})
        context.set_default_timeout(4_000)
        page = DemoPage(await context.new_page(), Watch(context, url))
        pages.append(page)
        await page.page.goto(url)
        return page

    yield opened
    for page in pages:
        await page.page.context.close()
    for page in pages:
        page.watch.check()


@pytest.fixture
async def page(open_page: Open, demo: str) -> DemoPage:
    """The demo's page, with its first counts done."""
    page = await open_page(demo)
    await expect(page.state).to_have_text(re.compile(r"Counted|failed"))
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
