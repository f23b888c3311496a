"""The breakdown on the page: the API's own, with its progress."""

import re
from collections import Counter
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Group:
    """The rows of a kind: its label, its sum, and its parts as they are shown."""

    label: str
    tokens: str
    share: str
    parts: list[dict[str, str]]


async def groups_of(page: DemoPage) -> list[Group]:
    """Read the groups of the breakdown's table."""
    await expect(page.parts).to_be_visible()
    sizes = await page.parts.locator("tbody").evaluate_all("them => them.map(it => it.rows.length)")
    shown = iter(await rows(page.parts))
    groups = []
    for size in sizes:
        head, *parts = [next(shown) for _ in range(size)]
        label = head["Part"].partition("\n")[0]  # without the reason
        groups.append(Group(label, head["Tokens"], head["Share"], parts))
    return groups


def sums_of(answer: Any) -> dict[str, int]:
    """Return the API's sums by kind; an image is taken out of its message."""
    sums: Counter[str] = Counter(overhead=answer["overhead"])
    if answer["system"]:
        sums["system"] = answer["system"]
    for tool in answer["tools"]:
        sums["tool"] += tool["input_tokens"]
    for message in answer["messages"]:
        images = message.get("images", [])
        apart = sum(image["input_tokens"] for image in images)
        sums[f"{message['role']} message"] += message["input_tokens"] - apart
        for image in images:
            sums[image["type"]] += image["input_tokens"]
    return dict(sums)


def kind_of(group: Group) -> str:
    return re.sub(r"^[\d,]+ |s$", "", group.label.lower()) if group.parts else group.label.lower()


def is_descending(texts: list[str]) -> bool:
    numbers = [number(text) for text in texts]
    return numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize(
    ("example", "model"),
    [
        ("Claude Code session", "claude-sonnet-5"),
        ("Image", "claude-bedrock"),
        ("Tools", "gemini-vertex"),
    ],
)
async def test_its_numbers_are_the_apis_and_sum_to_the_whole(
    page: DemoPage, example: str, model: str
) -> None:
    await page.take_example(example)
    await break_down(page, model)
    groups = await groups_of(page)
    answer = await fetch_breakdown(page, model)
    assert {kind_of(group): number(group.tokens) for group in groups} == sums_of(answer)
    assert sum(number(group.tokens) for group in groups) == answer["input_tokens"]
    assert is_descending([group.tokens for group in groups])
    for group in groups:
        tokens = [part["Tokens"] for part in group.parts]
        assert is_descending(tokens)
        assert sum(map(number, tokens)) == number(group.tokens) or not tokens
    names = " ".join(part["Part"] for group in groups for part in group.parts)
    assert all(tool["name"] in names for tool in answer["tools"])
    label = await page.breakdown.get_by_role("img").get_attribute("aria-label")
    assert str(answer["input_tokens"]) in (label or "").replace(",", "")


async def test_the_bar_and_the_legend_are_in_the_tables_order(page: DemoPage) -> None:
    await page.take_example("Tools")
    await break_down(page, "claude-sonnet-5")
    groups = await groups_of(page)
    legend = page.breakdown.get_by_role("list", name="Tokens by kind").get_by_role("listitem")
    words = [" ".join(text.split()) for text in await legend.all_inner_texts()]
    assert words == [f"{group.label} {group.tokens} ({group.share})".lower() for group in groups]
    widths = await page.breakdown.locator(".segment").evaluate_all(
        "them => them.map(it => it.style.getPropertyValue('--tokens'))"
    )
    shown = [
        tokens
        for group in groups
        for tokens in ([part["Tokens"] for part in group.parts] or [group.tokens])
    ]
    assert widths == [str(number(tokens)) for tokens in shown]
    whole = sum(number(group.tokens) for group in groups)
    for group in groups:
        share = float(group.share.rstrip(" %"))
        assert share == pytest.approx(100 * number(group.tokens) / whole, abs=0.06)


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


async def test_an_image_is_a_part_of_its_own_and_says_in_which_message_it_is(
    page: DemoPage,
) -> None:
    await page.take_example("Image")
    await break_down(page, "claude-sonnet-5")
    groups = {kind_of(group): group for group in await groups_of(page)}
    [image] = groups["image"].parts
    assert image["Part"].split() == ["chart.png", "in", "message", "1"]
    [message] = groups["user message"].parts
    assert "without chart.png" in message["Part"]


async def test_a_part_that_the_provider_does_not_count_without_says_why(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    """Parts without a number come last."""
    stub.refuse(lambda text: "Be brief" not in text, 400, "a system prompt is required")
    await stub_page.write_body({**TEN, "messages": TEN["messages"][:2], "system": "Be brief."})
    await break_down(stub_page, QUICK)
    groups = await groups_of(stub_page)
    assert [(kind_of(group), group.tokens) for group in groups[1:]] == [
        ("system", "not countable"),
        ("overhead", "not countable"),
    ]
    assert number(groups[0].tokens) == sum(number(part["Tokens"]) for part in groups[0].parts)
    await expect(stub_page.breakdown).to_contain_text("a system prompt is required")


async def test_a_request_that_cannot_be_counted_at_all_says_why(page: DemoPage) -> None:
    await break_down(page, "mistral-large")
    alert = page.breakdown.get_by_role("alert").filter(visible=True)
    await expect(alert).to_contain_text("501")
    await expect(page.parts).to_be_hidden()
