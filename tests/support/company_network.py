"""A company's network on loopback: a CONNECT proxy, names that only it knows, and a private CA."""

import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import trustme
from starlette.types import ASGIApp

from demo_app.loopback import Server, listen

ROOT = Path(__file__).parents[2]
DOMAIN = "company.test"
USER, PASSWORD = "counter", "proxy-password"
_TOO_LONG = 30


class PrivateCa:
    """A CA whose certificates no public one knows, and the files of it."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.file)
        server = self._ca.issue_cert(f"*.{DOMAIN}", "127.0.0.1", "localhost")
        self.server_file = str(folder / "server.pem")
        server.private_key_and_cert_chain_pem.write_to_path(self.server_file)
        client = self._ca.issue_cert("gateway@company.test")
        self.client_file = str(folder / "client.pem")
        client.private_key_and_cert_chain_pem.write_to_path(self.client_file)

    @contextmanager
    def serving(self, app: ASGIApp, *, wants_client: bool = False) -> Iterator[int]:
        """Serve an app by TLS on a free port, which is yielded."""
        options: dict[str, Any] = {"ssl_certfile": self.server_file}
        if wants_client:
            options |= {"ssl_ca_certs": self.file, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        with listen("127.0.0.1", 0) as listener:
            server = Server(app, lambda: None, ws="none", timeout_keep_alive=75, **options)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield listener.getsockname()[1]
            finally:
                server.stop()
                thread.join()


class ConnectProxy:
    """A real proxy, and the hosts that it connected to."""

    def __init__(self, scheme: str, port: int, log: Path) -> None:
        self.address = f"127.0.0.1:{port}"
        self.url = f"{scheme}://{USER}:{PASSWORD}@{self.address}"
        self._log = log

    def take_hosts(self) -> list[str]:
        """Return the host of each connection since the last call."""
        hosts = self._log.read_text().split() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return hosts


@contextmanager
def connect_proxy(folder: Path, ca: PrivateCa | None = None) -> Iterator[ConnectProxy]:
    """Run proxy.py in a process of its own, with a user and a password; by TLS with a CA."""
    scheme = "http" if ca is None else "https"
    log, port_file = folder / f"{scheme}-hosts", folder / f"{scheme}-port"
    command = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"]
    command += ["--port-file", str(port_file), "--num-workers", "1", "--num-acceptors", "1"]
    command += ["--basic-auth", f"{USER}:{PASSWORD}", "--log-level", "ERROR"]
    command += ["--plugins", "tests.support.proxy_plugin.CompanyNames"]
    if ca is not None:
        command += ["--cert-file", ca.server_file, "--key-file", ca.server_file]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PROXY_HOSTS": str(log)}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with ExitStack() as stack:
        stack.callback(process.wait, _TOO_LONG)
        # With its workers, and at once: its own shutdown takes half a second.
        stack.callback(os.killpg, process.pid, signal.SIGKILL)
        ends = time.monotonic() + _TOO_LONG
        while not (port_file.exists() and port_file.read_text().strip()):
            assert process.poll() is None, "the proxy has ended"
            assert time.monotonic() < ends, "the proxy does not listen"
            time.sleep(0.02)
        yield ConnectProxy(scheme, int(port_file.read_text()), log)
