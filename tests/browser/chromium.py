"""A real Chromium: Debian's, driven by Playwright, or none with a word about it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from playwright.async_api import Browser, async_playwright

__all__ = ["running_chromium"]

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")

# So that it asks nobody but the page's server, and a request for anywhere else finds no address.
_FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-first-run",
)


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """Without one the test is skipped, but not in CI, where that is a failure."""
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
