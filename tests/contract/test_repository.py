"""Files tracked by git are the project's own: no outside link, build product or submodule."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
REGULAR_FILES: Final = {"100644", "100755"}


def git(*arguments: str, folder: Path = ROOT) -> list[str]:
    """Return the lines of a git command's output.

    Outside of a checkout, as in a source distribution, the test is skipped, or fails in CI.
    """
    if shutil.which("git") is None or not (folder / ".git").exists():
        missing = "this is no git checkout, so nothing is tracked"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    # Git refuses a checkout of another user, as in a container.
    command = ["git", "-c", f"safe.directory={folder}", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True)
    return done.stdout.split("\0" if "-z" in arguments else "\n")[:-1]


def irregular(folder: Path) -> dict[str, str]:
    """Return the modes and paths of tracked symlinks and submodules."""
    entries = [entry.split("\t", 1) for entry in git("ls-files", "-s", "-z", folder=folder)]
    modes = {path: head.split()[0] for head, path in entries}
    return {path: mode for path, mode in modes.items() if mode not in REGULAR_FILES}


def test_only_regular_files_are_tracked() -> None:
    assert irregular(ROOT) == {}


def test_nothing_is_tracked_that_is_ignored() -> None:
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard", "-z") == []


@pytest.mark.parametrize("target", ["/tmp/elsewhere", "present", "../outside", "missing"])
def test_a_tracked_symlink_is_found_wherever_it_leads(tmp_path: Path, target: str) -> None:
    git("--version")
    (tmp_path / "present").write_text("a file")
    (tmp_path / "a link").symlink_to(target)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert irregular(tmp_path) == {}
    git("add", "--all", folder=tmp_path)
    assert irregular(tmp_path) == {"a link": "120000"}
