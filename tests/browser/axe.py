"""The findings of axe-core on a page."""

from importlib.resources import files
from typing import Any, Final

from tests.browser.demo_page import DemoPage

__all__ = ["find_violations"]

_AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


async def find_violations(page: DemoPage) -> list[str]:
    """Find axe-core's serious and critical violations: the rule, and the elements that break it."""
    # The debugger evaluates it, because the page's policy does not bind the debugger.
    await page.page.evaluate(_AXE)
    violations: list[dict[str, Any]] = await page.page.evaluate(
        "axe.run({ resultTypes: ['violations'] }).then(results => results.violations)"
    )
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in violations
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
