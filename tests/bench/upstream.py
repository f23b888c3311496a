"""The stub upstream: reads every body to its end, and answers a constant. nginx, or uvloop."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import httptools

from tests.bench.processes import free_port, run_server

__all__ = ["stub_command", "stub_upstream"]

# By the path's ending: Google's tokens, Gemini, Bedrock, and Anthropic's format.
_ANSWERS: Final = {
    "/token": b'{"access_token": "ya29.bench", "expires_in": 3600, "token_type": "Bearer"}',
    ":countTokens": b'{"totalTokens": 14}',
    "/count-tokens": b'{"inputTokens": 14}',
    "": b'{"input_tokens": 14}',
}

# `return` alone would answer before the body has been read; a mirrored request waits for it.
_NGINX: Final = """
daemon off;
pid {folder}/pid;
error_log stderr crit;
worker_processes 1;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_buffer_size 8m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  root {folder};
  error_page 405 =200 @answer;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /read {{ internal; return 204; }}
    location / {{ mirror /read; try_files /answer =500; }}
    location @answer {{
{answers}
    }}
  }}
}}
"""


@contextmanager
def stub_upstream() -> Iterator[str]:
    """Serve the stub by nginx, or by uvloop where nginx is missing; yield its base URL."""
    port = free_port()
    with (
        stub_command(port, by_nginx=True) as nginx,
        stub_command(port, by_nginx=False) as uvloop,
        run_server(nginx or uvloop or [], port) as process,
    ):
        yield process.url


@contextmanager
def stub_command(port: int, *, by_nginx: bool) -> Iterator[list[str] | None]:
    """Yield the command that starts it, or None for nginx where that is not installed."""
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not by_nginx:
        yield [sys.executable, "-m", "tests.bench.upstream", str(port)]
    elif nginx is None:
        yield None
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield [nginx, "-p", folder, "-c", _nginx_config(Path(folder), port)]


def _nginx_config(folder: Path, port: int) -> str:
    (folder / "answer").write_text("")
    lines = [
        f"if ($request_uri ~ \"{end}$\") {{ return 200 '{body.decode()}'; }}"
        for end, body in _ANSWERS.items()
    ]
    folder.chmod(0o755)  # nginx gives its worker another user where it is started by root
    path = folder / "nginx.conf"
    path.write_text(_NGINX.format(folder=folder, port=port, answers="\n".join(lines)))
    return str(path)


class _Stub(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        body = next(body for end, body in _ANSWERS.items() if self._url.decode().endswith(end))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        self._transport.write(head.encode() + b"\r\n\r\n" + body)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Stub, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1])))
