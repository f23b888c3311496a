"""Images and PDFs in the request: dropped, pasted or chosen, named, and removed."""

import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.demo_page import DemoPage
from tests.browser.files import PDF, PNG, drop, paste


def blocks(body: Any, message: int) -> list[dict[str, Any]]:
    """Return the images and PDFs of a message."""
    content = body["messages"][message]["content"]
    kinds = {"image", "document"}
    return [] if isinstance(content, str) else [part for part in content if part["type"] in kinds]


@pytest.mark.parametrize("bring", [drop, paste])
async def test_files_that_are_brought_go_to_the_last_user_message(
    page: DemoPage, bring: Callable[..., Awaitable[None]]
) -> None:
    await page.take_example("Multi-turn conversation")
    last_user = await page.request.get_by_role("group", name="Message ").count()
    await bring(page.request, ("a b.png", "image/png", PNG), ("c.pdf", "application/pdf", PDF))
    message = page.message(last_user)
    await expect(message.get_by_role("button", name="Remove a b.png")).to_be_visible()
    await expect(message.get_by_role("button", name="Remove c.pdf")).to_be_visible()
    image, document = blocks(await page.read_body(), last_user - 1)
    assert image["source"] == {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(PNG).decode(),
    }
    assert base64.b64decode(document["source"]["data"]) == PDF
    assert document["source"]["media_type"] == "application/pdf"


async def test_files_are_chosen_and_removed_again(page: DemoPage, tmp_path: Path) -> None:
    for name, data in {"a.png": PNG, "b.pdf": PDF}.items():
        (tmp_path / name).write_bytes(data)
    async with page.page.expect_file_chooser() as chooser:
        await page.button("Attach images or PDFs").click()
    await (await chooser.value).set_files([tmp_path / "a.png", tmp_path / "b.pdf"])
    await expect(page.message(1).get_by_role("button", name="Remove b.pdf")).to_be_visible()
    await page.message(1).get_by_role("button", name="Remove a.png").click()
    (only,) = blocks(await page.read_body(), 0)
    assert only["type"] == "document"
    await page.tab("Form").click()
    await page.request.get_by_label("Images or PDFs", exact=True).set_input_files(
        tmp_path / "a.png"
    )
    await expect(page.message(1).get_by_role("button", name="Remove a.png")).to_be_visible()


async def test_a_file_that_is_neither_is_refused_in_words(page: DemoPage) -> None:
    await drop(page.request, ("notes.txt", "text/plain", b"notes"))
    await expect(page.request.get_by_role("alert").filter(visible=True)).to_contain_text(
        "notes.txt"
    )
    assert blocks(await page.read_body(), 0) == []
