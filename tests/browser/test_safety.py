"""HTML in a prompt, a name or an answer stays text, and the page calls only its gateway."""

import json
from typing import Final

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.demo_page import COUNT, DemoPage
from tests.browser.files import PNG, drop
from tests.browser.upstream import QUICK, StubUpstream

HTML: Final = (
    "</textarea></pre></title><script>alert(1)</script><img src=x onerror=alert(2)>"
    '<svg onload=alert(3)><a href="javascript:alert(4)">x</a><b id=injected>y</b>'
)


async def check_that_it_is_text(page: DemoPage) -> None:
    """Check that no HTML was inserted; `Watch` fails on a dialog and on the policy's refusal."""
    inserted = page.page.locator(
        "#injected, [onerror], [onload], img[src=x], a[href^=javascript], script:not([src])"
    )
    await expect(inserted).to_have_count(0)


async def test_a_prompt_with_html_runs_nothing(page: DemoPage) -> None:
    await page.choose("claude-sonnet-5")
    await page.system.fill(HTML)
    await page.text_of(1).fill(HTML)
    await page.tools.fill(json.dumps([{"name": HTML, "input_schema": {"type": "object"}}]))
    await drop(page.request, (f"{HTML.replace('/', '')}.png", "image/png", PNG))
    await page.expect_counts("claude-sonnet-5")
    await expect(page.call).to_contain_text("onerror")
    await page.button("Break down").click()
    await expect(page.parts).to_contain_text("<script>")
    await check_that_it_is_text(page)


async def test_a_model_with_html_in_its_name_runs_nothing(page: DemoPage) -> None:
    page.watch.allow_status(404)
    await page.choose()
    await page.add_model(HTML)
    await expect(page.counts.get_by_role("table", name="Counts")).to_contain_text("404")
    await expect(page.last).to_contain_text("<script>")
    await check_that_it_is_text(page)


async def test_an_upstreams_error_with_html_runs_nothing(
    stub_page: DemoPage, stub: StubUpstream
) -> None:
    stub_page.watch.allow_status(400)
    stub.refuse(lambda text: True, 400, HTML)
    await stub_page.text_of(1).fill("Not counted before")
    await stub_page.choose(QUICK)
    await expect(stub_page.row(QUICK)).to_contain_text("<script>alert(1)</script>")
    await expect(stub_page.answer).to_contain_text("<script>alert(1)</script>")
    await stub_page.button("Break down").click()
    await expect(stub_page.breakdown.get_by_role("alert")).to_contain_text("<script>")
    await check_that_it_is_text(stub_page)


async def test_a_terminals_request_with_html_in_it_runs_nothing(page: DemoPage) -> None:
    async with httpx.AsyncClient(base_url=page.page.url, timeout=30) as client:
        body = {"model": f"{HTML}-from-a-terminal", "messages": [], "user": HTML}
        await client.post(COUNT, json=body, headers={"x-api-key": "sk-demo"})
    await expect(page.last).to_contain_text("-from-a-terminal")
    await check_that_it_is_text(page)


async def test_a_script_that_did_get_in_would_be_refused_and_noted(page: DemoPage) -> None:
    """This test shows that the other tests would fail if a script got in."""
    async with page.page.expect_console_message(lambda message: "Content Security" in message.text):
        await page.page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<b onclick=alert(1)>x</b>')"
        )
        await page.page.locator("b[onclick]").click()
    with pytest.raises(AssertionError, match="Content Security Policy"):
        page.watch.check()
    page.watch.seen.clear()


@pytest.mark.parametrize("path", ["/", "/page/page.js"])
async def test_the_policy_lets_the_page_load_and_call_its_gateway_only(
    demo: str, path: str
) -> None:
    async with httpx.AsyncClient(base_url=demo) as client:
        headers = (await client.get(path)).headers
    policy = dict(
        part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


async def test_it_works_where_nobody_else_can_be_reached(page: DemoPage) -> None:
    """The browser resolves no other host, and `Watch` records any request to one."""
    hosts = await page.page.evaluate(
        "performance.getEntriesByType('resource').map(entry => new URL(entry.name).host)"
    )
    assert len(hosts) > 5
    assert {f"http://{host}/" for host in hosts} == {page.page.url}
    await page.choose("claude-sonnet-5")
    await page.expect_counts("claude-sonnet-5")
