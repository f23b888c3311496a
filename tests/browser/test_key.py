"""The API key: the demo's own at first, and another one for as long as the tab lives."""

from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from demo_app.keys import ApiKey
from tests.browser.conftest import Open
from tests.browser.demo_page import COUNT, DemoPage
from tests.browser.upstream import QUICK, StubUpstream, serve_gateway


async def test_the_key_is_the_demos_and_another_is_kept_until_the_tab_closes(
    open_page: Open, demo: str
) -> None:
    page = await open_page(demo)
    await expect(page.key).to_have_value("sk-demo")
    await page.key.fill("sk-demo-claude")
    async with page.page.expect_request(f"**{COUNT}") as sent:
        await page.text_of(1).fill("With another key")
    headers = (await sent.value).headers
    assert "sk-demo-claude" in (headers.get("x-api-key") or headers["authorization"])
    page.watch.allow_status(403)
    await page.page.reload()
    await expect(page.key).to_have_value("sk-demo-claude")
    assert await page.page.evaluate("localStorage.length") == 0
    assert await page.page.context.cookies() == []
    other = await open_page(demo)
    await expect(other.key).to_have_value("sk-demo")


async def test_a_key_that_nobody_has_is_said_beside_it(page: DemoPage) -> None:
    page.watch.allow_status(401)
    await page.key.fill("sk-nobody")
    alerts = page.page.get_by_role("alert").filter(visible=True)
    await expect(alerts.first).to_contain_text("key")
    described = await page.key.get_attribute("aria-describedby") or ""
    assert await alerts.first.get_attribute("id") in described.split()
    await page.key.fill("sk-demo")
    await page.expect_counts("claude-sonnet-5")
    await expect(alerts).to_have_count(0)


@pytest.fixture
def own_gateway(stub: StubUpstream) -> Iterator[str]:
    with serve_gateway(stub, keys=[ApiKey("sk-own", "own-team")]) as url:
        yield url


async def test_a_gateway_with_a_key_of_its_own_tells_nobody(
    own_gateway: str, open_page: Open, stub: StubUpstream
) -> None:
    page = await open_page(own_gateway)
    await expect(page.key).to_have_value("")
    await expect(page.state).to_contain_text("API key")
    await page.text_of(1).fill("Not before there is a key")
    await expect(page.call).to_contain_text("GATEWAY_KEY")
    await page.choose(QUICK)
    await page.key.fill("sk-own")
    await page.expect_counts(QUICK, key="sk-own")
    assert {request.headers["x-api-key"] for request in page.sent} == {"sk-own"}
    await expect(page.snippets).not_to_contain_text("sk-own")
    await expect(page.last).to_contain_text("own-team")
