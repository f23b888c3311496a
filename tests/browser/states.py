"""The states in which the page looks most different."""

from collections.abc import Awaitable, Callable
from typing import Final

from playwright.async_api import expect

from tests.browser.demo_page import FIVE, DemoPage

__all__ = ["STATES"]


async def _await_start(page: DemoPage) -> None:
    await expect(page.state).not_to_contain_text("Counting")


async def _show_error(page: DemoPage) -> None:
    page.watch.allow_status(404, 501)
    await page.choose("claude-sonnet-5", "mistral-large")
    await page.add_model("a-model-that-nobody-has-configured-anywhere")
    await expect(page.state).to_have_text("2 of 3 failed")


async def _break_down(page: DemoPage) -> None:
    await page.choose(*FIVE)
    await page.take_example("Image")
    await expect(page.state).to_have_text("Counted 5 models")
    await page.button("Break down").click()
    await expect(page.parts).to_be_visible()


async def _write_invalid_json(page: DemoPage) -> None:
    await page.write_body('{"messages": [{"role": "user", "content": "' + "long" * 200 + '"')
    await expect(page.request.get_by_role("alert").filter(visible=True)).not_to_be_empty()


STATES: Final[dict[str, Callable[[DemoPage], Awaitable[None]]]] = {
    "start": _await_start,
    "error": _show_error,
    "breakdown": _break_down,
    "raw": _write_invalid_json,
}
"""The steps from the start page to each state."""
