"""What the page looks like at its most different, for those who look at it."""

from collections.abc import Awaitable, Callable
from typing import Final

from playwright.async_api import expect

from tests.browser.demo_page import FIVE, DemoPage

__all__ = ["STATES"]


async def _start(page: DemoPage) -> None:
    await expect(page.state).not_to_contain_text("Counting")


async def _error(page: DemoPage) -> None:
    page.watch.allow_status(404, 501)
    await page.choose("claude-3-5-sonnet", "gpt-4o")
    await page.add_model("a-model-that-nobody-has-configured-anywhere")
    await expect(page.state).to_have_text("2 of 3 failed")


async def _breakdown(page: DemoPage) -> None:
    await page.choose(*FIVE)
    await page.take_example("Image")
    await expect(page.state).to_have_text("Counted 5 models")
    await page.button("Break down").click()
    await expect(page.parts).to_be_visible()


async def _raw_and_invalid(page: DemoPage) -> None:
    await page.write_body('{"messages": [{"role": "user", "content": "' + "long" * 200 + '"')
    await expect(page.request.get_by_role("alert").filter(visible=True)).not_to_be_empty()


STATES: Final[dict[str, Callable[[DemoPage], Awaitable[None]]]] = {
    "start": _start,
    "error": _error,
    "breakdown": _breakdown,
    "raw": _raw_and_invalid,
}
"""How to get there from the beginning."""
