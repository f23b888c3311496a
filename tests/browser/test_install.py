"""`install.sh`, the first step of `make test`: it reports in one line, and never fails."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).with_name("install.sh")
PROGRAMS: Final = ("chromium", "redis-server", "postgres", "curl")


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """Return a folder for PATH with `bash` and `env` only."""
    for name in ("bash", "env"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def put(folder: Path, name: str, does: str) -> None:
    (folder / name).write_text(f"#!{folder}/bash\n{does}\n")
    (folder / name).chmod(0o755)


def run_script(folder: Path) -> str:
    """Run the script, which has to succeed, and return its output."""
    done = subprocess.run(
        [folder / "bash", SCRIPT],
        env={"PATH": str(folder), "POSTGRESQL": str(folder / "postgresql")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") <= 1
    return done.stdout.strip()


def test_where_all_is_there_it_says_nothing(bin_folder: Path) -> None:
    for name in PROGRAMS:
        put(bin_folder, name, "")
    assert run_script(bin_folder) == ""


def test_a_postgresql_outside_of_path_is_found(bin_folder: Path) -> None:
    for name in {"id", *PROGRAMS} - {"postgres"}:
        put(bin_folder, name, "")
    (bin_folder / "postgresql" / "15" / "bin").mkdir(parents=True)
    assert "without postgres: there is no apt-get" in run_script(bin_folder)
    put(bin_folder / "postgresql" / "15" / "bin", "postgres", "")
    assert run_script(bin_folder) == ""


def test_what_is_missing_is_installed_as_root(bin_folder: Path) -> None:
    put(bin_folder, "redis-server", "")
    put(bin_folder, "id", "echo 0")
    put(bin_folder, "true", "")
    put(bin_folder, "apt-get", f'echo "$DEBIAN_FRONTEND $*" >> {bin_folder}/asked; echo noise')
    packages = "chromium fonts-dejavu-core postgresql curl"
    assert run_script(bin_folder) == f"Installed for the tests: {packages}"
    update, install = (bin_folder / "asked").read_text().splitlines()
    assert update.endswith(" update")
    assert install.startswith("noninteractive ")
    assert install.endswith(f"install --yes --no-install-recommends {packages}")


def test_others_install_by_sudo_without_a_password(bin_folder: Path) -> None:
    put(bin_folder, "id", "echo 1000")
    put(bin_folder, "true", "")
    put(bin_folder, "sudo", f'[ "$1" = -n ] && shift && echo sudo >> {bin_folder}/asked && "$@"')
    put(bin_folder, "apt-get", f"echo apt-get >> {bin_folder}/asked")
    assert run_script(bin_folder).startswith("Installed for the tests: chromium ")
    # One `sudo` for `true`, which checks that it works, then one for each apt-get.
    by_sudo = ["sudo", "sudo", "apt-get", "sudo", "apt-get"]
    assert (bin_folder / "asked").read_text().split() == by_sudo


@pytest.mark.parametrize(
    ("user", "commands", "why"),
    [
        ("0", {}, "there is no apt-get"),
        ("1000", {"apt-get": ""}, "apt-get needs root, or sudo without a password"),
        (
            "1000",
            {"apt-get": "", "sudo": "exit 1"},
            "apt-get needs root, or sudo without a password",
        ),
        (
            "0",
            {"apt-get": "echo; echo 'E: Unable to locate package chromium' >&2; exit 100"},
            "apt-get: E: Unable to locate package chromium",
        ),
    ],
)
def test_where_it_cannot_install_it_says_why(
    bin_folder: Path, user: str, commands: dict[str, str], why: str
) -> None:
    put(bin_folder, "id", f"echo {user}")
    put(bin_folder, "true", "")
    for name, does in commands.items():
        put(bin_folder, name, does)
    assert run_script(bin_folder) == f"Tests run without chromium redis-server postgres curl: {why}"
