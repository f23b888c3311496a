"""`make claude-code`: run the published Claude Code against the gateway, and judge its counts.

The npm package is installed into a temporary folder. `claude -p "/context"` then runs with an empty
home and an invented key, in a network namespace of its own where the system allows one. Only the
exchanges decide: those of Claude Code with `demo_app/gateway.py`, and those of the gateway with the
emulated upstream.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from demo_app.emulators import EMULATED_KEY, emulated_anthropic
from demo_app.loopback import serving
from tests.acceptance.exchanges import Recorder, judge, summarize
from tests.bench.processes import free_port, run_server

_PACKAGE: Final = "@anthropic-ai/claude-code"
_ROOT: Final = Path(__file__).parents[2]
_GATEWAY: Final = _ROOT / "demo_app" / "gateway.py"
_KEY: Final = "sk-claude-code"
_SECONDS: Final = 180
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_NOT_FORWARDED: Final = {b"host", b"connection", b"transfer-encoding"}
_LOOPBACK_UP: Final = 'ip link set lo up && exec "$@"'
# https://docs.claude.com/en/docs/claude-code/settings#environment-variables
_QUIET: Final = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}


def main() -> int | str:
    """Return the exit status, or a message for an exit with status 1."""
    arguments = sys.argv[1:]
    options = read_options(arguments)
    if options.installed is not None:
        return run_installed(options)
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        return f"make claude-code needs {' and '.join(missing)}, from https://nodejs.org"
    with TemporaryDirectory(prefix="claude-code-") as folder:
        install = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
        # Without a tag, npm takes an older version that supports an older node.
        package = f"{_PACKAGE}@{options.version}"
        if subprocess.run([*install, "--prefix", folder, package], check=False).returncode:
            return f"npm could not install {package}"
        command = [sys.executable, "-m", "tests.acceptance.claude_code", "--installed", folder]
        return subprocess.call([*isolation(), *command, *arguments], cwd=_ROOT)


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.claude_code")
    parser.add_argument("--version", default="latest", help="of the npm package")
    parser.add_argument("--installed", type=Path, help="a folder that npm installed it into")
    parser.add_argument("--gateway", type=Path, default=_GATEWAY, help="another gateway's program")
    parser.add_argument("--max-concurrency", type=int, help="counts in flight at the gateway")
    parser.add_argument(
        "--hide-counts",
        action="store_true",
        help="answer every count by a 404, as behind a base URL without the mount's prefix",
    )
    return parser.parse_args(arguments)


def isolation() -> list[str]:
    """Return a prefix of commands that run in a network namespace of loopback only.

    It is empty where the system allows none, as in most containers.
    """
    for options in (["--net"], ["--net", "--map-root-user"]):
        prefix = ["unshare", *options, "sh", "-c", _LOOPBACK_UP, "sh"]
        with suppress(FileNotFoundError):
            tried = subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False)
            if tried.returncode == 0:
                return prefix
    return []


def run_installed(options: argparse.Namespace) -> int:
    """Run Claude Code against the gateway; print the figures, and return the exit status."""
    modules = options.installed / "node_modules"
    about = json.loads((modules / _PACKAGE / "package.json").read_text(encoding="utf-8"))
    upstream = Recorder(emulated_anthropic())
    with (
        TemporaryDirectory(prefix="claude-code-") as folder,
        serving(upstream) as upstream_url,
        run_gateway(Path(folder), options, upstream_url) as gateway_url,
    ):
        client = Recorder(forwarder(gateway_url, options.hide_counts))
        with serving(client) as url:
            done = run_claude(modules / ".bin" / "claude", Path(folder), url)
    is_isolated = [name for _, name in socket.if_nameindex()] == ["lo"]
    rows = {
        "Claude Code": about["version"],
        "network": "loopback only" if is_isolated else "the machine's: no namespace is possible",
        **summarize(client.exchanges, upstream.exchanges),
    }
    for name, value in rows.items():
        print_line(f"{name:<18}{value}")
    problems = list(judge(client.exchanges, upstream.exchanges))
    if done.returncode:
        problems.append(f"claude ended with status {done.returncode}: {done.stdout}{done.stderr}")
    for problem in problems:
        print_line(f"FAILED: {problem}")
    return 1 if problems else 0


@contextmanager
def run_gateway(folder: Path, options: argparse.Namespace, upstream: str) -> Iterator[str]:
    """Start the gateway's program with a configuration of its own, and yield its base URL."""
    config = folder / "config.yaml"
    config.write_text(json.dumps(config_for(upstream, options.max_concurrency)), encoding="utf-8")
    port = free_port()
    environ = {
        "CONFIG": str(config),
        "GATEWAY_KEYS": f"{_KEY}=claude-code",
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    with run_server([sys.executable, str(options.gateway)], port, environ) as process:
        yield process.url


def config_for(upstream: str, max_concurrency: int | None) -> Mapping[str, Any]:
    params = {"model": "anthropic/claude-*", "api_base": upstream, "api_key": EMULATED_KEY}
    settings = {"max_concurrency": max_concurrency} if max_concurrency else {}
    return {
        "model_list": [{"model_name": "claude-*", "litellm_params": params}],
        "count_tokens": settings,
    }


def forwarder(gateway: str, hide_counts: bool) -> Starlette:
    """Return an app that forwards to the gateway, so that a recorder sees every exchange."""
    client = httpx.AsyncClient(base_url=gateway, timeout=None, trust_env=False)

    async def forward(request: Request) -> Response:
        path = request.url.path
        if hide_counts and "count_tokens" in path:
            path = f"/hidden{path}"
        sent = client.build_request(
            request.method,
            httpx.URL(path=path, query=request.url.query.encode()),
            headers=[line for line in request.headers.raw if line[0] not in _NOT_FORWARDED],
            content=await request.body(),
        )
        answer = await client.send(sent, stream=True)
        response = StreamingResponse(
            answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose)
        )
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.lower() not in _NOT_FORWARDED
        ]
        return response

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with client:
            yield

    return Starlette(routes=[Route("/{path:path}", forward, methods=_METHODS)], lifespan=lifespan)


def run_claude(program: Path, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run `/context`, which counts each part of a prompt, in an empty home and an empty project."""
    home, project = folder / "home", folder / "project"
    home.mkdir()
    project.mkdir()
    environ = {
        **_QUIET,
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": _KEY,
    }
    return subprocess.run(
        [str(program), "-p", "/context"],
        cwd=project,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
