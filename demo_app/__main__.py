"""Starts the demo gateway: `make demo`, or `python -m demo_app` with HOST and PORT."""

import logging
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

import uvicorn

from demo_app.gateway import API_KEYS, create_app
from demo_app.loopback import address_of, listening
from demo_app.upstreams import Upstreams, configured


def banner(address: str, upstreams: Upstreams) -> str:
    """What a newcomer needs: where it is, the key, and a line to paste."""
    key = next(iter(API_KEYS))
    return f"""
  Demo gateway  {address}
  API key       {key}
  Upstreams     {upstreams.words}

Paste this into another terminal:

curl -X POST "{address}/v1/messages/count_tokens" \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer {key}" \\
  -d '{{
    "model": "claude-3-5-sonnet-20241022",
    "messages": [{{"role": "user", "content": "Hello, how are you?"}}]
  }}'
"""


def listener_for(environ: Mapping[str, str]) -> socket.socket:
    """Listen on HOST and PORT, or end the program with a word about what is wrong with them."""
    host, port = environ.get("HOST") or "127.0.0.1", environ.get("PORT") or "8000"
    if not port.isdecimal() or int(port) > 65535:
        sys.exit(f"PORT={port}: a number up to 65535 is required")
    try:
        return listening(host, int(port))
    except OSError as error:
        sys.exit(f"HOST={host} PORT={port}: {error.strerror}; PORT=8001 make demo takes another")


def main() -> None:
    """Serve until interrupted."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("demo_app").setLevel(logging.INFO)
    with (
        listener_for(os.environ) as listener,
        configured(os.environ) as (config, upstreams),
        suppress(KeyboardInterrupt),
    ):
        app = create_app(config, upstreams)
        print(banner(address_of(*listener.getsockname()), upstreams), flush=True)
        server = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=3
        )
        uvicorn.Server(server).run(sockets=[listener])


if __name__ == "__main__":
    main()
