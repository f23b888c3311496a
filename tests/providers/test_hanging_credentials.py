"""Hanging issuers of credentials: a hang ends by itself, and affects nothing else."""

import asyncio
import json
import os
import select
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Final

import pytest
import urllib3

from count_tokens_mw import CountError, DeadlineExceeded
from count_tokens_mw.aio.renewal import Renewal
from count_tokens_mw.aio.threads import DaemonThreads
from count_tokens_mw.config.params.anthropic import AnthropicParams
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.providers.bedrock.credentials import AwsSession
from count_tokens_mw.providers.bedrock.session import IdentityToken, _Program, load_session
from count_tokens_mw.providers.federation import federated_tokens
from count_tokens_mw.providers.google.credentials import GoogleTokens
from count_tokens_mw.providers.http import HttpClient
from demo_app.emulators import EmulatedGoogle
from demo_app.emulators.sigv4 import EMULATED_SESSION_TOKEN
from tests.providers.test_bedrock import NO_KEYS, STS_ANSWER
from tests.providers.test_bedrock_signature import Threads
from tests.providers.test_http import RawServer, never, raw_server
from tests.support.cloud import bedrock_params, counting, vertex_params
from tests.support.requests import HELLO

PATIENT: Final = urllib3.Timeout(connect=60, read=60)
ROOT: Final = Path(__file__).parents[2]
BODY: Final[dict[str, Any]] = {"model": "m", "messages": HELLO}


