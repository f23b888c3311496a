"""Events that must not happen on any page."""

import re
from typing import Final
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Dialog, Error, Page, Request

__all__ = ["Watch"]

_OF_THE_PAGE: Final = {"blob", "data"}  # the page's own data, without a request


class Watch:
    """A record of a page's console errors and warnings, uncaught errors, dialogs, windows that it
    opens, and requests to any host but its own.
    """

    def __init__(self, page: Page, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._allowed: list[re.Pattern[str]] = []
        self.seen: list[str] = []
        page.on("console", self._console)
        page.on("dialog", self._dialog)
        page.on("pageerror", self._error)
        page.on("popup", lambda popup: self._note(f"window: {popup.url}"))
        page.on("request", self._request)

    def allow(self, pattern: str) -> None:
        """Ignore events that the test provokes."""
        self._allowed.append(re.compile(pattern))

    def allow_status(self, *statuses: int) -> None:
        """Ignore Chromium's messages about failing answers."""
        self.allow(f"the server responded with a status of ({'|'.join(map(str, statuses))}) ")

    def check(self) -> None:
        """Fail where an event was recorded."""
        assert not self.seen, "\n".join(self.seen)

    def _note(self, what: str) -> None:
        if not any(pattern.search(what) for pattern in self._allowed):
            self.seen.append(what)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._note(f"console {message.type}: {message.text} ({message.location['url']})")

    def _error(self, error: Error) -> None:
        self._note(f"uncaught: {error}")

    async def _dialog(self, dialog: Dialog) -> None:
        self._note(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in _OF_THE_PAGE and parts.netloc != self._host:
            self._note(f"request elsewhere: {request.url}")
