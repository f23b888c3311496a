"""The counts: the API's own, updated while typing, each model by itself."""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Open
from tests.browser.demo_page import COUNT, FIVE, DemoPage, rows
from tests.browser.upstream import QUICK, SLOW, StubUpstream, serve_gateway

EXAMPLES: Final = (
    "Hello",
    "Haiku (one message)",
    "Multi-turn conversation",
    "Tools",
    "Image",
    "Claude Code session",
)


async def test_the_counts_of_every_example_are_the_apis_for_all_five_providers(
    page: DemoPage,
) -> None:
    options = page.request.get_by_label("Example").get_by_role("option")
    await expect(options).to_have_text(EXAMPLES)
    await page.choose(*FIVE)
    seen = set()
    for example in reversed(EXAMPLES):
        await page.take_example(example)
        seen.add(tuple(await page.expect_counts(*FIVE)))
        await expect(page.state).to_have_text("Counted 5 models")
    assert len(seen) == len(EXAMPLES)


async def test_what_is_typed_is_counted_after_a_pause_without_a_button(
    stopped_page: DemoPage,
) -> None:
    page, clock = stopped_page, stopped_page.page.clock
    text = "Counted when the typing pauses, not at each letter"
    before = len(page.sent)
    await page.text_of(1).fill("")
    await page.text_of(1).press_sequentially(text)
    await clock.run_for(299)
    assert len(page.sent) == before
    async with page.page.expect_request(lambda request: text in (request.post_data or "")):
        await clock.run_for(1)
    await page.expect_counts("claude-sonnet-5")


async def test_the_same_request_again_comes_from_the_cache_and_says_so(page: DemoPage) -> None:
    await page.choose("claude-sonnet-5")
    row = page.row("claude-sonnet-5")
    await page.text_of(1).fill("Never counted before the test of the cache")
    await expect(row).to_contain_text("provider")
    await page.page.reload()
    await page.choose("claude-sonnet-5")
    await page.text_of(1).fill("Never counted before the test of the cache")
    await expect(row).to_contain_text("cache")
    await expect(row).not_to_contain_text("provider")


async def test_what_is_emulated_says_so_at_the_top_and_in_each_row(page: DemoPage) -> None:
    items = page.upstreams.get_by_role("listitem")
    for provider in ("Anthropic", "Bedrock", "Gemini", "Vertex AI"):
        await expect(items.filter(has_text=f"{provider}: emulated")).to_be_visible()
    await expect(page.page.get_by_role("banner")).to_contain_text("invented")
    await page.choose(*FIVE)
    await expect(page.state).to_have_text("Counted 5 models")
    table = page.counts.get_by_role("table", name="Counts")
    shown = {row["Model"]: row for row in await rows(table)}
    assert {name: row["Provider"] for name, row in shown.items()} == {
        "claude-sonnet-5": "Anthropic",
        "claude-vertex": "Vertex AI",
        "claude-bedrock": "Bedrock",
        "gemini-3.8-flash": "Gemini",
        "gemini-vertex": "Vertex AI",
    }
    for row in shown.values():
        assert "emulated" in row["Source"]
        for column in ("In the gateway", "In the browser"):
            assert re.fullmatch(r"[\d.,]+ ms", row[column])


@pytest.fixture
def live_gateway(stub: StubUpstream) -> Iterator[str]:
    with serve_gateway(stub, live=True) as url:
        yield url


async def test_what_is_counted_by_the_provider_itself_is_called_live(
    live_gateway: str, open_page: Open
) -> None:
    page = await open_page(live_gateway)
    items = page.upstreams.get_by_role("listitem")
    await expect(items.filter(has_text="Anthropic: live")).to_be_visible()
    await expect(items.filter(has_text="Gemini: emulated")).to_be_visible()
    await expect(await page.cell(QUICK, "Source")).to_contain_text("live")
    await expect(await page.cell(QUICK, "Source")).not_to_contain_text("emulated")


async def test_a_bar_is_as_long_as_its_count_is_large(page: DemoPage) -> None:
    await page.choose("claude-sonnet-5", "gemini-3.8-flash")
    claude, gemini = await page.expect_counts("claude-sonnet-5", "gemini-3.8-flash")
    longest = await page.bar_width("claude-sonnet-5")
    other = await page.bar_width("gemini-3.8-flash")
    assert claude > gemini
    assert other / longest == pytest.approx(gemini / claude, abs=0.02)


