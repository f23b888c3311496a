"""The findings of axe-core, and people's settings that a page has to respect."""

import pytest
from playwright.async_api import expect

from tests.browser.axe import find_violations
from tests.browser.conftest import Open
from tests.browser.demo_page import DemoPage
from tests.browser.states import STATES


@pytest.mark.parametrize("state", STATES)
async def test_axe_finds_no_serious_violation(open_page: Open, demo: str, state: str) -> None:
    page = await open_page(demo)
    await STATES[state](page)
    for scheme in ("light", "dark"):
        await page.page.emulate_media(color_scheme=scheme)
        assert await find_violations(page) == [], scheme


async def test_axe_would_find_one(page: DemoPage) -> None:
    await page.page.evaluate(
        "document.querySelector('h1').append(document.createElement('button'))"
    )
    assert [line.partition(":")[0] for line in await find_violations(page)] == ["button-name"]


async def test_the_page_has_a_name_a_language_and_a_status_that_is_read_out(page: DemoPage) -> None:
    await expect(page.page.get_by_role("heading", level=1)).to_have_text(
        "count_tokens demo gateway"
    )
    await expect(page.page).to_have_title("count_tokens demo gateway")
    await expect(page.page.locator("html")).to_have_attribute("lang", "en")
    await page.choose("claude-sonnet-5")
    await expect(page.state).to_have_text("Counted 1 model")


async def test_nothing_moves_for_those_who_want_no_motion(page: DemoPage) -> None:
    await STATES["breakdown"](page)
    moving = await page.page.evaluate(
        """[...document.querySelectorAll("*")].filter(it => {
            const style = getComputedStyle(it)
            const longest = list => Math.max(...list.split(",").map(parseFloat))
            return longest(style.transitionDuration) > 0.02
                || (style.animationName !== "none" && longest(style.animationDuration) > 0.02)
        }).map(it => it.outerHTML.slice(0, 80))"""
    )
    assert moving == []
