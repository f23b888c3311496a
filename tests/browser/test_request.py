"""The request: its form, its JSON, and what is attached to it."""

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import Open
from tests.browser.demo_page import COUNT, DemoPage

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF: Final = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"

RICH: Final[dict[str, Any]] = {
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "tools": [{"name": "now", "input_schema": {"type": "object"}, "description": "The time."}],
    "messages": [
        {"role": "user", "content": "What time is it?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I ask."},
                {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"zone": "UTC"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12:00"}],
        },
    ],
}
"""With much that the form cannot show."""


async def drop(target: Locator, *files: tuple[str, str, bytes]) -> None:
    """Drop files on it, each by its name, its type and its bytes, as a drag from elsewhere does."""
    given = [[name, kind, base64.b64encode(data).decode()] for name, kind, data in files]
    carried = await target.page.evaluate_handle(
        """files => {
            const carried = new DataTransfer()
            for (const [name, type, data] of files) {
                const bytes = Uint8Array.from(atob(data), byte => byte.charCodeAt(0))
                carried.items.add(new File([bytes], name, { type }))
            }
            return carried
        }""",
        given,
    )
    for event in ("dragenter", "dragover", "drop"):
        await target.dispatch_event(event, {"dataTransfer": carried})


def blocks(body: Any, message: int) -> list[dict[str, Any]]:
    """The images and PDFs of a message."""
    content = body["messages"][message]["content"]
    kinds = {"image", "document"}
    return [] if isinstance(content, str) else [each for each in content if each["type"] in kinds]


async def test_the_form_and_the_json_show_the_same_request(page: DemoPage) -> None:
    await page.system.fill("Be brief.")
    await page.text_of(1).fill("First")
    body = await page.read_body()
    assert body["system"] == "Be brief."
    assert body["messages"] == [{"role": "user", "content": "First"}]
    await page.write_body({**body, "system": "Be long.", "tools": RICH["tools"]})
    await page.tab("Form").click()
    await expect(page.system).to_have_value("Be long.")
    assert json.loads(await page.tools.input_value()) == RICH["tools"]


async def test_messages_are_added_and_removed_and_change_their_role(page: DemoPage) -> None:
    await page.text_of(1).fill("One")
    await page.button("Add message").click()
    await page.text_of(2).fill("Two")
    await page.request.get_by_label("Role of message 2").select_option("assistant")
    await page.button("Add message").click()
    await page.request.get_by_label("Role of message 3").select_option("user")
    await page.text_of(3).fill("Three")
    assert (await page.read_body())["messages"] == [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ]
    await page.tab("Form").click()
    await page.button("Remove message 2").click()
    await expect(page.message(3)).to_have_count(0)
    await expect(page.text_of(2)).to_have_value("Three")


async def test_what_the_form_cannot_show_survives_an_edit_of_the_form(page: DemoPage) -> None:
    await page.write_body(RICH)
    await page.tab("Form").click()
    await page.system.fill("Be very brief.")
    await page.text_of(2).fill("I ask the clock.")
    await page.button("Add message").click()
    body = await page.read_body()
    assert "Be very brief." in json.dumps(body["system"])
    assert {name: body[name] for name in ("thinking", "tool_choice", "tools")} == {
        name: RICH[name] for name in ("thinking", "tool_choice", "tools")
    }
    asks, call = body["messages"][1]["content"]
    assert asks["text"] == "I ask the clock."
    assert call == RICH["messages"][1]["content"][1]
    assert body["messages"][2] == RICH["messages"][2]
    assert len(body["messages"]) == 4


@pytest.mark.parametrize("wrong", ['{"messages": [', "[]", '{"messages": undefined}'])
async def test_a_body_that_is_no_request_is_said_and_not_sent(page: DemoPage, wrong: str) -> None:
    await page.tab("Raw JSON").click()
    before = len(page.sent)
    await page.body.fill(wrong)
    said = page.request.get_by_role("alert").or_(page.request.get_by_role("status"))
    await expect(said.filter(visible=True)).not_to_be_empty()
    await page.body.fill('{"messages": [{"role": "user", "content": "right again"}]}')
    await page.choose("claude-3-5-sonnet")
    await page.shows("claude-3-5-sonnet", await page.counted("claude-3-5-sonnet"))
    await expect(said.filter(visible=True, has_text="JSON")).to_have_count(0)
    sent = page.bodies[before:]
    assert {body["messages"][0]["content"] for body in sent} == {"right again"}


async def test_tools_that_are_no_list_are_said_and_the_last_good_ones_kept(page: DemoPage) -> None:
    await page.tools.fill(json.dumps(RICH["tools"]))
    await page.tools.fill("[{")
    await expect(page.request.get_by_role("alert").filter(visible=True)).not_to_be_empty()
    await page.tools.fill("[]")
    await expect(page.request.get_by_role("alert").filter(visible=True)).to_have_count(0)
    assert not (await page.read_body()).get("tools")


async def test_files_dropped_on_the_request_go_to_the_last_user_message(page: DemoPage) -> None:
    await page.take_example("Multi-turn conversation")
    last_user = await page.request.get_by_role("group", name="Message ").count()
    await drop(page.request, ("a b.png", "image/png", PNG), ("c.pdf", "application/pdf", PDF))
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


async def test_the_key_is_the_demos_and_another_is_kept_until_the_tab_closes(
    open_page: Open, demo: str
) -> None:
    page = await open_page(demo)
    await expect(page.key).to_have_value("sk-demo")
    await page.key.fill("sk-demo-claude")
    async with page.page.expect_request(f"**{COUNT}") as asked:
        await page.text_of(1).fill("With another key")
    headers = (await asked.value).headers
    assert "sk-demo-claude" in (headers.get("x-api-key") or headers["authorization"])
    page.watch.allow_status(403)
    await page.page.reload()
    await expect(page.key).to_have_value("sk-demo-claude")
    assert await page.page.evaluate("localStorage.length") == 0
    assert await page.page.context.cookies() == []
    other = await open_page(demo)
    await expect(other.key).to_have_value("sk-demo")


async def test_a_key_that_nobody_has_is_said_beside_it(page: DemoPage) -> None:
    page.watch.allow_status(401)
    await page.key.fill("sk-nobody")
    words = page.page.get_by_role("alert").filter(visible=True)
    await expect(words.first).to_contain_text("key")
    described = await page.key.get_attribute("aria-describedby") or ""
    assert await words.first.get_attribute("id") in described.split()
    await page.key.fill("sk-demo")
    await page.shows("claude-3-5-sonnet", await page.counted("claude-3-5-sonnet"))
    await expect(words).to_have_count(0)