async def test_the_newest_text_wins_over_an_answer_that_comes_late(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    stub.hold(lambda text: "the first text" in text)
    await stub_page.choose(QUICK)
    tab = stub_page.page
    async with tab.expect_request(
        lambda request: "the first text" in (request.post_data or "")
    ) as sent:
        await stub_page.text_of(1).fill("the first text, which is the longer one by some words")
    late = await sent.value
    await stub.until(lambda stub: bool(stub.bodies_with("the first text")))
    async with tab.expect_event("requestfailed", lambda request: request == late):
        await stub_page.text_of(1).fill("the second")
    assert late.failure == "net::ERR_ABORTED"
    await stub_page.expect_counts(QUICK)
    stub.release()
    await stub_page.text_of(1).fill("the third")
    await stub_page.expect_counts(QUICK)


async def test_a_slow_model_holds_neither_the_others_nor_the_typing(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    stub.hold(lambda text: SLOW in text)
    await stub_page.choose(QUICK, SLOW)
    for text in ("A first text", "A second text"):
        await stub_page.text_of(1).fill(text)
        await stub_page.expect_counts(QUICK)
        await expect(stub_page.state).to_contain_text("Counting")
    stub.release()
    await stub_page.expect_counts(SLOW)
    await expect(stub_page.state).to_have_text("Counted 2 models")


async def test_an_error_of_the_upstream_is_shown_in_words_beside_the_other_counts(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    stub.refuse(lambda text: SLOW in text, 400, "prompt is too long: 200001 tokens")
    stub_page.watch.allow_status(400)
    await stub_page.text_of(1).fill("Not counted before")
    await stub_page.choose(QUICK, SLOW)
    await expect(stub_page.row(SLOW)).to_contain_text("400")
    await expect(stub_page.row(SLOW)).to_contain_text("prompt is too long: 200001 tokens")
    await stub_page.expect_counts(QUICK)
    await expect(stub_page.state).to_have_text("1 of 2 failed")


async def test_models_that_cannot_be_counted_say_why(page: DemoPage) -> None:
    page.watch.allow_status(404, 501)
    await page.choose("claude-sonnet-5")
    for model, status, reason in (
        ("nobody", "404", "nobody"),
        ("anthropic/claude-does-not-exist", "404", "claude-does-not-exist"),
        ("mistral-large", "501", "mistral"),
    ):
        await page.add_model(model)
        await expect(page.row(model)).to_contain_text(status)
        await expect(page.row(model)).to_contain_text(reason)
    await expect(page.state).to_have_text("3 of 4 failed")
    await page.expect_counts("claude-sonnet-5")


async def test_a_gateway_that_cannot_be_reached_is_said_and_asked_again(page: DemoPage) -> None:
    page.watch.allow("net::ERR_FAILED")
    await page.choose("claude-sonnet-5")
    await page.page.route(f"**{COUNT}", lambda route: route.abort())
    await page.text_of(1).fill("Into the void")
    await expect(page.state).to_have_text("1 of 1 failed")
    await expect(page.row("claude-sonnet-5")).to_contain_text("could not be reached")
    await page.page.unroute(f"**{COUNT}")
    await page.text_of(1).fill("And back")
    await page.expect_counts("claude-sonnet-5")


async def test_another_model_is_added_by_its_name_and_counted(page: DemoPage) -> None:
    await page.choose()
    await page.add_model("anthropic/claude-opus-4-8")
    await page.expect_counts("anthropic/claude-opus-4-8")
    box = page.counts.get_by_role("checkbox", name="anthropic/claude-opus-4-8", exact=True)
    await expect(box).to_be_checked()


async def test_a_key_that_may_not_have_a_model_is_told_so_for_that_model_only(
    page: DemoPage,
) -> None:
    page.watch.allow_status(403)
    await page.choose("claude-sonnet-5", "gemini-3.8-flash")
    await page.key.fill("sk-demo-claude")
    await page.text_of(1).fill("For the Claude team")
    await expect(page.row("gemini-3.8-flash")).to_contain_text("403")
    await page.expect_counts("claude-sonnet-5", key="sk-demo-claude")
