"""Screenshots of the page on a desk and on a phone, light and dark; kept in build/."""

import math
import os
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser.chromium import Kind
from tests.browser.conftest import Open
from tests.browser.demo_page import FIVE, DemoPage
from tests.browser.states import STATES

ROOT: Final = Path(__file__).parents[2]
PICTURES: Final = ROOT / "build" / "screenshots"

BRIGHTNESS: Final = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d")
    canvas.fillStyle = getComputedStyle(document.body).backgroundColor
    canvas.fillRect(0, 0, 1, 1)
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data
    return (red + green + blue) / 3
}"""


async def width_beyond(page: DemoPage) -> int:
    """Return by how many pixels the page is wider than its window."""
    beyond: int = await page.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return beyond


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("device", "width"), [("desk", 1280), ("phone", 375)])
async def test_it_fits_its_window_by_day_and_by_night(
    open_page: Open, demo: str, state: str, device: Kind, width: int
) -> None:
    page = await open_page(demo, device)
    await STATES[state](page)
    PICTURES.mkdir(parents=True, exist_ok=True)
    brightness = {}
    for scheme in ("light", "dark"):
        await page.page.emulate_media(color_scheme=scheme)
        assert await width_beyond(page) == 0
        brightness[scheme] = await page.page.evaluate(BRIGHTNESS)
        picture = PICTURES / f"{state}-{width}-{scheme}.png"
        picture.write_bytes(await page.page.screenshot(full_page=True))
    assert brightness["light"] > 200
    assert brightness["dark"] < 60


async def test_the_readmes_picture_is_small_enough_to_be_kept(page: DemoPage) -> None:
    """`make picture` writes it to the file in the variable PICTURE, which is committed."""
    await page.choose(*FIVE)
    await page.take_example("Tools")
    await expect(page.state).to_have_text("Counted 5 models")
    await page.button("Break down").click()
    await expect(page.parts).to_be_visible()
    end = await page.breakdown.evaluate("region => region.getBoundingClientRect().bottom + scrollY")
    await page.page.set_viewport_size({"width": 1280, "height": math.ceil(end) + 8})
    picture = await page.page.screenshot()
    assert len(picture) < 250_000
    if kept := os.environ.get("PICTURE"):
        (ROOT / kept).write_bytes(picture)
