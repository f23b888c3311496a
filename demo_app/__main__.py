"""Starts the demo gateway: `make demo`, or `python -m demo_app` with HOST and PORT."""

import logging
import os
from collections.abc import Sequence
from contextlib import suppress

from demo_app.gateway import create_app
from demo_app.keys import ApiKey, keys_from, public_key
from demo_app.loopback import Server, address_of, listener_for
from demo_app.upstreams import Upstreams, configured


def banner(address: str, upstreams: Upstreams, keys: Sequence[ApiKey]) -> str:
    """What a newcomer needs: where it is, the key if it is no secret, and a line to paste."""
    key = public_key(keys)
    return f"""
  Open          {address}
  API key       {key or "that of DEMO_API_KEY"}
  Upstreams     {upstreams.words}

Or paste this into another terminal:

curl -X POST "{address}/v1/messages/count_tokens" \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer {key or "$DEMO_API_KEY"}" \\
  -d '{{
    "model": "claude-3-5-sonnet-20241022",
    "messages": [{{"role": "user", "content": "Hello, how are you?"}}]
  }}'
"""


def main() -> None:
    """Serve until interrupted."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("demo_app").setLevel(logging.INFO)
    keys = keys_from(os.environ)
    with (
        listener_for(os.environ, is_key_public=bool(public_key(keys))) as listener,
        configured(os.environ) as (config, upstreams),
        suppress(KeyboardInterrupt),
    ):
        app = create_app(config, upstreams, keys)
        print(banner(address_of(*listener.getsockname()), upstreams, keys), flush=True)
        Server(app, app.state.live.close, timeout_graceful_shutdown=3).run([listener])


if __name__ == "__main__":
    main()