class TokenServer:
    """Token server whose tokens live for `lifetime` seconds, or which hangs."""

    def __init__(self, lifetime: int = 3600) -> None:
        self.lifetime = lifetime
        self.hangs = False
        self.requested = asyncio.Event()
        self.raw = RawServer()
        self.http = HttpClient()

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        self.requested.set()
        if self.hangs:
            await never(writer)
        body = self._sts_answer() if b"Action=" in self.raw.bodies[-1] else self._token()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()

    def _token(self) -> bytes:
        token = {"access_token": f"token-{self.requests}", "expires_in": self.lifetime}
        return json.dumps(token).encode()

    def _sts_answer(self) -> bytes:
        end = datetime.now(UTC) + timedelta(seconds=self.lifetime)
        answer = STS_ANSWER.format(action="AssumeRole")
        answer = answer.replace("2999-01-01T00:00:00Z", end.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return answer.replace(EMULATED_SESSION_TOKEN, f"token-{self.requests}").encode()

    @property
    def requests(self) -> int:
        """The number of requests so far."""
        return len(self.raw.bodies)

    async def wait_for_request(self) -> None:
        """Wait for the next request."""
        self.requested.clear()
        await self.requested.wait()


@asynccontextmanager
async def token_server(lifetime: int = 3600) -> AsyncIterator[TokenServer]:
    tokens = TokenServer(lifetime)
    async with raw_server(tokens) as tokens.raw:
        yield tokens
        await tokens.http.aclose()


def google_tokens(server: TokenServer, timeout: urllib3.Timeout = PATIENT) -> GoogleTokens:
    info = EmulatedGoogle().service_account(f"{server.raw.url}/token")
    return GoogleTokens(info, seconds=60, timeout=timeout)


def aws_session(server: TokenServer) -> AwsSession:
    role = {
        "aws_role_name": "arn:aws:iam::123456789012:role/r",
        "aws_sts_endpoint": server.raw.url,
    }
    params = bedrock_params("http://127.0.0.1:1", **role)
    return AwsSession(BedrockParams.model_validate(params), seconds=60)


async def sign(session: AwsSession) -> str:
    headers = await session.sign("https://h.example/", {}, b"{}", "bedrock", "us-west-2")
    return headers["x-amz-security-token"]


GetToken = Callable[[], Any]


def google(server: TokenServer) -> tuple[GetToken, Renewal]:
    tokens = google_tokens(server)
    return tokens.token, tokens._renewals


def aws(server: TokenServer) -> tuple[GetToken, Renewal]:
    session = aws_session(server)
    return lambda: sign(session), session._renewals


def anthropic(server: TokenServer) -> tuple[GetToken, Renewal]:
    params = {
        "api_base": server.raw.url,
        "anthropic_federation_rule_id": "fdrl_1",
        "anthropic_organization_id": "org",
        "anthropic_identity_token": "eyJ.a.b",
    }
    tokens = federated_tokens(AnthropicParams.model_validate(params), server.http)
    return tokens.token, tokens._renewals


ALL: Final = pytest.mark.parametrize("vendor", [google, aws, anthropic])
Vendor = Callable[[TokenServer], tuple[GetToken, Renewal]]


@ALL
async def test_a_renewal_that_hangs_is_abandoned_and_the_next_one_to_ask_starts_anew(
    vendor: Vendor,
) -> None:
    async with token_server(50) as server:
        get_token, renewals = vendor(server)
        if vendor is aws:  # loads the session, which takes long; the credentials are expiring
            await get_token()
        known = server.requests
        server.hangs = True
        renewals._seconds = 0.4
        while server.requests < known + 2:  # a slow machine may time out before its request
            both = await asyncio.gather(get_token(), get_token(), return_exceptions=True)
            assert [type(outcome) for outcome in both] == [DeadlineExceeded] * 2
        assert server.requests == known + 2
        server.hangs = False
        renewals._seconds = 60
        assert await get_token() == f"token-{known + 3}"


async def test_a_server_that_does_not_answer_is_given_up_by_its_read_timeout() -> None:
    async with token_server() as server:
        server.hangs = True
        tokens = google_tokens(server, timeout=urllib3.Timeout(connect=5, read=0.2))
        with pytest.raises(DeadlineExceeded, match="did not issue a token in time"):
            await tokens.token()


async def test_a_server_that_drips_is_left_behind_with_its_thread() -> None:
    """Every byte arrives within the read timeout, and the body never ends."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    before = threading.active_count()
    async with raw_server(drip) as server:
        info = EmulatedGoogle().service_account(f"{server.url}/token")
        tokens = GoogleTokens(info, seconds=0.6, timeout=PATIENT)
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await tokens.token()
        abandoned = list(tokens._threads._abandoned)
        ends = await asyncio.to_thread(lambda: [work.exception(10) for work in abandoned])
        assert all(ends)
    assert len(server.bodies) == 2
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    ("vendor", "lifetime"),
    [(google, 30), (google, 220), (aws, 90), (aws, 500), (aws, 800), (anthropic, 60)],
)
async def test_what_is_merely_stale_is_used_while_its_renewal_hangs(
    vendor: Vendor, lifetime: int
) -> None:
    """Google's token is stale in its last four minutes, AWS's in fifteen, Anthropic's in two."""
    async with token_server(lifetime) as server:
        get_token, _ = vendor(server)
        assert await get_token() == "token-1"
        server.hangs = True
        again = asyncio.ensure_future(server.wait_for_request())
        await asyncio.sleep(0)
        assert [await get_token() for _ in range(5)] == ["token-1"] * 5
        await again
        assert [await get_token() for _ in range(5)] == ["token-1"] * 5
        assert server.requests == 2


async def test_a_stale_token_is_renewed_behind_the_back_of_who_asks() -> None:
    async with token_server(100) as server:
        tokens = google_tokens(server)
        assert await tokens.token() == "token-1"
        server.lifetime = 3600
        assert await tokens.token() == "token-1"
        await tokens._renewals.run()
        assert [await tokens.token() for _ in range(3)] == ["token-2"] * 3
        assert server.requests == 2


async def test_credentials_in_their_last_minute_are_waited_for() -> None:
    async with token_server(50) as server:
        get_token, _ = aws(server)
        assert await get_token() == "token-1"
        server.lifetime = 3600
        assert [await get_token() for _ in range(3)] == ["token-2"] * 3


@ALL
async def test_the_default_executor_stays_the_hosts(vendor: Vendor) -> None:
    threads = Threads()
    asyncio.get_running_loop().set_default_executor(threads)
    async with token_server() as server:
        server.hangs = True
        many = [asyncio.ensure_future(vendor(server)[0]()) for _ in range(8)]
        while server.requests < len(many):
            await server.wait_for_request()
        # aiobotocore reads its certificates in that executor, once for each client.
        assert threads.submitted <= (len(many) if vendor is aws else 0)
        assert await asyncio.to_thread(str, 5) == "5"
        for task in many:
            task.cancel()
        await asyncio.wait(many)


async def test_closing_ends_a_renewal_and_whoever_waits_for_it_is_told() -> None:
    async with token_server() as server:
        server.hangs = True
        params = vertex_params(EmulatedGoogle(), server.raw.url, "gemini-2.5-flash")
        async with counting(params) as count_tokens:
            waiting = asyncio.ensure_future(count_tokens.count(BODY))
            await server.wait_for_request()
            await count_tokens.aclose()
            with pytest.raises(CountError) as raised:
                await waiting
    assert raised.value.status == 504


def test_every_wait_of_botocores_has_a_limit_of_seconds() -> None:
    for params in (bedrock_params("http://127.0.0.1:1"), bedrock_params("http://h", **NO_KEYS)):
        session = load_session(BedrockParams.model_validate(params), IdentityToken(None))
        config = session.get_default_client_config()
        assert (config.connect_timeout, config.read_timeout) == (3, 5)


@pytest.mark.parametrize("is_source", [False, True])
async def test_a_profiles_program_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_source: bool
) -> None:
    os.mkfifo(tmp_path / "pid")
    (tmp_path / "program").write_text(f"echo $$ > {tmp_path}/pid\nexec tail -f /dev/null\n")
    role = "arn:aws:iam::123456789012:role/r"
    of_role = f"[profile team]\nrole_arn = {role}\nsource_profile = base\n[profile base]\n"
    (tmp_path / "config").write_text(
        f"{of_role if is_source else '[profile team]'}\n"
        f"credential_process = /bin/sh {tmp_path}/program\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    params = bedrock_params("http://127.0.0.1:1", **NO_KEYS, aws_profile_name="team")
    session = AwsSession(BedrockParams.model_validate(params))
    waiting = asyncio.ensure_future(sign(session))
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    await session.aclose()
    with pytest.raises(DeadlineExceeded):
        await waiting
    assert await asyncio.to_thread(has_ended, pid)


async def test_an_identity_token_that_cannot_be_read_yet_holds_no_event_loop(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "token")  # a read blocks until a write
    role = {"aws_role_name": "arn:aws:iam::123456789012:role/r"}
    identity = {**NO_KEYS, **role, "aws_web_identity_token": str(tmp_path / "token")}
    params = bedrock_params("http://127.0.0.1:1", **identity)
    session = AwsSession(BedrockParams.model_validate(params), seconds=0.2)
    with pytest.raises(DeadlineExceeded):
        await sign(session)
    with (tmp_path / "token").open("w") as token:  # ends the thread
        token.write("x")


def test_googles_waits_have_limits_of_seconds() -> None:
    tokens = GoogleTokens(None)
    assert (tokens._timeout.connect_timeout, tokens._timeout.read_timeout) == (3, 5)
    assert (
        tokens._renewals._seconds
        == AwsSession(BedrockParams.model_validate(bedrock_params("http://h")))._renewals._seconds
        == 15
    )


async def test_a_program_that_takes_too_long_is_ended_though_somebody_waits() -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("tail", "-f", "/dev/null", stdout=pipe)
    with pytest.raises(TimeoutError):
        await _Program(process, 0.1).communicate()
    assert await asyncio.to_thread(has_ended, process.pid)


def test_a_program_has_seconds_by_default() -> None:
    assert signature(_Program).parameters["seconds"].default == 15


def has_ended(pid: int) -> bool:
    """Return whether a process, possibly reaped already, ends within ten seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)


COUNTING: Final = """
import asyncio, json, sys
from count_tokens_mw import Config, CountTokens

async def count():
    count_tokens = CountTokens(Config.from_mapping(json.load(open(sys.argv[1])), {}))
    async with count_tokens.lifespan():
        await count_tokens.count({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})

asyncio.run(count())
"""


@pytest.mark.parametrize(
    ("vendor", "arguments"),
    [
        ("google", ["-c", COUNTING, "config.yaml"]),
        ("aws", ["-c", COUNTING, "config.yaml"]),
        ("google", ["-m", "count_tokens_mw", "check", "config.yaml", "--probe", "--json"]),
    ],
)
async def test_a_process_ends_although_a_token_server_hangs(
    tmp_path: Path, vendor: str, arguments: list[str]
) -> None:
    async with token_server() as server:
        server.hangs = True
        url = server.raw.url
        params = vertex_params(EmulatedGoogle(), url, "gemini-2.5-flash")
        if vendor == "aws":
            role = "arn:aws:iam::123456789012:role/r"
            params = bedrock_params(url, aws_role_name=role, aws_sts_endpoint=url)
        entry = {"model_name": "m", "litellm_params": params}
        (tmp_path / "config.yaml").write_text(json.dumps({"model_list": [entry]}))
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=asyncio.subprocess.PIPE,
            # A shell starts a job in the background with this signal ignored.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        await server.wait_for_request()
        program.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            _, errors = await program.communicate()
    assert b"KeyboardInterrupt" in errors


# daemon threads


@contextmanager
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    try:
        yield opened
    finally:
        opened.set()


async def test_work_in_a_thread_gives_what_it_returns_or_raises() -> None:
    threads = DaemonThreads()
    assert await threads.run(lambda: threading.current_thread().daemon) is True
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)


async def test_as_many_threads_as_are_waited_for_may_be_at_work() -> None:
    threads = DaemonThreads(1)
    with gate() as opened:
        waiting = [asyncio.ensure_future(threads.run(opened.wait)) for _ in range(20)]
        await asyncio.sleep(0)
        opened.set()
        assert await asyncio.gather(*waiting) == [True] * 20


async def test_where_too_many_threads_hang_for_nobody_the_next_one_is_told_at_once() -> None:
    threads = DaemonThreads(2)
    with gate() as opened:
        hanging = [asyncio.ensure_future(threads.run(opened.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        assert await threads.run(str) == ""
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)
        with pytest.raises(TimeoutError):
            await threads.run(str)
        abandoned = list(threads._abandoned)
        opened.set()
        assert await asyncio.to_thread(lambda: [work.result(10) for work in abandoned])
    assert await threads.run(str) == ""


async def test_a_thread_that_cannot_be_started_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = DaemonThreads()

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            await threads.run(str)
    assert await threads.run(str) == ""
