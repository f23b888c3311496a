"""The breakdown on the page: the API's own, with its progress."""

from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.demo_page import COUNT, DemoPage, number, rows
from tests.browser.upstream import AT_ONCE, QUICK, StubUpstream

KEY = {"x-api-key": "sk-demo"}
TEN = {"messages": [{"role": "user", "content": f"Question {i}"} for i in range(10)]}


async def fetch_breakdown(page: DemoPage, model: str) -> Any:
    """Fetch the API's breakdown of the page's request."""
    body = {**await page.read_body(), "model": model}
    async with httpx.AsyncClient(base_url=page.page.url, headers=KEY, timeout=60) as client:
        return (await client.post(f"{COUNT}/breakdown", json=body)).json()


async def break_down(page: DemoPage, model: str) -> None:
    await page.breakdown.get_by_label("Model for the breakdown").select_option(model)
    await page.button("Break down").click()


def flatten(answer: Any) -> list[tuple[str, int]]:
    """Return kinds and numbers in the order of the request, each image after its message."""
    parts = [("system", answer["system"])] if answer["system"] else []
    parts += [("tool", tool["input_tokens"]) for tool in answer["tools"]]
    for message in answer["messages"]:
        parts.append(("message", message["input_tokens"]))
        parts += [("image", image["input_tokens"]) for image in message.get("images", [])]
    return [*parts, ("overhead", answer["overhead"])]


@pytest.mark.parametrize(
    ("example", "model"),
    [
        ("Claude Code session", "claude-3-5-sonnet"),
        ("Image", "claude-bedrock"),
        ("Tools", "gemini-vertex"),
    ],
)
async def test_its_numbers_are_the_apis_and_sum_to_the_whole(
    page: DemoPage, example: str, model: str
) -> None:
    await page.take_example(example)
    await break_down(page, model)
    await expect(page.parts).to_be_visible()
    answer = await fetch_breakdown(page, model)
    shown = await rows(page.parts)
    expected = flatten(answer)
    assert [number(row["Tokens"]) for row in shown] == [tokens for _, tokens in expected]
    counted = [
        number(row["Tokens"])
        for row, (kind, _) in zip(shown, expected, strict=True)
        if kind != "image"
    ]
    assert sum(counted) == answer["input_tokens"]
    names = " ".join(row["Part"] for row in shown)
    assert all(tool["name"] in names for tool in answer["tools"])
    label = await page.breakdown.get_by_role("img").get_attribute("aria-label")
    assert str(answer["input_tokens"]) in (label or "").replace(",", "")


async def test_a_share_is_the_parts_of_the_whole(page: DemoPage) -> None:
    await page.take_example("Tools")
    await break_down(page, "claude-3-5-sonnet")
    await expect(page.parts).to_be_visible()
    shown = await rows(page.parts)
    whole = sum(number(row["Tokens"]) for row in shown)
    for row in shown:
        share = float(row["Share"].rstrip(" %"))
        assert share == pytest.approx(100 * number(row["Tokens"]) / whole, abs=0.06)


async def test_its_progress_is_shown(stub_page: DemoPage, stub: StubUpstream) -> None:
    await stub_page.write_body(TEN)
    stub.hold(lambda text: len(stub.bodies) > 4)
    await break_down(stub_page, QUICK)
    bar = stub_page.breakdown.get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuenow", "4")
    assert int(await bar.get_attribute("aria-valuemax") or 0) > len(TEN["messages"])
    stub.release()
    await expect(stub_page.parts).to_be_visible()
    await expect(bar).to_be_hidden()
    await expect(stub_page.button("Stop")).to_be_hidden()


async def test_stop_ends_the_upstreams_work(stub_page: DemoPage, stub: StubUpstream) -> None:
    await stub_page.write_body(TEN)
    stub.hold(lambda text: len(stub.bodies) > 4)
    await break_down(stub_page, QUICK)
    await stub.until(lambda stub: len(stub.bodies) == 4 + AT_ONCE)
    await stub_page.button("Stop").click()
    await expect(stub_page.breakdown.get_by_role("progressbar")).to_be_hidden()
    await stub.until(lambda stub: stub.left == AT_ONCE)
    stub.release()
    await stub_page.write_body({"messages": [{"role": "user", "content": "Afterwards"}]})
    await stub_page.choose(QUICK)
    await stub_page.expect_counts(QUICK)
    assert len(stub.bodies) - len(stub.bodies_with("Afterwards")) == 4 + AT_ONCE
    await expect(stub_page.parts).to_be_hidden()


async def test_each_column_sorts_both_ways_and_says_so(page: DemoPage) -> None:
    await page.take_example("Tools")
    await break_down(page, "claude-3-5-sonnet")
    await expect(page.parts).to_be_visible()
    sorted_by = page.parts.locator("[aria-sort=ascending], [aria-sort=descending]")
    for column in ("Part", "Kind", "Tokens", "Share"):
        header = page.parts.get_by_role("columnheader", name=column)
        orders = {}
        for _ in range(2):
            before = await header.get_attribute("aria-sort") or ""
            await header.get_by_role("button").click()
            await expect(header).not_to_have_attribute("aria-sort", before)
            await expect(sorted_by).to_have_count(1)
            shown = await rows(page.parts)
            orders[await header.get_attribute("aria-sort")] = shown
        up, down = orders["ascending"], orders["descending"]
        assert up[0][column] == down[-1][column] != up[-1][column] == down[0][column]
        if column in {"Tokens", "Share"}:
            assert [number(row["Tokens"]) for row in up] == sorted(
                number(row["Tokens"]) for row in down
            )


async def test_an_image_is_indented_under_its_message_however_the_parts_are_sorted(
    page: DemoPage,
) -> None:
    await page.take_example("Image")
    await page.button("Add message").click()
    await page.text_of(2).fill("A chart.")
    await break_down(page, "claude-3-5-sonnet")
    await expect(page.parts).to_be_visible()
    tokens = page.parts.get_by_role("columnheader", name="Tokens").get_by_role("button")
    for _ in range(2):
        await tokens.click()
        kinds = [row["Kind"] for row in await rows(page.parts)]
        assert kinds[kinds.index("image") - 1] == "user message"
    message = await page.parts.get_by_text("Message 1", exact=True).bounding_box()
    image = await page.parts.get_by_text(".png").bounding_box()
    assert message is not None
    assert image is not None
    assert image["x"] > message["x"] + 5


async def test_a_part_that_the_provider_does_not_count_without_says_why(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    stub.refuse(lambda text: "Be brief" not in text, 400, "a system prompt is required")
    await stub_page.write_body({**TEN, "messages": TEN["messages"][:1], "system": "Be brief."})
    await break_down(stub_page, QUICK)
    await expect(stub_page.parts).to_contain_text("not countable")
    await expect(stub_page.breakdown).to_contain_text("a system prompt is required")


async def test_a_request_that_cannot_be_counted_at_all_says_why(page: DemoPage) -> None:
    await break_down(page, "gpt-4o")
    alert = page.breakdown.get_by_role("alert").filter(visible=True)
    await expect(alert).to_contain_text("501")
    await expect(page.parts).to_be_hidden()
