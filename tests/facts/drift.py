"""`make drift`: compare the files of facts with the vendors' newest packages.

It prints what to decide, and exits with 1 if there is something. It needs the package index, so no
test runs it; the tests run what it compares with.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.facts import ANTHROPIC, LITELLM, Facts, litellm_wheel, read_facts
from tests.facts.compare import compare_anthropic, compare_litellm

__all__ = ["report"]

_ROOT: Final = Path(__file__).parents[2]


def report(
    name: str,
    old: Facts,
    read_newest: Callable[[], Facts],
    compare: Callable[[Facts, Facts], list[str]],
) -> tuple[str, bool]:
    """Return the text on one file, and whether there is something to decide.

    A package that cannot be read any more is something to decide.
    """
    try:
        new = read_newest()
        lines = compare(old, new)
    except (LookupError, RuntimeError, ValueError) as error:
        text = f"{name}: the newest {old['package']} cannot be read: {error}"
        return f"{text}\n  Repair its generator in tests/facts.", True
    versions = f"{name}: {old['package']} {old['version']} here, {new['version']} is the newest"
    if lines:
        return "\n".join([f"{versions}; to decide: {len(lines)}", *lines]), True
    return f"{versions}; nothing to decide", False


def main() -> int:
    """Print the report on every file, and return the exit status."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        reports = [
            report(
                ANTHROPIC,
                read_facts(ANTHROPIC),
                lambda: _newest_anthropic(folder),
                compare_anthropic,
            ),
            report(LITELLM, read_facts(LITELLM), lambda: _newest_litellm(folder), compare_litellm),
        ]
    sys.stdout.write("\n\n".join(text for text, _ in reports) + "\n")
    is_open = any(is_undecided for _, is_undecided in reports)
    if is_open:
        sys.stdout.write(
            "\nThen: install the newest packages (`make constraints`), write the files "
            "(`python -m tests.facts --litellm WHEEL`), and run `make test`.\n"
        )
    return int(is_open)


def _newest_anthropic(folder: Path) -> Facts:
    """Install the newest SDK into an environment of its own, and read its facts there."""
    environment = folder / "venv"
    _run(sys.executable, "-m", "venv", str(environment))
    python = str(environment / ("Scripts" if os.name == "nt" else "bin") / "python")
    _run(python, *_pip("install"), "--upgrade", "anthropic")
    _run(python, "-m", "tests.facts", "--into", str(folder))
    return read_facts(ANTHROPIC, folder)


def _newest_litellm(folder: Path) -> Facts:
    """Download the newest wheel, and read it without an installation."""
    wheels = folder / "wheels"
    options = ("--no-deps", "--only-binary", ":all:", "--dest", str(wheels))
    _run(sys.executable, *_pip("download"), *options, "litellm")
    (wheel,) = wheels.glob("litellm-*.whl")
    return litellm_wheel.generate(wheel)


def _pip(command: str) -> tuple[str, ...]:
    return ("-m", "pip", "--quiet", "--disable-pip-version-check", command)


def _run(*command: str) -> None:
    """Run a command at the project's root.

    Raises:
        RuntimeError: the command failed; the message is the last line of its output.
    """
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise RuntimeError(f"{' '.join(command[1:])}: {lines[-1]}")


if __name__ == "__main__":
    sys.exit(main())
