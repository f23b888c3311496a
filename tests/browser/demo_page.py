"""The demo's page as its users perceive it: by roles and names."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx
from playwright.async_api import Locator, Page, Request, expect

from tests.browser.watch import Watch

__all__ = ["COUNT", "FIVE", "DemoPage", "number", "rows"]

COUNT: Final = "/v1/messages/count_tokens"
FIVE: Final = (
    "claude-sonnet-5",
    "claude-vertex",
    "claude-bedrock",
    "gemini-3.8-flash",
    "gemini-vertex",
)
"""A model of each provider."""


class DemoPage:
    """A page open in a browser; `sent` has its requests for counts, newest last."""

    def __init__(self, page: Page, watch: Watch) -> None:
        self.page = page
        self.watch = watch
        self.key = page.get_by_label("API key")
        self.upstreams = page.get_by_role("list", name="Upstreams")
        self.request = page.get_by_role("region", name="Request", exact=True)
        self.counts = page.get_by_role("region", name="Counts", exact=True)
        self.breakdown = page.get_by_role("region", name="Where the tokens go")
        self.snippets = page.get_by_role("region", name="Call it yourself")
        self.call = self.snippets.get_by_role("tabpanel").locator("pre")
        self.answer = self.snippets.get_by_role("group", name="Answer").locator("pre")
        self.live = page.get_by_role("region", name="Live requests")
        self.total = self.request.get_by_role("group", name="Running total")
        self.system = self.request.get_by_label("System")
        self.body = self.request.get_by_label("Request body")
        self.tools = self.request.get_by_label("Tools (JSON list)")
        self.state = self.counts.get_by_role("status")
        self.parts = self.breakdown.get_by_role("table", name="Parts")
        self.last = self.live.get_by_role("table", name="Last requests")
        self.sent: list[Request] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.url.endswith(COUNT):
            self.sent.append(request)

    def button(self, name: str) -> Locator:
        """Return a button of the page."""
        return self.page.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> Locator:
        """Return a tab of the page."""
        return self.page.get_by_role("tab", name=name, exact=True)

    def text_of(self, message: int) -> Locator:
        """Return the text field of a message; the first is 1."""
        return self.request.get_by_label(f"Text of message {message}", exact=True)

    def message(self, number: int) -> Locator:
        """Return the group of a message; the first is 1."""
        return self.request.get_by_role("group", name=f"Message {number}", exact=True)

    async def take_example(self, name: str) -> None:
        """Choose an example."""
        await self.request.get_by_label("Example").select_option(name)
        await expect(self.request).to_have_attribute("aria-busy", "false")

    async def choose(self, *models: str) -> None:
        """Choose these models, and no others."""
        group = self.counts.get_by_role("group", name="Models")
        for box in await group.get_by_role("checkbox").all():
            name = await box.evaluate("box => box.labels[0].innerText")
            if await box.is_checked() != (name in models):
                await group.get_by_text(name, exact=True).click()
                await expect(box).to_be_checked(checked=name in models)

    async def add_model(self, name: str) -> None:
        """Add a model that is not in the list."""
        await self.counts.get_by_label("Other model").fill(name)
        await self.button("Add model").click()

    async def write_body(self, body: Mapping[str, Any] | str) -> None:
        """Write the request as JSON."""
        await self.tab("Raw JSON").click()
        await self.body.fill(body if isinstance(body, str) else json.dumps(body))

    async def read_body(self) -> Any:
        """Read the request from the page's JSON."""
        await self.tab("Raw JSON").click()
        text = await self.body.input_value()
        await self.tab("Form").click()
        return json.loads(text)

    async def count(self, *models: str, key: str = "sk-demo") -> list[int]:
        """Count the page's request by the API."""
        body = await self.read_body()
        headers = {"x-api-key": key}
        # No certificates, because loading them takes longer than a count.
        async with httpx.AsyncClient(
            base_url=self.page.url, headers=headers, timeout=30, verify=False
        ) as client:
            posts = [client.post(COUNT, json={**body, "model": model}) for model in models]
            answers = await asyncio.gather(*posts)
        return [answer.raise_for_status().json()["input_tokens"] for answer in answers]

    async def expect_counts(self, *models: str, key: str = "sk-demo") -> list[int]:
        """Wait until the page shows the API's counts of its request, and return them."""
        counts = await self.count(*models, key=key)
        for model, tokens in zip(models, counts, strict=True):
            await expect(await self.cell(model, "Tokens")).to_have_text(f"{tokens:,}")
        return counts

    async def clear_clipboard(self) -> None:
        """Empty the clipboard."""
        await self.page.evaluate("navigator.clipboard.writeText('')")

    async def clipboard(self) -> str:
        """Read the clipboard as soon as it has a text."""
        # Not `wait_for_function`, because the page's policy refuses its `eval`.
        text: str = await self.page.evaluate(
            """async () => {
                const end = performance.now() + 20_000
                for (;;) {
                    const text = await navigator.clipboard.readText()
                    if (text || performance.now() > end) return text
                    await new Promise(requestAnimationFrame)
                }
            }"""
        )
        return text

    def row(self, model: str) -> Locator:
        """Return a model's row in the table of counts."""
        name = self.page.get_by_text(model, exact=True)
        return self.counts.get_by_role("table", name="Counts").get_by_role("row").filter(has=name)

    async def cell(self, model: str, column: str) -> Locator:
        """Return a cell of a model's row."""
        headers = self.counts.get_by_role("table", name="Counts").get_by_role("columnheader")
        index = (await headers.all_inner_texts()).index(column)
        return self.row(model).locator("th, td").nth(index)

    async def bar_width(self, model: str) -> float:
        """Return the width of a model's bar in pixels."""
        box = await self.row(model).locator(".fill").bounding_box()
        assert box is not None
        return box["width"]


async def rows(table: Locator) -> list[dict[str, str]]:
    """Read a table's rows by the names of its columns."""
    texts: list[dict[str, str]] = await table.evaluate(
        """table => {
            const text = cell => cell.innerText.trim()
            const names = [...table.tHead.rows[0].cells].map(text)
            const bodies = [...table.tBodies].flatMap(body => [...body.rows])
            return bodies.map(row => Object.fromEntries(
                [...row.cells].map((cell, index) => [names[index], text(cell)])))
        }"""
    )
    return texts


def number(text: str) -> int:
    """Parse a number that is written as 1,234 or -3."""
    return int(re.sub(r"[^\d-]", "", text.replace("\N{MINUS SIGN}", "-")))
