"""`make drift`: compare the files of facts with the vendors' newest packages.

It prints what to decide, and exits with 1 if there is something. It needs the package index, so no
test runs it; the tests run what it compares with.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from tests.facts import (
    ANTHROPIC,
    LITELLM_BETAS,
    LITELLM_MODELS,
    LITELLM_PARAMS,
    LITELLM_PAYLOAD,
    LITELLM_PROVIDERS,
    Facts,
    litellm_wheel,
    read_facts,
)
from tests.facts.compare import (
    compare_anthropic,
    compare_betas,
    compare_models,
    compare_params,
    compare_payload,
    compare_providers,
)

__all__ = ["report"]

_Generate: TypeAlias = Callable[[Path], Facts]
_Compare: TypeAlias = Callable[[Facts, Facts], list[str]]

_ROOT: Final = Path(__file__).parents[2]


def report(name: str, newest: Callable[[], Facts], compare: _Compare) -> tuple[str, bool]:
    """Return the text on one file, and whether there is something to decide.

    A package that cannot be read any more is something to decide.
    """
    old = read_facts(name)
    try:
        new = newest()
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
            report(file, partial(newest, folder), compare) for file, newest, compare in _FILES
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


def _newest_litellm(generate: _Generate, folder: Path) -> Facts:
    """Download the newest wheel once, and read it without an installation."""
    wheels = folder / "wheels"
    if not wheels.exists():
        options = ("--no-deps", "--only-binary", ":all:", "--dest", str(wheels))
        _run(sys.executable, *_pip("download"), *options, "litellm")
    (wheel,) = wheels.glob("litellm-*.whl")
    return generate(wheel)


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


_FILES: Final[list[tuple[str, _Generate, _Compare]]] = [
    (ANTHROPIC, _newest_anthropic, compare_anthropic),
    (LITELLM_BETAS, partial(_newest_litellm, litellm_wheel.generate_betas), compare_betas),
    (LITELLM_MODELS, partial(_newest_litellm, litellm_wheel.generate_models), compare_models),
    (LITELLM_PARAMS, partial(_newest_litellm, litellm_wheel.generate_params), compare_params),
    (LITELLM_PAYLOAD, partial(_newest_litellm, litellm_wheel.generate_payload), compare_payload),
    (
        LITELLM_PROVIDERS,
        partial(_newest_litellm, litellm_wheel.generate_providers),
        compare_providers,
    ),
]

if __name__ == "__main__":
    sys.exit(main())
