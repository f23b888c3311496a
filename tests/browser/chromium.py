"""A real Chromium, Debian's, driven by Playwright; tests without one are skipped."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeAlias

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

__all__ = ["Kind", "Tabs", "launch_chromium"]

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")

# Chromium must send nothing but the page's requests, and resolve no other host's name.
_FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-first-run",
    "--process-per-site",
)
Kind: TypeAlias = Literal["desk", "phone", "alone"]
"""The kind of a tab: on a desk, on a phone, or on a desk in a context of its own."""

_DESK: Final[dict[str, Any]] = {"viewport": {"width": 1280, "height": 900}}
_PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 375, "height": 812},
    "has_touch": True,
    "is_mobile": True,
}


@asynccontextmanager
async def launch_chromium() -> AsyncIterator[Browser]:
    """Launch Chromium; where it is missing, skip the test, or fail it in CI."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        missing = "chromium is not installed (on Debian: apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    # Chromium's sandbox does not work as root.
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


class Tabs:
    """Tabs of a browser with reduced motion.

    Tabs of a kind share a context, and so a process, which one tab keeps alive: a new process
    would cost a second for each test. A page's session storage is still its tab's own.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self._contexts: dict[Kind, BrowserContext] = {}

    async def open(self, kind: Kind) -> Page:
        """Open a new tab without a page."""
        if kind == "alone":
            return await (await self._context(kind)).new_page()
        if kind not in self._contexts:
            self._contexts[kind] = await self._context(kind)
            await (await self._contexts[kind].new_page()).goto(self._url)
        return await self._contexts[kind].new_page()

    async def _context(self, kind: Kind) -> BrowserContext:
        return await self._browser.new_context(
            **(_PHONE if kind == "phone" else _DESK),
            permissions=["clipboard-read", "clipboard-write"],
            reduced_motion="reduce",
        )
