"""The program `count-tokens-mw`: its console script, its version and its help."""

import sys
import tomllib
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Final

import pytest

from count_tokens_mw.__main__ import main

PYPROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"


def test_the_console_script_is_a_function_that_can_be_imported() -> None:
    """Read from the file, because an editable installation may have older entry points."""
    scripts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["scripts"]
    ((name, target),) = scripts.items()
    assert name == "count-tokens-mw"
    assert EntryPoint(name, target, "console_scripts").load() is main


def test_the_console_script_reads_its_arguments_and_returns_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/count-tokens-mw", "check", str(path)])
    assert main() == 1
    assert "No deployment is configured;" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("started", "name"),
    [
        ("/usr/bin/count-tokens-mw", "count-tokens-mw"),
        ("count-tokens-mw.exe", "count-tokens-mw"),
        ("/site-packages/count_tokens_mw/__main__.py", "python -m count_tokens_mw"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["check"]])
def test_the_help_names_the_program_as_it_was_started(
    started: str,
    name: str,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", [started, *arguments, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert capsys.readouterr().out.startswith(" ".join(["usage:", name, *arguments, ""]))


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    assert capsys.readouterr().out == f"count-tokens-mw {version('count-tokens-mw')}\n"
