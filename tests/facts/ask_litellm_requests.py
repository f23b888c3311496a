"""The script that LiteLLM's own interpreter runs: the names that LiteLLM reads in each request.

It reads requests as JSON from its standard input, and writes their answers as JSON to the file that
its argument names. Nothing of this package is imported, and no request leaves the process.
"""

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

_OWN_VARIABLES: Final = {
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
}


async def _ask(modules: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    """Return the names of a request, which LiteLLM reads as one to `/v1/messages`."""
    proxy, settings = modules["proxy_server"], shape["general_settings"]
    proxy.general_settings.clear()
    proxy.general_settings.update(settings)
    hello = {"model": "claude", "messages": [{"role": "user", "content": "Hello"}]}
    find = modules["auth.auth_utils"].get_end_user_id_from_request_body
    end_user = find({**hello, **shape["body"]}, shape["headers"])
    lines = [(name.lower().encode(), text.encode()) for name, text in shape["headers"].items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/messages",
        "query_string": b"",
        "server": ("proxy.example", 80),
        "headers": lines,
    }
    data = await modules["litellm_pre_call_utils"].add_litellm_data_to_request(
        data=json.loads(json.dumps({**hello, **shape["body"]})),
        request=importlib.import_module("starlette.requests").Request(scope),
        user_api_key_dict=modules["_types"].UserAPIKeyAuth(),
        proxy_config=proxy.ProxyConfig(),
        general_settings=settings,
    )
    return {
        "end_user": end_user,
        "session_id": data.get("litellm_session_id"),
        "tags": data["litellm_metadata"].get("tags") or [],
    }


def main() -> None:
    """Ask about each request."""
    os.environ.update(_OWN_VARIABLES)
    names = ("proxy_server", "auth.auth_utils", "litellm_pre_call_utils", "_types")
    modules = {name: importlib.import_module(f"litellm.proxy.{name}") for name in names}
    shapes = json.loads(sys.stdin.read())
    answers = {shape["name"]: asyncio.run(_ask(modules, shape)) for shape in shapes}
    version = importlib.import_module("importlib.metadata").version("litellm")
    facts = {"package": "litellm", "version": version, "answers": answers}
    Path(sys.argv[1]).write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
