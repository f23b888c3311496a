"""Runs what a reader would paste into a terminal."""

import os
import shutil
import subprocess

import pytest


def run_in_shell(snippet: str) -> str:
    """Its output. Without curl the test is skipped, but not in CI, where that is a failure."""
    if shutil.which("curl") is None:
        missing = "curl is not installed, so no curl snippet can be run"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    command = ["bash", "-euo", "pipefail", "-c", snippet]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout
