"""The gateway that teams copy: alone in a folder with a configuration, as a program."""

import ast
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anthropic
import httpx
import pytest
import yaml
from starlette.requests import Request

import demo_app
from demo_app.loopback import serving
from tests.support.fakes import HELLO

SOURCE: Final = Path(demo_app.__file__).with_name("gateway.py")
COUNT: Final = "/v1/messages/count_tokens"
KEYS: Final = "sk-a=team-a sk-b==team-b"
MODELS: Final = ("sonnet", "slow")


class Upstream:
    """An upstream that counts 14, after half a second for the slow model."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await Request(scope, receive).json()
        self.asked.release()
        if body["model"] == "slow":
            await asyncio.sleep(0.5)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"input_tokens": 14}'})


class Gateway:
    """The running program, and in the end its log."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url, self.log = process, url, ""

    def end(self) -> int:
        """Stop the program in the way of a container, and return its exit status.

        After a graceful shutdown uvicorn repeats the signal that it received.
        """
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=60)
        self.log += log
        return self.process.returncode


@contextmanager
def run_gateway(folder: Path, upstream: str) -> Iterator[Gateway]:
    """Run a copy of the gateway in an empty folder, with a configuration that it has there."""
    shutil.copy(SOURCE, folder)
    entries = [
        {
            "model_name": name,
            "litellm_params": {"model": f"anthropic/{name}", "api_base": upstream, "api_key": "k"},
        }
        for name in MODELS
    ]
    (folder / "config.yaml").write_text(yaml.safe_dump({"model_list": entries}))
    own = {"GATEWAY_KEYS": KEYS, "PORT": "0", "PYTHONPATH": str(SOURCE.parents[1])}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "gateway.py"],
        cwd=folder,
        env={**os.environ, **own},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        log = ""
        while not (found := re.search(r"running on (http://[^ ]+)", log)):
            line = process.stderr.readline()
            assert line, log
            log += line
        try:
            yield Gateway(process, found[1])
        finally:
            process.kill()  # has no effect on a process that has ended


def test_it_is_short_and_imports_nothing_of_the_demo() -> None:
    text = SOURCE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    assert all(node.level == 0 for node in imports)
    assert "demo_app" not in text


def test_it_counts_chats_logs_and_stops_alone_in_a_folder(tmp_path: Path) -> None:
    with serving(Upstream()) as upstream, run_gateway(tmp_path, upstream) as gateway:
        client = anthropic.Anthropic(api_key="sk-a", base_url=gateway.url, max_retries=0)
        hello: Any = {**HELLO, "model": "sonnet"}
        assert client.messages.count_tokens(**hello).input_tokens == 14
        message = client.messages.create(**hello, max_tokens=9)
        with client.messages.stream(**hello, max_tokens=9) as stream:
            streamed = stream.get_final_message()
        with pytest.raises(anthropic.AuthenticationError, match="Unknown API key"):
            client.with_options(api_key="sk-c").messages.create(**hello, max_tokens=9)
        with httpx.Client(base_url=gateway.url, headers={"authorization": "Bearer sk-b="}) as http:
            assert http.get("/health").json() == {"status": "ok"}
            assert http.post(COUNT, json={**hello, "user": "eve"}).json() == {"input_tokens": 14}
            assert http.post("/v1/messages", content=b"[").status_code == 422
            metrics = http.get("/metrics")
            docs = http.get("/openapi.json").json()
        client.close()
        assert gateway.end() == -signal.SIGTERM
    for answer in (message, streamed):
        assert (answer.role, answer.model, answer.stop_reason) == (
            "assistant",
            "sonnet",
            "end_turn",
        )
        assert getattr(answer.content[0], "text", None) == "This gateway has no chat yet."
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (0, 0)
    assert 'outcome="counted",provider="anthropic",source="provider"' in metrics.text
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert list(docs["components"]["securitySchemes"]) == ["APIKeyHeader"]
    lines = [line for line in gateway.log.splitlines() if line.startswith(("GET", "POST"))]
    assert re.fullmatch(rf"POST {COUNT} 200 \d+ms caller=team-a model=sonnet .*", lines[0])
    assert re.fullmatch(r"POST /v1/messages 200 \d+ms -", lines[1])
    assert re.fullmatch(r"POST /v1/messages 401 \d+ms -", lines[3])
    assert re.fullmatch(rf"POST {COUNT} 200 \d+ms caller=team-b end_user=eve .*", lines[5])
    assert "sk-" not in gateway.log
    assert "Traceback" not in gateway.log


def test_it_stops_under_load_without_an_error(tmp_path: Path) -> None:
    upstream = Upstream()
    with serving(upstream) as url, run_gateway(tmp_path, url) as gateway:

        def ask(number: int) -> int:
            body = {**HELLO, "model": "slow", "system": str(number)}
            headers = {"x-api-key": "sk-a"}
            return httpx.post(
                gateway.url + COUNT, json=body, headers=headers, timeout=30
            ).status_code

        with ThreadPoolExecutor(16) as threads:
            answers = threads.map(ask, range(16))
            for _ in range(16):
                assert upstream.asked.acquire(timeout=30)
            started = time.monotonic()
            assert gateway.end() == -signal.SIGTERM
            assert set(answers) == {200}
        assert time.monotonic() - started < 20
    assert gateway.log.count(f"POST {COUNT} 200") == 16
    assert not re.search("error|cancel|Traceback", gateway.log, re.IGNORECASE)


def test_without_keys_it_does_not_start(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "GATEWAY_KEYS"}
    done = subprocess.run(
        [sys.executable, str(SOURCE)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "GATEWAY_KEYS" in done.stderr
