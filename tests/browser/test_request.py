"""The request: its form and its JSON."""

import json
import re
from typing import Any, Final

from playwright.async_api import expect

from tests.browser.demo_page import COUNT, DemoPage

SAMPLES: Final = "**/page/samples/*.json"
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
"""A request with fields that the form cannot show."""


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


async def test_a_body_that_is_no_request_is_said_and_not_sent(stopped_page: DemoPage) -> None:
    page, clock = stopped_page, stopped_page.page.clock
    await page.tab("Raw JSON").click()
    alert = page.request.get_by_role("alert").filter(visible=True)
    before = len(page.sent)
    for wrong in ('{"messages": [', "[]", '{"messages": undefined}', ""):
        await page.body.fill(wrong)
        await expect(alert).to_contain_text("JSON")
        await clock.run_for(10_000)
        assert len(page.sent) == before
    async with page.page.expect_request(f"**{COUNT}"):
        await page.body.fill('{"messages": [{"role": "user", "content": "right again"}]}')
        await clock.run_for(1000)
    await expect(alert).to_have_count(0)
    await page.expect_counts("claude-sonnet-5")


async def test_an_example_that_cannot_be_loaded_is_said_and_the_request_kept(
    page: DemoPage,
) -> None:
    page.watch.allow("net::ERR_FAILED")
    await page.text_of(1).fill("Written before")
    await page.page.route(SAMPLES, lambda route: route.abort())
    await page.take_example("Tools")
    said = page.request.get_by_role("alert").filter(visible=True)
    await expect(said).to_contain_text("“Tools” could not be loaded")
    await expect(page.text_of(1)).to_have_value("Written before")
    await page.page.unroute(SAMPLES)
    await page.button("Reset").click()
    await expect(page.text_of(1)).to_have_value(re.compile("umbrella"))
    await expect(said).to_have_count(0)


async def test_an_edit_wins_over_an_example_that_comes_late(page: DemoPage) -> None:
    await page.page.route(SAMPLES, lambda route: None)  # which leaves it without an answer
    async with page.page.expect_request(SAMPLES):
        await page.request.get_by_label("Example").select_option("Tools")
    await expect(page.request).to_have_attribute("aria-busy", "true")
    async with page.page.expect_event("requestfailed") as failed:
        await page.text_of(1).fill("Written meanwhile")
    assert (await failed.value).failure == "net::ERR_ABORTED"
    await expect(page.request).to_have_attribute("aria-busy", "false")
    await page.expect_counts("claude-sonnet-5")
    await expect(page.text_of(1)).to_have_value("Written meanwhile")


async def test_tools_that_are_no_list_are_said_and_the_last_good_ones_kept(page: DemoPage) -> None:
    await page.tools.fill(json.dumps(RICH["tools"]))
    await page.tools.fill("[{")
    await expect(page.request.get_by_role("alert").filter(visible=True)).not_to_be_empty()
    await page.tools.fill("[]")
    await expect(page.request.get_by_role("alert").filter(visible=True)).to_have_count(0)
    assert not (await page.read_body()).get("tools")
