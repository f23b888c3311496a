"""The live list: all callers' counts as they happen, and again after the stream broke."""

import asyncio
from uuid import uuid4

import httpx
from playwright.async_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.demo_page import COUNT, DemoPage, rows
from tests.browser.wire import Wire


async def count_elsewhere(url: str, model: str, key: str = "sk-demo") -> httpx.Response:
    """Request a count as another caller."""
    body = {"model": model, "messages": [{"role": "user", "content": uuid4().hex}]}
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        return await client.post(COUNT, json=body, headers={"x-api-key": key})


def rows_of(page: DemoPage, text: str) -> Locator:
    return page.last.get_by_role("row").filter(has_text=text)


def new_model() -> str:
    """Return the name of a model that no other test counts."""
    return f"anthropic/claude-{uuid4().hex[:12]}"


async def test_the_pages_own_counts_are_in_it(page: DemoPage) -> None:
    model = new_model()
    await page.choose()
    await page.add_model(model)
    [tokens] = await page.expect_counts(model)
    await expect(rows_of(page, model).first).to_contain_text(str(tokens))


async def test_a_count_from_a_terminal_comes_in_first_with_all_that_is_known(
    page: DemoPage,
) -> None:
    model = new_model()
    answer = await count_elsewhere(page.page.url, model, "sk-demo-claude")
    await expect(rows_of(page, model)).to_be_visible()
    newest = (await rows(page.last))[0]
    assert newest["Model"] == model
    assert newest["Caller"] == "claude-team"
    assert "nthropic" in newest["Provider"]
    assert newest["Tokens"] == str(answer.json()["input_tokens"])
    assert "200" in newest["Status"]
    assert "provider" in newest["Source"]
    assert newest["Time"]
    assert "ms" in newest["In the gateway"]


async def test_a_failed_count_is_in_it_with_its_status(page: DemoPage) -> None:
    model = f"nobody-{uuid4().hex[:12]}"
    assert (await count_elsewhere(page.page.url, model)).status_code == 404
    await expect(rows_of(page, model)).to_contain_text("404")


async def test_it_holds_fifty_and_lets_the_oldest_go(page: DemoPage) -> None:
    first, last = new_model(), new_model()
    await count_elsewhere(page.page.url, first)
    await expect(rows_of(page, first)).to_be_visible()
    many = [count_elsewhere(page.page.url, "claude-sonnet-5") for _ in range(50)]
    await asyncio.gather(*many)
    await count_elsewhere(page.page.url, last)
    await expect(rows_of(page, last)).to_be_visible()
    await expect(rows_of(page, first)).to_have_count(0)
    assert len(await rows(page.last)) == 50


async def test_it_goes_on_after_the_stream_broke(open_page: Open, demo: str) -> None:
    async with Wire(demo).listen() as wire:
        page = await open_page(wire.url)
        page.watch.allow("Failed to load resource: net::ERR_")
        before, during, after = new_model(), new_model(), new_model()
        await count_elsewhere(demo, before)
        await expect(rows_of(page, before)).to_be_visible()
        wire.cut()
        await count_elsewhere(demo, during)
        await expect(rows_of(page, during)).to_be_visible()
        await count_elsewhere(demo, after)
        await expect(rows_of(page, after)).to_be_visible()
        for model in (before, during, after):
            await expect(rows_of(page, model)).to_have_count(1)
        await page.page.close()
