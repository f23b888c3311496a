"""The demo as a program: the start, the output, the refusals and the end of `make demo`."""

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import httpx
import pytest

from demo_app.__main__ import main
from demo_app.loopback import Server, is_loopback, listener_for
from tests.support.fakes import HELLO
from tests.support.shell import run_in_shell

COUNTABLE = {**HELLO, "model": "gemini-3.8-flash"}
CREDENTIALS = ("ANTHROPIC_", "AWS_", "DEMO_", "GEMINI_", "GOOGLE_")


def start_program(**environ: str) -> subprocess.Popen[str]:
    """Start the demo as `make demo` does, without any credentials."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(CREDENTIALS)
    }
    return subprocess.Popen(
        [sys.executable, "-m", "demo_app"],
        env={**inherited, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Demo:
    """The running program: its first output, its port, and in the end its log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.printed = "".join(iter(process.stdout.readline, "  }'\n")) + "  }'"
        self.port = re.findall(r"http://.*:(\d+)", self.printed)[0]
        self.log = ""

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(by)
        _, self.log = self._process.communicate(timeout=30)


@contextmanager
def run_demo(**environ: str) -> Iterator[Demo]:
    with start_program(PORT="0", **environ) as process:
        try:
            yield Demo(process)
        finally:
            process.kill()  # has no effect on a process that has ended


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_as_a_program_prints_a_line_that_works_and_ends_quietly(
    ending: signal.Signals,
) -> None:
    with run_demo(HOST="127.0.0.1") as demo:
        answer = run_in_shell(demo.printed[demo.printed.index("curl") :])
        demo.end(ending)
    assert demo.printed.split()[:2] == ["Open", f"http://127.0.0.1:{demo.port}"]
    assert "API key       sk-demo" in demo.printed
    assert "Upstreams     emulated" in demo.printed
    assert answer == '{"input_tokens":14}'
    assert "POST /v1/messages/count_tokens 200" in demo.log
    assert "Traceback" not in demo.log
    assert "sk-demo" not in demo.log


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_peace_while_somebody_listens(ending: signal.Signals) -> None:
    with (
        run_demo() as demo,
        httpx.Client(base_url=f"http://127.0.0.1:{demo.port}", timeout=30) as client,
        client.stream("GET", "/demo/events", headers={"x-api-key": "sk-demo"}) as stream,
    ):
        assert stream.status_code == 200
        demo.end(ending)
        # httpx raises where the stream is cut off before its proper end.
        assert stream.read() == b": connected\n\n"
    assert demo.log.splitlines()[0].startswith("GET /demo/events 200 ")
    assert len(demo.log.splitlines()) == 1  # uvicorn complains if it has to cancel something


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PORT": "many"}, "PORT=many: a number up to 65535 is required"),
        ({"PORT": "0", "HOST": "0.0.0.0"}, "or use HOST=127.0.0.1"),
    ],
)
def test_a_refused_start_is_one_line_on_stderr(environ: dict[str, str], message: str) -> None:
    with start_program(**environ) as refused:
        printed, errors = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert not printed
    assert errors.strip().endswith(message)
    assert len(errors.splitlines()) == 1


@pytest.fixture
def refusal_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Yield a function that runs `main`, and returns the message with which it exits."""

    def serve(*_: object) -> NoReturn:
        pytest.fail("the demo serves")

    def run_main(**environ: str) -> str:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as exited:
            main()
        message = exited.value.code  # Python writes a string to stderr, and exits with 1
        assert isinstance(message, str)
        return message

    monkeypatch.setattr(Server, "run", serve)
    for name in ("HOST", "PORT", "DEMO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    logger = logging.getLogger("demo_app")
    level = logger.level
    yield run_main
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("taken", "Address already in use; PORT=8001 make demo takes another"),
        ("many", "PORT=many: a number up to 65535 is required"),
        ("99999", "PORT=99999: a number up to 65535 is required"),
    ],
)
def test_an_address_that_cannot_be_had_is_said_in_one_line(
    demo: str, refusal_of: Callable[..., str], port: str, message: str
) -> None:
    if port == "taken":
        port = demo.rpartition(":")[2]
    refusal = refusal_of(PORT=port)
    assert refusal.endswith(message)
    assert len(refusal.splitlines()) == 1


@pytest.mark.parametrize("key", ["", "sk-demo", "sk-demo-claude"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_with_a_key_that_everybody_knows_it_listens_on_loopback_only_and_says_why(
    refusal_of: Callable[..., str], capsys: pytest.CaptureFixture[str], host: str, key: str
) -> None:
    refusal = refusal_of(HOST=host, PORT="0", DEMO_API_KEY=key)
    assert not capsys.readouterr().out
    assert len(refusal.splitlines()) == 1
    assert refusal.startswith(f"HOST={host}: the demo's API key is public")
    assert "set DEMO_API_KEY" in refusal


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost"])
def test_all_of_loopback_is_loopback(host: str) -> None:
    with listener_for({"HOST": host, "PORT": "0"}, is_key_public=True) as listener:
        assert is_loopback(listener.getsockname()[0])


def test_ipv6_has_a_loopback_of_one_address() -> None:
    assert is_loopback("::1")
    assert not is_loopback("::")
    assert not is_loopback("fe80::1")


def test_it_answers_by_the_address_that_it_was_given() -> None:
    with run_demo(HOST="127.8.9.10") as demo:
        assert httpx.get(f"http://127.8.9.10:{demo.port}/health").status_code == 200


def test_a_key_of_the_operators_replaces_the_demos_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "a-key-of-my-own"
    monkeypatch.setenv("DEMO_API_KEY", secret)  # for the pasted command
    with run_demo(HOST="0.0.0.0", DEMO_API_KEY=secret) as demo:
        # Other machines use another host name; DNS rebinding is of no use without the key.
        headers = {"host": "gateway.example"}
        with httpx.Client(base_url=f"http://127.0.0.1:{demo.port}", headers=headers) as client:
            path = "/v1/messages/count_tokens"
            allowed = client.post(path, json=COUNTABLE, headers={"x-api-key": secret})
            refused = client.post(path, json=COUNTABLE, headers={"x-api-key": "sk-demo"})
            info = client.get("/demo/info")
        pasted = run_in_shell(demo.printed[demo.printed.index("curl") :])
        demo.end()
    assert (allowed.status_code, refused.status_code) == (200, 401)
    assert info.json()["key"] is None
    assert "caller=demo" in demo.log
    assert "input_tokens" in pasted
    assert not [text for text in (demo.printed, demo.log, info.text) if secret in text]
