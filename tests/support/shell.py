"""Shell snippets of the documentation, run as a reader would run them."""

import os
import shutil
import subprocess

import pytest


def run_in_shell(snippet: str) -> str:
    """Return a snippet's output; without curl the test is skipped, or fails in CI."""
    if shutil.which("curl") is None:
        missing = "curl is not installed, so no curl snippet can be run"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    command = ["bash", "-euo", "pipefail", "-c", snippet]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout
