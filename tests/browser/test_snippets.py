"""The calls to paste: each runs as it is copied, and prints the number that the page shows."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser.demo_page import DemoPage
from tests.support.shell import run_in_shell

CALLS: Final = ("curl", "httpx", "anthropic SDK")
AWKWARD: Final = """It's "quoted", `ticked`, $HOME, ${HOME}, $(id) and !! \\ \\n \\' {braces} %s %%
a second line\twith a tab, </script>, 'EOF' and
EOF
\"\"\" ''' naïve café 漢字 😀 \u2028"""

TRUTHS: Final = {"type": "object", "default": [True, False, None, 1.5, -2, 1e300]}


async def copy(page: DemoPage, name: str) -> str:
    """Copy a call to the clipboard, and return it."""
    await page.tab(name).click()
    await page.clear_clipboard()
    await page.button("Copy").click()
    text = await page.clipboard()
    assert text.strip() == (await page.call.inner_text()).strip()
    return text


def run_python(code: str, folder: Path) -> str:
    """Run a script in a folder without our modules, and return its output."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def run_each(page: DemoPage, folder: Path) -> dict[str, list[str]]:
    """Run every call, and return the numbers that each one prints."""
    curl, *python = [await copy(page, name) for name in CALLS]
    outputs = await asyncio.gather(
        asyncio.to_thread(run_in_shell, f"cd '{folder}'\n{curl}"),
        *(asyncio.to_thread(run_python, code, folder) for code in python),
    )
    return {name: re.findall(r"\d+", output) for name, output in zip(CALLS, outputs, strict=True)}


async def test_each_call_prints_the_pages_number_whatever_is_in_the_prompt(
    page: DemoPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is not public is left to a variable."""
    await page.choose("claude-sonnet-5")
    await page.key.fill("sk-demo-claude")
    await page.system.fill(f"Answer {AWKWARD}")
    await page.text_of(1).fill(AWKWARD)
    await page.button("Add message").click()
    await page.text_of(2).fill(AWKWARD[::-1])
    tool = {"name": "f", "description": AWKWARD, "input_schema": TRUTHS}
    await page.tools.fill(json.dumps([tool]))
    [tokens] = await page.expect_counts("claude-sonnet-5", key="sk-demo-claude")
    monkeypatch.setenv("GATEWAY_KEY", "sk-demo-claude")
    assert await run_each(page, tmp_path) == {name: [str(tokens)] for name in CALLS}
    for name in CALLS:
        await page.tab(name).click()
        await expect(page.snippets).to_contain_text("GATEWAY_KEY")
        await expect(page.snippets).not_to_contain_text("sk-demo")


async def test_each_call_of_a_large_request_reads_it_from_the_file_that_the_page_gives(
    page: DemoPage, tmp_path: Path
) -> None:
    """The demo's public key is in the call."""
    await page.choose("claude-sonnet-5")
    await page.take_example("Claude Code session")
    [tokens] = await page.expect_counts("claude-sonnet-5")
    async with page.page.expect_download() as download:
        await page.button("Download request.json").click()
    await (await download.value).save_as(tmp_path / "request.json")
    assert await run_each(page, tmp_path) == {name: [str(tokens)] for name in CALLS}


async def test_the_calls_are_for_the_first_chosen_model(page: DemoPage) -> None:
    await page.choose("gemini-vertex", "claude-vertex")
    for name in CALLS:
        await page.tab(name).click()
        await expect(page.call).to_contain_text("claude-vertex")
        await expect(page.call).not_to_contain_text("gemini-vertex")
