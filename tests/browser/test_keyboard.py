"""The page by keyboard alone: order of the focus, its visibility, and every action."""

from typing import Any

from playwright.async_api import Locator, expect

from tests.browser.demo_page import DemoPage
from tests.browser.upstream import QUICK, StubUpstream

_MOST_STOPS = 150  # more than the page has


async def has_focus(target: Locator) -> bool:
    focused: bool = await target.evaluate("it => it === document.activeElement")
    return focused


async def reach(target: Locator) -> None:
    """Press Tab until the focus is there."""
    for _ in range(_MOST_STOPS):
        await target.page.keyboard.press("Tab")
        if await target.count() and await has_focus(target):
            return
    raise AssertionError(f"Tab does not lead to {target}")


async def tab_through(page: DemoPage) -> list[dict[str, Any]]:
    """Press Tab through the whole page, and return every stop.

    A stop has its name, its region, and whether the focus is visible there.
    """
    await page.page.evaluate("document.activeElement.blur()")
    stops: list[dict[str, Any]] = []
    while len(stops) < _MOST_STOPS:
        await page.page.keyboard.press("Tab")
        stop = await page.page.evaluate(
            """() => {
                const it = document.activeElement
                const style = getComputedStyle(it)
                const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0
                const box = it.getBoundingClientRect()
                const region = it.closest("section")?.querySelector("h2").innerText ?? ""
                const name = it.getAttribute("aria-label") || it.innerText || it.id
                const seen = (outlined || style.boxShadow !== "none") && box.width * box.height > 0
                return it === document.body ? null : { name, region, seen }
            }"""
        )
        if stop is None:
            break
        stops.append(stop)
    return stops


async def test_tab_leads_through_all_regions_in_order_and_the_focus_is_seen(
    page: DemoPage,
) -> None:
    stops = await tab_through(page)
    assert 20 < len(stops) < _MOST_STOPS
    assert [stop for stop in stops if not stop["seen"]] == []
    assert list(dict.fromkeys(stop["region"] for stop in stops if stop["region"])) == [
        "Request",
        "Counts",
        "Where the tokens go",
        "Call it yourself",
        "Live requests",
    ]


async def test_a_request_is_made_and_counted_by_keyboard_alone(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    page, keyboard = stub_page, stub_page.page.keyboard
    await page.page.reload()
    await expect(page.key).not_to_have_value("")
    await reach(page.button("Add message"))
    await keyboard.press("Enter")
    await expect(page.text_of(2)).to_be_focused()
    await keyboard.type("Typed by hand")
    box = page.counts.get_by_role("checkbox", name=QUICK, exact=True)
    await reach(box)
    for is_checked in (False, True):
        await keyboard.press("Space")
        await expect(box).to_be_checked(checked=is_checked)
    await stub.until(lambda stub: bool(stub.bodies_with("Typed by hand")))
    await page.expect_counts(QUICK)


async def test_a_breakdown_is_started_and_stopped_by_keyboard_alone(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    stub.hold(lambda text: True)
    await reach(stub_page.button("Break down"))
    await stub_page.page.keyboard.press("Enter")
    bar = stub_page.breakdown.get_by_role("progressbar")
    await expect(bar).to_be_visible()
    await stub.until(lambda stub: bool(stub.bodies))
    await stub_page.page.keyboard.press("Escape")
    await expect(bar).to_be_hidden()
    await stub.until(lambda stub: stub.left == len(stub.bodies))
    await expect(stub_page.button("Break down")).to_be_focused()


async def test_tabs_go_by_arrow_keys(page: DemoPage) -> None:
    for first, second in (("Form", "Raw JSON"), ("curl", "httpx")):
        await reach(page.tab(first))
        await page.page.keyboard.press("ArrowRight")
        await expect(page.tab(second)).to_be_focused()
        await expect(page.tab(second)).to_have_attribute("aria-selected", "true")
        await expect(page.tab(first)).to_have_attribute("tabindex", "-1")
        panel = await page.tab(second).get_attribute("aria-controls")
        await expect(page.page.locator(f"#{panel}")).to_be_visible()
        await page.page.keyboard.press("Home")
        await expect(page.tab(first)).to_be_focused()
        await page.page.keyboard.press("ArrowLeft")
        await expect(page.tab(first)).not_to_be_focused()
        await page.page.keyboard.press("ArrowRight")
        await expect(page.tab(first)).to_be_focused()


async def test_a_call_is_copied_by_keyboard_alone(page: DemoPage) -> None:
    await page.clear_clipboard()
    await reach(page.button("Copy"))
    await page.page.keyboard.press("Enter")
    assert (await page.clipboard()).startswith("curl")
