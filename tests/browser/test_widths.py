"""The page as wide as a desk and as a phone: latencies, answer, parts, total, kept fields."""

import re
from typing import Any, Final

import pytest
from playwright.async_api import FloatRect, Locator, expect

from tests.browser.axe import find_violations
from tests.browser.chromium import Kind
from tests.browser.conftest import Open
from tests.browser.demo_page import DemoPage, number, rows
from tests.browser.upstream import QUICK, StubUpstream

LATENCIES: Final = ("In the gateway", "In the browser")
MODEL: Final = "claude-sonnet-5"
BODY: Final[dict[str, Any]] = {
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tool_choice": {"type": "auto"},
    "anthropic_beta": ["context-management-2025-06-27"],
    "tools": [
        {"name": name, "input_schema": {"type": "object"}, "description": name * 9}
        for name in ("now", "tomorrow")
    ],
    "messages": [
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": "It is noon, by the clock of the town hall."},
        {"role": "user", "content": "And tomorrow?"},
    ],
}
"""A request with fields that the form has no control for."""


async def box_of(target: Locator) -> FloatRect:
    box = await target.bounding_box()
    assert box is not None
    return box


async def check_kept_fields(page: DemoPage) -> None:
    """Check that the form names the fields that it keeps and the tab that shows them."""
    note = page.request.get_by_text("Kept and sent")
    await expect(note).to_be_visible()
    await expect(note).to_have_text(
        "Kept and sent, though not in this form: thinking, tool_choice, anthropic_beta, "
        "cache_control of blocks. Edit them under Raw JSON."
    )


async def check_latencies(page: DemoPage, *, is_phone: bool) -> None:
    """Check that both are named and in sight; on a phone the name stands in the cell."""
    response = await page.sent[-1].response()
    assert response is not None
    [sent] = re.findall(r"^gateway;dur=([\d.]+)$", response.headers["server-timing"])
    shown: dict[str, float] = {}
    for column in LATENCIES:
        cell = await page.cell(MODEL, column)
        await cell.scroll_into_view_if_needed()
        await expect(cell).to_be_in_viewport(ratio=1)
        name = await cell.evaluate("it => getComputedStyle(it, '::before').content")
        assert (column in name) == is_phone
        shown[column] = float((await cell.inner_text()).removesuffix(" ms").replace(",", ""))
    gateway, browser = (shown[column] for column in LATENCIES)
    assert gateway == pytest.approx(float(sent), abs=0.51)
    assert gateway <= browser + 0.5


async def check_answer(page: DemoPage) -> None:
    """Check the answer to the last count, and that its button copies it."""
    [tokens] = await page.expect_counts(MODEL)
    answer = await page.answer.inner_text()
    head, _, body = answer.partition("\n\n")
    assert head.startswith("HTTP 200")
    for name in ("content-type", "request-id", "server-timing", "x-count-tokens-source"):
        assert f"\n{name}: " in head
    assert body == f'{{\n  "input_tokens": {tokens}\n}}'
    await page.clear_clipboard()
    await page.button("Copy answer").click()
    assert await page.clipboard() == answer


async def check_parts(page: DemoPage) -> None:
    """Check that the table is read from top to bottom: a kind, its sum, its parts by size."""
    await page.button("Break down").click()
    await expect(page.parts).to_be_visible()
    shown = await rows(page.parts)
    heads = await page.parts.locator("th[scope=rowgroup]").all_inner_texts()
    assert {"2 tools", "2 user messages", "1 assistant message"} < set(heads)
    sums = [number(row["Tokens"]) for row in shown if row["Part"] in heads]
    assert sums == sorted(sums, reverse=True)
    tools = [row["Part"] for row in shown if row["Part"].startswith(("now", "tomorrow"))]
    assert tools == ["tomorrow", "now"]
    for cell in ("th", "td"):
        last = page.parts.locator(f"tbody {cell}").last
        await last.scroll_into_view_if_needed()
        await expect(last).to_be_in_viewport(ratio=1)


async def check_total(page: DemoPage) -> None:
    """Check that the total stays in sight in the form, and above a field that has the focus."""
    tokens = await (await page.cell(MODEL, "Tokens")).inner_text()
    for field in (page.tools, page.text_of(2), page.system):  # upwards, under the bar
        await page.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await field.focus()
        await expect(page.total).to_be_in_viewport(ratio=1)
        await expect(page.total).to_contain_text(f"{MODEL} {tokens} tokens")
        bar = await box_of(page.total)
        assert (await box_of(field))["y"] >= bar["y"] + bar["height"]
    await expect(page.request.get_by_role("status")).to_have_count(0)


@pytest.mark.parametrize("kind", ["desk", "phone"])
async def test_the_page_shows_what_it_knows_at_every_width(
    open_page: Open, demo: str, kind: Kind
) -> None:
    page = await open_page(demo, kind)
    await page.choose(MODEL)
    await page.write_body(BODY)
    await page.tab("Form").click()
    await check_kept_fields(page)
    await check_answer(page)
    await check_latencies(page, is_phone=kind == "phone")
    await check_parts(page)
    if kind == "desk":  # where the counts are beside the form
        await expect(page.total).to_be_hidden()
        return
    await check_total(page)
    for scheme in ("light", "dark"):
        await page.page.emulate_media(color_scheme=scheme)
        assert await find_violations(page) == [], scheme


async def test_the_total_and_the_answer_follow_a_count_that_waits_and_one_that_fails(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    page = stub_page
    await page.page.set_viewport_size({"width": 375, "height": 812})
    page.watch.allow_status(400)
    stub.refuse(lambda text: "refused" in text, 400, "<b>refused</b>")
    stub.hold(lambda text: "held" in text)
    await expect(page.total).to_contain_text("No model is chosen")
    await page.choose(QUICK)
    await page.expect_counts(QUICK)
    await expect(page.snippets).to_contain_text(f"To the count of {QUICK}")
    await page.text_of(1).fill("held")
    await expect(page.total).to_contain_text("Counting…")
    await expect(page.snippets).to_contain_text(f"To the last count of {QUICK}")
    stub.release()
    [tokens] = await page.expect_counts(QUICK)
    await expect(page.total).to_have_text(re.compile(rf"{tokens} tokens\s+Counts\s*$"))
    await page.text_of(1).fill("refused")
    await expect(page.total).to_contain_text("Failed: 400")
    await expect(page.answer).to_contain_text(re.compile(r"^HTTP 400 .*\nrequest-id: ", re.DOTALL))
    await expect(page.answer).to_contain_text('"message": "<b>refused</b>"')
    await page.write_body("{")
    await expect(page.total).to_contain_text("Not counted")
    await page.choose()
    await expect(page.answer).to_be_hidden()
