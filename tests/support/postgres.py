"""A real PostgreSQL server in a folder of its own, on a Unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

# Debian has the programs outside of PATH, in a folder for each version. The clients' packages use
# the same folders.
FOLDERS: Final = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
# Nothing has to survive a crash of the machine.
_OPTIONS: Final = ("-F", "-c", "listen_addresses=", "-c", "shared_buffers=1MB")


class RealPostgres:
    """A server that trusts everybody who reaches its socket."""

    def __init__(self, programs: Path, folder: Path, options: dict[str, Any]) -> None:
        self._programs = programs
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.url = f"postgresql:///postgres?host={folder}&user=postgres"

    def create(self) -> None:
        """Create the cluster."""
        command: list[str | Path] = [self._programs / "initdb", "-D", self._folder / "data"]
        command += ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale"]
        command += ["--no-sync", "--no-instructions"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self._options)

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        command: list[str | Path] = [self._programs / "postgres", "-D", self._folder / "data"]
        command += ["-k", self._folder, *_OPTIONS]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, **self._options)
        assert self._process.stderr is not None
        output = ""
        with self._process.stderr as lines:
            for line in lines:
                output += line
                if "ready to accept connections" in line:
                    return
        raise AssertionError(output)

    def stop(self) -> None:
        """Stop the server, which ends all connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None


@contextmanager
def running_postgres() -> Iterator[RealPostgres]:
    """Yield a server; without PostgreSQL the test is skipped, or fails in CI.

    The server refuses to run as root, so root starts it as `nobody`.
    """
    programs = _find_programs()
    # pytest's own folders are closed to other users, and too long for the name of a socket.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        options: dict[str, Any] = {"cwd": folder, "env": {"LC_ALL": "C"}, "text": True}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
        server = RealPostgres(programs, folder, options)
        server.create()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _find_programs() -> Path:
    if FOLDERS:
        return max(FOLDERS, key=lambda folder: float(folder.parent.name))
    if in_path := shutil.which("initdb"):
        return Path(in_path).parent
    missing = "PostgreSQL is not installed (on Debian: apt-get install postgresql)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
