"""The calls to paste: each is run as it is copied, and prints the number that the page shows."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Open
from tests.browser.demo_page import DemoPage
from tests.shell import run_in_shell

ROOT = Path(__file__).parent.parent.parent
AWKWARD = """It's "quoted", `ticked`, $HOME, ${HOME}, $(id) and !! \\ \\n \\' {braces} %s %%
a second line\twith a tab, </script>, 'EOF' and
EOF
\"\"\" ''' naïve café 漢字 😀 \u2028"""


async def copied(page: DemoPage, name: str) -> str:
    """What the page gives to the clipboard."""
    await page.tab(name).click()
    await page.clear_clipboard()
    await page.snippets.get_by_role("button", name="Copy").click()
    text = await page.clipboard()
    assert text.strip() == (await page.snippets.locator("pre").inner_text()).strip()
    return text


def run_python(code: str, folder: Path) -> str:
    """Its output, as a script's in a folder with nothing of ours."""
    script = folder / "call.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def run(name: str, code: str, folder: Path) -> str:
    if name == "curl":
        return await asyncio.to_thread(run_in_shell, code)
    return await asyncio.to_thread(run_python, code, folder)


@pytest.mark.parametrize("name", ["curl", "httpx", "anthropic SDK"])
@pytest.mark.parametrize("prompt", ["Hello, how are you?", AWKWARD], ids=["plain", "awkward"])
async def test_a_call_prints_the_pages_number(
    page: DemoPage, name: str, prompt: str, tmp_path: Path
) -> None:
    await page.choose("claude-3-5-sonnet")
    await page.system.fill(f"Answer {prompt}")
    await page.text_of(1).fill(prompt)
    if prompt == AWKWARD:
        await page.button("Add message").click()
        await page.text_of(2).fill(prompt)
        await page.tools.fill(
            '[{"name": "f", "description": "It\\u2019s \'\\"", "input_schema": {}}]'
        )
    tokens = await page.counted("claude-3-5-sonnet")
    await page.shows("claude-3-5-sonnet", tokens)
    said = await run(name, await copied(page, name), tmp_path)
    assert re.findall(r"\d+", said) == [str(tokens)]


@pytest.mark.parametrize("name", ["curl", "httpx", "anthropic SDK"])
async def test_a_key_that_is_not_public_is_left_to_a_variable(
    open_page: Open, demo: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await open_page(demo)
    await page.choose("claude-3-5-sonnet")
    await page.key.fill("sk-demo-claude")
    await expect(page.snippets).not_to_contain_text("sk-demo")
    tokens = await page.counted("claude-3-5-sonnet")
    code = await copied(page, name)
    assert "GATEWAY_KEY" in code
    assert "sk-demo" not in code
    monkeypatch.setitem(os.environ, "GATEWAY_KEY", "sk-demo-claude")
    assert re.findall(r"\d+", await run(name, code, tmp_path)) == [str(tokens)]


async def test_the_call_is_for_the_first_chosen_model(page: DemoPage) -> None:
    await page.choose("gemini-vertex", "claude-vertex")
    for name in ("curl", "httpx", "anthropic SDK"):
        await page.tab(name).click()
        await expect(page.snippets.locator("pre")).to_contain_text("claude-vertex")
        await expect(page.snippets.locator("pre")).not_to_contain_text("gemini-vertex")
