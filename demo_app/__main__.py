"""The demo's program: `make demo` or `python -m demo_app`, with HOST, PORT and DEMO_API_KEY."""

import logging
import os
from contextlib import suppress

from demo_app.demo import create_app
from demo_app.keys import DEMO_KEYS, ApiKey, public_key
from demo_app.loopback import Server, address_of, listener_for
from demo_app.upstreams import Upstreams, configured


def banner(address: str, upstreams: Upstreams, key: str | None) -> str:
    """Return the start message: the address, the key if it is public, and a command to paste."""
    return f"""
  Open          {address}
  API key       {key or "that of DEMO_API_KEY"}
  Upstreams     {upstreams.summary}

Or in another terminal:
curl "{address}/v1/messages/count_tokens" \\
  -H "x-api-key: {key or "$DEMO_API_KEY"}" -H "content-type: application/json" -d '{{
    "model": "claude-sonnet-5",
    "messages": [{{"role": "user", "content": "Hello, how are you?"}}]
  }}'
"""


def main() -> None:
    """Serve until interrupted."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("gateway").setLevel(logging.INFO)
    secret = os.environ.get("DEMO_API_KEY", "").strip()
    keys = [ApiKey(secret, "demo")] if secret else DEMO_KEYS
    key = public_key(keys)
    with (
        listener_for(os.environ, is_key_public=key is not None) as listener,
        configured(os.environ) as (config, upstreams),
        suppress(KeyboardInterrupt),
    ):
        host, port = listener.getsockname()[:2]
        app = create_app(config, upstreams, keys, host)
        print(banner(address_of(host, port), upstreams, key), flush=True)
        Server(app, app.state.live.close, timeout_graceful_shutdown=3).run([listener])


if __name__ == "__main__":
    main()
